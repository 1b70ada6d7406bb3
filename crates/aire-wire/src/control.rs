use std::net::{AddrParseError, SocketAddr};

use aire_types::{Incarnation, NodeName};

use crate::codec::{put_bytes, put_text};
use crate::{
    CircuitClose, CircuitId, DecodeError, Notice, NoticeVersions, Offer, Reader, Record, Refusal, put_varint,
};

/// The longest message, bytes.
pub const MAX_MESSAGE: usize = 64 * 1024;
const MAX_RECORDS: usize = 64;
const MAX_BUCKETS: usize = 256;
const MAX_ENTRIES: usize = 2048;
const MAX_SIGNED: usize = 8192;
const MAX_SIGNATURE: usize = 128;
const MAX_REASON: usize = 256;
const MAX_RENEWAL: usize = 16 * 1024;
/// Addresses of one node in an introduction.
const MAX_INTRODUCED: usize = 4;
const MAX_ADDRESS: usize = 64;

/// What one agent knows of one node's record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DigestEntry {
    /// Whose record.
    pub node: NodeName,
    /// Which run of the node.
    pub incarnation: Incarnation,
    /// Which record of that run.
    pub sequence: u64,
}

/// A message on a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// First message of a link, both ways.
    Hello {
        /// Highest version of this format that the sender speaks.
        version: u64,
        /// Which run of the sender.
        incarnation: Incarnation,
        /// The port that the sender listens on.
        port: u16,
        /// The receiver's address as the sender sees it.
        observed: String,
        /// The sender's clock, milliseconds since 1970.
        clock: u64,
    },
    /// Records, new to the receiver as far as the sender knows.
    Gossip(Vec<Record>),
    /// Hashes of the sender's records, by bucket of the node's name.
    Summary(Vec<u64>),
    /// What the sender holds in some buckets.
    Digest {
        /// Which buckets.
        buckets: Vec<u8>,
        /// All of the sender's entries in them.
        entries: Vec<DigestEntry>,
    },
    /// Nodes whose records the sender would like to have.
    Want(Vec<NodeName>),
    /// A wish for a circuit, on its way to the destination.
    CircuitRequest {
        /// An encoded [`crate::Request`].
        request: Vec<u8>,
        /// The source's signature.
        signature: Vec<u8>,
        /// What the hops so far give.
        offers: Vec<Offer>,
    },
    /// A destination's consent, on its way to the source.
    CircuitGrant {
        /// An encoded [`crate::Grant`].
        grant: Vec<u8>,
        /// The destination's signature.
        signature: Vec<u8>,
    },
    /// A refusal, on its way to the source.
    CircuitRefusal(Refusal),
    /// The end of a circuit, both ways.
    CircuitClose {
        /// The circuit.
        circuit: CircuitId,
        /// Why.
        code: CircuitClose,
        /// Why, for people.
        reason: String,
    },
    /// To the authority: the sender wants a new certificate (an encoded renewal of `aire-identity`).
    Renewal(Vec<u8>),
    /// The authority's answer.
    Renewed(Vec<u8>),
    /// To the next hop of a carrier: open its TCP connection from your side.
    DialBack {
        /// Names the connection.
        ticket: [u8; 16],
        /// The key of its preamble.
        key: [u8; 32],
    },
    /// To a node that is linked with both: the sender would like a link with this one.
    Introduce(NodeName),
    /// Dial this node now: it was told the same of you.
    Introduced {
        /// Whom.
        node: NodeName,
        /// Its UDP addresses as the sender sees them.
        addresses: Vec<SocketAddr>,
    },
    /// Which notices the sender holds.
    Held(NoticeVersions),
    /// What the authority says to the whole mesh.
    Notice(Notice),
}

impl Message {
    /// The message's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(256);
        match self {
            Message::Hello { version, incarnation, port, observed, clock } => {
                out.push(1);
                put_varint(&mut out, *version);
                out.extend_from_slice(&incarnation.0.to_be_bytes());
                out.extend_from_slice(&port.to_be_bytes());
                put_text(&mut out, observed, 64);
                out.extend_from_slice(&clock.to_be_bytes());
            }
            Message::Gossip(records) => {
                out.push(2);
                put_varint(&mut out, records.len() as u64);
                records.iter().for_each(|record| record.write(&mut out));
            }
            Message::Summary(hashes) => {
                out.push(3);
                put_varint(&mut out, hashes.len() as u64);
                hashes.iter().for_each(|hash| out.extend_from_slice(&hash.to_be_bytes()));
            }
            Message::Digest { buckets, entries } => encode_digest(&mut out, buckets, entries),
            Message::Want(nodes) => {
                out.push(5);
                put_varint(&mut out, nodes.len() as u64);
                nodes.iter().for_each(|node| put_text(&mut out, node.as_str(), 63));
            }
            Message::CircuitRequest { request, signature, offers } => {
                encode_request(&mut out, request, signature, offers);
            }
            Message::CircuitGrant { grant, signature } => {
                out.push(7);
                put_bytes(&mut out, grant);
                put_bytes(&mut out, signature);
            }
            Message::CircuitRefusal(refusal) => {
                out.push(8);
                refusal.write(&mut out);
            }
            Message::CircuitClose { circuit, code, reason } => {
                out.push(9);
                out.extend_from_slice(&circuit.0);
                out.push(code.to_byte());
                put_text(&mut out, reason, MAX_REASON);
            }
            Message::Renewal(bytes) => {
                out.push(10);
                put_bytes(&mut out, bytes);
            }
            Message::Renewed(bytes) => {
                out.push(11);
                put_bytes(&mut out, bytes);
            }
            Message::DialBack { ticket, key } => {
                out.push(12);
                out.extend_from_slice(ticket);
                out.extend_from_slice(key);
            }
            Message::Introduce(node) => {
                out.push(13);
                put_text(&mut out, node.as_str(), 63);
            }
            Message::Introduced { node, addresses } => encode_introduced(&mut out, node, addresses),
            Message::Held(versions) => encode_held(&mut out, *versions),
            Message::Notice(notice) => {
                out.push(15);
                notice.write(&mut out);
            }
        }
        out
    }

    /// Reads a message.
    ///
    /// # Errors
    /// Not a message of this version.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let message = match reader.u8("message type")? {
            1 => Message::Hello {
                version: reader.varint("version")?,
                incarnation: Incarnation(reader.u64("incarnation")?),
                port: reader.u16("port")?,
                observed: reader.text(64, "observed address")?.to_owned(),
                clock: reader.u64("clock")?,
            },
            2 => Message::Gossip(read_list(&mut reader, MAX_RECORDS, "records", Record::read)?),
            3 => Message::Summary(read_list(&mut reader, MAX_BUCKETS, "summary", |r| r.u64("hash"))?),
            4 => Message::Digest {
                buckets: read_list(&mut reader, MAX_BUCKETS, "buckets", |r| r.u8("bucket"))?,
                entries: read_list(&mut reader, MAX_ENTRIES, "entries", read_entry)?,
            },
            5 => Message::Want(read_list(&mut reader, MAX_ENTRIES, "wanted nodes", |r| r.node("node"))?),
            6 => Message::CircuitRequest {
                request: reader.bytes(MAX_SIGNED, "request")?.to_vec(),
                signature: reader.bytes(MAX_SIGNATURE, "signature")?.to_vec(),
                offers: reader.offers()?,
            },
            7 => Message::CircuitGrant {
                grant: reader.bytes(MAX_SIGNED, "grant")?.to_vec(),
                signature: reader.bytes(MAX_SIGNATURE, "signature")?.to_vec(),
            },
            8 => Message::CircuitRefusal(Refusal::read(&mut reader)?),
            9 => Message::CircuitClose {
                circuit: reader.circuit()?,
                code: known("close code", reader.u8("close code")?, CircuitClose::from_byte)?,
                reason: reader.text(MAX_REASON, "reason")?.to_owned(),
            },
            10 => Message::Renewal(reader.bytes(MAX_RENEWAL, "renewal")?.to_vec()),
            11 => Message::Renewed(reader.bytes(MAX_RENEWAL, "renewed")?.to_vec()),
            12 => Message::DialBack { ticket: reader.array("ticket")?, key: reader.array("ticket key")? },
            13 => Message::Introduce(reader.node("node to meet")?),
            14 => Message::Introduced {
                node: reader.node("introduced node")?,
                addresses: read_list(&mut reader, MAX_INTRODUCED, "addresses", read_address)?,
            },
            15 => read_notice(&mut reader)?,
            got => return Err(DecodeError::Unknown { what: "message type", got: got.into() }),
        };
        reader.end()?;
        Ok(message)
    }
}

fn read_notice(reader: &mut Reader<'_>) -> Result<Message, DecodeError> {
    match reader.u8("notice kind")? {
        0 => Ok(Message::Held(NoticeVersions {
            policy: reader.varint("policy version")?,
            revocations: reader.varint("revocations version")?,
        })),
        kind => Ok(Message::Notice(Notice::read(reader, kind)?)),
    }
}

fn encode_digest(out: &mut Vec<u8>, buckets: &[u8], entries: &[DigestEntry]) {
    out.push(4);
    put_varint(out, buckets.len() as u64);
    out.extend_from_slice(buckets);
    put_varint(out, entries.len() as u64);
    for entry in entries {
        put_text(out, entry.node.as_str(), 63);
        out.extend_from_slice(&entry.incarnation.0.to_be_bytes());
        put_varint(out, entry.sequence);
    }
}

fn encode_request(out: &mut Vec<u8>, request: &[u8], signature: &[u8], offers: &[Offer]) {
    out.push(6);
    put_bytes(out, request);
    put_bytes(out, signature);
    put_varint(out, offers.len() as u64);
    offers.iter().for_each(|offer| offer.write(out));
}

fn encode_introduced(out: &mut Vec<u8>, node: &NodeName, addresses: &[SocketAddr]) {
    out.push(14);
    put_text(out, node.as_str(), 63);
    put_varint(out, addresses.len() as u64);
    addresses.iter().for_each(|address| put_text(out, &address.to_string(), MAX_ADDRESS));
}

fn encode_held(out: &mut Vec<u8>, versions: NoticeVersions) {
    out.extend_from_slice(&[15, 0]);
    put_varint(out, versions.policy);
    put_varint(out, versions.revocations);
}

fn read_entry(reader: &mut Reader<'_>) -> Result<DigestEntry, DecodeError> {
    Ok(DigestEntry {
        node: reader.node("node")?,
        incarnation: Incarnation(reader.u64("incarnation")?),
        sequence: reader.varint("sequence")?,
    })
}

fn read_address(reader: &mut Reader<'_>) -> Result<SocketAddr, DecodeError> {
    let malformed =
        |error: AddrParseError| DecodeError::Malformed { what: "address", why: error.to_string() };
    reader.text(MAX_ADDRESS, "address")?.parse().map_err(malformed)
}

fn read_list<'a, T>(
    reader: &mut Reader<'a>,
    limit: usize,
    what: &'static str,
    read: impl Fn(&mut Reader<'a>) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    let count = reader.count(limit, what)?;
    (0..count).map(|_| read(reader)).collect()
}

pub(crate) fn known<T>(what: &'static str, byte: u8, from: fn(u8) -> Option<T>) -> Result<T, DecodeError> {
    from(byte).ok_or(DecodeError::Unknown { what, got: byte.into() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NoticeKind;
    use crate::RefusalCode;

    fn samples() -> Vec<Message> {
        let node = NodeName::new("n1").unwrap();
        let record = Record {
            certificates: vec![1; 500],
            incarnation: Incarnation(2),
            sequence: 3,
            ttl_s: 60,
            body: b"{}".to_vec(),
            signature: vec![4; 70],
        };
        let offer = Offer { node: node.clone(), public_key: [1; 32], lease_s: 60, rate: 1 };
        let entry = DigestEntry { node: node.clone(), incarnation: Incarnation(1), sequence: 2 };
        let circuit = CircuitId([5; 16]);
        vec![
            Message::Hello {
                version: 1,
                incarnation: Incarnation(9),
                port: 7117,
                observed: "192.0.2.1:7".into(),
                clock: 1_800_000_000_000,
            },
            Message::Gossip(vec![record.clone(), record]),
            Message::Summary(vec![1, 2, 3]),
            Message::Digest { buckets: vec![0, 255], entries: vec![entry] },
            Message::Want(vec![node.clone()]),
            Message::CircuitRequest { request: vec![1; 300], signature: vec![2; 70], offers: vec![offer] },
            Message::CircuitGrant { grant: vec![1; 300], signature: vec![2; 70] },
            Message::CircuitRefusal(Refusal {
                circuit,
                by: node,
                code: RefusalCode::Policy,
                reason: "no policy permits it".into(),
                certificates: vec![3; 400],
                signature: vec![4; 70],
            }),
            Message::CircuitClose { circuit, code: CircuitClose::Draining, reason: String::new() },
            Message::Renewal(vec![1; 500]),
            Message::Renewed(vec![2; 1500]),
            Message::DialBack { ticket: [6; 16], key: [7; 32] },
            Message::Introduce(NodeName::new("n2").unwrap()),
            Message::Introduced {
                node: NodeName::new("n2").unwrap(),
                addresses: vec!["192.0.2.1:7117".parse().unwrap(), "[2001:db8::1]:9".parse().unwrap()],
            },
            Message::Held(NoticeVersions { policy: 3, revocations: 70_000 }),
            Message::Notice(Notice {
                kind: NoticeKind::Revocations,
                version: 9,
                mesh: "prod".parse().unwrap(),
                issued: 1_700_000_000,
                body: b"{\"revoked\":[]}".to_vec(),
                signature: vec![4; 70],
            }),
        ]
    }

    #[test]
    fn messages_round_trip() {
        for message in samples() {
            assert_eq!(Message::decode(&message.encode()).as_ref(), Ok(&message));
        }
    }

    #[test]
    fn prefixes_and_extensions_are_refused() {
        for message in samples() {
            let mut bytes = message.encode();
            assert!((0..bytes.len()).all(|end| Message::decode(&bytes[..end]).is_err()), "{message:?}");
            bytes.push(0);
            assert!(Message::decode(&bytes).is_err());
        }
    }
}
