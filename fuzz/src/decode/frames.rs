//! Frames from a byte stream that is cut at arbitrary points.

use aire_types::{AppName, Class, Incarnation, Protocol};
use aire_wire::{AssociationId, CarrierClose, DecodeError, Frame, MAX_DATA, ResetCode, StreamId};
use bytes::{Bytes, BytesMut};

use super::split;

/// The frames in `stream`, which comes in pieces of `piece` bytes, and how it ended.
fn take_all(stream: &[u8], piece: usize) -> (Vec<(Frame, usize)>, Option<DecodeError>) {
    let (mut buffer, mut frames) = (BytesMut::new(), Vec::new());
    for chunk in stream.chunks(piece.max(1)) {
        buffer.extend_from_slice(chunk);
        loop {
            match Frame::take(&mut buffer) {
                Ok(Some(taken)) => frames.push(taken),
                Ok(None) => break,
                Err(error) => return (frames, Some(error)),
            }
        }
        assert!(buffer.len() <= MAX_DATA + 64, "{} bytes wait for the end of a frame", buffer.len());
    }
    (frames, None)
}

pub(super) fn encode(frame: &Frame) -> Vec<u8> {
    let mut out = Vec::new();
    frame.encode_head(&mut out);
    if let Frame::Data { bytes, .. } = frame {
        out.extend_from_slice(bytes);
    }
    out
}

pub(crate) fn run(input: &[u8]) {
    let (piece, stream) = split(input);
    let whole = take_all(stream, usize::MAX);
    let cut = take_all(stream, 1 + piece);
    assert_eq!(whole.0, cut.0, "the frames depend on how the stream is cut");
    assert_eq!(whole.1.is_some(), cut.1.is_some(), "the end depends on how the stream is cut");
    for (frame, length) in &whole.0 {
        let bytes = encode(frame);
        assert_eq!(bytes.len(), frame.encoded_len());
        assert!(bytes.len() <= *length, "a frame got longer");
        let again = Frame::take(&mut BytesMut::from(&bytes[..]));
        assert_eq!(again, Ok(Some((frame.clone(), bytes.len()))));
    }
}

pub(super) fn samples() -> Vec<Frame> {
    let stream = StreamId(70);
    let app = AppName::new("db").expect("invariant: a name");
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
        Frame::Open { stream, class: Class::Bulk, protocol: Protocol::Udp, app },
        Frame::Opened { stream },
        Frame::Data { stream, offset: 1 << 33, bytes: Bytes::from_static(&[7; 40]) },
        Frame::Fin { stream, offset: 9 },
        Frame::Reset { stream, code: ResetCode::Application },
        Frame::StreamAck { stream, offset: 10, fin: true, reset: false },
        Frame::Credit { stream, offset: 1 << 20 },
        Frame::CarrierAck { bytes: 11, delay_us: 12 },
        Frame::Switch { epoch: 13, stream: None },
        Frame::Ping,
    ]
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let all: Vec<u8> = samples().iter().flat_map(encode).collect();
    let each = samples().iter().map(|frame| [vec![2], encode(frame)].concat()).collect::<Vec<_>>();
    each.into_iter().chain([[vec![9], all].concat()]).collect()
}
