use crate::client::CoordinatorAddress;
use crate::crypto::Suites;

/// How a terminal behaves.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TerminalConfig {
    /// What it does when it has moved.
    pub mode: Mode,
    /// The ciphers that its CPU does well.
    pub suites: Suites,
    /// The MTU of the virtual interface, in bytes.
    pub mtu: u16,
    /// Its coordinators, best first.
    pub coordinators: Vec<CoordinatorAddress>,
}

/// What a terminal does when it has moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Tell peers, relays and the coordinator in the same instant.
    #[default]
    Fast,
    /// The paper's sequence: register, then exactly the signalling of the start.
    Seed,
}
