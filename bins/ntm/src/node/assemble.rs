//! From a configuration to a node.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ntm_core::Rng;
use ntm_core::client::CoordinatorAddress;
use ntm_core::coordinator::{Clocks, Coordinator, CoordinatorConfig, Member, RelayQuota};
use ntm_core::crypto::{Identity, Suites};
use ntm_core::machine::TransportFacts;
use ntm_core::plugin::{MemberRole, MemberRoles, Transport};
use ntm_core::relay::{ForwardTable, Relay, RelayConfig};
use ntm_core::terminal::{Mode, Terminal, TerminalConfig};
use ntm_core::tunnel::{Dscp, Table};

use super::Node;
use super::control::Server;
use super::effects::{CoordinatorPlugins, Questions};
use super::handover::Handovers;
use super::machines::Machines;
use super::peers::PeersFile;
use super::run::Waiting;
use super::workers::{Work, Workers};
use crate::clock;
use crate::config::{Cipher, DscpMode, HandoverMode, Loaded, Priority, Role, read_key};
use crate::error::StartError;
use crate::plugins::Choice;
use crate::seed::random_seed;
use crate::worker::{Mailbox, Manner};

/// Checks everything that can be checked without opening anything.
///
/// # Errors
/// The first section that cannot be used.
pub fn check(loaded: &Loaded) -> Result<Identity, StartError> {
    let config = &loaded.config;
    for at in 0..config.transport.len() {
        Choice::transport(loaded, at).check()?;
    }
    Choice::new(loaded, "watcher", &config.watcher).check()?;
    if has(loaded, Role::Terminal) {
        Choice::new(loaded, "interface", &config.interface).check()?;
    }
    if has(loaded, Role::Dc) {
        Choice::new(loaded, "traversal", &config.traversal).check()?;
        Choice::new(loaded, "registry", &config.registry).check()?;
        let vip = Choice::new(loaded, "vip", &config.vip).open_vip()?;
        loaded.check_ranges(&vip.ranges())?;
    }
    Ok(read_key(loaded)?)
}

fn has(loaded: &Loaded, role: Role) -> bool {
    loaded.config.node.role.contains(&role)
}

/// Those of the ciphers that the CPU does well.
fn suites(ciphers: &[Cipher]) -> Suites {
    #[cfg(target_arch = "x86_64")]
    let aes = std::arch::is_x86_feature_detected!("aes")
        && std::arch::is_x86_feature_detected!("pclmulqdq");
    #[cfg(target_arch = "aarch64")]
    let aes = std::arch::is_aarch64_feature_detected!("aes");
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let aes = false;
    if aes && ciphers.contains(&Cipher::Aes256Gcm) { Suites::ALL } else { Suites::BASIC }
}

fn facts(transport: &dyn Transport) -> TransportFacts {
    let addrs = transport.local_addrs();
    let wildcard6 = |addr: &SocketAddr| addr.is_ipv6() && addr.ip().is_unspecified();
    TransportFacts {
        kind: transport.kind(),
        port: addrs.first().map_or(ntm_core::wire::PORT, SocketAddr::port),
        // `[::]` on a dual-stack socket carries both.
        ipv4: addrs.iter().any(|addr| addr.is_ipv4() || wildcard6(addr)),
        ipv6: addrs.iter().any(SocketAddr::is_ipv6),
    }
}

impl Node {
    /// Opens everything that the configuration asks for.
    ///
    /// # Errors
    /// What cannot be had, at the place in the configuration that asks for it.
    /// Whatever had been opened is closed again.
    pub async fn assemble(loaded: &Loaded) -> Result<Self, StartError> {
        let identity = check(loaded)?;
        let config = &loaded.config;
        let workers = config.tunnel.workers.get();
        let mut rng = Rng::from_seed(random_seed()?);
        let now = clock::now();

        // First, since a second start of the same node is told best here.
        let server = Server::bind(loaded)?;
        let mut transports = Vec::new();
        for at in 0..config.transport.len() {
            let name = config.transport[at].plugin.clone();
            transports.push((name, Choice::transport(loaded, at).open_transport(workers)?));
        }
        let watcher = Choice::new(loaded, "watcher", &config.watcher).open_watcher()?;
        let interface = match has(loaded, Role::Terminal) {
            true => {
                Some(Choice::new(loaded, "interface", &config.interface).open_interface(workers)?)
            }
            false => None,
        };
        // Last, since the file that it may make stays.
        let coordinator_plugins = match has(loaded, Role::Dc) {
            true => Some(CoordinatorPlugins {
                traversal: Choice::new(loaded, "traversal", &config.traversal).open_traversal()?,
                vip: Choice::new(loaded, "vip", &config.vip).open_vip()?,
                registry: Choice::new(loaded, "registry", &config.registry).open_registry()?,
            }),
            false => None,
        };
        if let Some(plugins) = &coordinator_plugins {
            plugins
                .restore()
                .await
                .map_err(|(section, error)| StartError::plugin(&loaded.sources, section, &error))?;
        }

        let node = ntm_core::machine::Node {
            identity,
            name: config.node.name.clone(),
            unix_at_zero: clock::unix_at_zero(),
            transports: transports.iter().map(|(_, transport)| facts(&**transport)).collect(),
        };
        let public_key = node.identity.public();
        let coordinators: Vec<_> = config
            .dc
            .iter()
            .map(|dc| CoordinatorAddress { key: dc.public_key, addresses: dc.addresses.clone() })
            .collect();

        let terminal = has(loaded, Role::Terminal).then(|| {
            let config = TerminalConfig {
                mode: match config.handover.mode {
                    HandoverMode::Fast => Mode::Fast,
                    HandoverMode::Seed => Mode::Seed,
                },
                suites: suites(&config.tunnel.ciphers),
                mtu: loaded.config.mtu.get(),
                coordinators: coordinators.clone(),
            };
            let mut terminal = Terminal::new(now, node.clone(), config, rng.split());
            terminal.set_own_interface(interface.as_ref().map(|interface| interface.ifindex()));
            terminal.set_preference(loaded.config.paths.preference());
            terminal
        });
        let relay = has(loaded, Role::Rs).then(|| {
            let allow_private = config.relay.allow_private;
            let config = RelayConfig { allow_private, coordinators };
            let mut relay = Relay::new(now, node.clone(), config, rng.split());
            relay.set_own_interface(interface.as_ref().map(|interface| interface.ifindex()));
            relay
        });
        let coordinator = has(loaded, Role::Dc).then(|| {
            let config = CoordinatorConfig {
                public: config.coordinator.public.clone(),
                members: members(loaded, public_key),
                quota: RelayQuota {
                    rate: config.coordinator.relay_quota.rate.get(),
                    bytes: config.coordinator.relay_quota.bytes.get(),
                },
                clocks: clocks(config.coordinator.keep_alive),
            };
            Coordinator::new(now, node.clone(), config, rng.split())
        });

        let table = Table::new(&mut rng);
        let forwards = ForwardTable::new(&mut rng);
        let mailbox = Arc::new(Mailbox::new(workers, &mut rng));
        let dscp = match config.tunnel.dscp {
            DscpMode::Clear => Dscp::Clear,
            DscpMode::Copy => Dscp::Copy,
        };
        let lanes: Vec<_> = transports.iter().map(|(_, transport)| transport.lanes()).collect();
        let work = Work {
            interface: interface.as_deref(),
            lanes: &lanes,
            table: &table,
            forwards: &forwards,
            mailbox: &mailbox,
        };
        let count = workers;
        let realtime = config.tunnel.priority == Priority::Realtime;
        let mut workers = Workers::new(Manner { dscp, realtime }, rng.split());
        workers
            .start(count, work)
            .map_err(|error| StartError::io("start a packet worker", &error))?;
        let (questions, answers) =
            Questions::new(coordinator_plugins, PeersFile::new(&config.node.peers));
        Ok(Self {
            name: config.node.name.clone(),
            public_key,
            machines: Machines { terminal, coordinator, relay },
            table,
            forwards,
            transports,
            interface,
            mtu: loaded.config.mtu.get(),
            watcher,
            mailbox,
            workers,
            questions,
            answers,
            server: Some(server),
            dc: loaded.sources.origin("dc[0]"),
            handovers: Handovers::default(),
            waiting: Waiting::default(),
        })
    }
}

/// The clocks of a coordinator whose natted members shall be heard this often.
fn clocks(keep_alive: Duration) -> Clocks {
    let usual = Clocks::default();
    Clocks {
        lifetime: usual.lifetime.max(4 * keep_alive),
        keep_alive_natted: keep_alive,
        keep_alive_open: usual.keep_alive_open.max(keep_alive),
        keep_alive_relay: usual.keep_alive_relay.min(keep_alive),
        ..usual
    }
}

/// The members that the configuration names, and the node's own other roles.
fn members(loaded: &Loaded, own: ntm_core::id::PublicKey) -> Vec<Member> {
    let config = &loaded.config;
    let named = config.member.iter().map(|member| Member {
        name: member.name.clone(),
        key: member.public_key,
        roles: member.roles,
    });
    let mut members: Vec<_> = named.collect();
    let own_roles = [(Role::Terminal, MemberRole::Terminal), (Role::Rs, MemberRole::Relay)]
        .into_iter()
        .filter(|(role, _)| has(loaded, *role))
        .map(|(_, role)| MemberRoles::from(role))
        .reduce(MemberRoles::with);
    if let Some(roles) = own_roles
        && !members.iter().any(|member| member.key == own)
    {
        members.push(Member { name: config.node.name.clone(), key: own, roles });
    }
    members
}
