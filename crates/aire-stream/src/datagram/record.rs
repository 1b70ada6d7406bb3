use aire_wire::{MAX_PAYLOAD, Reader, put_varint, varint_len};
use bytes::{Buf, Bytes, BytesMut};

/// The peer sent something that is no record: the flow is to be reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the peer sent a datagram of {0} bytes, which none can have")]
pub struct RecordError(pub u64);

/// A datagram that goes through the flow's stream: its length, then its bytes.
pub fn encode_record(payload: &[u8]) -> Bytes {
    let mut record = Vec::with_capacity(varint_len(payload.len() as u64) + payload.len());
    put_varint(&mut record, payload.len() as u64);
    record.extend_from_slice(payload);
    record.into()
}

/// Puts the datagrams together that come through a stream in pieces. Holds one of them at most.
#[derive(Debug, Default)]
pub struct RecordReader {
    buffer: BytesMut,
}

impl RecordReader {
    /// More bytes of the stream. Take all datagrams out before the next.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole datagram.
    ///
    /// # Errors
    /// A length that no datagram has; the stream cannot be read any further.
    pub fn next_datagram(&mut self) -> Result<Option<Bytes>, RecordError> {
        let mut reader = Reader::new(&self.buffer);
        let Ok(length) = reader.varint("length") else { return Ok(None) };
        if length > MAX_PAYLOAD as u64 {
            return Err(RecordError(length));
        }
        let (head, length) = (self.buffer.len() - reader.remaining(), length as usize);
        if reader.remaining() < length {
            return Ok(None);
        }
        self.buffer.advance(head);
        Ok(Some(self.buffer.split_to(length).freeze()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_survive_any_fragmentation() {
        let payloads: Vec<Vec<u8>> =
            [0, 1, 63, 64, 1500, 20_000, MAX_PAYLOAD].map(|length| vec![length as u8; length]).into();
        let stream: Vec<u8> = payloads.iter().flat_map(|payload| encode_record(payload).to_vec()).collect();
        for piece in [1, 7, 1000, 40_000, 200_000] {
            let (mut reader, mut read) = (RecordReader::default(), Vec::new());
            for chunk in stream.chunks(piece) {
                reader.push(chunk);
                while let Some(payload) = reader.next_datagram().unwrap() {
                    read.push(payload.to_vec());
                }
            }
            assert!(read == payloads, "in pieces of {piece}");
        }
    }

    #[test]
    fn a_length_that_no_datagram_has_is_an_error() {
        let mut reader = RecordReader::default();
        reader.push(&[0x80, 1, 0, 0]);
        assert_eq!(reader.next_datagram(), Err(RecordError(65_536)));
    }
}
