use std::collections::hash_map::RandomState;
use std::fs;
use std::hash::BuildHasher as _;
use std::io::{BufRead as _, BufReader, Write as _, stdout};
use std::path::Path;
use std::process::{Command, Stdio, exit};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::history::{commit, load, reached, writes};
use super::state::open_again;
use crate::case::Case;
use crate::claims::fill;
use crate::ensure;
use crate::kind::Kind;
use crate::outcome::{Note, Stop, Verdict};
use crate::subject::Subject;

/// In the environment of the process that commits until it is killed: which plugin, with
/// which configuration.
const COMMITS: &str = "NTM_CONFORMANCE_COMMITS";

/// The files as they are while it is open, without the process: that is what is left
/// when that is killed.
pub(super) async fn copied(case: &Case) -> Verdict {
    let config = case.claims().config();
    let registry = case.registry()?;
    for number in 1..=12 {
        commit(&*registry, writes(number)).await?;
        if number % 3 != 0 {
            continue;
        }
        let place = tempfile::tempdir()?;
        copy(case.folder(), place.path())?;
        let config = fill(config, &place.path().to_string_lossy(), 1);
        let copy = case.subject().source().registry(&config)?;
        let there = reached(load(&*copy).await?)?;
        ensure!(there == number, "{number} commits were acknowledged, {there} are in the files");
    }
    Ok(Note::NONE)
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let into = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            fs::create_dir(&into)?;
            copy(&entry.path(), &into)?;
        } else if entry.file_type()?.is_file() {
            fs::copy(entry.path(), &into)?;
        }
    }
    Ok(())
}

pub(super) async fn killed(case: &Case) -> Verdict {
    const ROUNDS: u32 = 25;
    let Some(again) = case.subject().again() else {
        return Err(Stop::not_tried("instances can be opened in this process alone"));
    };
    let question = json!({ "plugin": again, "config": case.config_of(1) });
    let budget = Instant::now() + Duration::from_secs(20);
    let mut rounds = 0;
    for round in 0..ROUNDS {
        if Instant::now() > budget {
            break;
        }
        let before = there(case).await?;
        let acknowledged = run_and_kill(&question, round % 4 == 0)?.unwrap_or(before);
        let after = there(case).await?;
        ensure!(
            after >= acknowledged,
            "{acknowledged} commits were acknowledged, {after} are there"
        );
        // The one that had not returned may count.
        ensure!(
            after <= acknowledged.max(before) + 1 || round % 4 == 0,
            "{after} are there after {acknowledged}"
        );
        rounds += 1;
    }
    let total = there(case).await?;
    ensure!(total > 0, "not one commit came about");
    Ok(format!("killed {rounds} times, {total} commits").into())
}

async fn there(case: &Case) -> Result<u64, Stop> {
    let registry = open_again(case).await?;
    reached(load(&*registry).await?)
}

/// The number that the process said last. `early`: killed while it opens, perhaps.
fn run_and_kill(question: &Value, early: bool) -> Result<Option<u64>, Stop> {
    let mut child = Command::new(std::env::current_exe()?)
        .env(COMMITS, question.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let out = child.stdout.take().ok_or_else(|| Stop::not_tried("no pipe"))?;
    // A last line may be cut short.
    let mut said = BufReader::new(out)
        .lines()
        .map_while(Result::ok)
        .filter_map(|line| line.strip_suffix('.')?.parse::<u64>().ok())
        .fuse();
    let random = |below: u64| RandomState::new().hash_one(0) % below;
    let wanted = if early { 0 } else { 1 + random(20) as usize };
    let seen = said.by_ref().take(wanted).last();
    std::thread::sleep(Duration::from_micros(random(if early { 20_000 } else { 3_000 })));
    child.kill()?;
    child.wait()?;
    // The pipe keeps what was said before.
    Ok(said.last().or(seen))
}

/// Commits until the process is killed, if it was started for that. Every program in
/// which registries are tested calls this first thing in `main`.
pub fn commit_if_called() {
    let Ok(question) = std::env::var(COMMITS) else { return };
    let failed = commit_for_ever(&question);
    let _nobody_listens = writeln!(stdout(), "{failed:?}");
    exit(1);
}

fn commit_for_ever(question: &str) -> Result<(), Stop> {
    let question: Value =
        serde_json::from_str(question).map_err(|_| Stop::broken("no question"))?;
    let plugin = question["plugin"].as_str().unwrap_or_default();
    let subject = if plugin.contains('/') {
        Subject::library(Path::new(plugin), Some(Kind::Registry), None)?.remove(0)
    } else {
        Subject::built_in(plugin, Some(Kind::Registry), None)?
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let registry = subject.source().registry(&question["config"])?;
        let mut number = reached(load(&*registry).await?)?;
        loop {
            number += 1;
            commit(&*registry, writes(number)).await?;
            writeln!(stdout(), "{number}.")?;
        }
    })
}
