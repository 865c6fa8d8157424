/// Why bytes are not a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// It ends too early.
    #[error("truncated")]
    Truncated,
    /// Not ours, or of another version.
    #[error("not a datagram of protocol version 1")]
    Version,
    /// A type that is not known.
    #[error("unknown type {0}")]
    Kind(u8),
    /// A field that must be understood and is not known.
    #[error("unknown critical field {0}")]
    Critical(u8),
    /// A field that must be there and is not.
    #[error("no {0}")]
    Missing(&'static str),
    /// A field with a value it cannot have.
    #[error("bad {0}")]
    Value(&'static str),
}
