use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::mutation::{Catch, Mutation};
use crate::tree;

/// How often a test is asked whether it has ended.
const EVERY: Duration = Duration::from_millis(20);

/// A copy of the sources, and where it is built.
#[derive(Clone, Debug)]
pub struct Workshop {
    sources: PathBuf,
    copy: PathBuf,
    built: PathBuf,
    /// A test that takes longer than this has not failed by an assertion.
    pub limit: Duration,
}

/// What became of a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It failed, and said this.
    Failed(String),
    /// It passed.
    Passed,
    /// It was stopped, because it did not end.
    Endless,
    /// It was not even run, or ended otherwise.
    Broken(String),
}

impl Workshop {
    /// For these sources, in a folder that may hold what an earlier one has left.
    pub fn new(sources: &Path, folder: &Path, limit: Duration) -> Self {
        let (copy, built) = (folder.join("sources"), folder.join("built"));
        Self { sources: sources.to_path_buf(), copy, built, limit }
    }

    /// Makes the copy what the sources are, changed by a mutation if there is one.
    ///
    /// # Errors
    /// Why that cannot be done: a change that does not apply any more, or a file.
    pub fn prepare(&self, mutation: Option<&Mutation>) -> Result<(), String> {
        let changes = mutation.map(|mutation| mutation.patch.apply(&self.sources));
        tree::copy(&self.sources, &self.copy)?;
        for change in changes.transpose()?.into_iter().flatten() {
            tree::write(&self.copy.join(change.path), change.text.as_bytes())?;
        }
        Ok(())
    }

    /// Builds a test of the copy and runs it.
    pub fn run(&self, catch: &Catch) -> Outcome {
        self.build(catch).map_or_else(Outcome::Broken, |program| self.try_out(catch, &program))
    }

    fn build(&self, catch: &Catch) -> Result<PathBuf, String> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command.args([
            "test",
            "--no-run",
            "--locked",
            "--message-format",
            "json-render-diagnostics",
        ]);
        command.args(["-p", &catch.package]);
        match catch.target.as_str() {
            "lib" => command.arg("--lib"),
            target => command.args(["--test", target]),
        };
        command.current_dir(&self.copy).env("CARGO_TARGET_DIR", &self.built);
        let output = command.output().map_err(|error| format!("cargo: {error}"))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(format!("it does not build:\n{said}"));
        }
        let messages = String::from_utf8_lossy(&output.stdout).into_owned();
        let values = messages.lines().filter_map(|line| serde_json::from_str(line).ok());
        let mut programs = values.filter_map(|value: serde_json::Value| {
            let is_test = value["profile"]["test"] == true;
            value["executable"].as_str().filter(|_| is_test).map(PathBuf::from)
        });
        programs.next_back().ok_or_else(|| "cargo names no program".to_owned())
    }

    fn try_out(&self, catch: &Catch, program: &Path) -> Outcome {
        let mut command = Command::new(program);
        command.args(["--exact", &catch.test, "--test-threads", "1"]);
        command.current_dir(&self.copy).env("RUST_BACKTRACE", "0");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) => return Outcome::Broken(format!("{}: {error}", program.display())),
        };
        let output = child.stdout.take();
        let reader = std::thread::spawn(move || {
            let mut said = Vec::new();
            output.map(|mut output| output.read_to_end(&mut said));
            String::from_utf8_lossy(&said).into_owned()
        });
        let began = Instant::now();
        let status = loop {
            match child.try_wait() {
                Ok(Some(status)) => break status,
                Ok(None) if began.elapsed() < self.limit => std::thread::sleep(EVERY),
                Ok(None) | Err(_) => {
                    let _gone = child.kill();
                    let _gone = child.wait();
                    return Outcome::Endless;
                }
            }
        };
        let said = reader.join().unwrap_or_default();
        judge(&catch.test, status.code(), &said)
    }
}

/// What the harness has said of the one test, and left with.
fn judge(test: &str, code: Option<i32>, said: &str) -> Outcome {
    let has = |end: &str| {
        said.lines()
            .any(|line| line.starts_with(&format!("test {test} ...")) && line.ends_with(end))
    };
    match code {
        Some(0) if has("ok") => Outcome::Passed,
        Some(0) => Outcome::Broken(format!("there is no test {test}")),
        Some(101) if has("FAILED") && said.contains(" panicked at ") => {
            let mut lines = said.lines().skip_while(|line| !line.contains(" panicked at ")).skip(1);
            let of_it = |line: &&str| !line.is_empty() && *line != "failures:";
            let lines: Vec<_> = lines.by_ref().take_while(of_it).collect();
            Outcome::Failed(lines.join("\n"))
        }
        _ => Outcome::Broken(format!("it ended with {code:?}:\n{said}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_failed_assertion_counts() {
        let failed = "\nrunning 1 test\ntest a ... FAILED\n\nfailures:\n\n---- a stdout ----\n\n\
            thread 'a' panicked at x.rs:1:2:\nrow 1: twice\n\n\nfailures:\n    a\n";
        assert_eq!(judge("a", Some(101), failed), Outcome::Failed("row 1: twice".into()));
        let passed = "running 1 test\ntest a ... ok\n";
        assert_eq!(judge("a", Some(0), passed), Outcome::Passed);
        for (code, said) in [(Some(0), "running 0 tests\n"), (None, failed), (Some(134), "")] {
            assert!(matches!(judge("a", code, said), Outcome::Broken(_)), "{code:?} {said}");
        }
    }
}
