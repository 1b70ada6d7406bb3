use std::collections::BTreeMap;

use aire_types::{NodeName, Time};
use aire_wire::{CircuitId, Preamble};

use super::held::{Accepted, Held, PreambleError};
use crate::crypto::Digest;

/// The circuits that this agent granted as relay or destination.
#[derive(Debug, Default)]
pub(crate) struct Leases {
    circuits: BTreeMap<CircuitId, Held>,
    per_source: BTreeMap<NodeName, usize>,
}

impl Leases {
    pub(crate) fn len(&self) -> usize {
        self.circuits.len()
    }

    pub(crate) fn of_source(&self, source: &NodeName) -> usize {
        self.per_source.get(source).copied().unwrap_or(0)
    }

    pub(crate) fn get(&self, circuit: CircuitId) -> Option<&Held> {
        self.circuits.get(&circuit)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (CircuitId, &Held)> {
        self.circuits.iter().map(|(id, held)| (*id, held))
    }

    pub(crate) fn insert(&mut self, held: Held) {
        let source = held.asked.source.node.clone();
        if self.circuits.insert(held.asked.circuit, held).is_none() {
            *self.per_source.entry(source).or_insert(0) += 1;
        }
    }

    pub(crate) fn renew(&mut self, circuit: CircuitId, until: Time, rate: u64) {
        if let Some(held) = self.circuits.get_mut(&circuit) {
            held.lease_until = held.lease_until.max(until);
            held.rate = rate;
        }
    }

    pub(crate) fn remove(&mut self, circuit: CircuitId) -> Option<Held> {
        let held = self.circuits.remove(&circuit)?;
        let source = &held.asked.source.node;
        if let Some(count) = self.per_source.get_mut(source) {
            *count -= 1;
            if *count == 0 {
                self.per_source.remove(source);
            }
        }
        Some(held)
    }

    pub(crate) fn check_preamble(
        &mut self,
        now: Time,
        preamble: &Preamble,
        max_carriers: u32,
        digest: &impl Digest,
    ) -> Result<Accepted, PreambleError> {
        let held = self.circuits.get_mut(&preamble.circuit).ok_or(PreambleError::Unknown)?;
        held.accept(now, preamble, max_carriers, digest)
    }

    pub(crate) fn carrier_closed(&mut self, circuit: CircuitId) {
        if let Some(held) = self.circuits.get_mut(&circuit) {
            held.carriers = held.carriers.saturating_sub(1);
        }
    }

    /// Drops what lapsed and carries nothing.
    pub(crate) fn expire(&mut self, now: Time) -> Vec<Held> {
        let over: Vec<CircuitId> = self
            .iter()
            .filter(|(_, held)| held.carriers == 0 && now >= held.lease_until)
            .map(|(id, _)| id)
            .collect();
        over.into_iter().filter_map(|id| self.remove(id)).collect()
    }

    /// When the next one without carriers lapses.
    pub(crate) fn next_expiry(&self) -> Option<Time> {
        self.circuits.values().filter(|held| held.carriers == 0).map(|held| held.lease_until).min()
    }

    pub(crate) fn check_invariants(&self) {
        let mut counted: BTreeMap<NodeName, usize> = BTreeMap::new();
        for held in self.circuits.values() {
            *counted.entry(held.asked.source.node.clone()).or_insert(0) += 1;
        }
        assert_eq!(counted, self.per_source, "the count of circuits per source is wrong");
    }
}
