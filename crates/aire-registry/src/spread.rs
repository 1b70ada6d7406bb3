//! How news leaves: pushed, announced, or given to who asks.

use std::collections::BTreeSet;

use aire_types::{NodeName, Time};
use aire_wire::{DigestEntry, Message, Record};

use crate::message::{MAX_ENTRIES, MAX_RECORDS, batches, encoded_len, entry_len, record_len};
use crate::registry::{Link, Wanted};
use crate::{Output, Rank, Registry};

/// In a mesh of more nodes news is pushed over a third of the fanout: an epidemic of three reaches nearly all, and the
/// announcement that follows the rest, at half the bytes.
const LARGE_MESH: usize = 128;
/// Bytes of records that a peer may fetch in one go, which is a whole large mesh …
const FETCH_BURST: u64 = 16 << 20;
/// … and per second from then on.
const FETCH_RATE: u64 = 256 << 10;

impl Link {
    pub(crate) const fn new(now: Time) -> Self {
        Link { asked: None, answered: None, budget: FETCH_BURST, counted: now }
    }

    /// Takes `bytes` off the budget, if they are there.
    fn spend(&mut self, now: Time, bytes: u64) -> bool {
        let earned = now.since(self.counted).as_millis() as u64 * FETCH_RATE / 1000;
        // A refill that rounds to nothing must not lose the time that it took.
        if earned > 0 {
            self.budget = self.budget.saturating_add(earned).min(FETCH_BURST);
            self.counted = now;
        }
        let enough = self.budget >= bytes;
        if enough {
            self.budget -= bytes;
        }
        enough
    }
}

impl Registry {
    /// The record of `owner` is new here and goes on from here.
    pub(crate) fn spread(&mut self, now: Time, owner: &NodeName, from: Option<&NodeName>, is_urgent: bool) {
        if is_urgent {
            self.news.remove(owner);
            self.urgent.insert(owner.clone(), from.cloned());
        } else {
            self.urgent.remove(owner);
            self.news.insert(owner.clone(), from.cloned().into_iter().collect());
        }
        // Urgent news too: links beyond the fanout are told.
        self.announce_at = self.announce_at.min(now + self.config.announce_delay);
    }

    /// `from` has the record of this rank too, so it need not be told.
    pub(crate) fn note_known(&mut self, owner: &NodeName, rank: Rank, from: Option<&NodeName>) {
        if let (Some(from), Some((_, held))) = (from, self.held(owner))
            && held == rank
            && let Some(known) = self.news.get_mut(owner)
        {
            known.insert(from.clone());
        }
    }

    /// A record that we hold, our own included, and its rank.
    pub(crate) fn held(&self, owner: &NodeName) -> Option<(&Record, Rank)> {
        let record = if *owner == self.config.identity.node {
            self.own.published.as_ref().map(|(record, _)| record)
        } else {
            self.members.get(owner).map(|member| &member.record)
        };
        record.map(|record| (record, Rank::of(record)))
    }

    fn entry(&self, owner: &NodeName) -> Option<DigestEntry> {
        let (_, rank) = self.held(owner)?;
        Some(DigestEntry { node: owner.clone(), incarnation: rank.incarnation, sequence: rank.sequence })
    }

    /// Pushes what is urgent over up to `fanout` links; the others will be told.
    pub(crate) fn push_urgent(&mut self) {
        if self.urgent.is_empty() {
            return;
        }
        let urgent = std::mem::take(&mut self.urgent);
        let chosen = self.choose_links();
        for peer in &chosen {
            let records: Vec<Record> = urgent
                .iter()
                .filter(|(owner, from)| *owner != peer && from.as_ref() != Some(peer))
                .filter_map(|(owner, _)| self.held(owner).map(|(record, _)| record.clone()))
                .collect();
            self.send_records(peer, records);
        }
        if chosen.len() < self.links.len() {
            for (owner, from) in urgent {
                let known = chosen.iter().cloned().chain(from).collect();
                self.news.insert(owner, known);
            }
        }
    }

    fn choose_links(&mut self) -> BTreeSet<NodeName> {
        let mut peers: Vec<NodeName> = self.links.keys().cloned().collect();
        let fanout = match self.members.len() {
            nodes if nodes > LARGE_MESH => self.config.fanout.div_ceil(3),
            _ => self.config.fanout,
        };
        while peers.len() > fanout {
            let out = self.random.below(peers.len());
            peers.swap_remove(out);
        }
        peers.into_iter().collect()
    }

    /// Tells every link what is new here and, as far as is known, not there.
    pub(crate) fn announce(&mut self) {
        self.announce_at = Time::NEVER;
        let news = std::mem::take(&mut self.news);
        let peers: Vec<NodeName> = self.links.keys().cloned().collect();
        for peer in peers {
            let entries: Vec<DigestEntry> = news
                .iter()
                .filter(|(owner, known)| **owner != peer && !known.contains(&peer))
                .filter_map(|(owner, _)| self.entry(owner))
                .collect();
            for entries in batches(entries, MAX_ENTRIES, entry_len) {
                self.send(&peer, Message::Digest { buckets: Vec::new(), entries });
            }
        }
    }

    /// `from` says that it holds these; asks for what is news to us.
    pub(crate) fn want(&mut self, now: Time, from: &NodeName, entries: &[DigestEntry]) {
        let mut nodes = Vec::new();
        for entry in entries {
            let rank = Rank { incarnation: entry.incarnation, sequence: entry.sequence };
            self.note_known(&entry.node, rank, Some(from));
            let is_pending = self.wanted.get(&entry.node).is_some_and(|wanted| now < wanted.until);
            let is_bounded = self.wanted.len() < self.config.max_nodes;
            if is_bounded && !is_pending && self.is_news(&entry.node, rank) {
                let until = now + self.config.want_timeout;
                self.wanted.insert(entry.node.clone(), Wanted { until });
                nodes.push(entry.node.clone());
            }
        }
        for nodes in batches(nodes, MAX_ENTRIES, |node| node.as_str().len() + 1) {
            self.send(from, Message::Want(nodes));
        }
    }

    /// Gives `peer` the records of `owners` that we hand on, as far as its budget goes.
    pub(crate) fn give<'a>(
        &mut self,
        now: Time,
        peer: &NodeName,
        owners: impl IntoIterator<Item = &'a NodeName>,
    ) {
        let mut records = Vec::new();
        for owner in owners {
            let Some((record, _)) = self.offered(now, owner) else { continue };
            let (record, length) = (record.clone(), record_len(record) as u64);
            if !self.links.get_mut(peer).is_some_and(|link| link.spend(now, length)) {
                break;
            }
            records.push(record);
        }
        self.send_records(peer, records);
    }

    /// A record that we hand on.
    pub(crate) fn offered(&self, now: Time, owner: &NodeName) -> Option<(&Record, Rank)> {
        match self.members.get(owner) {
            Some(member) if !member.is_offered(now) => None,
            _ => self.held(owner),
        }
    }

    fn send_records(&mut self, peer: &NodeName, records: Vec<Record>) {
        for records in batches(records, MAX_RECORDS, record_len) {
            self.stats.records_sent += records.len() as u64;
            self.send(peer, Message::Gossip(records));
        }
    }

    pub(crate) fn send(&mut self, to: &NodeName, message: Message) {
        self.stats.messages_sent += 1;
        self.stats.bytes_sent += encoded_len(&message) as u64;
        self.outputs.push_back(Output::Send { to: to.clone(), message });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_fetch_budget_refills_to_its_burst_and_no_further() {
        let mut link = Link::new(Time::ZERO);
        assert!(link.spend(Time::ZERO, FETCH_BURST) && !link.spend(Time::ZERO, 1));
        let mut now = Time::ZERO;
        for _ in 0..100_000 {
            now += Duration::from_micros(10);
            link.spend(now, FETCH_BURST);
        }
        assert!((FETCH_RATE - 1000..=FETCH_RATE).contains(&link.budget), "{}", link.budget);
        now += Duration::from_secs(3600);
        assert!(link.spend(now, FETCH_BURST) && !link.spend(now, 1));
    }
}
