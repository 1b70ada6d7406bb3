//! Datagrams of applications on links: those that end here, and those that this agent passes on.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use aire_types::NodeName;
use aire_wire::{CircuitId, DatagramHead, Towards};
use bytes::{Bytes, BytesMut};
use parking_lot::RwLock;

use crate::agent::Agent;
use crate::carry::Association;

/// The associations with carriers on a circuit that begins or ends here.
#[derive(Default)]
pub(crate) struct Ends(RwLock<HashMap<CircuitId, Vec<End>>>);

struct End {
    neighbour: NodeName,
    association: Arc<Association>,
}

/// An association's carrier on a circuit, until it is dropped.
pub(crate) struct Registration {
    agent: Weak<Agent>,
    circuit: CircuitId,
    association: Arc<Association>,
}

impl Ends {
    /// The associations that a datagram from `neighbour` along `circuit` may be for.
    fn of(&self, circuit: CircuitId, neighbour: &NodeName) -> Option<Vec<Arc<Association>>> {
        let ends = self.0.read();
        let here = ends.get(&circuit)?.iter().filter(|end| end.neighbour == *neighbour);
        Some(here.map(|end| Arc::clone(&end.association)).collect())
    }
}

/// A carrier is up on a circuit: datagrams along it are for its association.
pub(crate) fn register(
    agent: &Arc<Agent>,
    circuit: CircuitId,
    neighbour: NodeName,
    association: &Arc<Association>,
) -> Registration {
    let end = End { neighbour, association: Arc::clone(association) };
    agent.ends.0.write().entry(circuit).or_default().push(end);
    Registration { agent: Arc::downgrade(agent), circuit, association: Arc::clone(association) }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let Some(agent) = self.agent.upgrade() else { return };
        let mut ends = agent.ends.0.write();
        let Some(here) = ends.get_mut(&self.circuit) else { return };
        // One for each carrier.
        if let Some(at) = here.iter().position(|end| Arc::ptr_eq(&end.association, &self.association)) {
            here.swap_remove(at);
        }
        if here.is_empty() {
            ends.remove(&self.circuit);
        }
    }
}

/// A datagram of an application arrived on the link from `from`.
pub(crate) fn receive(agent: &Arc<Agent>, from: &NodeName, datagram: Bytes) {
    let Ok(head) = DatagramHead::decode(&datagram) else { return };
    let Some(associations) = agent.ends.of(head.circuit, from) else {
        return agent.pass_on(from, &head, datagram);
    };
    let mut datagram = datagram.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]));
    // A circuit may serve an association of each class; the key tells them apart.
    let _ = associations.iter().any(|association| association.receive_datagram(&head, &mut datagram));
}

impl Agent {
    /// Passes a datagram on along a circuit that this agent relays, within the circuit's rate.
    fn pass_on(&self, from: &NodeName, head: &DatagramHead, datagram: Bytes) {
        let Some(link) = self.look(|control| control.onward(from, head)) else { return };
        let known = self.relayed.lock();
        let Some(relayed) = known.get(&head.circuit) else { return };
        let (pacer, counters) = (relayed.pacer.clone(), Arc::clone(&relayed.counters));
        drop(known);
        let length = datagram.len();
        if pacer.is_some_and(|pacer| !pacer.admits(length)) || link.carry(datagram).is_err() {
            return;
        }
        let counter = match head.towards {
            Towards::Destination => &counters.forward,
            Towards::Source => &counters.backward,
        };
        counter.fetch_add(length as u64, Ordering::Relaxed);
    }
}
