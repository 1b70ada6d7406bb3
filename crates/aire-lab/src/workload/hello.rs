//! The first eight bytes of every connection: what the client wants of the server.

use std::io::{self, Read, Write};

const MAGIC: [u8; 6] = *b"WKLD/1";

/// What follows on the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Checked messages that are echoed.
    Messages = 1,
    /// Bytes to be counted and hashed.
    Bulk = 2,
    /// 64-byte requests that are echoed.
    PingPong = 3,
    /// One byte back, then the end.
    Connect = 4,
}

pub(super) fn write(stream: &mut impl Write, kind: Kind, flags: u8) -> io::Result<()> {
    let mut bytes = [0u8; 8];
    bytes[..6].copy_from_slice(&MAGIC);
    bytes[6] = kind as u8;
    bytes[7] = flags;
    stream.write_all(&bytes)
}

pub(super) fn read(stream: &mut impl Read) -> io::Result<(Kind, u8)> {
    let mut bytes = [0u8; 8];
    stream.read_exact(&mut bytes)?;
    let kind = match bytes[6] {
        1 => Kind::Messages,
        2 => Kind::Bulk,
        3 => Kind::PingPong,
        4 => Kind::Connect,
        other => return Err(invalid(format!("the client asks for workload {other}, which is unknown"))),
    };
    if bytes[..6] != MAGIC {
        return Err(invalid("the client speaks something else".to_owned()));
    }
    Ok((kind, bytes[7]))
}

pub(super) fn invalid(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}
