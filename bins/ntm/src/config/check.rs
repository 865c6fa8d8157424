use std::collections::BTreeMap;

use ntm_core::address::{Prefix, TransportKind};

use super::node::{Cipher, Role};
use super::path::KeyPath;
use super::problem::{ConfigError, Place, Problem};
use super::sources::{Part, Sources};
use super::{Config, Loaded};
use crate::worker::MOST_TRANSPORTS;

/// The longest name of a Unix socket, in bytes: what `sun_path` holds on Linux,
/// less its terminator; some systems take four fewer.
const LONGEST_SOCKET: usize = 107;

/// What no section can tell by itself: errors, and what deserves a look.
pub(super) fn check(config: &Config, sources: &Sources) -> (Vec<Problem>, Vec<Problem>) {
    let check = Check { config, sources };
    let mut errors = Vec::new();
    errors.extend(check.coordinator_of_ours());
    errors.extend(check.members());
    errors.extend(check.socket());
    errors.extend(check.ciphers());
    errors.extend(check.transports());
    let mut warnings = check.sections_without_a_role();
    warnings.extend(check.public_addresses());
    warnings.extend(check.coordinators_out_of_reach());
    warnings.sort();
    (errors, warnings)
}

impl Loaded {
    /// Checks the ranges that virtual addresses come from, which only the plugin
    /// of `[vip]` knows: they share no address with each other, and none of the
    /// real addresses here is in them.
    ///
    /// # Errors
    /// Every pair that does.
    pub fn check_ranges(&self, ranges: &[Prefix]) -> Result<(), ConfigError> {
        let vip = KeyPath::default().key("vip").key("config");
        let mut problems = Vec::new();
        for (at, range) in ranges.iter().enumerate() {
            for other in ranges[..at].iter().filter(|other| other.overlaps(range)) {
                let message = format!("the virtual ranges {other} and {range} share addresses");
                problems.push(self.sources.problem(&vip, Part::Value, message));
            }
        }
        let root = KeyPath::default();
        let dc = self.config.dc.iter().enumerate().flat_map(|(at, dc)| {
            let path = root.key("dc").index(at).key("addresses");
            dc.addresses.iter().enumerate().map(move |(at, addr)| (path.index(at), addr))
        });
        let public = self.config.coordinator.public.iter().enumerate();
        let path = root.key("coordinator").key("public");
        let public = public.map(|(at, addr)| (path.index(at), addr));
        for (path, addr) in dc.chain(public) {
            if let Some(range) = ranges.iter().find(|range| range.contains(addr.addr.ip())) {
                let message = format!(
                    "{addr} is a real address, but lies in the virtual range {range}; choose \
                     another range in [vip.config]"
                );
                problems.push(self.sources.problem(&path, Part::Value, message));
            }
        }
        if problems.is_empty() { Ok(()) } else { Err(ConfigError::new(problems)) }
    }
}

struct Check<'a> {
    config: &'a Config,
    sources: &'a Sources,
}

impl Check<'_> {
    fn is(&self, role: Role) -> bool {
        self.config.node.role.contains(&role)
    }

    fn coordinator_of_ours(&self) -> Option<Problem> {
        let needs = [(Role::Terminal, "a terminal"), (Role::Rs, "a relay server")];
        let (_, who) = needs.into_iter().find(|(role, _)| self.is(*role))?;
        self.config.dc.is_empty().then(|| {
            let message = format!(
                "{who} needs a coordinator; add [[dc]] with its `addresses` and `public_key`"
            );
            self.problem("node.role", Part::Value, message)
        })
    }

    fn members(&self) -> Vec<Problem> {
        let mut names = BTreeMap::new();
        let mut keys = BTreeMap::new();
        let mut problems = Vec::new();
        for (at, member) in self.config.member.iter().enumerate() {
            let path = KeyPath::default().key("member").index(at);
            let mut twice = |first: usize, key: &str, what: String| {
                let first = KeyPath::default().key("member").index(first).key(key);
                let first = match self.sources.place(&first, Part::Value) {
                    Place::Line { line, .. } => format!("on line {line}"),
                    Place::Given(origin) => format!("by {origin}"),
                    Place::File(_) | Place::Program => "before".into(),
                };
                let message = format!("{what} is a member already, {first}");
                problems.push(self.sources.problem(&path.key(key), Part::Value, message));
            };
            if let Some(&first) = names.get(&member.name) {
                twice(first, "name", format!("`{}`", member.name));
            }
            if let Some(&first) = keys.get(&member.public_key) {
                twice(first, "public_key", "somebody with this key".into());
            }
            names.entry(&member.name).or_insert(at);
            keys.entry(&member.public_key).or_insert(at);
        }
        problems
    }

    fn socket(&self) -> Option<Problem> {
        let length = self.config.control.socket.as_os_str().len();
        (length > LONGEST_SOCKET).then(|| {
            let message = format!(
                "the name of the control socket has {length} bytes, and {LONGEST_SOCKET} is the \
                 most; set a shorter `socket` in [control]"
            );
            self.problem("control.socket", Part::Value, message)
        })
    }

    fn ciphers(&self) -> Option<Problem> {
        let everybodys = self.config.tunnel.ciphers.contains(&Cipher::ChaCha20Poly1305);
        (!everybodys).then(|| {
            let message = "`ciphers` in [tunnel] lacks `chacha20-poly1305`, the one that every node \
                           has; add it, the faster ones are still preferred";
            self.problem("tunnel.ciphers", Part::Value, message)
        })
    }

    fn transports(&self) -> Option<Problem> {
        let count = self.config.transport.len();
        (count > MOST_TRANSPORTS).then(|| {
            let message =
                format!("{count} transports are too many; keep {MOST_TRANSPORTS} at most");
            let first = KeyPath::default().key("transport").index(MOST_TRANSPORTS);
            self.sources.problem(&first.key("plugin"), Part::Value, message)
        })
    }

    /// Coordinators that listen by no transport that the node has.
    fn coordinators_out_of_reach(&self) -> Vec<Problem> {
        let kinds = self.config.transport.iter().map(|transport| match &transport.plugin[..] {
            "udp" => Some(TransportKind::UDP),
            "quic" => Some(TransportKind::QUIC),
            _ => None,
        });
        // What a plugin of others is called on the wire is not known here.
        let Some(kinds) = kinds.collect::<Option<Vec<_>>>() else { return Vec::new() };
        let dc = self.config.dc.iter().enumerate();
        let lost = dc.filter(|(_, dc)| !dc.addresses.iter().any(|at| kinds.contains(&at.kind)));
        lost.map(|(at, _)| {
            let path = KeyPath::default().key("dc").index(at).key("addresses");
            let message = "none of these is for a transport that this node has; name one, as in \
                           `quic:203.0.113.1:443`, or add its [[transport]]";
            self.sources.problem(&path, Part::Value, message)
        })
        .collect()
    }

    fn sections_without_a_role(&self) -> Vec<Problem> {
        let sections: [(&str, &[Role]); 11] = [
            ("dc", &[Role::Terminal, Role::Rs]),
            ("interface", &[Role::Terminal]),
            ("handover", &[Role::Terminal]),
            ("paths", &[Role::Terminal]),
            ("tunnel", &[Role::Terminal, Role::Rs]),
            ("traversal", &[Role::Dc]),
            ("vip", &[Role::Dc]),
            ("registry", &[Role::Dc]),
            ("coordinator", &[Role::Dc]),
            ("member", &[Role::Dc]),
            ("relay", &[Role::Rs]),
        ];
        let idle = |(section, roles): &(&str, &[Role])| {
            self.sources.has(section) && !roles.iter().any(|role| self.is(*role))
        };
        let warning = |(section, roles): (&str, &[Role])| {
            let roles: Vec<_> = roles.iter().map(|role| format!("`{role}`")).collect();
            let message = format!(
                "[{section}] has no effect, since `role` in [node] does not have {}",
                roles.join(" or ")
            );
            self.problem(section, Part::Key, message)
        };
        sections.into_iter().filter(idle).map(warning).collect()
    }

    fn public_addresses(&self) -> Option<Problem> {
        let shared = self.is(Role::Dc) && (self.is(Role::Terminal) || self.is(Role::Rs));
        (shared && self.config.coordinator.public.is_empty()).then(|| {
            let message = "the coordinator sees this node's other roles on the loopback address, \
                           where nobody else reaches them; set `public` in [coordinator]";
            self.problem("node.role", Part::Value, message)
        })
    }

    fn problem(&self, path: &str, part: Part, message: impl Into<String>) -> Problem {
        self.sources.problem(&KeyPath::parse(path).unwrap_or_default(), part, message)
    }
}
