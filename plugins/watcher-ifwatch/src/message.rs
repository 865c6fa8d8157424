//! What a message of a routing socket tells (route(4) of macOS; the layout has not
//! changed since 4.4BSD): length (2), version (1), type (1), then fields by type.

use ntm_core::plugin::Change;

const ADD: u8 = 1;
const DELETE: u8 = 2;
const CHANGE: u8 = 3;
const NEW_ADDRESS: u8 = 12;
const DELETED_ADDRESS: u8 = 13;
const INTERFACE: u8 = 14;
const INTERFACE_2: u8 = 18;

/// Version of all messages of those systems.
const VERSION: u8 = 5;

/// Where a route's message has its flags: after the index of its interface.
const FLAGS: usize = 8;
/// Entries that are no routes but neighbours, and those that the system makes by itself
/// out of others: they come and go with every conversation.
const NEIGHBOUR: u32 = 0x400;
const CLONED: u32 = 0x20000;

/// The change that is told of, if a node may be concerned.
pub(crate) fn change(message: &[u8]) -> Option<Change> {
    let [_, _, version, kind, ..] = *message else { return None };
    if version != VERSION {
        return None;
    }
    match kind {
        NEW_ADDRESS | DELETED_ADDRESS => Some(Change::Address),
        INTERFACE | INTERFACE_2 => Some(Change::Link),
        ADD | DELETE | CHANGE => {
            let flags = message.get(FLAGS..FLAGS + 4)?.try_into().ok().map(u32::from_ne_bytes)?;
            (flags & (NEIGHBOUR | CLONED) == 0).then_some(Change::Route)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u8, flags: u32) -> Vec<u8> {
        let mut message = vec![92, 0, VERSION, kind, 4, 0, 0, 0];
        message.extend_from_slice(&flags.to_ne_bytes());
        message
    }

    #[test]
    fn addresses_links_and_routes_are_told_apart() {
        // Up and a gateway.
        let flags = 0x3;
        for (kind, expected) in [
            (ADD, Some(Change::Route)),
            (DELETE, Some(Change::Route)),
            (CHANGE, Some(Change::Route)),
            (NEW_ADDRESS, Some(Change::Address)),
            (DELETED_ADDRESS, Some(Change::Address)),
            (INTERFACE, Some(Change::Link)),
            (INTERFACE_2, Some(Change::Link)),
            // Somebody has asked for a route, or missed one.
            (4, None),
            (7, None),
        ] {
            assert_eq!(change(&message(kind, flags)), expected, "{kind}");
        }
    }

    #[test]
    fn neighbours_and_what_is_no_message_change_nothing() {
        assert_eq!(change(&message(ADD, NEIGHBOUR)), None);
        assert_eq!(change(&message(DELETE, CLONED)), None);
        assert_eq!(change(&message(ADD, 0)[..11]), None);
        assert_eq!(change(&[]), None);
        let mut other = message(NEW_ADDRESS, 0);
        other[2] = 4;
        assert_eq!(change(&other), None);
    }
}
