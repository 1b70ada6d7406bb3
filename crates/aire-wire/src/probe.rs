use crate::{CircuitId, DecodeError, Reader};

/// Length of a probe in bytes.
pub const PROBE_LEN: usize = 49;
const SIGNED_LEN: usize = 33;

/// Which way a probe travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeKind {
    /// From the source to the destination.
    Probe,
    /// Back.
    Echo,
}

/// A datagram that measures a circuit end to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Which way it travels.
    pub kind: ProbeKind,
    /// The circuit that it travels along.
    pub circuit: CircuitId,
    /// Counts the probes of the circuit.
    pub sequence: u32,
    /// The source's clock at sending, microseconds; returned unchanged.
    pub sent_us: u64,
    /// How long the destination kept it, microseconds.
    pub held_us: u32,
    /// Authenticates all of the above between the two ends.
    pub mac: [u8; 16],
}

impl Probe {
    /// The bytes that the MAC covers.
    pub fn signed(&self) -> [u8; SIGNED_LEN] {
        let mut out = [0; SIGNED_LEN];
        out[0] = match self.kind {
            ProbeKind::Probe => 1,
            ProbeKind::Echo => 2,
        };
        out[1..17].copy_from_slice(&self.circuit.0);
        out[17..21].copy_from_slice(&self.sequence.to_be_bytes());
        out[21..29].copy_from_slice(&self.sent_us.to_be_bytes());
        out[29..].copy_from_slice(&self.held_us.to_be_bytes());
        out
    }

    /// The bytes on the wire.
    pub fn encode(&self) -> [u8; PROBE_LEN] {
        let mut out = [0; PROBE_LEN];
        out[..SIGNED_LEN].copy_from_slice(&self.signed());
        out[SIGNED_LEN..].copy_from_slice(&self.mac);
        out
    }

    /// Reads a probe; the MAC is not checked.
    ///
    /// # Errors
    /// Not a probe of this version.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let kind = match reader.u8("type")? {
            1 => ProbeKind::Probe,
            2 => ProbeKind::Echo,
            got => return Err(DecodeError::Unknown { what: "type", got: got.into() }),
        };
        let probe = Probe {
            kind,
            circuit: reader.circuit()?,
            sequence: reader.u32("sequence")?,
            sent_us: reader.u64("sent")?,
            held_us: reader.u32("held")?,
            mac: reader.array("mac")?,
        };
        reader.end()?;
        Ok(probe)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip_and_refusals() {
        let probe = Probe {
            kind: ProbeKind::Echo,
            circuit: CircuitId([3; 16]),
            sequence: 5,
            sent_us: 1 << 40,
            held_us: 17,
            mac: [1; 16],
        };
        let bytes = probe.encode();
        assert_eq!(Probe::decode(&bytes), Ok(probe));
        assert!(Probe::decode(&bytes[..48]).is_err());
        assert_eq!(Probe::decode(&[&bytes[..], &[0]].concat()), Err(DecodeError::Trailing(1)));
    }
}
