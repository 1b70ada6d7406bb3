use std::net::SocketAddr;

use crate::parse::Malformed;

/// Something about a listener or a client that an operator should know. Meant for events, so nobody waits for its
/// delivery: when the channel is full, notices are dropped.
#[derive(Clone, Debug)]
pub struct Notice {
    /// The listener's own address.
    pub listener: SocketAddr,
    /// The client, where it is about one.
    pub client: Option<SocketAddr>,
    /// What happened.
    pub trouble: Trouble,
}

/// What happened, and whose fault it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// The application asked for a name outside the mesh.
    #[error(
        "the application asked for '{0}', which is not a name of the mesh: have it ask for APP.mesh, or bypass the proxy for it"
    )]
    ForeignName(String),
    /// The application asked for an address instead of a name.
    #[error(
        "the application asked for the address {0}: let the proxy resolve names (socks5h, or curl --socks5-hostname)"
    )]
    RawAddress(String),
    /// The application asked for something that is not offered.
    #[error("the application asked for {0}, which is not offered here")]
    Unsupported(&'static str),
    /// The application does not keep to the protocol.
    #[error("the application's handshake is wrong: {0}")]
    Malformed(#[from] Malformed),
    /// The application did not finish its handshake in time.
    #[error("the application did not finish its handshake in time")]
    TooSlow,
    /// All places for handshakes are taken; new connections wait in the kernel's queue.
    #[error("{0} handshakes are pending; new connections wait until one ends")]
    Full(usize),
    /// All places for flows are taken; datagrams of further ones are dropped.
    #[error("{0} UDP flows are open; the datagrams of further ones are dropped until one ends")]
    FullOfFlows(usize),
    /// This machine gave no socket for datagrams, or none of its datagrams.
    #[error("this machine could not receive datagrams: {0}")]
    Receive(String),
    /// This machine could not accept a connection, often because file descriptors ran out.
    #[error("this machine could not accept a connection: {0}; see the limit on open files (ulimit -n)")]
    Accept(String),
}
