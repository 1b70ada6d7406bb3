use aire_types::{AppName, Class, Incarnation, NodeName, Path};

use crate::codec::{class_to_byte, put_bytes, put_text};
use crate::control::known;
use crate::{CircuitId, DecodeError, Reader, RefusalCode, put_varint};

const MAX_CERTIFICATES: usize = 6144;
const MAX_SIGNATURE: usize = 128;
const MAX_REASON: usize = 256;

/// A source's wish for a circuit. Signed as a whole by the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The circuit's id, chosen by the source.
    pub circuit: CircuitId,
    /// The source's leaf certificate and the intermediate ones behind it, DER.
    pub certificates: Vec<u8>,
    /// Which run of the source.
    pub incarnation: Incarnation,
    /// The app that it wants to reach.
    pub app: AppName,
    /// The class of the streams to come.
    pub class: Class,
    /// The relays on the way.
    pub path: Path,
    /// The destination.
    pub destination: NodeName,
    /// Until when the request may be acted upon, seconds since 1970.
    pub expires_unix_s: u64,
    /// The source's X25519 key for this circuit.
    pub public_key: [u8; 32],
}

impl Request {
    /// What the signature covers: this, then the encoded request.
    pub const SIGNED_PREFIX: &'static [u8] = b"aire request 1";

    /// The request's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.certificates.len() + 256);
        out.extend_from_slice(&self.circuit.0);
        put_bytes(&mut out, &self.certificates);
        out.extend_from_slice(&self.incarnation.0.to_be_bytes());
        put_text(&mut out, self.app.as_str(), 63);
        out.push(class_to_byte(self.class));
        put_varint(&mut out, self.path.relays().len() as u64);
        for relay in self.path.relays() {
            put_text(&mut out, relay.as_str(), 63);
        }
        put_text(&mut out, self.destination.as_str(), 63);
        out.extend_from_slice(&self.expires_unix_s.to_be_bytes());
        out.extend_from_slice(&self.public_key);
        out
    }

    /// Reads a request; the signature is not checked.
    ///
    /// # Errors
    /// Not a request.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let request = Request {
            circuit: reader.circuit()?,
            certificates: reader.bytes(MAX_CERTIFICATES, "certificates")?.to_vec(),
            incarnation: Incarnation(reader.u64("incarnation")?),
            app: reader.app("app")?,
            class: reader.class()?,
            path: reader.path()?,
            destination: reader.node("destination")?,
            expires_unix_s: reader.u64("expires")?,
            public_key: reader.array("public key")?,
        };
        reader.end()?;
        Ok(request)
    }
}

/// What one hop gives to a circuit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The hop.
    pub node: NodeName,
    /// Its X25519 key for this circuit.
    pub public_key: [u8; 32],
    /// Seconds that it will accept new carriers.
    pub lease_s: u32,
    /// Bits a second that it carries for this circuit; 0 is no limit.
    pub rate: u64,
}

impl Offer {
    /// Appends the offer to a message.
    pub fn write(&self, out: &mut Vec<u8>) {
        put_text(out, self.node.as_str(), 63);
        out.extend_from_slice(&self.public_key);
        out.extend_from_slice(&self.lease_s.to_be_bytes());
        out.extend_from_slice(&self.rate.to_be_bytes());
    }

    /// Takes an offer off a message.
    ///
    /// # Errors
    /// Not an offer.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Offer {
            node: reader.node("offer's node")?,
            public_key: reader.array("offer's key")?,
            lease_s: reader.u32("lease")?,
            rate: reader.u64("rate")?,
        })
    }
}

/// A destination's consent to a circuit, with what every hop gives. Signed as a whole by the destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The circuit.
    pub circuit: CircuitId,
    /// SHA-256 of the encoded request.
    pub request_hash: [u8; 32],
    /// The destination's leaf certificate and the intermediate ones behind it, DER.
    pub certificates: Vec<u8>,
    /// Which run of the destination.
    pub incarnation: Incarnation,
    /// The hops' offers in order; the destination's is the last.
    pub offers: Vec<Offer>,
}

impl Grant {
    /// What the signature covers: this, then the encoded grant.
    pub const SIGNED_PREFIX: &'static [u8] = b"aire grant 1";

    /// The grant's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.certificates.len() + 512);
        out.extend_from_slice(&self.circuit.0);
        out.extend_from_slice(&self.request_hash);
        put_bytes(&mut out, &self.certificates);
        out.extend_from_slice(&self.incarnation.0.to_be_bytes());
        put_varint(&mut out, self.offers.len() as u64);
        self.offers.iter().for_each(|offer| offer.write(&mut out));
        out
    }

    /// Reads a grant; the signature is not checked.
    ///
    /// # Errors
    /// Not a grant.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let grant = Grant {
            circuit: reader.circuit()?,
            request_hash: reader.array("request hash")?,
            certificates: reader.bytes(MAX_CERTIFICATES, "certificates")?.to_vec(),
            incarnation: Incarnation(reader.u64("incarnation")?),
            offers: reader.offers()?,
        };
        reader.end()?;
        Ok(grant)
    }
}

/// That a circuit is not granted. Relays on its way can say so in any name, so what a destination denies after it has
/// verified the request it signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The circuit.
    pub circuit: CircuitId,
    /// Who refuses.
    pub by: NodeName,
    /// Why.
    pub code: RefusalCode,
    /// Why, for people.
    pub reason: String,
    /// The leaf certificate and the intermediate ones behind it, DER, of a destination that signs; else empty.
    pub certificates: Vec<u8>,
    /// Over [`Refusal::signed`]; else empty.
    pub signature: Vec<u8>,
}

impl Refusal {
    /// The bytes that the signature covers: an answer to the request with this SHA-256 and to no other.
    pub fn signed(code: RefusalCode, request_hash: &[u8; 32]) -> Vec<u8> {
        [&b"aire refusal 1"[..], request_hash, &[code.to_byte()]].concat()
    }

    /// Appends the refusal to a message.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.circuit.0);
        put_text(out, self.by.as_str(), 63);
        out.push(self.code.to_byte());
        put_text(out, &self.reason, MAX_REASON);
        put_bytes(out, &self.certificates);
        put_bytes(out, &self.signature);
    }

    /// Takes a refusal off a message; the signature is not checked.
    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Refusal {
            circuit: reader.circuit()?,
            by: reader.node("refusing node")?,
            code: known("refusal code", reader.u8("refusal code")?, RefusalCode::from_byte)?,
            reason: reader.text(MAX_REASON, "reason")?.to_owned(),
            certificates: reader.bytes(MAX_CERTIFICATES, "certificates")?.to_vec(),
            signature: reader.bytes(MAX_SIGNATURE, "signature")?.to_vec(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> Request {
        Request {
            circuit: CircuitId([1; 16]),
            certificates: vec![2; 600],
            incarnation: Incarnation(3),
            app: AppName::new("db").unwrap(),
            class: Class::Critical,
            path: Path::via(NodeName::new("r1").unwrap()),
            destination: NodeName::new("n2").unwrap(),
            expires_unix_s: 4,
            public_key: [5; 32],
        }
    }

    #[test]
    fn requests_and_grants_round_trip() {
        assert_eq!(Request::decode(&request().encode()), Ok(request()));
        let offer =
            |name| Offer { node: NodeName::new(name).unwrap(), public_key: [6; 32], lease_s: 60, rate: 0 };
        let grant = Grant {
            circuit: CircuitId([1; 16]),
            request_hash: [7; 32],
            certificates: vec![8; 500],
            incarnation: Incarnation(9),
            offers: vec![offer("r1"), offer("n2")],
        };
        assert_eq!(Grant::decode(&grant.encode()), Ok(grant));
    }

    #[test]
    fn every_prefix_of_a_request_is_refused() {
        let bytes = request().encode();
        assert!((0..bytes.len()).all(|end| Request::decode(&bytes[..end]).is_err()));
    }
}
