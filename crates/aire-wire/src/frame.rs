use std::fmt;
use std::time::Duration;

use aire_types::{AppName, Class, Incarnation, Protocol};
use bytes::{Buf, Bytes, BytesMut};

use crate::codec::{class_to_byte, protocol_to_byte, put_text};
use crate::control::known;
use crate::{AssociationId, CarrierClose, DecodeError, Reader, ResetCode, put_varint, varint_len};

/// The most bytes that one DATA frame carries.
pub const MAX_DATA: usize = 128 * 1024;
/// Bytes of a stream that may be sent before any CREDIT.
pub const INITIAL_CREDIT: u64 = 64 * 1024;
/// How long a receiver may wait before it acknowledges what elicits an acknowledgement.
pub const ACK_DELAY: Duration = Duration::from_millis(5);
/// No frame but DATA is longer than this.
const MAX_SMALL: usize = 300;
/// Bytes of a reason for people.
const MAX_REASON: usize = 256;

/// Names a stream within an association; they rise from 1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub u64);

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Debug for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// What travels inside a carrier's TLS session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// First frame of a carrier: which association it joins.
    Join {
        /// The association.
        association: AssociationId,
        /// Which run of the source.
        source: Incarnation,
        /// Which run of the destination is meant; zero where not known yet.
        destination: Incarnation,
        /// The association begins here.
        new: bool,
        /// The secret of a new association, or the proof of knowing it.
        proof: [u8; 32],
    },
    /// The destination takes the carrier.
    Joined {
        /// Which run of the destination.
        destination: Incarnation,
    },
    /// The sender closes the carrier in order.
    Close {
        /// Why.
        code: CarrierClose,
        /// Why, for people.
        reason: String,
    },
    /// Opens a stream.
    Open {
        /// The stream.
        stream: StreamId,
        /// What it wants.
        class: Class,
        /// What the application speaks.
        protocol: Protocol,
        /// The app that it wants to reach.
        app: AppName,
    },
    /// The destination's application took the stream.
    Opened {
        /// The stream.
        stream: StreamId,
    },
    /// Application bytes.
    Data {
        /// The stream.
        stream: StreamId,
        /// Where in the stream they begin.
        offset: u64,
        /// The bytes.
        bytes: Bytes,
    },
    /// The sender's direction ends here.
    Fin {
        /// The stream.
        stream: StreamId,
        /// Length of the direction.
        offset: u64,
    },
    /// Both directions end at once.
    Reset {
        /// The stream.
        stream: StreamId,
        /// Why.
        code: ResetCode,
    },
    /// What the receiver holds.
    StreamAck {
        /// The stream.
        stream: StreamId,
        /// All below is in the receiver's memory.
        offset: u64,
        /// The end has arrived.
        fin: bool,
        /// The reset has arrived.
        reset: bool,
    },
    /// Up to where the peer may send.
    Credit {
        /// The stream.
        stream: StreamId,
        /// Absolute offset.
        offset: u64,
    },
    /// What arrived on this carrier.
    CarrierAck {
        /// Encoded bytes of all frames but this kind.
        bytes: u64,
        /// How long the newest of them waited, microseconds.
        delay_us: u64,
    },
    /// The carrier that this arrives on is preferred from now on.
    Switch {
        /// Rises with every switch.
        epoch: u64,
        /// For which stream; `None` for all.
        stream: Option<StreamId>,
    },
    /// Asks for a CARRIER_ACK at once.
    Ping,
}

impl Frame {
    /// Appends all but the application bytes of DATA, which follow it on the wire.
    pub fn encode_head(&self, out: &mut Vec<u8>) {
        match self {
            Frame::Join { association, source, destination, new, proof } => {
                out.push(0x01);
                out.extend_from_slice(&association.0);
                out.extend_from_slice(&source.0.to_be_bytes());
                out.extend_from_slice(&destination.0.to_be_bytes());
                out.push(u8::from(*new));
                out.extend_from_slice(proof);
            }
            Frame::Joined { destination } => {
                out.push(0x02);
                out.extend_from_slice(&destination.0.to_be_bytes());
            }
            Frame::Close { code, reason } => {
                out.extend_from_slice(&[0x03, code.to_byte()]);
                put_text(out, reason, MAX_REASON);
            }
            Frame::Open { stream, class, protocol, app } => {
                out.push(0x04);
                put_varint(out, stream.0);
                out.extend_from_slice(&[class_to_byte(*class), protocol_to_byte(*protocol)]);
                put_text(out, app.as_str(), 63);
            }
            Frame::Opened { stream } => put_numbers(out, 0x05, &[stream.0]),
            Frame::Data { stream, offset, bytes } => {
                put_numbers(out, 0x06, &[stream.0, *offset, bytes.len() as u64]);
            }
            Frame::Fin { stream, offset } => put_numbers(out, 0x07, &[stream.0, *offset]),
            Frame::Reset { stream, code } => {
                put_numbers(out, 0x08, &[stream.0]);
                out.push(code.to_byte());
            }
            Frame::StreamAck { stream, offset, fin, reset } => {
                put_numbers(out, 0x09, &[stream.0, *offset]);
                out.push(u8::from(*fin) | u8::from(*reset) << 1);
            }
            Frame::Credit { stream, offset } => put_numbers(out, 0x0a, &[stream.0, *offset]),
            Frame::CarrierAck { bytes, delay_us } => put_numbers(out, 0x0b, &[*bytes, *delay_us]),
            Frame::Switch { epoch, stream } => {
                put_numbers(out, 0x0c, &[*epoch, stream.map_or(0, |stream| stream.0)]);
            }
            Frame::Ping => out.push(0x0d),
        }
    }

    /// Length on the wire, bytes.
    pub fn encoded_len(&self) -> usize {
        let varints = |numbers: &[u64]| numbers.iter().map(|number| varint_len(*number)).sum::<usize>();
        1 + match self {
            Frame::Join { .. } => 65,
            Frame::Joined { .. } => 8,
            Frame::Open { stream, app, .. } => 3 + varint_len(stream.0) + app.as_str().len(),
            Frame::Opened { stream } => varint_len(stream.0),
            Frame::Data { stream, offset, bytes } => {
                varints(&[stream.0, *offset, bytes.len() as u64]) + bytes.len()
            }
            Frame::Fin { stream, offset } | Frame::Credit { stream, offset } => varints(&[stream.0, *offset]),
            Frame::Reset { stream, .. } => varint_len(stream.0) + 1,
            Frame::StreamAck { stream, offset, .. } => varints(&[stream.0, *offset]) + 1,
            Frame::CarrierAck { bytes, delay_us } => varints(&[*bytes, *delay_us]),
            Frame::Switch { epoch, stream } => varints(&[*epoch, stream.map_or(0, |stream| stream.0)]),
            Frame::Ping => 0,
            Frame::Close { .. } => {
                let mut head = Vec::with_capacity(280);
                self.encode_head(&mut head);
                return head.len();
            }
        }
    }

    /// Does it ask for a CARRIER_ACK?
    pub const fn elicits(&self) -> bool {
        !matches!(
            self,
            Frame::CarrierAck { .. } | Frame::StreamAck { .. } | Frame::Credit { .. } | Frame::Close { .. }
        )
    }

    /// Do its bytes count in CARRIER_ACK?
    pub const fn counts(&self) -> bool {
        !matches!(self, Frame::CarrierAck { .. })
    }
}

fn put_numbers(out: &mut Vec<u8>, kind: u8, numbers: &[u64]) {
    out.push(kind);
    numbers.iter().for_each(|number| put_varint(out, *number));
}

impl Frame {
    /// Takes the next whole frame off the front of `buffer`, without copying application bytes; `None` when
    /// more are needed. Also returns the frame's length on the wire.
    ///
    /// # Errors
    /// Not a frame; the carrier cannot be read any further.
    pub fn take(buffer: &mut BytesMut) -> Result<Option<(Frame, usize)>, DecodeError> {
        if buffer.first() == Some(&0x06) {
            return next_data(buffer);
        }
        let mut reader = Reader::new(buffer);
        match read_small(&mut reader) {
            Ok(frame) => {
                let length = buffer.len() - reader.remaining();
                buffer.advance(length);
                Ok(Some((frame, length)))
            }
            Err(DecodeError::Truncated(_)) if buffer.len() < MAX_SMALL => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn next_data(buffer: &mut BytesMut) -> Result<Option<(Frame, usize)>, DecodeError> {
    let mut reader = Reader::new(&buffer[1..]);
    let head = (|| {
        let stream = read_stream(&mut reader)?;
        Ok((stream, reader.varint("offset")?, reader.count(MAX_DATA, "data")?))
    })();
    let (stream, offset, length) = match head {
        Ok(head) => head,
        Err(DecodeError::Truncated(_)) => return Ok(None),
        Err(error) => return Err(error),
    };
    let head = buffer.len() - reader.remaining();
    if reader.remaining() < length {
        buffer.reserve(length - reader.remaining());
        return Ok(None);
    }
    buffer.advance(head);
    let bytes = buffer.split_to(length).freeze();
    Ok(Some((Frame::Data { stream, offset, bytes }, head + length)))
}

fn read_stream(reader: &mut Reader<'_>) -> Result<StreamId, DecodeError> {
    match reader.varint("stream")? {
        0 => Err(DecodeError::Unknown { what: "stream", got: 0 }),
        id => Ok(StreamId(id)),
    }
}

fn read_new(reader: &mut Reader<'_>) -> Result<bool, DecodeError> {
    known("new", reader.u8("new")?, |byte| (byte < 2).then_some(byte == 1))
}

fn read_small(reader: &mut Reader<'_>) -> Result<Frame, DecodeError> {
    Ok(match reader.u8("frame type")? {
        0x01 => Frame::Join {
            association: AssociationId(reader.array("association")?),
            source: Incarnation(reader.u64("source incarnation")?),
            destination: Incarnation(reader.u64("destination incarnation")?),
            new: read_new(reader)?,
            proof: reader.array("proof")?,
        },
        0x02 => Frame::Joined { destination: Incarnation(reader.u64("destination incarnation")?) },
        0x03 => Frame::Close {
            code: known("close code", reader.u8("close code")?, CarrierClose::from_byte)?,
            reason: reader.text(MAX_REASON, "reason")?.to_owned(),
        },
        0x04 => Frame::Open {
            stream: read_stream(reader)?,
            class: reader.class()?,
            protocol: reader.protocol()?,
            app: reader.app("app")?,
        },
        0x05 => Frame::Opened { stream: read_stream(reader)? },
        0x07 => Frame::Fin { stream: read_stream(reader)?, offset: reader.varint("offset")? },
        0x08 => Frame::Reset {
            stream: read_stream(reader)?,
            code: known("reset code", reader.u8("reset code")?, ResetCode::from_byte)?,
        },
        0x09 => {
            let (stream, offset) = (read_stream(reader)?, reader.varint("offset")?);
            let flags = known("flags", reader.u8("flags")?, |flags| (flags < 4).then_some(flags))?;
            Frame::StreamAck { stream, offset, fin: flags & 1 != 0, reset: flags & 2 != 0 }
        }
        0x0a => Frame::Credit { stream: read_stream(reader)?, offset: reader.varint("offset")? },
        0x0b => Frame::CarrierAck { bytes: reader.varint("bytes")?, delay_us: reader.varint("delay")? },
        0x0c => Frame::Switch {
            epoch: reader.varint("epoch")?,
            stream: Some(StreamId(reader.varint("stream")?)).filter(|stream| stream.0 != 0),
        },
        0x0d => Frame::Ping,
        got => return Err(DecodeError::Unknown { what: "frame type", got: got.into() }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples() -> Vec<Frame> {
        let stream = StreamId(70);
        vec![
            Frame::Join {
                association: AssociationId([1; 16]),
                source: Incarnation(2),
                destination: Incarnation(0),
                new: true,
                proof: [3; 32],
            },
            Frame::Joined { destination: Incarnation(4) },
            Frame::Close { code: CarrierClose::Draining, reason: "bye".into() },
            Frame::Open {
                stream,
                class: Class::Bulk,
                protocol: Protocol::Udp,
                app: AppName::new("db").unwrap(),
            },
            Frame::Opened { stream },
            Frame::Data { stream, offset: 1 << 33, bytes: Bytes::from(vec![7; 1000]) },
            Frame::Data { stream, offset: 0, bytes: Bytes::new() },
            Frame::Fin { stream, offset: 9 },
            Frame::Reset { stream, code: ResetCode::Application },
            Frame::StreamAck { stream, offset: 10, fin: true, reset: false },
            Frame::Credit { stream, offset: 1 << 20 },
            Frame::CarrierAck { bytes: 11, delay_us: 12 },
            Frame::Switch { epoch: 13, stream: None },
            Frame::Switch { epoch: 14, stream: Some(stream) },
            Frame::Ping,
        ]
    }

    fn encode(frame: &Frame) -> Vec<u8> {
        let mut out = Vec::new();
        frame.encode_head(&mut out);
        if let Frame::Data { bytes, .. } = frame {
            out.extend_from_slice(bytes);
        }
        out
    }

    #[test]
    fn frames_survive_any_fragmentation() {
        let wire: Vec<u8> = samples().iter().flat_map(encode).collect();
        for piece in [1, 2, 3, 7, 50, 1000, 5000] {
            let (mut buffer, mut frames) = (BytesMut::new(), Vec::new());
            for chunk in wire.chunks(piece) {
                buffer.extend_from_slice(chunk);
                while let Some((frame, length)) = Frame::take(&mut buffer).unwrap() {
                    assert_eq!(length, frame.encoded_len());
                    frames.push(frame);
                }
            }
            assert_eq!(frames, samples());
            assert!(buffer.is_empty());
        }
    }

    #[test]
    fn nonsense_is_an_error_and_not_a_wait() {
        for bad in [
            &[0xff][..],
            &[0x05, 0],
            &[0x04, 1, 0, 2, 1, b'a'],
            &[0x06, 1, 0, 0x80, 0xff, 0xff, 0xff],
            &[0x08, 1, 99],
        ] {
            assert!(Frame::take(&mut BytesMut::from(bad)).is_err(), "{bad:?}");
        }
    }
}
