//! Decrypted bytes to frames.

use aire_wire::{DecodeError, Frame, MAX_DATA, Reader, StreamId};
use bytes::{Buf, Bytes, BytesMut};

const DATA: u8 = 0x06;

/// Takes frames off the decrypted bytes of one carrier. DATA does not wait until it is whole: what is here of it is
/// given as a frame of its own, so that nothing has to be moved together and slow paths show progress.
#[derive(Default)]
pub(super) struct Parser {
    open: Option<Open>,
}

/// A DATA frame of which a part is still to come.
struct Open {
    stream: StreamId,
    offset: u64,
    remaining: usize,
    /// Bytes of its head that no piece has counted yet.
    head: usize,
}

impl Parser {
    /// Appends what can be taken off the front of `plain` to `frames`; the bytes taken. Application bytes shorter
    /// than `copy_below` are copied.
    pub(super) fn take(
        &mut self,
        plain: &mut BytesMut,
        copy_below: usize,
        frames: &mut Vec<(Frame, usize)>,
    ) -> Result<(), DecodeError> {
        loop {
            if let Some(open) = self.open.as_mut() {
                if open.remaining > 0 && plain.is_empty() {
                    return Ok(());
                }
                let length = open.remaining.min(plain.len());
                let bytes = if length < copy_below {
                    let bytes = Bytes::copy_from_slice(&plain[..length]);
                    plain.advance(length);
                    bytes
                } else {
                    plain.split_to(length).freeze()
                };
                let frame = Frame::Data { stream: open.stream, offset: open.offset, bytes };
                frames.push((frame, length + std::mem::take(&mut open.head)));
                open.offset += length as u64;
                open.remaining -= length;
                if open.remaining == 0 {
                    self.open = None;
                }
            } else if plain.first() == Some(&DATA) {
                let Some(open) = head(plain)? else { return Ok(()) };
                plain.advance(open.head);
                self.open = Some(open);
            } else if plain.is_empty() {
                return Ok(());
            } else {
                let Some(frame) = Frame::take(plain)? else { return Ok(()) };
                frames.push(frame);
            }
        }
    }
}

fn head(plain: &[u8]) -> Result<Option<Open>, DecodeError> {
    let mut reader = Reader::new(&plain[1..]);
    let mut fields =
        || Ok((reader.varint("stream")?, reader.varint("offset")?, reader.count(MAX_DATA, "data")?));
    match fields() {
        Ok((0, ..)) => Err(DecodeError::Unknown { what: "stream", got: 0 }),
        Ok((stream, offset, remaining)) => {
            let head = plain.len() - reader.remaining();
            Ok(Some(Open { stream: StreamId(stream), offset, remaining, head }))
        }
        Err(DecodeError::Truncated(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(frames: &[Frame]) -> Vec<u8> {
        let mut out = Vec::new();
        for frame in frames {
            frame.encode_head(&mut out);
            if let Frame::Data { bytes, .. } = frame {
                out.extend_from_slice(bytes);
            }
        }
        out
    }

    #[test]
    fn pieces_make_up_the_same_bytes_and_lengths_whatever_the_fragments() {
        let bytes = Bytes::from((0..5000).map(|n| n as u8).collect::<Vec<u8>>());
        let data = |offset, length| Frame::Data { stream: StreamId(3), offset, bytes: bytes.slice(..length) };
        let sent = [
            data(0, 5000),
            Frame::Ping,
            data(5000, 0),
            data(5000, 1),
            Frame::Fin { stream: StreamId(3), offset: 5001 },
        ];
        let wire = wire(&sent);
        for (fragment, copy_below) in [(1, 0), (2, 16), (7, 0), (100, 64), (3000, 10_000), (wire.len(), 0)] {
            let (mut parser, mut plain, mut frames) = (Parser::default(), BytesMut::new(), Vec::new());
            for chunk in wire.chunks(fragment) {
                plain.extend_from_slice(chunk);
                parser.take(&mut plain, copy_below, &mut frames).unwrap();
            }
            assert_eq!(frames.iter().map(|(_, length)| length).sum::<usize>(), wire.len());
            let (mut whole, mut others) = (Vec::new(), 0);
            for (frame, _) in frames {
                match frame {
                    Frame::Data { offset, bytes, .. } => {
                        assert_eq!(offset, whole.len() as u64);
                        whole.extend_from_slice(&bytes);
                    }
                    _ => others += 1,
                }
            }
            assert_eq!((whole.len(), others), (5001, 2));
            assert!(whole[..5000] == bytes[..]);
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in [&[0xff][..], &[0x06, 0, 0, 1, 9], &[0x06, 1, 0, 0x80, 0xff, 0xff, 0xff]] {
            let mut frames = Vec::new();
            assert!(Parser::default().take(&mut BytesMut::from(bad), 0, &mut frames).is_err(), "{bad:?}");
        }
    }
}
