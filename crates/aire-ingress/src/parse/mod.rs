//! Parsers on byte slices: no sockets, no state, no panic on any input.

pub mod connect;
pub mod socks;

/// How far a parser came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress<T> {
    /// What is there is the beginning of something; more bytes are needed.
    Incomplete,
    /// A whole message. Bytes after `consumed` belong to what follows.
    Done {
        /// What was read.
        value: T,
        /// How many bytes it took.
        consumed: usize,
    },
}

impl<T> Progress<T> {
    /// Changes the value and leaves the rest.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Progress<U> {
        match self {
            Progress::Incomplete => Progress::Incomplete,
            Progress::Done { value, consumed } => Progress::Done { value: f(value), consumed },
        }
    }
}

/// Why bytes are not what the protocol asks for. The application is to blame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Neither SOCKS5 nor HTTP.
    #[error("the first byte {0:#04x} begins neither SOCKS5 nor HTTP CONNECT")]
    Protocol(u8),
    /// SOCKS4, which knows no authentication methods and (without 4a) no names.
    #[error("SOCKS4 is not spoken here: use SOCKS5 with names (socks5h)")]
    Socks4,
    /// Another version in the middle of SOCKS5.
    #[error("SOCKS version {0} after a SOCKS5 greeting")]
    Version(u8),
    /// An address type that RFC 1928 does not know.
    #[error("SOCKS address type {0:#04x} does not exist")]
    AddressType(u8),
    /// A host name that is not text.
    #[error("the SOCKS host name is not text")]
    HostNotText,
    /// Not an HTTP request.
    #[error("not an HTTP request: {0}")]
    Http(&'static str),
    /// Too long without an end.
    #[error("the handshake is longer than {0} bytes")]
    TooLong(usize),
}

/// Which protocol a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// RFC 1928.
    Socks5,
    /// RFC 9110 section 9.3.6.
    HttpConnect,
}

/// Tells the protocol from its first byte, which is left where it is.
///
/// # Errors
/// The byte begins neither.
pub fn parse_protocol(bytes: &[u8]) -> Result<Progress<Protocol>, Malformed> {
    match bytes.first() {
        None => Ok(Progress::Incomplete),
        Some(&socks::VERSION) => Ok(Progress::Done { value: Protocol::Socks5, consumed: 0 }),
        Some(4) => Err(Malformed::Socks4),
        Some(b'A'..=b'Z') => Ok(Progress::Done { value: Protocol::HttpConnect, consumed: 0 }),
        Some(&other) => Err(Malformed::Protocol(other)),
    }
}
