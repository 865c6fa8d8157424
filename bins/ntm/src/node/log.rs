//! What machines say, as log lines: INFO for a change of state, WARN for what
//! deserves a look, DEBUG with addresses for who wants to follow the signalling.

use ntm_core::Time;
use ntm_core::coordinator::{CoordinatorEvent, Failure};
use ntm_core::crypto::Suite;
use ntm_core::machine::{Sent, SignalTrace};
use ntm_core::relay::RelayEvent;
use ntm_core::terminal::{Cause, LinkTrial, Notice, PeerPhase, Phase, TerminalEvent};
use ntm_core::wire::Refusal;
use tracing::{debug, info, warn};

/// The target of signalling lines: `--log ntm::signal=debug` shows every
/// message sent and received.
pub const SIGNAL: &str = "ntm::signal";

pub(super) fn signal(role: &str, at: Time, trace: &SignalTrace) {
    let sent = match trace.sent {
        Sent::Out => "out",
        Sent::In => "in",
    };
    debug!(
        target: SIGNAL,
        at_ns = at.nanos(),
        role,
        sent,
        message = trace.name,
        remote = %trace.leg.remote,
        bytes = trace.bytes,
    );
}

pub(super) fn terminal(at: Time, event: &TerminalEvent) {
    match event {
        TerminalEvent::Table(_) | TerminalEvent::Session(_) => {}
        TerminalEvent::Signal(trace) => signal("terminal", at, trace),
        TerminalEvent::Registered { vips, observed, .. } => {
            debug!(observed = %observed.addr, "registered");
            info!(%vips, "registered with the coordinator");
        }
        TerminalEvent::CoordinatorUnreachable => {
            warn!("the coordinator does not answer; tunnels go on without it");
        }
        TerminalEvent::RegistrationRefused(refusal) => {
            warn!("{}", refused(*refusal));
        }
        TerminalEvent::NoDirection { target, refusal } => {
            let reason = refusal.map_or("no answer".into(), |refusal| refusal.to_string());
            debug!(?target, reason, "no direction");
        }
        TerminalEvent::Connected { path, peer, way, suite, .. } => {
            let kind = if way.relayed { "relay" } else { "direct" };
            let cipher = suite.map(Suite::name);
            info!(%path, %peer, kind, cipher, "connected");
            debug!(%path, remote = %way.leg.remote, "the way in use");
        }
        TerminalEvent::Disconnected { path } => info!(%path, "no path at the moment"),
        TerminalEvent::KeyChanged { name, pinned, offered } => {
            warn!(
                %name, %pinned, %offered,
                "the key of this node has changed and is refused; if that is right, run \
                 `ntm trust {name}`"
            );
        }
        TerminalEvent::Link { source, trial } => match trial {
            LinkTrial::Begun => {
                info!("a better link is tried");
                debug!(%source, "a better link is tried");
            }
            LinkTrial::Failed => {
                warn!("a better link does not answer; the one in use stays");
                debug!(%source, "a better link does not answer");
            }
        },
        TerminalEvent::Phase { epoch, phase, .. } => match phase {
            Phase::Detected(Cause::Local { source }) => {
                info!(%epoch, "moved");
                debug!(%epoch, %source, "moved");
            }
            Phase::Detected(Cause::DeadPath) => info!(%epoch, "a path is dead"),
            Phase::Told(path) => debug!(%epoch, %path, "told"),
            Phase::Registered => debug!(%epoch, "registered"),
            Phase::Directed(path) => debug!(%epoch, %path, "directed"),
            Phase::Rebuilt(path, by) => info!(%epoch, %path, ?by, "tunnel rebuilt"),
        },
        TerminalEvent::PeerPhase { path, epoch, phase, .. } => match phase {
            PeerPhase::Noticed { by: Notice::Word, to, .. } => {
                info!(%epoch, %path, "the peer moved");
                debug!(%epoch, %path, remote = %to.leg.remote, "the peer moved");
            }
            PeerPhase::Noticed { by: Notice::Rebinding, to, .. } => {
                info!(%epoch, %path, "the peer is heard from elsewhere");
                debug!(%epoch, %path, remote = %to.leg.remote, "the peer is heard from elsewhere");
            }
            PeerPhase::Directed => debug!(%epoch, %path, "told where the peer moved"),
            PeerPhase::Proved => debug!(%epoch, %path, "the peer's new place is proved"),
            PeerPhase::Reverted => info!(%epoch, %path, "the peer's new place is given up"),
        },
        TerminalEvent::Pong { path, rtt, .. } => debug!(%path, ?rtt, "pong"),
    }
}

pub(super) fn coordinator(at: Time, event: &CoordinatorEvent) {
    match event {
        CoordinatorEvent::Session { .. } => {}
        CoordinatorEvent::Signal(trace) => signal("coordinator", at, trace),
        CoordinatorEvent::Ready { members } => info!(members, "the registry is read"),
        CoordinatorEvent::Registered { name, role, epoch, natted } => {
            info!(%name, ?role, %epoch, natted, "registered");
        }
        CoordinatorEvent::Gone { name, role, farewell } => {
            info!(%name, ?role, farewell, "gone");
        }
        CoordinatorEvent::Directed { path, relayed } => debug!(%path, relayed, "directed"),
        CoordinatorEvent::Refused { name, refusal } => debug!(%name, "refused: {refusal}"),
        CoordinatorEvent::MembersChanged { name, members } => {
            info!(%name, members, "members changed");
        }
        CoordinatorEvent::MemberNotStored { name, failure } => {
            let said = said(failure);
            warn!(%name, "a change of members is not stored: {said}");
        }
        CoordinatorEvent::Failure(failure) => {
            let said = said(failure);
            warn!(wanted = failure.wanted, "a plugin failed: {said}");
        }
    }
}

pub(super) fn said(failure: &Failure) -> &str {
    failure.said.as_deref().unwrap_or("it did not answer in time")
}

pub(super) fn relay(at: Time, event: &RelayEvent) {
    match event {
        RelayEvent::Forward(_) | RelayEvent::Session(_) => {}
        RelayEvent::Signal(trace) => signal("relay", at, trace),
        RelayEvent::Registered { observed } => {
            debug!(observed = %observed.addr, "registered");
            info!("registered with the coordinator");
        }
        RelayEvent::CoordinatorUnreachable => {
            warn!("the coordinator does not answer; bound pairs go on without it");
        }
        RelayEvent::RegistrationRefused(refusal) => {
            warn!("{}", refused(*refusal));
        }
    }
}

/// What to do about a registration that is refused.
fn refused(refusal: Refusal) -> String {
    let remedy = match refusal {
        Refusal::NotMember => "; have this node's public key entered there with `ntm member add`",
        Refusal::WrongName => "; give `name` in [node] the name under which it was entered there",
        Refusal::Unknown
        | Refusal::Absent
        | Refusal::Forbidden
        | Refusal::WrongPath
        | Refusal::Busy
        | Refusal::NoPath
        | Refusal::Failure
        | Refusal::Unregistered => "",
    };
    format!(
        "the coordinator refuses the registration: {refusal}{remedy}; asking again from time to time"
    )
}
