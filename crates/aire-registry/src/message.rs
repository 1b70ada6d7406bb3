//! How long messages get, so that batches end before the format's limit.

use aire_wire::{DigestEntry, MAX_MESSAGE, Message, Record, varint_len};

/// The longest message that the registry makes, bytes.
pub(crate) const BATCH: usize = 60 * 1024;
/// The most records in one GOSSIP.
pub(crate) const MAX_RECORDS: usize = 64;
/// The most entries in one DIGEST or WANT.
pub(crate) const MAX_ENTRIES: usize = 2048;

const _: () = assert!(BATCH + 4096 <= MAX_MESSAGE);

fn prefixed(length: usize) -> usize {
    varint_len(length as u64) + length
}

pub(crate) fn record_len(record: &Record) -> usize {
    prefixed(record.certificates.len())
        + 8
        + varint_len(record.sequence)
        + varint_len(record.ttl_s)
        + prefixed(record.body.len())
        + prefixed(record.signature.len())
}

pub(crate) fn entry_len(entry: &DigestEntry) -> usize {
    prefixed(entry.node.as_str().len()) + 8 + varint_len(entry.sequence)
}

/// Bytes that [`Message::encode`] gives for a registry's message, without making them.
pub fn encoded_len(message: &Message) -> usize {
    1 + match message {
        Message::Gossip(records) => {
            varint_len(records.len() as u64) + records.iter().map(record_len).sum::<usize>()
        }
        Message::Summary(hashes) => varint_len(hashes.len() as u64) + 8 * hashes.len(),
        Message::Digest { buckets, entries } => {
            prefixed(buckets.len())
                + varint_len(entries.len() as u64)
                + entries.iter().map(entry_len).sum::<usize>()
        }
        Message::Want(nodes) => {
            varint_len(nodes.len() as u64)
                + nodes.iter().map(|node| prefixed(node.as_str().len())).sum::<usize>()
        }
        other => other.encode().len() - 1,
    }
}

/// Divides `items` in order into parts that fit into one message.
pub(crate) fn batches<T>(
    items: impl IntoIterator<Item = T>,
    most: usize,
    length: impl Fn(&T) -> usize,
) -> Vec<Vec<T>> {
    let mut parts: Vec<Vec<T>> = Vec::new();
    let mut room = 0;
    for item in items {
        let length = length(&item);
        match parts.last_mut() {
            Some(part) if part.len() < most && length <= room => {
                room -= length;
                part.push(item);
            }
            _ => {
                // 16 bytes for the type and the counts in front.
                room = BATCH.saturating_sub(16 + length);
                parts.push(vec![item]);
            }
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use aire_types::{Incarnation, NodeName};

    fn record(body: usize) -> Record {
        Record {
            certificates: vec![1; 500],
            incarnation: Incarnation(2),
            sequence: 300,
            ttl_s: 180,
            body: vec![b' '; body],
            signature: vec![4; 70],
        }
    }

    #[test]
    fn lengths_are_those_of_the_encoding() {
        let node = NodeName::new("a-node").unwrap();
        let entry = DigestEntry { node: node.clone(), incarnation: Incarnation(1), sequence: 70_000 };
        for message in [
            Message::Gossip(vec![record(0), record(4000)]),
            Message::Gossip(Vec::new()),
            Message::Summary(vec![7; 256]),
            Message::Digest { buckets: vec![1; 100], entries: vec![entry; 90] },
            Message::Want(vec![node; 70]),
        ] {
            assert_eq!(encoded_len(&message), message.encode().len());
        }
    }

    #[test]
    fn batches_fit_and_lose_nothing() {
        let parts = batches((0..500).map(|i| record(i * 8)), MAX_RECORDS, record_len);
        assert_eq!(parts.iter().map(Vec::len).sum::<usize>(), 500);
        for part in parts {
            assert!(part.len() <= MAX_RECORDS);
            assert!(Message::Gossip(part).encode().len() <= BATCH);
        }
    }
}
