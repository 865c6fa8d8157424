//! Where checks run: in namespaces of their own, if there can be any.

/// Does what this program, or the lab, has started it for, if it has.
pub(super) fn serve_if_called() {
    #[cfg(target_os = "linux")]
    linux::serve_if_called();
}

/// Goes on in a sandbox if this machine allows it, or else here.
pub(super) fn enter() {
    #[cfg(target_os = "linux")]
    linux::enter();
}

#[cfg(target_os = "linux")]
mod linux {
    use std::env;
    use std::io::{Write as _, stderr};
    use std::process::{Command, Stdio, exit};

    use ntm_lab::sandbox;

    /// In the environment of this program when it only tries whether it may.
    const PROBE: &str = "NTM_CONFORMANCE_PROBE";

    pub(super) fn serve_if_called() {
        sandbox::serve_if_called();
        if env::var_os(PROBE).is_some() {
            sandbox::enter();
            exit(0);
        }
    }

    pub(super) fn enter() {
        if sandbox::is_inside() {
            return;
        }
        // Who is refused is left in half of the namespaces: another one tries first.
        let probe = env::current_exe().and_then(|own| {
            Command::new(own).env(PROBE, "1").stdin(Stdio::null()).stdout(Stdio::null()).output()
        });
        let refused = match probe {
            Ok(output) if output.status.success() => {
                sandbox::enter();
                return;
            }
            Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            Err(error) => error.to_string(),
        };
        let _nobody_listens = writeln!(stderr(), "ntm-conformance: without namespaces: {refused}");
    }
}
