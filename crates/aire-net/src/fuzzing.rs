//! The receiving ends without sockets, for fuzz targets.

use std::net::SocketAddr;

use aire_wire::Preamble;
use bytes::BytesMut;
use tokio::net::TcpStream;
use tokio::sync::oneshot::Receiver;
use tokio::sync::oneshot::error::TryRecvError;

use crate::Ticket;
use crate::dial_back::Tickets;

pub use crate::carrier::offline::Pair;

/// The kinds and bodies of the frames in what arrives on a link over TCP, in pieces of `piece` bytes.
///
/// # Errors
/// The link would be closed, with this reason.
pub fn link_frames(stream: &[u8], piece: usize) -> Result<Vec<(u8, Vec<u8>)>, String> {
    let (mut buffer, mut frames) = (BytesMut::new(), Vec::new());
    for chunk in stream.chunks(piece.max(1)) {
        buffer.extend_from_slice(chunk);
        while let Some((kind, body)) = crate::link::tcp::take(&mut buffer)? {
            frames.push((kind, body.to_vec()));
        }
    }
    Ok(frames)
}

/// The body of an enrolment message over TCP, once `stream` holds all of it.
///
/// # Errors
/// The connection would be closed, with this reason.
pub fn enrolment_body(stream: &[u8]) -> Result<Option<&[u8]>, String> {
    let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
    crate::enrol::unframed(nowhere, stream).map_err(|error| error.to_string())
}

/// The tickets of an agent that is to be dialled back, and the preambles that come with them.
#[derive(Default)]
pub struct Window(Tickets);

/// A connection that is awaited.
pub struct Awaited(Receiver<TcpStream>);

impl Awaited {
    /// Has its ticket been used up without a connection?
    pub fn is_over(&mut self) -> bool {
        matches!(self.0.try_recv(), Err(TryRecvError::Closed))
    }
}

impl Window {
    /// A new ticket; nothing where too many are out.
    pub fn issue(&self) -> Option<(Ticket, Awaited)> {
        self.0.issue().map(|(ticket, arrival)| (ticket, Awaited(arrival)))
    }

    /// Is this preamble good for a connection? Not a second time.
    pub fn redeem(&self, preamble: &Preamble) -> bool {
        self.0.redeem(preamble).is_ok()
    }
}
