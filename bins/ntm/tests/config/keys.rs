use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use ntm::config::{Loaded, read_key};
use tempfile::TempDir;

use super::{TERMINAL, read_file};

/// RFC 7748, section 6.1: Alice's private and public key.
const PRIVATE: &str = "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=";
const PUBLIC: &str = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=";

/// A terminal whose key file has this content and mode.
fn terminal(content: &[u8], mode: u32) -> (TempDir, Loaded) {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("ntm.toml");
    fs::write(&file, TERMINAL).unwrap();
    let key = folder.path().join("mn.key");
    fs::write(&key, content).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
    let loaded = read_file(&file).unwrap();
    (folder, loaded)
}

#[test]
fn a_key_file_is_one_line_of_base64() {
    for content in [PRIVATE.to_owned(), format!("{PRIVATE}\n"), format!("{PRIVATE}\r\n")] {
        let (_folder, loaded) = terminal(content.as_bytes(), 0o600);
        assert_eq!(read_key(&loaded).unwrap().public().to_string(), PUBLIC);
    }
}

#[test]
fn other_files_are_refused() {
    let twice = format!("{PRIVATE}\n{PRIVATE}\n");
    let large = vec![b'A'; 1 << 20];
    for content in
        [&b""[..], b"\xff\xfe", b"AAAA", &PRIVATE.as_bytes()[1..], twice.as_bytes(), &large]
    {
        let (_folder, loaded) = terminal(content, 0o600);
        let error = read_key(&loaded).unwrap_err().to_string();
        assert!(error.contains("ntm.toml:4:7: ") && error.contains("is not a key file"), "{error}");
        let content = String::from_utf8_lossy(content);
        assert!(content.is_empty() || !error.contains(&*content), "a secret is shown");
    }
}

#[test]
fn a_key_that_others_may_read_is_refused() {
    for mode in [0o640, 0o604, 0o620, 0o777] {
        let (folder, loaded) = terminal(PRIVATE.as_bytes(), mode);
        let error = read_key(&loaded).unwrap_err().to_string();
        let remedy = format!("run `chmod 600 {}`", folder.path().join("mn.key").display());
        assert!(error.contains(&remedy), "{error}");
    }
}

#[test]
fn a_missing_key_comes_with_the_command_that_makes_it() {
    let (folder, loaded) = terminal(b"", 0o600);
    let key = folder.path().join("mn.key");
    fs::remove_file(&key).unwrap();
    let error = read_key(&loaded).unwrap_err().to_string();
    assert!(error.contains(&format!("`ntm key generate --out {}`", key.display())), "{error}");
    fs::create_dir(&key).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o700)).unwrap();
    assert!(read_key(&loaded).is_err());
}
