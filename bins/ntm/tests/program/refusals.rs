//! What is wrong is said in one sentence with file, line and remedy, the exit
//! code tells the kind, and nothing is left behind.

use std::any::Any;
use std::fs;
use std::net::UdpSocket;

use libtest_mimic::Trial;
use rustix::thread::CapabilitySet;

use crate::stage::{HUB, LIMIT, PRIVATE, Stage, hide, said, without};

/// A hub with one thing wrong.
struct Case {
    name: &'static str,
    /// What is written in the hub's file, and what instead.
    change: (&'static str, &'static str),
    args: &'static [&'static str],
    /// What is on the machine before, held until the end.
    before: fn(&Stage) -> Held,
    /// What is taken away from the program alone.
    deprive: fn(),
    code: i32,
    /// The first line of the complaint; `{}` stands for the folder.
    says: &'static str,
    /// Whether `--check` finds it too.
    checked: bool,
}

type Held = Option<Box<dyn Any>>;

/// For the configuration alone.
const FILE: Case = Case {
    name: "",
    change: ("", ""),
    args: &[],
    before: |_| None,
    deprive: || {},
    code: 2,
    says: "",
    checked: true,
};

/// For what only this machine or moment knows.
const MACHINE: Case = Case { checked: false, ..FILE };

const CASES: &[Case] = &[
    Case {
        name: "an_unknown_key",
        change: ("role =", "rolle ="),
        says: "{}/ntm.toml:3:1: unknown key `rolle` in [node]; did you mean `role`?",
        ..FILE
    },
    Case {
        name: "an_unknown_key_of_a_plugin",
        change: ("bind =", "bnid ="),
        says: "{}/ntm.toml:16:12: unknown key `bnid` in [transport.config]; did you mean `bind`?",
        ..FILE
    },
    Case {
        name: "a_wrong_type",
        change: ("\"hub.key\"", "7"),
        says: "{}/ntm.toml:4:7: `key` in [node] has to be a text, not 7",
        ..FILE
    },
    Case {
        name: "no_file",
        before: |stage| {
            fs::remove_file(stage.path("ntm.toml")).unwrap();
            None
        },
        says: "{}/ntm.toml: there is no such file; name another with `--config`",
        ..FILE
    },
    Case {
        name: "no_key_file",
        before: |stage| {
            fs::remove_file(stage.path("hub.key")).unwrap();
            None
        },
        says: "{}/ntm.toml:4:7: there is no key file {}/hub.key; make one with `ntm key generate \
               --out {}/hub.key`",
        ..FILE
    },
    Case {
        name: "a_key_file_readable_by_others",
        before: |stage| {
            stage.write("hub.key", PRIVATE, 0o644);
            None
        },
        says: "{}/ntm.toml:4:7: others than its owner may use the key file {}/hub.key; run `chmod \
               600 {}/hub.key`, and make a new key if somebody may have read it",
        ..FILE
    },
    Case {
        name: "a_key_file_of_somebody_else",
        before: |stage| {
            stage.write("hub.key", PRIVATE, 0o000);
            None
        },
        deprive: || without(&[CapabilitySet::DAC_OVERRIDE, CapabilitySet::DAC_READ_SEARCH]),
        says: "{}/ntm.toml:4:7: cannot read the key file {}/hub.key: Permission denied (os error \
               13); let the user that runs the node own it",
        ..FILE
    },
    Case {
        name: "no_key_in_the_key_file",
        before: |stage| {
            stage.write("hub.key", "secret\n", 0o600);
            None
        },
        says: "{}/ntm.toml:4:7: {}/hub.key: this is not a key file, which is one line of 44 \
               characters of base64; make one with `ntm key generate --out PATH`",
        ..FILE
    },
    Case {
        name: "an_unknown_plugin",
        change: ("\"tun\"", "\"tap\""),
        says: "{}/ntm.toml:18:10: there is no plugin `tap` for [interface]; did you mean `tun`?",
        ..FILE
    },
    Case {
        name: "a_name_that_no_interface_can_have",
        change: ("\"ntm0\"", "\"mobile-interface\""),
        says: "{}/ntm.toml:19:19: the interface name `mobile-interface` is longer than 15 bytes; \
               choose one such as `ntm0`",
        ..FILE
    },
    Case {
        name: "a_virtual_range_with_a_real_address",
        change: ("198.18.0.0/16", "203.0.0.0/16"),
        says: "{}/ntm.toml:9:11: 203.0.113.1:4330 is a real address, but lies in the virtual range \
               203.0.0.0/16; choose another range in [vip.config]",
        ..FILE
    },
    Case {
        name: "a_virtual_range_that_is_special",
        change: ("198.18.0.0/16", "127.0.0.0/16"),
        says: "{}/ntm.toml:22:19: 127.0.0.0/16 has addresses that are of the loopback interface; \
               use one such as 198.18.0.0/16",
        ..FILE
    },
    Case {
        name: "a_wrong_log_filter",
        change: ("[vip]", "[log]\nlevel = \"ntm=loud\"\n[vip]"),
        says: "{}/ntm.toml:21:9: `ntm=loud` is no log filter (error parsing level filter: \
               expected one of \"off\", \"error\", \"warn\", \"info\", \"debug\", \"trace\", or a number \
               0-5); use one such as `info` or `warn,ntm::signal=debug`",
        ..FILE
    },
    Case {
        name: "a_wrong_log_filter_as_argument",
        args: &["--log", "ntm=loud"],
        says: "--log or NTM_LOG: `ntm=loud` is no log filter (error parsing level filter: \
               expected one of \"off\", \"error\", \"warn\", \"info\", \"debug\", \"trace\", or a number \
               0-5); use one such as `info` or `warn,ntm::signal=debug`",
        ..FILE
    },
    Case {
        name: "a_wrong_argument",
        args: &["--set", "handover.mode=fats"],
        says: "--set handover.mode=fats: `fats` is no value of `mode` in [handover]; did you mean \
               `fast`?",
        ..FILE
    },
    Case {
        name: "a_port_in_use",
        before: |stage| Some(Box::new(stage.netns.run(|| UdpSocket::bind("[::]:4330").unwrap()))),
        code: 5,
        says: "{}/ntm.toml:16:19: cannot listen at UDP [::]:4330: Address already in use (os error \
               98); stop the program that uses the port, or choose another one with `bind`",
        ..MACHINE
    },
    Case {
        name: "an_address_of_somebody_else",
        change: ("[::]:4330\" }", "192.0.2.1:4330\" }"),
        says: "{}/ntm.toml:16:19: cannot listen at UDP 192.0.2.1:4330: Cannot assign requested \
               address (os error 99); no interface has this address; use `[::]` to listen at all \
               of them",
        ..MACHINE
    },
    Case {
        name: "a_port_of_the_system",
        change: ("[::]:4330", "[::]:53"),
        deprive: || without(&[CapabilitySet::NET_BIND_SERVICE]),
        code: 3,
        says: "{}/ntm.toml:16:19: cannot listen at UDP [::]:53: Permission denied (os error 13); \
               choose a port above 1023, or give the program CAP_NET_BIND_SERVICE",
        ..MACHINE
    },
    Case {
        name: "no_tun_device",
        deprive: || hide("/dev/net"),
        code: 4,
        says: "{}/ntm.toml:18:10: this machine has no /dev/net/tun; load the module with `modprobe \
               tun`, or in a container pass `--device /dev/net/tun`",
        ..MACHINE
    },
    Case {
        name: "no_permission_to_make_an_interface",
        deprive: || without(&[CapabilitySet::NET_ADMIN]),
        code: 3,
        says: "{}/ntm.toml:18:10: not allowed to make the interface ntm0: Operation not permitted \
               (os error 1); run it as root, or give the program CAP_NET_ADMIN (in a container: \
               `--cap-add NET_ADMIN`)",
        ..MACHINE
    },
    Case {
        name: "an_interface_of_that_name",
        before: |stage| {
            stage.netns.netlink().add_bridge("ntm0").unwrap();
            None
        },
        code: 5,
        says: "{}/ntm.toml:19:19: there is an interface ntm0 already; choose another name, or \
               remove it with `ip link del ntm0`",
        ..MACHINE
    },
    Case {
        name: "a_file_where_the_socket_goes",
        change: ("control/hub.sock", "hub.key"),
        code: 5,
        says: "{}/ntm.toml:11:10: {}/hub.key is there already and not a socket; choose another \
               place with `socket` in [control]",
        ..MACHINE
    },
    Case {
        name: "a_folder_that_may_not_be_written",
        before: |stage| {
            fs::create_dir(stage.path("control")).unwrap();
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o555);
            fs::set_permissions(stage.path("control"), mode).unwrap();
            None
        },
        deprive: || without(&[CapabilitySet::DAC_OVERRIDE]),
        code: 3,
        says: "{}/ntm.toml:11:10: cannot listen at {}/control/hub.sock: Permission denied (os \
               error 13); choose another place with `socket` in [control]",
        ..MACHINE
    },
    Case {
        name: "no_folder_for_the_registry",
        change: ("\"hub.redb\"", "\"data/hub.redb\""),
        code: 4,
        says: "{}/ntm.toml:13:8: cannot use the registry {}/data/hub.redb: No such file or \
               directory (os error 2); create its folder",
        ..MACHINE
    },
    Case {
        name: "a_registry_that_is_none",
        before: |stage| {
            stage.write("hub.redb", HUB, 0o600);
            None
        },
        code: 1,
        says: "{}/ntm.toml:13:8: {}/hub.redb is damaged or not a registry: Not a redb database: magic \
               number mismatch; bring back a copy, or move it away to begin a new domain, in which every node gets new \
               addresses",
        ..MACHINE
    },
    Case {
        name: "a_registry_readable_by_others",
        before: |stage| {
            stage.write("hub.redb", "", 0o644);
            None
        },
        code: 3,
        says: "{}/ntm.toml:13:8: others than its owner may use {}/hub.redb, which holds the \
               domain's secret; run `chmod 600 {}/hub.redb`",
        ..MACHINE
    },
];

pub(crate) fn trials() -> Vec<Trial> {
    let trial = |case: &'static Case| {
        Trial::test(format!("refusals::{}", case.name), || {
            case.run();
            Ok(())
        })
    };
    CASES.iter().map(trial).collect()
}

impl Case {
    fn run(&self) {
        let stage = Stage::new();
        assert!(HUB.contains(self.change.0), "there is nothing to change");
        stage.write("ntm.toml", &HUB.replacen(self.change.0, self.change.1, 1), 0o644);
        let held = (self.before)(&stage);
        let before = stage.scene();

        let expected = self.says.replace("{}", &stage.folder.display().to_string());
        let refused = |args: &[&str]| {
            let mut process =
                stage.start_deprived(stage.run(&[self.args, args].concat()), self.deprive);
            let code = process.wait(LIMIT).unwrap().code();
            let complaint = said(&process, true);
            let said_so = complaint.lines().any(|line| line == format!("ntm: {expected}"));
            assert!(said_so, "expected:\nntm: {expected}\nsaid:\n{complaint}");
            assert_eq!((code, said(&process, false).as_str()), (Some(self.code), ""), "{args:?}");
            assert_eq!(stage.scene(), before, "something is left");
        };
        refused(&[]);
        if self.checked {
            refused(&["--check"]);
        } else {
            let mut process = stage.start_deprived(stage.run(&["--check"]), self.deprive);
            assert_eq!(process.wait(LIMIT).unwrap().code(), Some(0), "{}", said(&process, true));
            assert!(said(&process, false).ends_with("ntm.toml: nothing is wrong\n"));
            assert_eq!(stage.scene(), before, "a check has made something");
        }
        drop(held);
    }
}
