use ntm_core::crypto::{Identity, Secret};
use ntm_core::id::{NodeName, PublicKey};
use ntm_core::plugin::MemberRole;
use ntm_core::wire::Refusal;

use super::peer::{Begun, Peer, hello};
use super::session::random;
use super::{Node, silence};
use crate::ensure;
use crate::outcome::{Note, Stop, Verdict};

/// 4.2, K-HS-4.
pub(super) fn a_member_gets_a_session(node: &Node) -> Verdict {
    let mut peer = Peer::new(node, &node.member)?;
    let begun = peer.begin();
    let (first, said) = peer.answer(&begun)?;
    if let Err(refusal) = said {
        return Err(Stop::broken(format!("the member is refused: {refusal}")));
    }
    let (again, _) = peer.answer(&begun)?;
    ensure!(first == again, "the same Handshake 1 got another Handshake 2 (K-HS-4)");
    peer.shake()?;
    peer.register_and_prove()?;
    Ok(Note::NONE)
}

/// K-HS-10, K-HS-12.
pub(super) fn others_get_none(node: &Node) -> Verdict {
    let mut peer = Peer::registered(node, &node.member)?;
    let stranger = Identity::from_private(Secret::new(random()));
    let own = &node.member;
    let by = |identity: &Identity, key: PublicKey, name: &NodeName, role| {
        Begun::new(identity, key, hello(name, role, peer.epoch))
    };
    let terminal = MemberRole::Terminal;

    let mut forged = vec![by(&own.identity, stranger.public(), &own.name, terminal).datagram];
    let genuine = by(&own.identity, node.key, &own.name, terminal).datagram;
    // Ephemeral key, static key, payload, tag.
    for at in [36, 68, 116, genuine.len() - 1] {
        let mut damaged = genuine.clone();
        damaged[at] ^= 1;
        forged.push(damaged);
    }
    let another: NodeName =
        "nobody-at-all.invalid".parse().map_err(|_| Stop::not_tried("no other name"))?;
    let cases = [
        (by(&stranger, node.key, &own.name, terminal), Refusal::NotMember, "a key of no member"),
        (by(&own.identity, node.key, &own.name, MemberRole::Relay), Refusal::NotMember, "a relay"),
        (by(&own.identity, node.key, &another, terminal), Refusal::WrongName, "another name"),
    ];
    silence(&peer.unasked(&forged)?, "forged messages 1 (K-HS-12)")?;
    for (begun, wanted, what) in cases {
        match peer.answer(&begun)?.1 {
            Err(refusal) if refusal == wanted => {}
            Err(refusal) => {
                let (got, wanted) = (refusal as u8, wanted as u8);
                return Err(Stop::broken(format!("{what}: refusal {got} instead of {wanted}")));
            }
            Ok(_) => return Err(Stop::broken(format!("{what} got a session (K-HS-10)"))),
        }
    }
    Ok(Note::NONE)
}
