use std::net::SocketAddr;

use aire_types::{AppProfile, Incarnation, NodeProfile};
use serde::{Deserialize, Serialize};

use crate::codec::put_bytes;
use crate::{DecodeError, Reader, put_varint};

const MAX_CERTIFICATES: usize = 6144;
const MAX_BODY: usize = 4096;
const MAX_SIGNATURE: usize = 128;

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
}
