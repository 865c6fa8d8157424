//! Whatever lies in a folder of plugins is told of in a sentence, and nothing of it
//! runs.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::stage::Stage;

ntm_lab::trials![whatever_lies_in_a_folder_is_told_of_and_nothing_of_it_runs];

/// A library in C with a constructor that leaves `trace`.
fn with_a_constructor(library: &Path, trace: &Path, definitions: &[&str]) {
    let core = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ntm-core");
    let mut cc = Command::new("cc");
    cc.args(["-std=gnu11", "-shared", "-fPIC", "-DCREATE", "-I"]).arg(core.join("abi/include"));
    cc.arg(format!("-DTRACE=\"{}\"", trace.display()));
    cc.args(definitions.iter().map(|definition| format!("-D{definition}")));
    cc.arg(core.join("host/tests/c/header.c")).arg("-o").arg(library);
    assert!(cc.status().expect("a C compiler is needed: cc").success());
    fs::set_permissions(library, fs::Permissions::from_mode(0o755)).unwrap();
}

const LIBRARIES: [(&str, &[&str]); 8] = [
    ("fine.so", &[]),
    ("magic.so", &["MAGIC=\"OTHERPL\""]),
    ("major.so", &["MAJOR=9"]),
    ("minimum.so", &["MINIMUM=500"]),
    ("width.so", &["WIDTH=4"]),
    ("kinds.so", &["KINDS=1024"]),
    ("headless.so", &["NO_HEADER"]),
    ("open.so", &[]),
];

const REFUSALS: [(&str, &str); 10] = [
    ("magic.so", "that is none; build it with"),
    ("major.so", "speaks plugin ABI 9.0, and this host 1.0; upgrade ntm"),
    ("minimum.so", "needs plugin ABI 1.500 or newer, and this host offers 1.0; upgrade ntm"),
    ("width.so", "has pointers of 32 bits, and this host of 64; use its build"),
    ("kinds.so", "offers no kind of plugin that this host knows; upgrade ntm"),
    ("headless.so", "is a library, but no plugin of ntm: it exports no NTM_PLUGIN_HEADER; name"),
    ("short.so", "is damaged or cut short: "),
    ("text.so", "is no shared object (neither ELF nor Mach-O); name the library"),
    ("folder.so", "is a folder; name the library in it"),
    ("open.so", "will not be loaded as root, since others may write"),
];

fn whatever_lies_in_a_folder_is_told_of_and_nothing_of_it_runs() {
    let stage = Stage::new();
    let (folder, trace) = (stage.path("plugins"), stage.path("trace"));
    fs::create_dir_all(&folder).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    for (name, definitions) in LIBRARIES {
        with_a_constructor(&folder.join(name), &trace, definitions);
    }
    let whole = fs::read(folder.join("fine.so")).unwrap();
    fs::write(folder.join("short.so"), &whole[..whole.len() / 2]).unwrap();
    fs::write(folder.join("text.so"), "no library\n").unwrap();
    fs::create_dir(folder.join("folder.so")).unwrap();
    fs::set_permissions(folder.join("open.so"), fs::Permissions::from_mode(0o775)).unwrap();

    let list = |more: &[&str]| {
        let mut command = stage.ntm(&["plugins", "--folder", folder.to_str().unwrap()]);
        let output = command.args(more).output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    };
    let (table, all) = (list(&[]), list(&["--json"]));
    let all: Value = serde_json::from_str(&all).unwrap();
    let listed = |name: &str| {
        let file = folder.join(name).display().to_string();
        all.as_array().unwrap().iter().find(|it| it["file"] == file.as_str()).unwrap()
    };
    assert!(listed("fine.so")["refused"].is_null());
    for (name, sentence) in REFUSALS {
        let file = folder.join(name);
        let inspected = stage.ntm(&["plugin", "inspect", file.to_str().unwrap()]).output().unwrap();
        let said = String::from_utf8(inspected.stderr).unwrap();
        assert_eq!(inspected.status.code(), Some(1), "{said}");
        assert!(said.contains(name) && said.contains(sentence), "{name}: {said}");
        assert_eq!(said.trim_end().lines().count(), 1, "{said}");
        let refused = listed(name)["refused"].as_str().unwrap();
        assert!(said.contains(refused) && table.contains(refused), "{refused}");
    }
    assert!(!trace.exists(), "something of a library ran");

    // It would show: a node that is told to use one runs it.
    let config = fs::read_to_string(stage.path("ntm.toml")).unwrap();
    let (head, _) = config.split_once("[vip]").unwrap();
    let config = format!("{head}[vip]\nlibrary = \"plugins/fine.so\"\n");
    stage.write("ntm.toml", &config, 0o644);
    let checked = stage.run(&["--check"]).output().unwrap();
    let said = String::from_utf8(checked.stderr).unwrap();
    assert!(said.contains("lacks the mandatory entry `ranges`: it is null; rebuild"), "{said}");
    assert!(trace.exists());
}
