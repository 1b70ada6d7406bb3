//! The end of a carrier: frames in and out of one TLS session over one TCP connection.

mod keys;
#[cfg(feature = "fuzzing")]
pub(crate) mod offline;
mod open;
mod parse;
mod read;
mod seal;
mod write;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;

use aire_wire::{ALPN_CARRIER, DecodeError};
use tokio::net::TcpStream;

use self::keys::Keys;
pub(crate) use self::keys::Listener;
use self::open::Inbox;
use self::parse::Parser;
use self::seal::Outbox;
use crate::tls::TlsStream;
use crate::{NetError, PeerInfo, TcpInfo, options};

/// Why a carrier is of no more use. Its streams live on.
#[derive(Debug, thiserror::Error)]
pub enum CarrierError {
    /// The peer ended the session in order.
    #[error("the peer closed the carrier")]
    Closed,
    /// The connection broke: a path event.
    #[error("the connection broke: {0}")]
    Lost(#[from] io::Error),
    /// The peer, or someone between, broke TLS.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// The peer sends no frames.
    #[error("the peer sends no frames: {0}")]
    Frame(#[from] DecodeError),
}

/// One end of a carrier. One task polls it; nothing runs in the background.
pub struct Carrier {
    tcp: TcpStream,
    addr: SocketAddr,
    peer: PeerInfo,
    keys: Keys,
    inbox: Inbox,
    parser: Parser,
    outbox: Outbox,
    /// The head of the frame that is being written.
    head: Vec<u8>,
    /// The peer asked for a new key of ours.
    update_due: bool,
    /// Why nothing more will arrive.
    ended: Option<CarrierError>,
}

impl Carrier {
    /// Takes over a session whose handshake is complete and whose secrets `listener` heard.
    pub(crate) fn new(stream: TlsStream, listener: &Listener, peer: PeerInfo) -> Result<Self, NetError> {
        stream.require_alpn(ALPN_CARRIER)?;
        let TlsStream { tcp, addr, session, input, .. } = stream;
        let keys = Keys::new(&session, listener).map_err(|source| NetError::Tls { addr, source })?;
        let tcp = Arc::into_inner(tcp).expect("nobody but the stream held its socket");
        Ok(Carrier {
            tcp,
            addr,
            peer,
            keys,
            inbox: Inbox::new(input),
            parser: Parser::default(),
            outbox: Outbox::default(),
            head: Vec::new(),
            update_due: false,
            ended: None,
        })
    }

    /// Who is at the other end.
    pub fn peer(&self) -> &PeerInfo {
        &self.peer
    }

    /// The other end of the TCP connection: the first hop for a source, the last relay for a destination.
    pub fn neighbour(&self) -> SocketAddr {
        self.addr
    }

    /// Key material that both ends of this very session derive alike (RFC 5705).
    ///
    /// # Errors
    /// The label or the context is longer than TLS allows.
    pub fn exporter(&self, label: &[u8], context: &[u8]) -> Result<[u8; 32], CarrierError> {
        Ok(self.keys.export(label, context)?)
    }

    /// What the kernel knows about the connection to [`Self::neighbour`].
    ///
    /// # Errors
    /// The kernel does not tell.
    pub fn tcp_info(&self) -> io::Result<TcpInfo> {
        TcpInfo::read(&self.tcp)
    }

    /// The address of this end; it may be lost while the carrier is open.
    pub fn local_ip(&self) -> Option<IpAddr> {
        self.tcp.local_addr().ok().map(|address| address.ip().to_canonical())
    }

    /// Gives back the memory of buffers that hold nothing. For carriers that have been idle for a while.
    pub fn relax(&mut self) {
        self.inbox.shrink();
        self.outbox.shrink();
        self.head = Vec::new();
    }

    /// Says goodbye as far as the socket takes it at once, and closes. Write a CLOSE frame first.
    pub fn close(mut self) {
        if self.outbox.close_notify(&mut self.keys.send).is_ok() {
            let _ = self.tcp.try_write(self.outbox.pending());
        }
    }

    /// Closes with a reset; what is unsent is thrown away.
    pub fn abort(self) {
        options::reset_on_close(&self.tcp);
    }
}

impl AsRawFd for Carrier {
    fn as_raw_fd(&self) -> RawFd {
        self.tcp.as_raw_fd()
    }
}
