//! Anti-entropy: finding out what two registries hold differently, at a cost that grows with the difference.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aire_types::{NodeName, Time, fnv};
use aire_wire::{DigestEntry, Message};

use crate::message::{BATCH, MAX_ENTRIES, entry_len};
use crate::{Rank, Registry};

/// The most and the fewest buckets; buckets are numbered in one byte.
const MAX_BUCKETS: usize = 256;
const MIN_BUCKETS: usize = 16;
/// Between two answers to the same peer: hashing everything is not free.
const ANSWER_INTERVAL: Duration = Duration::from_secs(1);

impl Registry {
    /// A message about the registry came over the link from `from`: SUMMARY, DIGEST or WANT. Records in a GOSSIP are
    /// verified first and come through [`Registry::handle_record`]. Anything else, or without a link, is ignored.
    pub fn handle_message(&mut self, now: Time, from: &NodeName, message: &Message) {
        if !self.links.contains_key(from) {
            return;
        }
        match message {
            Message::Summary(hashes) => self.handle_summary(now, from, hashes),
            Message::Digest { buckets, entries } => {
                self.want(now, from, entries);
                self.give_missing(now, from, buckets, entries);
            }
            Message::Want(nodes) => self.give(now, from, nodes),
            _ => {}
        }
    }

    /// Compares with one link, chosen at random.
    pub(crate) fn sync_with_one(&mut self, now: Time) {
        if !self.links.is_empty() {
            let at = self.random.below(self.links.len());
            if let Some(peer) = self.links.keys().nth(at).cloned() {
                self.start_sync(now, &peer);
            }
        }
    }

    pub(crate) fn start_sync(&mut self, now: Time, peer: &NodeName) {
        let count = self.members.len().next_power_of_two().clamp(MIN_BUCKETS, MAX_BUCKETS);
        let hashes = self.hashes(now, count);
        if let Some(link) = self.links.get_mut(peer) {
            link.asked = Some(count);
            self.stats.syncs += 1;
            self.send(peer, Message::Summary(hashes));
        }
    }

    /// Answers with our entries in the buckets that differ; nothing, where none do.
    fn handle_summary(&mut self, now: Time, from: &NodeName, theirs: &[u64]) {
        let count = theirs.len();
        let Some(link) = self.links.get_mut(from) else { return };
        let is_early = link.answered.is_some_and(|last| now.since(last) < ANSWER_INTERVAL);
        if is_early || !count.is_power_of_two() || count > MAX_BUCKETS {
            return;
        }
        link.answered = Some(now);
        let ours = self.hashes(now, count);
        let differing: BTreeSet<u8> = (0..=u8::MAX)
            .zip(ours.iter().zip(theirs))
            .filter(|(_, (our, their))| our != their)
            .map(|(bucket, _)| bucket)
            .collect();
        if differing.is_empty() {
            return;
        }
        let mut held: BTreeMap<u8, Vec<DigestEntry>> =
            differing.iter().map(|bucket| (*bucket, Vec::new())).collect();
        for (node, rank) in self.all_offered(now) {
            if let Some(entries) = held.get_mut(&bucket_of(node, count)) {
                let Rank { incarnation, sequence } = rank;
                entries.push(DigestEntry { node: node.clone(), incarnation, sequence });
            }
        }
        for (buckets, entries) in pack(held) {
            self.send(from, Message::Digest { buckets, entries });
        }
    }

    /// `peer` listed all that it holds in `buckets`: gives it what it lacks there.
    fn give_missing(&mut self, now: Time, peer: &NodeName, buckets: &[u8], theirs: &[DigestEntry]) {
        let Some(count) = self.links.get(peer).and_then(|link| link.asked) else { return };
        if buckets.is_empty() {
            return;
        }
        let buckets: BTreeSet<u8> = buckets.iter().copied().collect();
        let theirs: BTreeMap<&NodeName, Rank> = theirs
            .iter()
            .map(|e| (&e.node, Rank { incarnation: e.incarnation, sequence: e.sequence }))
            .collect();
        let missing: Vec<NodeName> = self
            .all_offered(now)
            .filter(|(node, rank)| {
                buckets.contains(&bucket_of(node, count)) && theirs.get(node).is_none_or(|their| their < rank)
            })
            .map(|(node, _)| node.clone())
            .collect();
        self.give(now, peer, &missing);
    }

    fn hashes(&self, now: Time, count: usize) -> Vec<u64> {
        let mut hashes = vec![0u64; count];
        for (node, rank) in self.all_offered(now) {
            let mut hash = fnv::hash(node.as_str().as_bytes());
            hash = fnv::extend(hash, &rank.incarnation.0.to_be_bytes());
            hash = fnv::extend(hash, &rank.sequence.to_be_bytes());
            if let Some(bucket) = hashes.get_mut(usize::from(bucket_of(node, count))) {
                *bucket = bucket.wrapping_add(mix(hash));
            }
        }
        hashes
    }

    /// All that we hand on, in order of names but for ourselves, who come first.
    fn all_offered(&self, now: Time) -> impl Iterator<Item = (&NodeName, Rank)> {
        let own = &self.config.identity.node;
        let own = self.held(own).map(|(_, rank)| (own, rank));
        let others = self.members.iter().filter(move |(_, member)| member.is_offered(now));
        own.into_iter().chain(others.map(|(node, member)| (node, member.rank())))
    }
}

/// Whole buckets, as many as fit into one message; one that does not fit is announced without its number.
fn pack(held: BTreeMap<u8, Vec<DigestEntry>>) -> Vec<(Vec<u8>, Vec<DigestEntry>)> {
    let mut parts: Vec<(Vec<u8>, Vec<DigestEntry>)> = Vec::new();
    let mut room = 0;
    // 512 bytes for the numbers of the buckets and the counts.
    let limit = BATCH - 512;
    for (bucket, entries) in held {
        let length: usize = entries.iter().map(entry_len).sum();
        if length > limit || entries.len() > MAX_ENTRIES {
            let announced = crate::message::batches(entries, MAX_ENTRIES, entry_len);
            parts.extend(announced.into_iter().map(|entries| (Vec::new(), entries)));
            room = 0;
            continue;
        }
        match parts.last_mut() {
            Some((buckets, all)) if length <= room && all.len() + entries.len() <= MAX_ENTRIES => {
                buckets.push(bucket);
                all.extend(entries);
                room -= length;
            }
            _ => {
                parts.push((vec![bucket], entries));
                room = limit - length;
            }
        }
    }
    parts
}

/// Which of `count` (a power of two, at most 256) buckets a node is in.
fn bucket_of(node: &NodeName, count: usize) -> u8 {
    (mix(fnv::hash(node.as_str().as_bytes())) & (count as u64 - 1)) as u8
}

/// The end of MurmurHash3: FNV alone mixes its last bytes badly.
fn mix(mut hash: u64) -> u64 {
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;
    use aire_types::Incarnation;

    fn entries(count: usize, name: usize) -> Vec<DigestEntry> {
        let entry = |i| DigestEntry {
            node: NodeName::new(&format!("{i:0>name$}")).unwrap(),
            incarnation: Incarnation(1),
            sequence: 1,
        };
        (0..count).map(entry).collect()
    }

    #[test]
    fn packed_buckets_are_whole_and_fit() {
        for (per_bucket, name) in [(0, 1), (1, 5), (40, 63), (700, 63), (5000, 20)] {
            let held: BTreeMap<u8, Vec<DigestEntry>> =
                (0..=255).map(|bucket| (bucket, entries(per_bucket, name))).collect();
            let parts = pack(held);
            assert_eq!(parts.iter().map(|(_, entries)| entries.len()).sum::<usize>(), 256 * per_bucket);
            let mut seen = Vec::new();
            for (buckets, entries) in parts {
                assert!(buckets.is_empty() || entries.len() == buckets.len() * per_bucket);
                seen.extend(buckets.clone());
                let message = Message::Digest { buckets, entries };
                let bytes = message.encode();
                assert!(bytes.len() <= BATCH && Message::decode(&bytes).is_ok());
            }
            assert_eq!(seen.len(), if per_bucket > MAX_ENTRIES { 0 } else { 256 });
        }
    }

    #[test]
    fn buckets_are_about_even() {
        let mut counts = [0u32; 16];
        for i in 0..1600 {
            counts[usize::from(bucket_of(&NodeName::new(&format!("node-{i}")).unwrap(), 16))] += 1;
        }
        assert!(counts.iter().all(|count| (60..150).contains(count)), "{counts:?}");
    }
}
