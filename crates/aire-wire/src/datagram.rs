use crate::{CircuitId, DecodeError, Reader};

/// Bytes before the ciphertext.
pub const DATAGRAM_HEAD: usize = 29;
/// The most that an application's datagram holds: an IPv4 packet's length less its headers.
pub const MAX_PAYLOAD: usize = 65_507;
/// Every link carries datagrams of this length: a QUIC packet of 1200 bytes has room for it (RFC 9000 §14).
pub const RELAYED_DATAGRAM: usize = 1150;

/// Which end of its circuit a datagram goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Towards {
    /// From the source to the destination.
    Destination,
    /// Back.
    Source,
}

/// What everybody on the way sees of an application's datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DatagramHead {
    /// Which way it travels.
    pub towards: Towards,
    /// The circuit that it travels along.
    pub circuit: CircuitId,
    /// Names the key that sealed it, among those that the two ends share.
    pub key: u32,
    /// Counts what this key sealed in this direction; never used twice.
    pub counter: u64,
}

impl DatagramHead {
    /// The bytes on the wire; the seal covers them.
    pub fn encode(&self) -> [u8; DATAGRAM_HEAD] {
        let mut out = [0; DATAGRAM_HEAD];
        out[0] = match self.towards {
            Towards::Destination => 3,
            Towards::Source => 4,
        };
        out[1..17].copy_from_slice(&self.circuit.0);
        out[17..21].copy_from_slice(&self.key.to_be_bytes());
        out[21..].copy_from_slice(&self.counter.to_be_bytes());
        out
    }

    /// Is it an application's datagram, by its first byte?
    pub fn begins(datagram: &[u8]) -> bool {
        matches!(datagram.first(), Some(3 | 4))
    }

    /// Reads the head of a datagram; what follows is the ciphertext.
    ///
    /// # Errors
    /// Not an application's datagram of this version.
    pub fn decode(datagram: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(datagram);
        let towards = match reader.u8("type")? {
            3 => Towards::Destination,
            4 => Towards::Source,
            got => return Err(DecodeError::Unknown { what: "type", got: got.into() }),
        };
        Ok(DatagramHead {
            towards,
            circuit: reader.circuit()?,
            key: reader.u32("key")?,
            counter: reader.u64("counter")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_round_trip_and_other_types_are_refused() {
        let circuit = CircuitId([7; 16]);
        for towards in [Towards::Destination, Towards::Source] {
            let head = DatagramHead { towards, circuit, key: 0x0102_0304, counter: 1 << 40 };
            let bytes = [&head.encode()[..], b"ciphertext"].concat();
            assert!(DatagramHead::begins(&bytes));
            assert_eq!(DatagramHead::decode(&bytes), Ok(head));
            assert!(DatagramHead::decode(&bytes[..DATAGRAM_HEAD - 1]).is_err());
        }
        for other in [1, 2, 5] {
            assert!(!DatagramHead::begins(&[other; 40]) && DatagramHead::decode(&[other; 40]).is_err());
        }
        assert!(!DatagramHead::begins(&[]));
    }
}
