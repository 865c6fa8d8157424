//! The sandbox, looked at from outside: this program starts itself in roles
//! that enter one.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "these are tests")]
#![allow(clippy::zombie_processes, reason = "that they are reaped or die is what is tested")]

#[cfg(not(target_os = "linux"))]
fn main() {}

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    linux::main()
}

#[cfg(target_os = "linux")]
mod linux {
    use std::env;
    use std::fs;
    use std::io::{BufRead, BufReader, Read};
    use std::process::{self, Child, Command, ExitCode, Output, Stdio};
    use std::thread::sleep;
    use std::time::{Duration, Instant};

    use libtest_mimic::{Arguments, Trial};
    use nix::mount::{MsFlags, mount};
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::{Pid, geteuid};
    use ntm_lab::{Netlink, Netns, sandbox};

    pub(super) fn main() -> ExitCode {
        if let Ok(role) = env::var(ROLE) {
            play(&role);
            return ExitCode::SUCCESS;
        }
        let trial = |name: &str, test: fn()| {
            Trial::test(name, move || {
                test();
                Ok(())
            })
        };
        let trials = vec![
            trial("inside_is_a_world_of_its_own", inside_is_a_world_of_its_own),
            trial("the_inner_exit_code_comes_out", the_inner_exit_code_comes_out),
            trial("a_signal_reaches_the_inner_program", a_signal_reaches_the_inner_program),
            trial(
                "nothing_survives_a_killed_outer_process",
                nothing_survives_a_killed_outer_process,
            ),
            trial(
                "a_dead_inner_program_takes_its_orphans_along",
                a_dead_inner_program_takes_its_orphans_along,
            ),
            trial("orphans_are_reaped", orphans_are_reaped),
            trial("a_sandbox_fits_into_a_sandbox", a_sandbox_fits_into_a_sandbox),
            trial(
                "a_missing_device_is_said_in_one_sentence",
                a_missing_device_is_said_in_one_sentence,
            ),
        ];
        libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
    }

    fn inside_is_a_world_of_its_own() {
        let output = output("look", "");
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(text, "uid 0, arguments kept, lo up, nothing else\n");
        assert!(!fs::exists("/run/ntm-lab-test").unwrap(), "the inner /run is the outer one");
    }

    fn the_inner_exit_code_comes_out() {
        assert_eq!(output("exit", "").status.code(), Some(7));
    }

    fn a_signal_reaches_the_inner_program() {
        let (mut outer, _) = start_and_await_ready("linger", "signalled");
        kill(pid(&outer), Signal::SIGTERM).unwrap();
        // The inner program dies of it and the code is passed outwards.
        assert_eq!(outer.wait().unwrap().code(), Some(128 + Signal::SIGTERM as i32));
    }

    fn nothing_survives_a_killed_outer_process() {
        let (mut outer, token) = start_and_await_ready("linger", "killed");
        // Outer, init, inner, and one process in each of two namespaces.
        assert_eq!(processes_with(&token), 5);
        outer.kill().unwrap();
        outer.wait().unwrap();
        await_until("all processes are gone", || processes_with(&token) == 0);
    }

    fn a_dead_inner_program_takes_its_orphans_along() {
        let (mut outer, token) = start_and_await_ready("orphan-and-exit", "orphans");
        assert!(outer.wait().unwrap().success());
        assert_eq!(processes_with(&token), 0);
    }

    fn orphans_are_reaped() {
        let output = output("reap", "");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn a_sandbox_fits_into_a_sandbox() {
        let output = output("nest", "");
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            "uid 0, arguments kept, lo up, nothing else\n"
        );
    }

    fn a_missing_device_is_said_in_one_sentence() {
        let output = output("hide-tun", "");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.starts_with("The lab needs /dev/net/tun"), "{said}");
        assert_eq!((said.lines().count(), output.status.code()), (1, Some(1)), "{said}");
    }

    /// What a started copy of this program does.
    fn play(role: &str) {
        match role {
            // Not the sandbox's doing: something to be left alone in one.
            "idle" => return sleep(FOREVER),
            "orphan" => {
                start("idle", &env::args().nth(1).unwrap());
                return;
            }
            _ => sandbox::enter(),
        }
        let token = env::args().nth(1).unwrap();
        match role {
            "look" => {
                assert!(sandbox::is_inside());
                fs::write("/run/ntm-lab-test", "").unwrap();
                let links = Netlink::here().unwrap().interfaces().unwrap();
                assert!(links.iter().any(|link| link.name == "lo" && link.up));
                // A kernel may add tunnel devices of its own, all down.
                assert!(links.iter().all(|link| link.name == "lo" || !link.up), "{links:?}");
                println!("uid {}, arguments kept, lo up, nothing else", geteuid());
            }
            "exit" => process::exit(7),
            "linger" => {
                for name in ["a", "b"] {
                    let namespace = Netns::new(name).unwrap();
                    namespace.spawn(&mut copy("idle", &token)).unwrap();
                }
                println!("ready");
                sleep(FOREVER);
            }
            "orphan-and-exit" => {
                start("orphan", &token).wait().unwrap();
                println!("ready");
            }
            "reap" if !proc_is_ours() => println!("/proc is another's: not looked at"),
            "reap" => {
                start("orphan", &token).wait().unwrap();
                let orphan = await_some("an orphan of process 1", orphan_pid);
                kill(Pid::from_raw(orphan), Signal::SIGKILL).unwrap();
                let gone = || !fs::exists(format!("/proc/{orphan}")).unwrap();
                await_until("the orphan is reaped", gone);
            }
            "nest" => {
                let namespace = Netns::new("outer").unwrap();
                let mut child = namespace.spawn(&mut copy("look", &token)).unwrap();
                assert!(child.wait().unwrap().success());
            }
            "hide-tun" => {
                let flags = MsFlags::empty();
                mount(Some("none"), "/dev/net", Some("tmpfs"), flags, None::<&str>).unwrap();
                let namespace = Netns::new("outer").unwrap();
                let mut child = namespace.spawn(&mut copy("look", &token)).unwrap();
                process::exit(child.wait().unwrap().code().unwrap());
            }
            other => panic!("no such role: {other}"),
        }
    }

    /// A copy of this program in a role; `token` tells its processes from others.
    fn copy(role: &str, token: &str) -> Command {
        let mut command = Command::new(env::current_exe().unwrap());
        command.arg(token).env(ROLE, role).stdin(Stdio::null());
        command
    }

    fn start(role: &str, token: &str) -> Child {
        copy(role, token).spawn().unwrap()
    }

    fn output(role: &str, token: &str) -> Output {
        copy(role, token).output().unwrap()
    }

    fn start_and_await_ready(role: &str, name: &str) -> (Child, String) {
        let token = format!("ntm-lab-test-{name}-{}", process::id());
        let mut child = copy(role, &token).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        (child, token)
    }

    /// How many processes were started with this argument.
    fn processes_with(token: &str) -> usize {
        let with = |pid: &i32| {
            let mut command = Vec::new();
            fs::File::open(format!("/proc/{pid}/cmdline"))
                .is_ok_and(|mut file| file.read_to_end(&mut command).is_ok())
                && command.split(|byte| *byte == 0).any(|arg| arg == token.as_bytes())
        };
        pids().filter(with).count()
    }

    /// An idle process whose parent is process 1.
    fn orphan_pid() -> Option<i32> {
        pids().find(|pid| {
            let stat = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            stat.lines().any(|line| line == "PPid:\t1")
                && environment
                    .split(|byte| *byte == 0)
                    .any(|entry| entry == b"NTM_LAB_TEST_ROLE=idle")
        })
    }

    /// A container that hides parts of /proc forbids a fresh one, and the old one
    /// shows other numbers.
    fn proc_is_ours() -> bool {
        fs::read_link("/proc/self").unwrap().to_str() == Some(&process::id().to_string())
    }

    fn pids() -> impl Iterator<Item = i32> {
        let names = fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().file_name());
        names.filter_map(|name| name.to_str()?.parse().ok())
    }

    fn pid(child: &Child) -> Pid {
        Pid::from_raw(child.id().cast_signed())
    }

    fn await_until(what: &str, mut holds: impl FnMut() -> bool) {
        await_some(what, || holds().then_some(()));
    }

    fn await_some<T>(what: &str, mut get: impl FnMut() -> Option<T>) -> T {
        let start = Instant::now();
        loop {
            if let Some(value) = get() {
                return value;
            }
            assert!(start.elapsed() < Duration::from_secs(10), "never: {what}");
            sleep(Duration::from_millis(2));
        }
    }

    const ROLE: &str = "NTM_LAB_TEST_ROLE";
    /// Longer than any test; whatever sleeps so long is killed.
    const FOREVER: Duration = Duration::from_secs(600);
}
