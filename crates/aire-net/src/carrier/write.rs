use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use aire_wire::Frame;
use tokio::io::AsyncWrite;

use super::{Carrier, CarrierError};

/// So many bytes of frames are encrypted before the socket is asked to take them.
const BATCH: usize = 128 * 1024;
/// After so many bytes other tasks get their turn.
const TURN: usize = 1024 * 1024;

impl Carrier {
    /// Writes the frames that `next` gives until it gives none (ready) or the socket takes no more (pending). It is
    /// asked only while the socket is writable, so that what is sent is decided late. Call again when there is
    /// something new to send, and when woken.
    ///
    /// # Errors
    /// The connection broke.
    pub fn poll_write_frames(
        &mut self,
        cx: &mut Context<'_>,
        mut next: impl FnMut() -> Option<Frame>,
    ) -> Poll<Result<(), CarrierError>> {
        let mut turn = 0;
        loop {
            while !self.outbox.pending().is_empty() {
                let written = ready!(Pin::new(&mut self.tcp).poll_write(cx, self.outbox.pending()))?;
                if written == 0 {
                    return Poll::Ready(Err(io::Error::from(io::ErrorKind::WriteZero).into()));
                }
                self.outbox.taken(written);
                turn += written;
            }
            if turn >= TURN {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            ready!(self.tcp.poll_write_ready(cx))?;
            if !self.gather(&mut next)? {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Is there something encrypted that the socket did not take yet?
    pub fn has_pending_output(&self) -> bool {
        !self.outbox.pending().is_empty()
    }

    /// Fills the outbox; `false` when there was nothing to send.
    fn gather(&mut self, next: &mut impl FnMut() -> Option<Frame>) -> Result<bool, CarrierError> {
        let keys = &mut self.keys.send;
        if std::mem::take(&mut self.update_due) {
            self.outbox.update_key(keys)?;
        }
        let mut gathered = 0;
        while gathered < BATCH {
            let Some(frame) = next() else { break };
            self.head.clear();
            frame.encode_head(&mut self.head);
            self.outbox.put(keys, &self.head)?;
            gathered += self.head.len();
            if let Frame::Data { bytes, .. } = frame {
                self.outbox.put(keys, &bytes)?;
                gathered += bytes.len();
            }
        }
        self.outbox.finish(keys)?;
        Ok(!self.outbox.pending().is_empty())
    }
}
