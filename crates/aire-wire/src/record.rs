use std::collections::BTreeMap;
use std::net::SocketAddr;

use aire_types::{AppProfile, Incarnation, NodeName, NodeProfile};
use serde::{Deserialize, Serialize};

use crate::codec::put_bytes;
use crate::{DecodeError, Reader, put_varint};

const MAX_CERTIFICATES: usize = 6144;
const MAX_BODY: usize = 4096;
const MAX_SIGNATURE: usize = 128;
/// Legs in one record, at most.
pub const MAX_LEGS: usize = 64;
/// Bytes of the body that legs may take, at most: a record stays small with long names, too.
pub const MAX_LEGS_BYTES: usize = 1536;
/// No leg is told to be longer.
const MAX_LEG_MS: f64 = 99_999.0;

/// What one node says about itself, signed with its SVID's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The owner's leaf certificate and the intermediate ones behind it, DER.
    pub certificates: Vec<u8>,
    /// Which run of the owner.
    pub incarnation: Incarnation,
    /// Which record of that run.
    pub sequence: u64,
    /// Seconds that it holds without being renewed.
    pub ttl_s: u64,
    /// A [`RecordBody`] as JSON.
    pub body: Vec<u8>,
    /// ECDSA P-256 over [`Record::signed`].
    pub signature: Vec<u8>,
}

impl Record {
    /// The bytes that the signature covers.
    pub fn signed(&self) -> Vec<u8> {
        let mut out = b"aire record 1".to_vec();
        self.write_fields(&mut out);
        out
    }

    fn write_fields(&self, out: &mut Vec<u8>) {
        put_bytes(out, &self.certificates);
        out.extend_from_slice(&self.incarnation.0.to_be_bytes());
        put_varint(out, self.sequence);
        put_varint(out, self.ttl_s);
        put_bytes(out, &self.body);
    }

    /// Appends the record to a message.
    pub fn write(&self, out: &mut Vec<u8>) {
        self.write_fields(out);
        put_bytes(out, &self.signature);
    }

    /// Takes a record off a message; the signature is not checked.
    ///
    /// # Errors
    /// Not a record.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Record {
            certificates: reader.bytes(MAX_CERTIFICATES, "certificates")?.to_vec(),
            incarnation: Incarnation(reader.u64("incarnation")?),
            sequence: reader.varint("sequence")?,
            ttl_s: reader.varint("ttl")?,
            body: reader.bytes(MAX_BODY, "body")?.to_vec(),
            signature: reader.bytes(MAX_SIGNATURE, "signature")?.to_vec(),
        })
    }

    /// The body as a value.
    ///
    /// # Errors
    /// Not JSON of the documented form.
    pub fn parse_body(&self) -> Result<RecordBody, DecodeError> {
        serde_json::from_slice(&self.body)
            .map_err(|error| DecodeError::Malformed { what: "record body", why: error.to_string() })
    }
}

/// What a record says. Unknown fields are left alone, so that later versions can add some.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RecordBody {
    /// Where the agent can be dialled, UDP and TCP.
    pub addresses: Vec<SocketAddr>,
    /// The node's profile.
    pub node: NodeProfile,
    /// The profile of the app that it serves, if it serves one.
    pub app: Option<AppProfile>,
    /// It holds the authority: certificates are renewed there.
    pub authority: bool,
    /// It is shutting down: open nothing new to it or through it.
    pub draining: bool,
    /// Round trips that it expects of its own direct legs, milliseconds by node: a claim, as all of this. See
    /// [`RecordBody::set_legs`].
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub legs: BTreeMap<NodeName, f32>,
}

impl RecordBody {
    /// Says these legs and no others: as many of them, in their order, as fit into [`MAX_LEGS`], [`MAX_LEGS_BYTES`] and the body. Rounded to a
    /// tenth of a millisecond, from 10 ms on to a whole one.
    pub fn set_legs(&mut self, legs: &[(NodeName, f64)]) {
        self.legs.clear();
        let rest = serde_json::to_vec(self).map_or(MAX_BODY, |body| body.len());
        let room = MAX_LEGS_BYTES.min(MAX_BODY.saturating_sub(rest + "\"legs\":{},".len()));
        let mut bytes = 0;
        for (node, ms) in legs.iter().filter(|(_, ms)| ms.is_finite() && *ms > 0.0) {
            let ms = ms.min(MAX_LEG_MS);
            let rounded = if ms < 10.0 { ((ms * 10.0).round() / 10.0).max(0.1) } else { ms.round() };
            // quotes, colon, comma, and at most so many digits
            bytes += node.as_str().len() + 4 + 7;
            if bytes > room || self.legs.len() >= MAX_LEGS {
                break;
            }
            self.legs.insert(node.clone(), rounded as f32);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn legs_are_bounded_in_number_and_bytes_and_read_back() {
        let named = |length: usize, i: usize| format!("{i:03}{}", "x".repeat(length)).parse().unwrap();
        for length in [1, 20, 60] {
            let legs: Vec<(NodeName, f64)> =
                (0..200).map(|i| (named(length, i), 0.01 + 777.77 * i as f64)).collect();
            let mut body = RecordBody::default();
            let plain = serde_json::to_vec(&body).unwrap().len();
            body.set_legs(&legs);
            let bytes = serde_json::to_vec(&body).unwrap();
            assert!(body.legs.len() <= MAX_LEGS && body.legs.len() >= 20, "{}", body.legs.len());
            assert!(bytes.len() <= plain + MAX_LEGS_BYTES + 16, "{}", bytes.len());
            assert_eq!(body.legs[&legs[0].0], 0.1);
            assert_eq!(body.legs[&legs[1].0], 778.0);
            assert_eq!(serde_json::from_slice::<RecordBody>(&bytes).unwrap(), body);
            let destinations = (0..110).map(|i| (format!("app-{i:016}").parse().unwrap(), 1.5)).collect();
            let app = AppProfile { destinations, ..AppProfile::default() };
            let mut long = RecordBody { app: Some(app), ..RecordBody::default() };
            long.set_legs(&legs);
            assert!(serde_json::to_vec(&long).unwrap().len() <= MAX_BODY);
            body.set_legs(&[(legs[0].0.clone(), f64::NAN)]);
            assert_eq!(serde_json::to_vec(&body).unwrap().len(), plain);
        }
    }
}
