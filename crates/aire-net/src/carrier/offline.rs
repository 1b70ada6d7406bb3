//! The receiving end of a carrier without a socket.

use aire_wire::Frame;
use bytes::BytesMut;

use super::CarrierError;
use super::keys::{Direction, Keys};
use super::open::Inbox;
use super::parse::Parser;
use super::read::take_frames;
use super::seal::Outbox;

const HANDSHAKE: u8 = 22;

/// One direction of a session: a sender that seals anything, and the carrier that receives it.
pub struct Pair {
    send: Direction,
    receive: Direction,
    outbox: Outbox,
    inbox: Inbox,
    parser: Parser,
}

impl Pair {
    /// A session at its beginning.
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        let (send, receive) = Keys::both_ends();
        let (outbox, inbox) = (Outbox::default(), Inbox::new(BytesMut::new()));
        Pair { send, receive, outbox, inbox, parser: Parser::default() }
    }

    /// An authentic record of this type, its body as it may be; at most 60,000 bytes.
    pub fn seal(&mut self, kind: u8, body: &[u8]) -> Vec<u8> {
        self.outbox.put_other(&mut self.send, kind, body).expect("invariant: the AEAD takes 60,000 bytes");
        if kind == HANDSHAKE && matches!(body, [24, 0, 0, 1, 0..=1]) {
            self.send.update().expect("invariant: HKDF gives a key");
        }
        let sealed = self.outbox.pending().to_vec();
        self.outbox.taken(sealed.len());
        sealed
    }

    /// What a carrier makes of `wire`, at most 4,000 bytes, behind all that came before.
    ///
    /// # Errors
    /// The carrier would be closed.
    pub fn receive(&mut self, wire: &[u8]) -> Result<Vec<(Frame, usize)>, CarrierError> {
        self.inbox.room().extend_from_slice(wire);
        let (mut frames, mut update_due) = (Vec::new(), false);
        take_frames(&mut self.receive, &mut self.inbox, &mut self.parser, &mut update_due, &mut frames)?;
        Ok(frames)
    }

    /// Bytes of memory that the receiving end has.
    pub fn held(&self) -> usize {
        self.inbox.held()
    }
}
