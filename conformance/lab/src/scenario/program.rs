use std::path::Path;
use std::process::Command;

/// The program `ntm` at this path, without anything of the caller's environment that
/// it would read: a node takes every variable that begins with `NTM_` for a key.
pub fn program(path: &Path) -> Command {
    let mut command = Command::new(path);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("NTM_") {
            command.env_remove(name);
        }
    }
    command
}
