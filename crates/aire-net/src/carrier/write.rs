use std::io::{self, IoSlice, Write};
use std::task::{Context, Poll, ready};

use aire_wire::Frame;
use bytes::Bytes;
use tokio::net::TcpStream;

use super::{Carrier, CarrierError};

/// Frames are gathered up to this before they are encrypted and written.
const BATCH: usize = 128 * 1024;
/// After so many bytes other tasks get their turn.
const TURN: usize = 1024 * 1024;

pub(super) struct Socket<'a>(pub(super) &'a TcpStream);

impl Write for Socket<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, bytes: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Carrier {
    /// Writes the frames that `next` gives until it gives none (ready) or the socket takes no more (pending). It is
    /// asked only while the socket is writable, so that what is sent is decided late.
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
            while self.session.wants_write() {
                ready!(self.tcp.poll_write_ready(cx))?;
                match self.session.write_tls(&mut Socket(&self.tcp)) {
                    Ok(written) => turn += written,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => return Poll::Ready(Err(error.into())),
                }
            }
            if turn >= TURN {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            ready!(self.tcp.poll_write_ready(cx))?;
            if !self.encrypt_batch(&mut next)? {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Is there something encrypted that the socket did not take yet?
    pub fn has_pending_output(&self) -> bool {
        self.session.wants_write()
    }

    fn encrypt_batch(&mut self, next: &mut impl FnMut() -> Option<Frame>) -> Result<bool, CarrierError> {
        // each frame: where its head ends in `head`, and the application bytes behind it
        let mut parts: Vec<(usize, Bytes)> = Vec::new();
        let mut gathered = 0;
        self.head.clear();
        while gathered < BATCH {
            let Some(frame) = next() else { break };
            let begin = self.head.len();
            frame.encode_head(&mut self.head);
            let bytes = if let Frame::Data { bytes, .. } = frame { bytes } else { Bytes::new() };
            gathered += self.head.len() - begin + bytes.len();
            parts.push((self.head.len(), bytes));
        }
        if parts.is_empty() {
            return Ok(false);
        }
        let mut slices = Vec::with_capacity(2 * parts.len());
        let mut begin = 0;
        for (end, bytes) in &parts {
            slices.push(IoSlice::new(&self.head[begin..*end]));
            if !bytes.is_empty() {
                slices.push(IoSlice::new(bytes));
            }
            begin = *end;
        }
        let written = self.session.writer().write_vectored(&slices)?;
        debug_assert_eq!(written, gathered, "the session's buffer has no limit");
        Ok(true)
    }
}
