//! The shared object, loaded as a node loads it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use ntm_core::plugin::{Change, Fault, Watcher};
use ntm_host::Library;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::timeout;

const LIMIT: Duration = Duration::from_secs(60);

/// A copy in a folder that nobody else may write, which is what root asks for.
fn load() -> (&'static Library, TempDir) {
    let exe = std::env::current_exe().unwrap();
    let name = format!("libwatcher_script{}", std::env::consts::DLL_SUFFIX);
    let place = tempfile::tempdir().unwrap();
    let library = place.path().join(&name);
    fs::copy(exe.with_file_name(&name), &library).unwrap();
    fs::set_permissions(&library, fs::Permissions::from_mode(0o755)).unwrap();
    (Library::load(&library).unwrap(), place)
}

fn open(library: &'static Library, script: &str) -> Box<dyn Watcher> {
    let config = json!({ "command": ["sh", "-c", script], "interval_ms": 3_600_000 });
    library.watcher(&config).unwrap()
}

async fn next(watcher: &mut Box<dyn Watcher>) -> Change {
    timeout(LIMIT, watcher.next()).await.expect("nothing is told").unwrap()
}

/// Waits until a file is there, as a script that follows what a test does.
fn wait_for(path: &Path) -> String {
    format!("until [ -e {0} ]; do sleep 0.05; done", path.display())
}

#[tokio::test]
async fn each_line_is_told_by_its_meaning() {
    let (library, place) = load();
    let go = place.path().join("go");
    let script = format!("echo route; {}; echo anything; exec sleep 1000", wait_for(&go));
    let mut watcher = open(library, &script);
    assert_eq!(next(&mut watcher).await, Change::Route);
    let loopback = watcher.snapshot().await.unwrap();
    assert!(loopback.interfaces.iter().any(|it| it.loopback));
    let us = "127.0.0.1".parse().unwrap();
    assert_eq!(watcher.routes(&[us]).await.unwrap()[0].unwrap().source, us);
    fs::write(go, "").unwrap();
    assert_eq!(next(&mut watcher).await, Change::Resync);
}

#[tokio::test]
async fn a_command_that_ends_is_started_again() {
    let (library, place) = load();
    let log = place.path().join("log");
    let script = format!("echo x >> {}; echo link", log.display());
    let mut watcher = open(library, &script);
    let mut links = 0;
    while links < 2 {
        links += u32::from(next(&mut watcher).await == Change::Link);
    }
    assert!(fs::read_to_string(log).unwrap().lines().count() >= 2);
}

#[tokio::test]
async fn the_command_ends_with_the_watcher() {
    let (library, place) = load();
    let pid = place.path().join("pid");
    let script = format!("echo $$ > {}; echo link; exec sleep 1000", pid.display());
    let mut watcher = open(library, &script);
    assert_eq!(next(&mut watcher).await, Change::Link);
    let pid: u32 = fs::read_to_string(pid).unwrap().trim().parse().unwrap();
    let runs = || Path::new(&format!("/proc/{pid}")).exists();
    assert!(runs() || !cfg!(target_os = "linux"));
    drop(watcher);
    timeout(LIMIT, async {
        while runs() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .expect("the command runs on");
}

#[test]
fn a_mistake_is_blamed_on_its_key() {
    let (library, _place) = load();
    let refused = |config: Value| library.watcher(&config).err().unwrap();
    let cases = [
        (json!({ "command": [] }), Fault::Config, "command"),
        (json!({ "command": ["true"], "interval_ms": 1 }), Fault::Config, "interval_ms"),
        (json!({ "command": ["true"], "intervall": 1 }), Fault::Config, "intervall"),
        (json!({ "command": ["/nowhere/at/all"] }), Fault::Missing, "command"),
        (json!({}), Fault::Config, "."),
    ];
    for (config, fault, key) in cases {
        let error = refused(config);
        assert_eq!((error.fault, error.key.as_deref()), (fault, Some(key)), "{error}");
    }
}
