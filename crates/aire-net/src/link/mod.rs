//! Links: mutually authenticated connections for everything that is small.

pub(crate) mod quic;
pub(crate) mod tcp;
pub(crate) mod verifier;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use aire_wire::MAX_MESSAGE;
use bytes::Bytes;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{PeerInfo, TcpInfo};

/// Messages that wait to be sent; more are refused.
pub(crate) const QUEUE: usize = 256;
/// Events that wait for the agent. Messages then wait on the wire, datagrams are dropped.
pub(crate) const EVENTS: usize = 256;
/// A link is dead after so long without a sign of life.
pub(crate) const IDLE: Duration = Duration::from_secs(10);
/// A sign of life is sent at least so often.
pub(crate) const KEEP_ALIVE: Duration = Duration::from_secs(3);

/// What a link runs over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// QUIC.
    Quic,
    /// TLS over TCP, where UDP does not pass.
    Tcp,
}

/// What arrives on a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkEvent {
    /// A message.
    Message(Vec<u8>),
    /// A datagram.
    Datagram(Bytes),
    /// The last event: the link is gone.
    Closed {
        /// Which end, or what, ended it.
        by: ClosedBy,
        /// Why, for people.
        reason: String,
    },
}

/// Who ended a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClosedBy {
    /// This end, by [`Link::close`].
    Us,
    /// The peer, with this code.
    Peer(u32),
    /// This end, as the peer broke the protocol.
    Breach,
    /// Neither: it broke or fell silent.
    Loss,
}

/// Why something was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The peer or the path is too slow.
    #[error("the link's queue is full")]
    Full,
    /// More than 64 KiB, or a datagram that does not fit into a packet.
    #[error("too long for a link")]
    TooLong,
    /// The link is gone.
    #[error("the link is closed")]
    Closed,
}

/// A reading of a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkStats {
    /// Round trip as the transport sees it.
    pub rtt: Duration,
    /// Packets sent (TCP: segments).
    pub sent: u64,
    /// Packets lost (TCP: segments sent again).
    pub lost: u64,
    /// Packets received (TCP: segments).
    pub received: u64,
    /// Messages and datagrams refused because the link could not take them.
    pub refused: u64,
}

/// Where a link's events arrive. Dropping it closes the link.
pub type LinkEvents = mpsc::Receiver<LinkEvent>;

/// One end of a link. Copies are the same link.
#[derive(Clone)]
pub struct Link(Arc<Inner>);

struct Inner {
    peer: PeerInfo,
    remote: SocketAddr,
    wire: Wire,
    queue: mpsc::Sender<Outgoing>,
    refused: AtomicU64,
    /// Datagrams of applications wait for those before them.
    crowded: AtomicBool,
    closing: Closing,
}

enum Wire {
    Quic(quinn::Connection),
    Tcp(Arc<TcpStream>),
}

/// What the tasks of a link send.
pub(crate) enum Outgoing {
    Message(Vec<u8>),
    Datagram(Bytes),
}

/// Tells the tasks of a link to end it.
#[derive(Clone)]
pub(crate) struct Closing {
    pub(crate) token: CancellationToken,
    pub(crate) why: Arc<std::sync::OnceLock<(u32, String)>>,
}

impl Closing {
    pub(crate) fn new(token: CancellationToken) -> Self {
        Closing { token, why: Arc::default() }
    }
}

impl Link {
    /// Who is at the other end.
    pub fn peer(&self) -> &PeerInfo {
        &self.0.peer
    }

    /// What it runs over.
    pub fn transport(&self) -> Transport {
        match self.0.wire {
            Wire::Quic(_) => Transport::Quic,
            Wire::Tcp(_) => Transport::Tcp,
        }
    }

    /// Where the other end is now.
    pub fn remote(&self) -> SocketAddr {
        match &self.0.wire {
            Wire::Quic(connection) => {
                let addr = connection.remote_address();
                SocketAddr::new(addr.ip().to_canonical(), addr.port())
            }
            Wire::Tcp(_) => self.0.remote,
        }
    }

    /// Queues a message of at most 64 KiB. Messages have no order among them.
    ///
    /// # Errors
    /// Nothing was sent.
    pub fn send(&self, message: Vec<u8>) -> Result<(), SendError> {
        if message.len() > MAX_MESSAGE {
            return Err(SendError::TooLong);
        }
        self.enqueue(Outgoing::Message(message))
    }

    /// Sends a datagram, which may get lost.
    ///
    /// # Errors
    /// Nothing was sent.
    pub fn datagram(&self, bytes: Bytes) -> Result<(), SendError> {
        match &self.0.wire {
            Wire::Quic(connection) => connection.send_datagram(bytes).map_err(|error| match error {
                quinn::SendDatagramError::TooLarge => SendError::TooLong,
                _ => SendError::Closed,
            }),
            Wire::Tcp(_) if bytes.len() > MAX_MESSAGE => Err(SendError::TooLong),
            Wire::Tcp(_) => self.enqueue(Outgoing::Datagram(bytes)),
        }
    }

    /// The longest datagram that the link takes now, bytes; over QUIC it changes with the path.
    pub fn max_datagram(&self) -> usize {
        match &self.0.wire {
            Wire::Quic(connection) => connection.max_datagram_size().unwrap_or(0),
            Wire::Tcp(_) => MAX_MESSAGE,
        }
    }

    /// Sends a datagram of an application. These are many, and the agents' own messages come behind those that wait; so
    /// none is taken while many wait, until those have gone.
    ///
    /// # Errors
    /// Nothing was sent.
    pub fn carry(&self, bytes: Bytes) -> Result<(), SendError> {
        let (empty, full) = match &self.0.wire {
            Wire::Quic(connection) => {
                let waiting = quic::DATAGRAM_BUFFER.saturating_sub(connection.datagram_send_buffer_space());
                (waiting < quic::PACKET, waiting > quic::DATAGRAM_BUFFER / 4)
            }
            Wire::Tcp(_) => {
                let waiting = QUEUE.saturating_sub(self.0.queue.capacity());
                (waiting == 0, waiting > QUEUE / 4)
            }
        };
        let crowded = &self.0.crowded;
        if empty {
            crowded.store(false, Ordering::Relaxed);
        } else if full {
            crowded.store(true, Ordering::Relaxed);
        }
        if crowded.load(Ordering::Relaxed) {
            self.0.refused.fetch_add(1, Ordering::Relaxed);
            return Err(SendError::Full);
        }
        self.datagram(bytes)
    }

    fn enqueue(&self, outgoing: Outgoing) -> Result<(), SendError> {
        self.0.queue.try_send(outgoing).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => {
                self.0.refused.fetch_add(1, Ordering::Relaxed);
                SendError::Full
            }
            mpsc::error::TrySendError::Closed(_) => SendError::Closed,
        })
    }

    /// Round trip, losses and refusals.
    pub fn stats(&self) -> LinkStats {
        let refused = self.0.refused.load(Ordering::Relaxed);
        match &self.0.wire {
            Wire::Quic(connection) => {
                let stats = connection.stats();
                let (path, received) = (stats.path, stats.udp_rx.datagrams);
                LinkStats {
                    rtt: path.rtt,
                    sent: path.sent_packets,
                    lost: path.lost_packets,
                    received,
                    refused,
                }
            }
            Wire::Tcp(stream) => {
                let info = TcpInfo::read(&**stream).unwrap_or_default();
                LinkStats {
                    rtt: info.rtt,
                    sent: info.segments_out.into(),
                    lost: info.retransmits.into(),
                    received: info.segments_in.into(),
                    refused,
                }
            }
        }
    }

    /// Round trip as the transport sees it.
    pub fn rtt(&self) -> Duration {
        self.stats().rtt
    }

    /// Closes the link; what was queued may be lost. The peer sees the code and, over QUIC, the reason.
    pub fn close(&self, code: u32, reason: &str) {
        let _ = self.0.closing.why.set((code, reason.to_owned()));
        self.0.closing.token.cancel();
    }

    /// Are these the same link?
    pub fn is(&self, other: &Link) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} over {:?}", self.0.peer.identity, self.transport())
    }
}
