//! A transport in a shared object that does wrong whatever it is told to
//! (`conformance/fault`), in a node that has a download: the node stays, says what
//! happened, and the download goes on under the same Path ID.

use std::fs;
use std::path::{Path, PathBuf};

use ntm_built::{copied, shared_object};
use ntm_lab::scenario::domain::{Node, Transport};
use ntm_lab::scenario::until;
use ntm_lab::{Error, Result};
use serde_json::Value;

use crate::stage::{PATIENCE, Pair, Stage};

/// The folder in which faults are asked for, and the section that loads the plugin.
struct Faults(PathBuf);

impl Faults {
    fn new(folder: &Path) -> Self {
        let faults = folder.join("faults");
        fs::create_dir_all(&faults).unwrap();
        Self(faults)
    }

    fn section(&self, library: &Path) -> String {
        let (library, faults) = (library.display(), self.0.display());
        format!("[[transport]]\nlibrary = \"{library}\"\nconfig = {{ faults = \"{faults}\" }}\n")
    }

    fn ask(&self, fault: &str) -> PathBuf {
        let file = self.0.join(fault);
        fs::write(&file, "").unwrap();
        file
    }

    /// Asks for these, and waits until they have been committed.
    fn commit(&self, faults: &str, mut meanwhile: impl FnMut()) -> Result<()> {
        let files: Vec<_> = faults.split(' ').map(|fault| self.ask(fault)).collect();
        until(&format!("somebody who does {faults}"), PATIENCE, || {
            meanwhile();
            Ok((!files.iter().any(|file| file.exists())).then_some(()))
        })
    }
}

fn says(node: &Node, sentence: &str) -> Result<()> {
    until(&format!("{} saying {sentence:?}", node.name), PATIENCE, || {
        let lines = node.process.lines();
        Ok(lines.iter().any(|line| line.text.contains(sentence)).then_some(()))
    })
}

/// The one library of a node, as its status tells.
fn library_of(node: &Node) -> Result<Value> {
    Ok(node.status()?["plugins"][0].take())
}

/// What is asked for, what the node says, and how many instances it costs. A fault
/// in what only opening calls needs one in what is called always.
const FAULTS: [(&str, &str, u64); 17] = [
    ("panic-try_recv", "panicked in `try_recv`", 1),
    ("panic-try_send", "panicked in `try_send`", 1),
    ("count-try_recv", "says that `try_recv` did 10", 1),
    ("count-try_send", "says that `try_send` did 100", 1),
    ("none-try_recv", "filled no slot in `try_recv` and did not say why", 1),
    ("error-try_recv", "has lost lane 0", 1),
    ("panic-facts", "the fault in facts", 0),
    ("panic-max_payload", "the fault in max_payload", 0),
    ("flood-try_recv", "it logs too much", 0),
    ("panic-open panic-try_recv", "panicked in `create`: the fault in open", 1),
    ("panic-lanes panic-try_recv", "panicked in `create`: the fault in lanes", 1),
    ("panic-kind panic-try_recv", "says that it is kind 0 on the wire", 2),
    ("panic-local_addrs panic-try_recv", "the fault in local_addrs", 1),
    ("panic-drop panic-try_recv", "the fault in drop", 1),
    ("block-drop panic-try_recv", "does not come back from `destroy`", 1),
    ("block-try_recv", "does not come back from `try_recv`", 1),
    ("block-try_send", "does not come back from `try_send`", 1),
];

fn survives(
    pair: &Pair<'_>,
    faults: &Faults,
    fault: &str,
    sentence: &str,
    cost: u64,
) -> Result<()> {
    let mn = pair.ends[0];
    let broken = || Ok::<_, Error>(library_of(mn)?["broken"].as_u64().unwrap());
    let before = broken()?;
    // Somebody has to ask for what it says of itself.
    faults.commit(fault, || drop(mn.status()))?;
    says(mn, sentence)?;
    until("an instance that works", PATIENCE, || {
        Ok((library_of(mn)?["working"] == 1).then_some(()))
    })?;
    // Some time too: an instance that breaks at once is waited for longer each time.
    pair.more(2 << 20)?;
    pair.tunnels(|_| true)?;
    assert_eq!(broken()? - before, cost, "{fault}");
    Ok(())
}

/// One transport alone: another instance of it carries on.
pub(crate) fn one_after_the_other() -> Result<()> {
    let mut stage = Stage::build("faults", &["dc", "mn", "cn"])?;
    let folder = Path::new("/run/ntm/faults");
    let faults = Faults::new(folder);
    let library = copied(&shared_object("ntm-fault"), &folder.join("plugins"));
    stage.domain.configure("mn", &faults.section(&library));
    let core = stage.core.clone();
    let dc_host = stage.host("dc", &core)?;
    let (mn_host, cn_host) = (stage.host("mn", &core)?, stage.host("cn", &core)?);
    let _dc = stage.domain.start_dc(&dc_host)?;
    let (mut mn, cn) = (stage.terminal(&mn_host)?, stage.terminal(&cn_host)?);
    let pair = Pair::start([(&mn, &mn_host), (&cn, &cn_host)], "direct")?;

    for (fault, sentence, cost) in FAULTS {
        survives(&pair, &faults, fault, sentence, cost).map_err(|error| {
            let lines: Vec<_> = mn.process.lines().into_iter().map(|line| line.text).collect();
            let last = lines[lines.len().saturating_sub(40)..].join("\n");
            Error::Wrong(format!("{fault}: {error}; mn said last:\n{last}"))
        })?;
    }
    // A hand that is kept is replaced.
    says(&mn, "another takes its place")?;
    pair.finish()?;
    faults.ask("panic-close");
    let status = mn.process.terminate(PATIENCE)?;
    assert_eq!(status.code(), Some(0), "{status}");
    says(&mn, "panicked in `close`: the fault in close")
}

/// QUIC besides: it carries on while no instance opens, and gives the tunnel back.
pub(crate) fn hung_beside_quic() -> Result<()> {
    let mut stage = Stage::build("hung", &["dc", "mn", "cn"])?;
    stage.domain.set_transports(&[Transport::Udp, Transport::Quic]);
    let core = stage.core.clone();
    let dc_host = stage.host("dc", &core)?;
    let (mn_host, cn_host) = (stage.host("mn", &core)?, stage.host("cn", &core)?);
    let _dc = stage.domain.start_dc(&dc_host)?;
    let cn = stage.terminal(&cn_host)?;
    let folder = Path::new("/run/ntm/hung");
    let faults = Faults::new(folder);
    let library = copied(&shared_object("ntm-fault"), &folder.join("plugins"));
    stage.domain.set_transports(&[Transport::Udp]);
    let quic = "[[transport]]\nplugin = \"quic\"\n";
    stage.domain.configure("mn", &(faults.section(&library) + quic));
    let mn = stage.terminal(&mn_host)?;
    let pair = Pair::start([(&mn, &mn_host), (&cn, &cn_host)], "direct")?;
    pair.tunnels(|tunnel| tunnel["path"]["transport"] != "quic")?;

    let refuse = faults.ask("refuse-open");
    faults.commit("block-try_recv", || {})?;
    says(&mn, "could not be opened again")?;
    pair.more(1 << 20)?;
    pair.tunnels(|tunnel| tunnel["path"]["transport"] == "quic")?;
    assert_eq!(library_of(&mn)?["working"], 0);

    assert!(fs::remove_file(refuse).is_ok());
    pair.tunnels(|tunnel| tunnel["path"]["transport"] != "quic")?;
    pair.more(1 << 20)?;
    pair.finish()
}
