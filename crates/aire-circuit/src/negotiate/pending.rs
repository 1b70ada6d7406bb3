use std::collections::{BTreeMap, BTreeSet, VecDeque};

use aire_types::{NodeName, Time};
use aire_wire::{CircuitId, Offer};

use crate::crypto::Key;
use crate::lease::Asked;

/// A request that a relay passed on and that is not answered yet.
#[derive(Clone, Debug)]
pub(crate) struct Pending {
    pub(crate) asked: Asked,
    pub(crate) previous: NodeName,
    pub(crate) next: NodeName,
    pub(crate) request_hash: [u8; 32],
    pub(crate) content: [u8; 32],
    /// What this agent offered.
    pub(crate) offer: Offer,
    pub(crate) hop_key: Key,
    pub(crate) received: Time,
    pub(crate) deadline: Time,
}

/// Requests under way and the ids of circuits that are over here.
#[derive(Debug, Default)]
pub(crate) struct PendingTable {
    circuits: BTreeMap<CircuitId, Pending>,
    over: BTreeSet<CircuitId>,
    over_in_order: VecDeque<CircuitId>,
}

/// How many ended circuits are remembered, so that late messages cannot bring them back.
const REMEMBERED: usize = 4096;

impl PendingTable {
    pub(crate) fn len(&self) -> usize {
        self.circuits.len()
    }

    pub(crate) fn of_source(&self, source: &NodeName) -> usize {
        self.circuits.values().filter(|pending| pending.asked.source.node == *source).count()
    }

    pub(crate) fn get(&self, circuit: CircuitId) -> Option<&Pending> {
        self.circuits.get(&circuit)
    }

    pub(crate) fn insert(&mut self, pending: Pending) {
        self.circuits.insert(pending.asked.circuit, pending);
    }

    pub(crate) fn remove(&mut self, circuit: CircuitId) -> Option<Pending> {
        self.circuits.remove(&circuit)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (CircuitId, &Pending)> {
        self.circuits.iter().map(|(id, pending)| (*id, pending))
    }

    pub(crate) fn next_deadline(&self) -> Option<Time> {
        self.circuits.values().map(|pending| pending.deadline).min()
    }

    /// Remembers that the circuit is over.
    pub(crate) fn end(&mut self, circuit: CircuitId) {
        if self.over.insert(circuit) {
            self.over_in_order.push_back(circuit);
        }
        while self.over_in_order.len() > REMEMBERED {
            if let Some(oldest) = self.over_in_order.pop_front() {
                self.over.remove(&oldest);
            }
        }
    }

    pub(crate) fn is_over(&self, circuit: CircuitId) -> bool {
        self.over.contains(&circuit)
    }

    pub(crate) fn check_invariants(&self) {
        assert_eq!(self.over.len(), self.over_in_order.len(), "ended circuits are counted twice");
        assert!(self.over.len() <= REMEMBERED, "too many ended circuits remembered");
    }
}
