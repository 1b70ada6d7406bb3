//! One direction of a relayed carrier: from socket to socket without passing through this process.

use std::io;
use std::sync::Arc;

use rustix::pipe::{SpliceFlags, splice};
use tokio::io::Interest;
use tokio::net::TcpStream;

use crate::pipe_pool::{Pipe, PipePool};

/// The most that one call moves.
const CHUNK: usize = 256 * 1024;
/// What is copied at a time while no pipe is to be had.
const COPY: usize = 16 * 1024;

/// Bytes that have left one socket and not entered the other.
enum Load {
    Pipe(Pipe),
    Memory { bytes: Vec<u8>, written: usize },
}

impl Load {
    fn is_empty(&self) -> bool {
        match self {
            Load::Pipe(pipe) => pipe.filled == 0,
            Load::Memory { bytes, written } => *written == bytes.len(),
        }
    }
}

/// Moves what `from` holds into `to`, waiting for both as needed; the number of bytes, 0 at the end of `from`.
/// A pipe is held only while bytes are in it, and is filled only when empty: so "would block" on the way in always
/// means that the socket is empty, never that the pipe is full.
pub(crate) async fn forward(from: &TcpStream, to: &TcpStream, pool: &Arc<PipePool>) -> io::Result<usize> {
    let mut load = loop {
        from.readable().await?;
        match load(from, pool) {
            Ok(Some(load)) => break load,
            Ok(None) => return Ok(0),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    };
    let mut moved = 0;
    while !load.is_empty() {
        match unload(&mut load, to) {
            Ok(written) => moved += written,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => to.writable().await?,
            Err(error) => return Err(error),
        }
    }
    Ok(moved)
}

/// `None` at the end of the stream.
fn load(from: &TcpStream, pool: &Arc<PipePool>) -> io::Result<Option<Load>> {
    let Some(mut pipe) = pool.take() else {
        let mut bytes = Vec::with_capacity(COPY);
        let taken = from.try_read_buf(&mut bytes)?;
        return Ok((taken > 0).then_some(Load::Memory { bytes, written: 0 }));
    };
    let taken = from.try_io(Interest::READABLE, || {
        let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
        Ok(splice(from, None, pipe.entry(), None, CHUNK, flags)?)
    })?;
    pipe.filled = taken;
    Ok((taken > 0).then_some(Load::Pipe(pipe)))
}

fn unload(load: &mut Load, to: &TcpStream) -> io::Result<usize> {
    match load {
        Load::Memory { bytes, written } => {
            let taken = to.try_write(&bytes[*written..])?;
            *written += taken;
            Ok(taken)
        }
        Load::Pipe(pipe) => {
            let taken = to.try_io(Interest::WRITABLE, || {
                let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
                Ok(splice(pipe.exit(), None, to, None, pipe.filled, flags)?)
            })?;
            pipe.filled -= taken;
            Ok(taken)
        }
    }
}
