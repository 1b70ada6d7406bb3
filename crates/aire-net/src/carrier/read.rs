use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use aire_wire::Frame;
use tokio_util::io::poll_read_buf;

use super::keys::Direction;
use super::open::{Inbox, Opened};
use super::parse::Parser;
use super::{Carrier, CarrierError};

impl Carrier {
    /// Appends what has arrived to `frames`, each with its length on the wire; ready when there is at least one.
    /// Call again until pending: a call reads from the socket about once. Application bytes are seldom copied. A
    /// DATA frame may come in pieces, whose lengths add up to that of the whole.
    ///
    /// # Errors
    /// The carrier has ended, in order or not, and everything before its end was given.
    pub fn poll_read_frames(
        &mut self,
        cx: &mut Context<'_>,
        frames: &mut Vec<(Frame, usize)>,
    ) -> Poll<Result<(), CarrierError>> {
        let before = frames.len();
        loop {
            if self.ended.is_none() {
                self.ended = self.take_frames(frames).err();
            }
            if frames.len() > before {
                return Poll::Ready(Ok(()));
            }
            if let Some(ended) = self.ended.replace(CarrierError::Closed) {
                return Poll::Ready(Err(ended));
            }
            self.ended = None;
            let room = self.inbox.room();
            let size = room.capacity() - room.len();
            match ready!(poll_read_buf(Pin::new(&mut self.tcp), cx, room)) {
                Ok(0) => self.ended = Some(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                Ok(taken) => self.inbox.adapt(taken, size),
                Err(error) => self.ended = Some(error.into()),
            }
        }
    }

    /// Decrypts and parses what is here. The error is why nothing more will come.
    fn take_frames(&mut self, frames: &mut Vec<(Frame, usize)>) -> Result<(), CarrierError> {
        let receive = &mut self.keys.receive;
        take_frames(receive, &mut self.inbox, &mut self.parser, &mut self.update_due, frames)
    }
}

pub(super) fn take_frames(
    keys: &mut Direction,
    inbox: &mut Inbox,
    parser: &mut Parser,
    update_due: &mut bool,
    frames: &mut Vec<(Frame, usize)>,
) -> Result<(), CarrierError> {
    let end = loop {
        match inbox.open(keys) {
            Ok(Opened::Nothing) => break None,
            Ok(Opened::Record) => {}
            Ok(Opened::UpdateRequested) => *update_due = true,
            Ok(Opened::Closed) => break Some(CarrierError::Closed),
            Err(error) => break Some(error.into()),
        }
    };
    let copy_below = inbox.copy_below();
    inbox.with_plain(|plain| parser.take(plain, copy_below, frames))?;
    end.map_or(Ok(()), Err)
}
