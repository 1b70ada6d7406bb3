use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use aire_stream::{Association as Core, Read};
use aire_types::Time;
use aire_wire::{ResetCode, StreamId};
use bytes::{Buf, Bytes, BytesMut};
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::TcpStream;

use super::association::Association;

/// Bytes that one read of a busy application takes.
const LARGE: usize = 128 * 1024;
/// An application that wrote at least this much at once is busy.
const BUSY: usize = 16 * 1024;
/// Bytes that one read of a quiet application takes.
const SMALL: usize = 16 * 1024;
/// Bytes taken out of the core at a time.
const TAKE: usize = 256 * 1024;
/// Pieces handed to the kernel at a time.
const PIECES: usize = 32;

/// Carries bytes between an application's socket and its stream until both directions have ended, or a reset.
/// Returns the reset, if there was one. The socket lingers zero from the caller; it is only ended in order when both
/// ends are acknowledged and written.
pub(crate) async fn run(
    association: Arc<Association>,
    stream: StreamId,
    socket: TcpStream,
    early: Bytes,
) -> Option<ResetCode> {
    let mut task = Task {
        stream,
        socket: &socket,
        room: 0,
        incoming: Some(early).filter(|bytes| !bytes.is_empty()),
        busy: false,
        eof: false,
        finish: false,
        outgoing: VecDeque::new(),
        queued: 0,
        ending: false,
        taken: 0,
        shut: false,
    };
    let end = tokio::select! {
        biased;
        end = poll_fn(|cx| task.poll(cx, &association)) => end,
        () = broken(&socket) => End::Gone,
    };
    association.forget(stream);
    match end {
        End::Clean => {
            let _ = SockRef::from(&socket).set_linger(None);
            None
        }
        End::Reset(code) => Some(code),
        End::Gone => {
            association.reset(stream, ResetCode::Application);
            Some(ResetCode::Application)
        }
    }
}

/// Waits for a reset by the application. Reads and writes find it too, but a stream that is blocked does neither.
async fn broken(socket: &TcpStream) {
    if socket.ready(Interest::ERROR).await.is_err() {
        // The runtime ends, and everything with it.
        std::future::pending().await
    }
}

enum End {
    /// Both directions ended in order.
    Clean,
    /// The stream was reset.
    Reset(ResetCode),
    /// The application reset its connection.
    Gone,
}

struct Task<'a> {
    stream: StreamId,
    socket: &'a TcpStream,
    /// Bytes that the core takes now.
    room: usize,
    /// Read from the application, not yet in the core.
    incoming: Option<Bytes>,
    busy: bool,
    /// The application closed its direction.
    eof: bool,
    /// The core is to be told of it.
    finish: bool,
    /// Out of the core, not yet in the application.
    outgoing: VecDeque<Bytes>,
    /// Bytes in `outgoing`.
    queued: usize,
    /// Nothing comes after `outgoing`.
    ending: bool,
    /// Written to the application, and the core does not know yet.
    taken: usize,
    /// Our direction to the application is closed.
    shut: bool,
}

/// What the core says in one exchange.
struct Answer {
    room: usize,
    ended: bool,
    reset: Option<ResetCode>,
}

impl Task<'_> {
    fn poll(&mut self, cx: &mut Context<'_>, association: &Association) -> Poll<End> {
        loop {
            let answer = self.exchange(association, cx.waker());
            if let Some(code) = answer.reset {
                return Poll::Ready(End::Reset(code));
            }
            self.room = answer.room;
            if self.ending && self.outgoing.is_empty() && !self.shut {
                self.shut = true;
                // The last byte is in the socket: the end may follow, and a kill of this agent is still a reset.
                if SockRef::from(self.socket).shutdown(std::net::Shutdown::Write).is_err() {
                    return Poll::Ready(End::Gone);
                }
            }
            if answer.ended {
                return Poll::Ready(End::Clean);
            }
            let moved = match (self.poll_from_app(cx), self.poll_to_app(cx)) {
                (Ok(one), Ok(other)) => one || other,
                _ => return Poll::Ready(End::Gone),
            };
            if !moved {
                return Poll::Pending;
            }
        }
    }

    /// Tells the core what happened to the socket, and hears what there is to do.
    fn exchange(&mut self, association: &Association, waker: &Waker) -> Answer {
        association.with(|now, inner| {
            let core = &mut inner.core;
            if let Some(bytes) = self.incoming.take() {
                let room = core.writable(self.stream);
                let now_in = if bytes.len() > room { bytes.slice(..room) } else { bytes.clone() };
                let written = now_in.len();
                if written > 0 && core.write(now, self.stream, now_in).is_ok() && written < bytes.len() {
                    self.incoming = Some(bytes.slice(written..));
                } else if written == 0 {
                    self.incoming = Some(bytes);
                }
            }
            if self.finish && self.incoming.is_none() {
                self.finish = false;
                core.finish(now, self.stream);
            }
            if self.taken > 0 {
                core.consumed(now, self.stream, self.taken);
                self.taken = 0;
            }
            let mut reset = self.take(now, core);
            let room = if self.incoming.is_some() { 0 } else { core.writable(self.stream) };
            let Some(slot) = inner.streams.get_mut(&self.stream) else {
                return Answer { room: 0, ended: true, reset };
            };
            slot.waker = Some(waker.clone());
            reset = reset.or(slot.reset);
            Answer { room, ended: slot.ended, reset }
        })
    }

    /// Takes what the core has for the application, as far as there is need.
    fn take(&mut self, now: Time, core: &mut Core) -> Option<ResetCode> {
        while self.queued < TAKE && self.outgoing.len() < PIECES && !self.ending {
            match core.read(now, self.stream, TAKE) {
                Read::Data(bytes) => {
                    self.queued += bytes.len();
                    self.outgoing.push_back(bytes);
                }
                Read::End => self.ending = true,
                Read::Reset(code) => return Some(code),
                Read::Pending | Read::Unknown => break,
            }
        }
        None
    }

    /// Reads from the application; true when something came of it.
    fn poll_from_app(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        if self.eof || self.room == 0 || self.incoming.is_some() {
            return Ok(false);
        }
        loop {
            match self.socket.poll_read_ready(cx) {
                Poll::Ready(ready) => ready?,
                Poll::Pending => return Ok(false),
            }
            match self.read_some() {
                Ok(0) => {
                    (self.eof, self.finish) = (true, true);
                    return Ok(true);
                }
                Ok(_) => return Ok(true),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// A quiet application keeps no buffer: what it wrote is copied into memory of its size.
    fn read_some(&mut self) -> io::Result<usize> {
        let length = if self.busy {
            let mut buffer = BytesMut::with_capacity(LARGE.min(self.room));
            let length = self.socket.try_read_buf(&mut buffer)?;
            self.incoming = Some(buffer.freeze()).filter(|bytes| !bytes.is_empty());
            length
        } else {
            let mut buffer = [0; SMALL];
            let most = SMALL.min(self.room);
            let length = self.socket.try_read(&mut buffer[..most])?;
            self.incoming = (length > 0).then(|| Bytes::copy_from_slice(&buffer[..length]));
            length
        };
        self.busy = length >= BUSY;
        Ok(length)
    }

    /// Writes to the application; true when something came of it.
    fn poll_to_app(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        let mut moved = false;
        while !self.outgoing.is_empty() {
            match self.socket.poll_write_ready(cx) {
                Poll::Ready(ready) => ready?,
                Poll::Pending => break,
            }
            match self.write_some() {
                Ok(written) => {
                    self.taken += written;
                    moved = true;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(moved)
    }
}

impl Task<'_> {
    fn write_some(&mut self) -> io::Result<usize> {
        let mut slices = [IoSlice::new(&[]); PIECES];
        for (slice, bytes) in slices.iter_mut().zip(&self.outgoing) {
            *slice = IoSlice::new(bytes);
        }
        let count = self.outgoing.len().min(PIECES);
        let written = self.socket.try_write_vectored(&slices[..count])?;
        self.queued -= written;
        let mut rest = written;
        while let Some(front) = self.outgoing.front_mut() {
            if rest < front.len() {
                front.advance(rest);
                break;
            }
            rest -= front.len();
            self.outgoing.pop_front();
        }
        Ok(written)
    }
}

impl Association {
    /// The stream's task is over.
    pub(crate) fn forget(&self, stream: StreamId) {
        self.with(|_, inner| inner.streams.remove(&stream));
    }

    /// Sends what the application said before the destination's took the stream, and says how much of it.
    pub(crate) fn send_ahead(&self, stream: StreamId, mut words: Bytes) -> usize {
        self.with(|now, inner| {
            words.truncate(inner.core.writable(stream));
            let length = words.len();
            if length > 0 && inner.core.write(now, stream, words).is_ok() { length } else { 0 }
        })
    }

    /// Waits until the destination's application took the stream.
    ///
    /// # Errors
    /// The reset that came instead.
    pub(crate) async fn opened(&self, stream: StreamId) -> Result<(), ResetCode> {
        poll_fn(|cx| {
            self.with(|_, inner| match inner.streams.get_mut(&stream) {
                None => Poll::Ready(Err(ResetCode::NoPath)),
                Some(slot) => match (slot.opened, slot.reset) {
                    (_, Some(code)) => Poll::Ready(Err(code)),
                    (true, None) => Poll::Ready(Ok(())),
                    (false, None) => {
                        slot.waker = Some(cx.waker().clone());
                        Poll::Pending
                    }
                },
            })
        })
        .await
    }
}
