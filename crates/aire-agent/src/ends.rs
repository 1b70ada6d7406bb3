//! Datagrams of applications on links: those that end here, and those that this agent passes on.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use aire_net::Link;
use aire_types::NodeName;
use aire_wire::{AssociationId, CircuitId, DatagramHead, Probe, Towards};
use bytes::{Bytes, BytesMut};
use parking_lot::RwLock;

use crate::agent::Agent;
use crate::carry::{Arrival, Association};
use crate::control::Onward;

/// The associations with carriers, or datagrams, on a circuit that begins or ends here.
#[derive(Default)]
pub(crate) struct Ends(RwLock<HashMap<CircuitId, Vec<End>>>);

struct End {
    neighbour: NodeName,
    association: Weak<Association>,
}

/// An association's carrier or shortcut on a circuit, until it is dropped.
pub(crate) struct Registration {
    agent: Weak<Agent>,
    circuit: CircuitId,
    association: Weak<Association>,
}

impl Ends {
    /// The associations that a datagram from `neighbour` along `circuit` may be for.
    fn of(&self, circuit: CircuitId, neighbour: &NodeName) -> Option<Vec<Arc<Association>>> {
        let ends = self.0.read();
        let here = ends.get(&circuit)?.iter().filter(|end| end.neighbour == *neighbour);
        Some(here.filter_map(|end| end.association.upgrade()).collect())
    }
}

/// Datagrams along a circuit are for this association from now on.
pub(crate) fn register(
    agent: &Arc<Agent>,
    circuit: CircuitId,
    neighbour: NodeName,
    association: &Arc<Association>,
) -> Registration {
    let end = End { neighbour, association: Arc::downgrade(association) };
    agent.ends.0.write().entry(circuit).or_default().push(end);
    Registration { agent: Arc::downgrade(agent), circuit, association: Arc::downgrade(association) }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let Some(agent) = self.agent.upgrade() else { return };
        let mut ends = agent.ends.0.write();
        let Some(here) = ends.get_mut(&self.circuit) else { return };
        // One for each carrier.
        if let Some(at) = here.iter().position(|end| Weak::ptr_eq(&end.association, &self.association)) {
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
    let onward = || agent.look(|control| control.onward(from, &head));
    let Some(known) = agent.ends.of(head.circuit, from) else {
        return match onward() {
            Some(Onward::Link(link)) => agent.pass_on(&link, &head, datagram),
            Some(Onward::Here) => receive_straight(agent, from, &head, &mut own(datagram)),
            None => {}
        };
    };
    let mut datagram = own(datagram);
    let unknown = open(known, &head, &mut datagram).is_none();
    if unknown && matches!(onward(), Some(Onward::Here)) {
        receive_straight(agent, from, &head, &mut datagram);
    }
}

/// Of a circuit on which its association has no carrier: only over the link from its source itself.
fn receive_straight(agent: &Arc<Agent>, from: &NodeName, head: &DatagramHead, datagram: &mut [u8]) {
    if let Some((association, Arrival::Opened)) = open(agent.associations_from(from), head, datagram) {
        association.shorten(agent, head.circuit, from);
    }
}

fn own(datagram: Bytes) -> BytesMut {
    datagram.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]))
}

/// Gives a datagram to the one of these that holds its key: a circuit may serve an association of each class.
fn open(
    among: Vec<Arc<Association>>,
    head: &DatagramHead,
    datagram: &mut [u8],
) -> Option<(Arc<Association>, Arrival)> {
    let holds_key = |association: Arc<Association>| {
        let arrival = association.receive_datagram(head, datagram);
        (arrival != Arrival::Another).then_some((association, arrival))
    };
    among.into_iter().find_map(holds_key)
}

/// Another datagram arrived on the link from `from`: a probe shows that its circuit lives.
pub(crate) fn hear(agent: &Agent, from: &NodeName, datagram: &[u8]) {
    let Ok(probe) = Probe::decode(datagram) else { return };
    for association in agent.ends.of(probe.circuit, from).into_iter().flatten() {
        association.hear(probe.circuit);
    }
}

/// A circuit that begins or ends here is over.
pub(crate) fn close(agent: &Agent, circuit: CircuitId) {
    let on: Vec<_> =
        agent.ends.0.read().get(&circuit).into_iter().flatten().map(|end| end.association.clone()).collect();
    on.iter().filter_map(Weak::upgrade).for_each(|association| association.leave_shortcut(Some(circuit)));
}

impl Agent {
    /// The associations that `node` is the source of.
    fn associations_from(&self, node: &NodeName) -> Vec<Arc<Association>> {
        let incoming = self.incoming.lock();
        let from = incoming.range((node.clone(), AssociationId([0; 16]))..);
        let from = from.take_while(|((source, _), _)| source == node);
        from.map(|(_, held)| Arc::clone(&held.association)).collect()
    }

    /// Passes a datagram on along a circuit that this agent relays, within the circuit's rate.
    fn pass_on(&self, link: &Link, head: &DatagramHead, datagram: Bytes) {
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
