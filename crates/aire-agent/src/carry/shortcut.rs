//! A way that only datagrams take: a circuit straight to the other end, over the link between the two.
//!
//! Carriers need TCP one way or the other, a link does not: two agents behind NATs have one that both opened at the same
//! moment. The source of an association finds the way and probes it; the destination answers along it while it is used.

use std::sync::Arc;
use std::time::Duration;

use aire_types::{NodeName, Protocol, Time};
use aire_wire::{CircuitId, DatagramHead, Towards};

use super::association::Association;
use super::inner::Inner;
use crate::agent::Agent;
use crate::ends::{self, Registration};

/// Where nothing was heard for so long, datagrams go along the carriers again.
const SILENT: Duration = Duration::from_millis(500);

/// The straight way of an association.
pub(super) struct Shortcut {
    pub(super) circuit: CircuitId,
    /// The other end.
    pub(super) node: NodeName,
    /// When something last came along it.
    heard: Time,
    /// What comes along it is for this association as long as this is held.
    _registration: Registration,
}

impl Inner {
    /// The way that datagrams take in place of the carrier of their stream.
    pub(super) fn shortcut(&self, now: Time) -> Option<&Shortcut> {
        self.shortcut.as_ref().filter(|way| now.since(way.heard) < SILENT)
    }

    /// A datagram was opened. A destination goes back to the carriers with its source: the shortcut that it leaves is to
    /// be dropped outside the lock.
    #[must_use]
    pub(super) fn came_along(&mut self, now: Time, head: &DatagramHead) -> Option<Shortcut> {
        self.flowed = now;
        match &mut self.shortcut {
            Some(way) if way.circuit == head.circuit => way.heard = now,
            Some(_) if head.towards == Towards::Destination => return self.shortcut.take(),
            _ => {}
        }
        None
    }
}

impl Association {
    /// The other end was heard along `circuit`, which comes straight from it: datagrams go there for as long as it is.
    pub(crate) fn shorten(self: &Arc<Self>, agent: &Arc<Agent>, circuit: CircuitId, node: &NodeName) {
        let now = self.clock.now();
        let known = |inner: &mut Inner| {
            let way = inner.shortcut.as_mut().filter(|way| way.circuit == circuit);
            way.map(|way| way.heard = now).is_some()
        };
        if known(&mut self.inner.lock()) {
            return;
        }
        let registration = ends::register(agent, circuit, node.clone(), self);
        let way = Shortcut { circuit, node: node.clone(), heard: now, _registration: registration };
        let mut inner = self.inner.lock();
        let before = if inner.is_over() { Some(way) } else { inner.shortcut.replace(way) };
        drop(inner);
        drop(before);
    }

    /// A probe came along `circuit`, which is one of this association.
    pub(crate) fn hear(&self, circuit: CircuitId) {
        let now = self.clock.now();
        if let Some(way) = self.inner.lock().shortcut.as_mut().filter(|way| way.circuit == circuit) {
            way.heard = now;
        }
    }

    /// Datagrams go along the carriers again. `only`: where this is the circuit that they took.
    pub(crate) fn leave_shortcut(&self, only: Option<CircuitId>) {
        let left = self.inner.lock().shortcut.take_if(|way| only.is_none_or(|only| way.circuit == only));
        drop(left);
    }

    /// Source: is the straight way the best of all?
    pub(crate) fn prefer_direct(&self, best: bool) {
        self.inner.lock().prefers_direct = best;
    }

    /// Source: is the straight way the best, while no carrier is open on it?
    pub(crate) fn wants_shortcut(&self) -> bool {
        let inner = self.inner.lock();
        inner.prefers_direct && inner.carriers.values().all(|slot| !slot.path.is_direct())
    }

    /// Are there flows of datagrams?
    pub(crate) fn has_flows(&self) -> bool {
        let inner = self.inner.lock();
        inner.core.streams().any(|stream| stream.protocol == Protocol::Udp && stream.reset.is_none())
    }

    /// How long no datagram has passed.
    pub(crate) fn quiet_for(&self) -> Duration {
        self.clock.now().since(self.inner.lock().flowed)
    }

    /// Do datagrams go straight to the other end, whatever path their streams are on?
    pub(crate) fn takes_shortcut(&self) -> bool {
        self.inner.lock().shortcut(self.clock.now()).is_some()
    }
}
