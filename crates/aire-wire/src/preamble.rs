use aire_types::Class;

use crate::codec::{class_from_byte, class_to_byte};
use crate::{CircuitId, DecodeError, Reader};

/// Length of a preamble in bytes.
pub const PREAMBLE_LEN: usize = 48;
const MAGIC: [u8; 4] = *b"AIRE";
const VERSION: u8 = 1;
const SIGNED_LEN: usize = 32;

/// What follows a preamble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PreambleKind {
    /// A carrier, or the rest of its way.
    Carrier,
    /// A link over TCP.
    Link,
    /// An enrolment over TCP.
    Enrolment,
    /// A connection that the other side asked for: it goes on as if it had been dialled from there.
    DialBack,
}

/// The first bytes of every TCP connection between agents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preamble {
    /// What follows.
    pub kind: PreambleKind,
    /// The class of the streams to come; only a hint to relays.
    pub class: Class,
    /// The circuit; random for links and enrolments, the ticket of a dial-back.
    pub circuit: CircuitId,
    /// Rises with every connection of the circuit.
    pub counter: u64,
    /// Authenticates all of the above.
    pub mac: [u8; 16],
}

impl Preamble {
    /// The bytes that the MAC covers.
    pub fn signed(&self) -> [u8; SIGNED_LEN] {
        let mut out = [0; SIGNED_LEN];
        out[..4].copy_from_slice(&MAGIC);
        out[4] = VERSION;
        out[5] = match self.kind {
            PreambleKind::Carrier => 1,
            PreambleKind::Link => 2,
            PreambleKind::Enrolment => 3,
            PreambleKind::DialBack => 4,
        };
        out[6] = class_to_byte(self.class);
        out[8..24].copy_from_slice(&self.circuit.0);
        out[24..].copy_from_slice(&self.counter.to_be_bytes());
        out
    }

    /// The bytes on the wire.
    pub fn encode(&self) -> [u8; PREAMBLE_LEN] {
        let mut out = [0; PREAMBLE_LEN];
        out[..SIGNED_LEN].copy_from_slice(&self.signed());
        out[SIGNED_LEN..].copy_from_slice(&self.mac);
        out
    }

    /// Reads a preamble; the MAC is not checked.
    ///
    /// # Errors
    /// Not a preamble of this version.
    pub fn decode(bytes: &[u8; PREAMBLE_LEN]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let magic: [u8; 4] = reader.array("magic")?;
        if magic != MAGIC {
            return Err(DecodeError::Unknown { what: "magic", got: u32::from_be_bytes(magic).into() });
        }
        let version = reader.u8("version")?;
        if version != VERSION {
            return Err(DecodeError::Unknown { what: "version", got: version.into() });
        }
        let kind = match reader.u8("kind")? {
            1 => PreambleKind::Carrier,
            2 => PreambleKind::Link,
            3 => PreambleKind::Enrolment,
            4 => PreambleKind::DialBack,
            got => return Err(DecodeError::Unknown { what: "kind", got: got.into() }),
        };
        let class = reader.u8("class")?;
        let class =
            class_from_byte(class).ok_or(DecodeError::Unknown { what: "class", got: class.into() })?;
        let zero = reader.u8("reserved")?;
        if zero != 0 {
            return Err(DecodeError::Unknown { what: "reserved", got: zero.into() });
        }
        Ok(Preamble {
            kind,
            class,
            circuit: reader.circuit()?,
            counter: reader.u64("counter")?,
            mac: reader.array("mac")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip_and_refusals() {
        let preamble = Preamble {
            kind: PreambleKind::Carrier,
            class: Class::Bulk,
            circuit: CircuitId([7; 16]),
            counter: 42,
            mac: [9; 16],
        };
        let bytes = preamble.encode();
        assert_eq!(Preamble::decode(&bytes), Ok(preamble));
        for at in [0, 4, 5, 6, 7] {
            let mut bad = bytes;
            bad[at] = 0xff;
            assert!(Preamble::decode(&bad).is_err(), "byte {at}");
        }
    }
}
