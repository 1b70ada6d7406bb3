//! The receiving ends without sockets, for fuzz targets.

use bytes::BytesMut;

pub use crate::carrier::offline::Pair;

/// The kinds and bodies of the frames in what arrives on a link over TCP, in pieces of `piece` bytes.
///
/// # Errors
/// The link would be closed, with this reason.
pub fn link_frames(stream: &[u8], piece: usize) -> Result<Vec<(u8, Vec<u8>)>, String> {
    let (mut buffer, mut frames) = (BytesMut::new(), Vec::new());
    for chunk in stream.chunks(piece.max(1)) {
        buffer.extend_from_slice(chunk);
        while let Some((kind, body)) = crate::link::tcp::take(&mut buffer)? {
            frames.push((kind, body.to_vec()));
        }
    }
    Ok(frames)
}
