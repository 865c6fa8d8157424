//! A copy of the sources. What has not changed is not written again, so that the
//! compiler sees what has.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Makes the folder `to` what `from` is, without what is built and what git keeps.
///
/// # Errors
/// The file, and what is wrong with it.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<(), String> {
    let mut kept = BTreeSet::new();
    files(from, Path::new(""), &mut kept)?;
    let mut there = BTreeSet::new();
    if to.exists() {
        files(to, Path::new(""), &mut there)?;
    }
    for gone in there.difference(&kept) {
        std::fs::remove_file(to.join(gone)).map_err(|error| said(gone, &error))?;
    }
    for file in &kept {
        let bytes = std::fs::read(from.join(file)).map_err(|error| said(file, &error))?;
        write(&to.join(file), &bytes)?;
    }
    Ok(())
}

/// Writes a file unless it is like that already.
pub(crate) fn write(file: &Path, bytes: &[u8]) -> Result<(), String> {
    if std::fs::read(file).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    let folder = file.parent().unwrap_or(file);
    let made = std::fs::create_dir_all(folder).and_then(|()| std::fs::write(file, bytes));
    made.map_err(|error| said(file, &error))
}

fn files(root: &Path, folder: &Path, found: &mut BTreeSet<PathBuf>) -> Result<(), String> {
    for entry in root.join(folder).read_dir().map_err(|error| said(folder, &error))? {
        let entry = entry.map_err(|error| said(folder, &error))?;
        let name = entry.file_name();
        if name == "target" || name == ".git" {
            continue;
        }
        let kind = entry.file_type().map_err(|error| said(folder, &error))?;
        if kind.is_dir() {
            files(root, &folder.join(name), found)?;
        } else if kind.is_file() {
            found.insert(folder.join(name));
        }
    }
    Ok(())
}

fn said(file: &Path, error: &std::io::Error) -> String {
    format!("{}: {error}", file.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_follows_its_original_and_leaves_alone_what_is_the_same() {
        let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let [from, to] = [folders[0].path(), folders[1].path()];
        for (file, text) in [("a/same", "1"), ("b", "2"), ("target/x", "3"), (".git", "4")] {
            write(&from.join(file), text.as_bytes()).unwrap();
        }
        copy(from, to).unwrap();
        let written = |file: &str| std::fs::metadata(to.join(file)).unwrap().modified().unwrap();
        let before = written("a/same");
        assert!(!to.join("target").exists() && !to.join(".git").exists());
        write(&to.join("b"), b"broken").unwrap();
        write(&to.join("c"), b"more").unwrap();
        copy(from, to).unwrap();
        assert_eq!(std::fs::read(to.join("b")).unwrap(), b"2");
        assert!(!to.join("c").exists());
        assert_eq!(written("a/same"), before);
    }
}
