use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// Why something with sockets did not work, and who is to blame.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// This machine's or the configuration's fault: the listening address cannot be had.
    #[error("cannot listen on {addr} ({protocol}): {}", bind_advice(source))]
    Bind {
        /// The address asked for.
        addr: SocketAddr,
        /// UDP or TCP.
        protocol: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The peer's machine or the network between does not answer.
    #[error("{addr} did not answer within {}ms ({step}); is the agent there running and is the port open?", after.as_millis())]
    Timeout {
        /// Whom.
        addr: SocketAddr,
        /// What was waited for.
        step: &'static str,
        /// For how long.
        after: Duration,
    },
    /// The peer's machine refuses, or the network breaks the connection.
    #[error("{addr} cannot be reached: {source}")]
    Unreachable {
        /// Whom.
        addr: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// No TLS session with the peer.
    #[error("TLS with {addr} failed: {source}")]
    Tls {
        /// Whom.
        addr: SocketAddr,
        /// What rustls said.
        #[source]
        source: rustls::Error,
    },
    /// No QUIC connection with the peer.
    #[error("QUIC with {addr} failed: {why}")]
    Quic {
        /// Whom.
        addr: SocketAddr,
        /// What quinn said.
        why: String,
    },
    /// The peer is authentic but not the one that was meant, or not acceptable.
    #[error("the peer at {addr} is not accepted: {why}")]
    Peer {
        /// Where it is.
        addr: SocketAddr,
        /// What is wrong with it.
        why: String,
    },
    /// The peer broke the protocol.
    #[error("{addr} broke the protocol: {why}")]
    Protocol {
        /// Whom.
        addr: SocketAddr,
        /// In which way.
        why: String,
    },
    /// Neither way worked.
    #[error("no way to {addr}: over UDP: {udp}; over TCP: {tcp}")]
    BothWays {
        /// Whom.
        addr: SocketAddr,
        /// Why not QUIC.
        udp: Box<NetError>,
        /// Why not TCP.
        tcp: Box<NetError>,
    },
    /// Neither did dialling work nor did the peer dial back.
    #[error("no TCP connection with {addr}: dialling it: {dial}; asking it to dial back: {back}")]
    NeitherWay {
        /// Whom.
        addr: SocketAddr,
        /// Why it was not dialled.
        dial: Box<NetError>,
        /// Why it did not dial back.
        back: Box<NetError>,
    },
    /// A connection was not asked for, or not opened on being asked.
    #[error("no dialling back with {addr}: {why}")]
    Unasked {
        /// Whom.
        addr: SocketAddr,
        /// What kept us.
        why: String,
    },
    /// The endpoint was closed.
    #[error("this agent is closing its sockets")]
    Closing,
}

fn bind_advice(error: &io::Error) -> String {
    let advice = match error.kind() {
        io::ErrorKind::AddrInUse => "another process listens there; stop it or choose another port",
        io::ErrorKind::PermissionDenied => "ports below 1024 need CAP_NET_BIND_SERVICE; choose a higher one",
        io::ErrorKind::AddrNotAvailable => {
            "this machine does not have the address; use one of its own, or 0.0.0.0 for all"
        }
        _ => return error.to_string(),
    };
    format!("{error}; {advice}")
}

impl NetError {
    pub(crate) fn from_io(addr: SocketAddr, source: io::Error) -> Self {
        NetError::Unreachable { addr, source }
    }
}
