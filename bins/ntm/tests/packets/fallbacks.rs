//! What a system may lack, switched off: the same traffic gets through, and the
//! status and the log say what is in use.

use std::process::Command;
use std::time::Duration;

use libtest_mimic::Trial;
use ntm_lab::{Netns, Process, Tools};
use serde_json::Value;

use crate::stage::{End, Plan};

pub(crate) fn trials() -> Vec<Trial> {
    let configured = CASES.iter().map(|case| {
        Trial::test(format!("fallbacks::{}", case.name), || {
            case.run();
            Ok(())
        })
    });
    let missing = Tools::find("ethtool").is_none();
    let wired = PLAIN_WIRES.iter().map(|(name, mn, cn)| {
        let trial = Trial::test(format!("fallbacks::{name}"), || {
            on_plain_wires(mn, cn);
            Ok(())
        });
        let why = if missing { "ethtool is not installed" } else { "" };
        trial.with_ignored_flag(missing).with_kind(why)
    });
    configured.chain(wired).collect()
}

/// A pair with something switched off, and what must then be in use.
struct Case {
    name: &'static str,
    mn: &'static str,
    cn: &'static str,
    mn_uses: &'static [Use],
    cn_uses: &'static [Use],
}

/// In use at one end.
enum Use {
    /// Super-packets of the interface: none, of TCP alone, or all that the
    /// kernel knows.
    Offload(&'static str),
    /// Of the transport, as its fact with this name says: one, or more than one.
    One(&'static str),
    More(&'static str),
    Queues(&'static str),
    Cipher(&'static str),
}

use Use::{Cipher, More, Offload, One, Queues};

const CASES: [Case; 9] = [
    Case {
        name: "everything_is_in_use",
        mn: "",
        cn: "",
        mn_uses: &[Offload("full"), More(GSO), More(GRO), More(BATCH), Queues("1")],
        cn_uses: &[Offload("full"), More(GSO), More(GRO), More(BATCH), Queues("1")],
    },
    Case {
        name: "super_packets_of_tcp_alone",
        mn: "[interface]\nconfig = { offload = \"tcp\" }\n",
        cn: "[interface]\nconfig = { offload = \"tcp\" }\n",
        mn_uses: &[Offload("tcp")],
        cn_uses: &[Offload("tcp")],
    },
    Case {
        name: "no_super_packets_at_one_end",
        mn: "[interface]\nconfig = { offload = \"none\" }\n",
        cn: "[interface]\nconfig = { offload = \"full\" }\n",
        mn_uses: &[Offload("none"), More(GSO)],
        cn_uses: &[Offload("full")],
    },
    Case {
        name: "runs_are_not_sent",
        mn: "[[transport]]\nplugin = \"udp\"\nconfig = { gso = false }\n",
        cn: "[[transport]]\nplugin = \"udp\"\nconfig = { gso = false }\n",
        mn_uses: &[One(GSO), More(GRO), More(BATCH)],
        cn_uses: &[One(GSO), More(GRO), More(BATCH)],
    },
    Case {
        name: "runs_are_not_received",
        mn: "[[transport]]\nplugin = \"udp\"\nconfig = { gro = false }\n",
        cn: "[[transport]]\nplugin = \"udp\"\nconfig = { gro = false }\n",
        mn_uses: &[More(GSO), One(GRO), More(BATCH)],
        cn_uses: &[More(GSO), One(GRO), More(BATCH)],
    },
    Case {
        name: "one_message_a_call",
        mn: "[[transport]]\nplugin = \"udp\"\nconfig = { batch = false }\n",
        cn: "[[transport]]\nplugin = \"udp\"\nconfig = { batch = false }\n",
        mn_uses: &[More(GSO), More(GRO), One(BATCH)],
        cn_uses: &[More(GSO), More(GRO), One(BATCH)],
    },
    Case {
        name: "all_is_off",
        mn: ALL_OFF,
        cn: ALL_OFF,
        mn_uses: &[Offload("none"), One(GSO), One(GRO), One(BATCH)],
        cn_uses: &[Offload("none"), One(GSO), One(GRO), One(BATCH)],
    },
    Case {
        name: "two_workers",
        mn: "[tunnel]\nworkers = 2\n",
        cn: "[tunnel]\nworkers = 2\n",
        mn_uses: &[Offload("full"), Queues("2")],
        cn_uses: &[Offload("full"), Queues("2")],
    },
    Case {
        name: "one_end_has_the_basic_cipher_alone",
        mn: "[tunnel]\nciphers = [\"chacha20-poly1305\"]\n",
        cn: "",
        mn_uses: &[Cipher("chacha20-poly1305")],
        cn_uses: &[Cipher("chacha20-poly1305")],
    },
];

const GSO: &str = "gso segments";
const GRO: &str = "gro segments";
const BATCH: &str = "batch";
const ALL_OFF: &str = "[interface]\nconfig = { offload = \"none\" }\n\
    [[transport]]\nplugin = \"udp\"\nconfig = { gso = false, gro = false, batch = false }\n";

impl Case {
    fn run(&self) {
        let stage = Plan { mn: self.mn, cn: self.cn, ..Plan::default() }.build();
        for (end, uses) in [(&stage.mn, self.mn_uses), (&stage.cn, self.cn_uses)] {
            uses.iter().for_each(|it| it.is_said_by(end));
        }
        stage.exchange();
        stage.is_well();
        for (end, uses) in [(&stage.mn, self.mn_uses), (&stage.cn, self.cn_uses)] {
            uses.iter().for_each(|it| it.is_said_by(end));
        }
    }
}

impl Use {
    /// By its status, and by one line of its log.
    fn is_said_by(&self, end: &End) {
        let status = end.node.status().unwrap();
        let (transport, interface) =
            (&status["transports"][0]["facts"], &status["interface"]["facts"]);
        let number = |fact: &Value| fact.as_str().unwrap().parse::<u32>().unwrap();
        match self {
            Offload(words) => {
                let fact = interface["offload"].as_str().unwrap();
                // Kernels before 6.2 have no super-packets of UDP.
                let fits =
                    *words == fact || *words == "full" && ["tcp", "tcp, udp"].contains(&fact);
                assert!(fits, "{words} was wanted: {status}");
                end.says(&format!("offload: {fact}"));
            }
            One(fact) => {
                assert_eq!(number(&transport[fact]), 1, "{fact}: {status}");
                end.says(&format!("{fact}: 1"));
            }
            More(fact) => {
                let number = number(&transport[fact]);
                assert!(number > 1, "{fact}: {status}");
                end.says(&format!("{fact}: {number}"));
            }
            Queues(queues) => {
                assert_eq!(interface["queues"], *queues, "{status}");
                end.says(&format!("queues: {queues}"));
            }
            Cipher(name) => {
                assert_eq!(end.tunnel()["cipher"], *name);
                end.says(&format!("\"cipher\":\"{name}\""));
            }
        }
    }
}

/// The wires of the machines cut and join nothing themselves.
const PLAIN_WIRES: [(&str, &str, &str); 2] = [
    ("wires_without_offload", "", ""),
    ("wires_without_offload_at_nodes_without", ALL_OFF, ALL_OFF),
];

fn on_plain_wires(mn: &str, cn: &str) {
    let stage = Plan { mn, cn, prepare: Some(make_plain), ..Plan::default() }.build();
    stage.exchange();
    stage.is_well();
}

fn make_plain(machine: &Netns) {
    let mut command = Command::new(Tools::find("ethtool").unwrap());
    command.args(["-K", "eth0", "tso", "off", "gso", "off", "gro", "off"]);
    command.args(["tx-udp-segmentation", "off"]);
    let mut process = Process::start(machine, command).unwrap();
    let status = process.wait(Duration::from_secs(5)).unwrap();
    assert!(status.success(), "{:?}", process.lines());
}
