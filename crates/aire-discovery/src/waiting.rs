use std::collections::BTreeMap;
use std::net::SocketAddr;

use aire_types::{NodeName, Random};
use tokio::time::Instant;

use crate::Pace;
use crate::pace::{Backoff, unseeded};

/// The most addresses that one adapter remembers: what strangers announce must not fill the memory.
pub(crate) const MAX_WAITING: usize = 1024;

/// Known addresses, and when to find each of them again.
#[derive(Debug)]
pub(crate) struct Waiting {
    pace: Pace,
    random: Random,
    entries: BTreeMap<SocketAddr, Entry>,
}

#[derive(Debug)]
struct Entry {
    node: Option<NodeName>,
    backoff: Backoff,
    /// `None` while it is linked.
    due: Option<Instant>,
}

impl Waiting {
    pub(crate) fn new(pace: Pace) -> Self {
        Waiting { pace, random: unseeded(), entries: BTreeMap::new() }
    }

    /// A new address is due at once; of a known one only the node is noted. When there is no room, it is ignored.
    pub(crate) fn insert(&mut self, address: SocketAddr, node: Option<NodeName>, now: Instant) {
        let full = self.entries.len() >= MAX_WAITING;
        if let Some(entry) = self.entries.get_mut(&address) {
            entry.node = node.or(entry.node.take());
        } else if !full {
            self.entries.insert(address, Entry { node, backoff: Backoff::new(self.pace), due: Some(now) });
        }
    }

    pub(crate) fn remove(&mut self, address: SocketAddr) {
        self.entries.remove(&address);
    }

    /// Forgets what is known of `node`.
    pub(crate) fn remove_node(&mut self, node: &NodeName) {
        self.entries.retain(|_, entry| entry.node.as_ref() != Some(node));
    }

    pub(crate) fn linked(&mut self, address: SocketAddr) {
        if let Some(entry) = self.entries.get_mut(&address) {
            entry.due = None;
        }
    }

    pub(crate) fn lost(&mut self, address: SocketAddr, now: Instant) {
        if let Some(entry) = self.entries.get_mut(&address) {
            entry.backoff.reset();
            entry.due.get_or_insert(now);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The most overdue address, which is then due again after its pause.
    pub(crate) fn poll(&mut self, now: Instant) -> Option<(SocketAddr, Option<NodeName>)> {
        let due = |entry: &Entry| entry.due.filter(|due| *due <= now);
        let (address, entry) =
            self.entries.iter_mut().filter(|(_, entry)| due(entry).is_some()).min_by_key(|(_, e)| e.due)?;
        entry.due = Some(now + entry.backoff.next(&mut self.random));
        Some((*address, entry.node.clone()))
    }

    /// When [`Waiting::poll`] will have something.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.entries.values().filter_map(|entry| entry.due).min()
    }
}

/// Waits until `due`; for ever where there is nothing to wait for.
pub(crate) async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_cannot_fill_the_memory_and_all_get_their_turn() {
        let mut waiting = Waiting::new(Pace::default());
        let now = Instant::now();
        for port in 1..=2 * MAX_WAITING as u16 {
            waiting.insert(SocketAddr::from(([127, 0, 0, 1], port)), None, now);
        }
        let mut seen = std::collections::BTreeSet::new();
        while let Some((address, _)) = waiting.poll(now) {
            assert!(seen.insert(address), "{address} twice before its pause");
        }
        assert_eq!(seen.len(), MAX_WAITING);
    }
}
