use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::Notes;
use crate::documents::Event;

/// The newest events. One kind holds a quarter at most; when all kinds together are too many, the one that holds most
/// gives up its oldest.
#[derive(Debug)]
pub(super) struct Ring {
    capacity: usize,
    latest: u64,
    events: BTreeMap<u64, Arc<Event>>,
    /// Cursors of each kind, oldest first. Kinds are words of the program, so there are few.
    kinds: BTreeMap<String, VecDeque<u64>>,
}

impl Ring {
    pub(super) fn new(capacity: usize) -> Self {
        Ring { capacity: capacity.max(4), latest: 0, events: BTreeMap::new(), kinds: BTreeMap::new() }
    }

    pub(super) fn push(&mut self, make: impl FnOnce(u64) -> Event) -> Arc<Event> {
        self.latest += 1;
        let event = Arc::new(make(self.latest));
        let kind = self.kinds.entry(event.kind.clone()).or_default();
        kind.push_back(self.latest);
        let oldest = if kind.len() > self.capacity / 4 { kind.pop_front() } else { None };
        self.events.insert(self.latest, Arc::clone(&event));
        let oldest = oldest.or_else(|| {
            let full = self.events.len() > self.capacity;
            self.kinds.values_mut().max_by_key(|kind| kind.len()).filter(|_| full)?.pop_front()
        });
        if let Some(oldest) = oldest {
            self.events.remove(&oldest);
        }
        event
    }

    pub(super) fn since(&self, cursor: u64) -> Notes {
        let Some(next) = cursor.checked_add(1) else { return Notes::default() };
        let events: Vec<Arc<Event>> = self.events.range(next..).map(|(_, event)| Arc::clone(event)).collect();
        let missed = self.latest.saturating_sub(cursor).saturating_sub(events.len() as u64);
        Notes { events, missed }
    }

    pub(super) fn latest(&self) -> u64 {
        self.latest
    }
}
