//! The end of a carrier: frames in and out of one TLS session over one TCP connection.

mod read;
mod write;

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;

use aire_wire::{ALPN_CARRIER, DecodeError};
use bytes::BytesMut;
use rustls::Connection;
use tokio::net::TcpStream;

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
    tcp: Arc<TcpStream>,
    addr: SocketAddr,
    peer: PeerInfo,
    session: Connection,
    /// Ciphertext not yet decrypted.
    input: BytesMut,
    /// Frames not yet taken, the last perhaps in part.
    plaintext: BytesMut,
    head: Vec<u8>,
    /// Why nothing more will arrive.
    ended: Option<CarrierError>,
}

impl Carrier {
    pub(crate) fn new(stream: TlsStream, peer: PeerInfo) -> Result<Self, NetError> {
        stream.require_alpn(ALPN_CARRIER)?;
        let TlsStream { tcp, addr, session, input, .. } = stream;
        let (plaintext, head) = (BytesMut::new(), Vec::new());
        Ok(Carrier { tcp, addr, peer, session, input, plaintext, head, ended: None })
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
    /// The session failed before.
    pub fn exporter(&self, label: &[u8], context: &[u8]) -> Result<[u8; 32], CarrierError> {
        Ok(self.session.export_keying_material([0; 32], label, Some(context))?)
    }

    /// What the kernel knows about the connection to [`Self::neighbour`].
    ///
    /// # Errors
    /// The kernel does not tell.
    pub fn tcp_info(&self) -> io::Result<TcpInfo> {
        TcpInfo::read(&*self.tcp)
    }

    /// Says goodbye as far as the socket takes it at once, and closes. Write a CLOSE frame first.
    pub fn close(mut self) {
        self.session.send_close_notify();
        let _ = self.session.write_tls(&mut write::Socket(&self.tcp));
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
