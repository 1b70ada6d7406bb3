//! What arrives on a carrier before it is frames, and what arrives on a link over TCP before it is messages.

use aire_net::fuzzing::{Pair, link_frames};
use aire_wire::MAX_MESSAGE;
use arbitrary::Unstructured;

use super::frames::{encode, samples};
use super::split;

/// Authentic records with any content, and between them bytes that anybody on the way may have put there.
pub(crate) fn records(input: &[u8]) {
    let mut choices = Unstructured::new(input);
    let mut pair = Pair::new();
    let mut wire = Vec::new();
    let mut honest = true;
    while !choices.is_empty() {
        let kind: u8 = choices.arbitrary().unwrap_or_default();
        let length = usize::from(choices.arbitrary::<u16>().unwrap_or_default()) % 20_000;
        let body = choices.bytes(length.min(choices.len())).unwrap_or_default();
        match kind {
            0..=9 => {
                honest = false;
                wire.extend_from_slice(body);
            }
            10..=29 => wire.extend(pair.seal(kind, body)),
            30..=39 => wire.extend(pair.seal(21, body)),
            40..=59 => wire.extend(pair.seal(22, body)),
            _ => wire.extend(pair.seal(23, body)),
        }
    }
    let mut received = 0;
    let piece = 1 + wire.len() % 4000;
    for chunk in wire.chunks(piece) {
        match pair.receive(chunk) {
            Ok(frames) => received += frames.iter().map(|(_, length)| length).sum::<usize>(),
            Err(_) => return,
        }
        let held = pair.held();
        assert!(held <= 1 << 20, "a carrier holds {held} bytes of what its peer sent");
    }
    assert!(received <= wire.len() || !honest, "more came out than went in");
}

pub(crate) fn link(input: &[u8]) {
    let (piece, stream) = split(input);
    let whole = link_frames(stream, usize::MAX);
    assert_eq!(whole, link_frames(stream, 1 + piece), "the messages depend on how the stream is cut");
    for (kind, body) in whole.unwrap_or_default() {
        assert!((1..=2).contains(&kind) && body.len() <= MAX_MESSAGE);
    }
}

pub(crate) fn record_seeds() -> Vec<Vec<u8>> {
    let frames: Vec<u8> = samples().iter().flat_map(encode).collect();
    let record = |kind: u8, body: &[u8]| [&[kind][..], &(body.len() as u16).to_le_bytes(), body].concat();
    let update = record(40, &[24, 0, 0, 1, 1]);
    vec![
        record(60, &frames),
        [record(60, &frames), update, record(60, &frames), record(30, &[1, 0])].concat(),
        record(0, &[23, 3, 3, 0, 20]),
    ]
}

pub(crate) fn link_seeds() -> Vec<Vec<u8>> {
    vec![vec![0, 1, 0, 0, 0, 2, 7, 8, 2, 0, 0, 0, 0], vec![200, 2, 0, 0, 0, 1, 9]]
}
