use std::io::{self, BufRead, Read};
use std::task::{Context, Poll, ready};

use aire_wire::Frame;
use bytes::{Buf, BytesMut};
use tokio::net::TcpStream;

use super::{Carrier, CarrierError};

/// After so many bytes of frames the caller gets its turn.
const TURN: usize = 512 * 1024;

struct Socket<'a>(&'a TcpStream);

impl Read for Socket<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }
}

impl Carrier {
    /// Appends frames that have arrived to `frames`, each with its length on the wire. Ready when there is at least
    /// one; call again until pending. Application bytes are not copied.
    ///
    /// # Errors
    /// The carrier has ended, in order or not.
    pub fn poll_read_frames(
        &mut self,
        cx: &mut Context<'_>,
        frames: &mut Vec<(Frame, usize)>,
    ) -> Poll<Result<(), CarrierError>> {
        let mut turn = 0;
        loop {
            while turn < TURN {
                let Some((frame, length)) = Frame::take(&mut self.plaintext)? else { break };
                turn += length;
                frames.push((frame, length));
            }
            if turn >= TURN {
                return Poll::Ready(Ok(()));
            }
            if self.ended.is_none() {
                match self.decrypt_some(cx) {
                    Poll::Ready(Ok(())) => continue,
                    Poll::Ready(Err(error)) => {
                        // what came before the end is still to be taken
                        self.ended = Some(error);
                        continue;
                    }
                    Poll::Pending if turn == 0 => return Poll::Pending,
                    Poll::Pending => return Poll::Ready(Ok(())),
                }
            }
            if turn > 0 {
                return Poll::Ready(Ok(()));
            }
            let error = self.ended.replace(CarrierError::Closed).unwrap_or(CarrierError::Closed);
            return Poll::Ready(Err(error));
        }
    }

    fn decrypt_some(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), CarrierError>> {
        let taken = if self.input.is_empty() {
            loop {
                ready!(self.tcp.poll_read_ready(cx))?;
                match self.session.read_tls(&mut Socket(&self.tcp)) {
                    Ok(taken) => break taken,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => return Poll::Ready(Err(error.into())),
                }
            }
        } else {
            let taken = self.session.read_tls(&mut &self.input[..])?;
            self.input.advance(taken);
            taken
        };
        if taken == 0 {
            return Poll::Ready(Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()));
        }
        self.session.process_new_packets()?;
        Poll::Ready(drain(&mut self.session, &mut self.plaintext))
    }
}

fn drain(session: &mut rustls::Connection, plaintext: &mut BytesMut) -> Result<(), CarrierError> {
    let mut reader = session.reader();
    loop {
        match reader.fill_buf() {
            Ok([]) => return Err(CarrierError::Closed),
            Ok(bytes) => {
                plaintext.extend_from_slice(bytes);
                let taken = bytes.len();
                reader.consume(taken);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}
