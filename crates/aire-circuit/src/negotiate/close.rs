use std::collections::BTreeSet;

use aire_types::{AppName, NodeName, Path, Time};
use aire_wire::{CircuitClose, CircuitId, RefusalCode, Subject};

use super::circuits::Circuits;
use super::config::{Output, Want};
use crate::crypto::Crypto;
use crate::lease::{Asked, Role};

impl<C: Crypto> Circuits<C> {
    /// Closes a circuit here and tells the neighbours on it. Unknown circuits are left alone.
    pub fn close(&mut self, circuit: CircuitId, code: CircuitClose, reason: &str) {
        let me = self.config.node.clone();
        self.end(circuit, &me, code, reason);
    }

    pub(super) fn handle_close(
        &mut self,
        from: &NodeName,
        circuit: CircuitId,
        code: CircuitClose,
        reason: &str,
    ) {
        let neighbour = match (self.own.get(&circuit), self.leases.get(circuit), self.pending.get(circuit)) {
            (Some(own), ..) => own.first_hop() == from,
            (None, Some(held), _) => held.previous == *from || held.next.as_ref() == Some(from),
            (None, None, Some(pending)) => pending.previous == *from || pending.next == *from,
            (None, None, None) => return,
        };
        if !neighbour {
            return self.reject(
                from,
                Some(circuit),
                "a close from a node that is not a neighbour".to_owned(),
            );
        }
        self.end(circuit, from, code, reason);
    }

    fn end(&mut self, circuit: CircuitId, by: &NodeName, code: CircuitClose, reason: &str) {
        if let Some(own) = self.own.remove(&circuit) {
            let first = own.first_hop().clone();
            if first != *by {
                self.send_close(&first, circuit, code, reason);
            }
            if own.granted.is_some() {
                self.tell_closed(circuit, Role::Source, by, code, reason);
            } else if first == *by {
                let (code, reason) = (refusal(code), reason.to_owned());
                self.outputs.push_back(Output::Refused { circuit, want: own.want, by: first, code, reason });
            }
            return;
        }
        let pending = self.pending.remove(circuit);
        let held = self.leases.remove(circuit);
        let neighbours = match (&held, &pending) {
            (Some(held), _) => [Some(held.previous.clone()), held.next.clone()],
            (None, Some(pending)) => [Some(pending.previous.clone()), Some(pending.next.clone())],
            (None, None) => return,
        };
        self.pending.end(circuit);
        for neighbour in neighbours.into_iter().flatten().filter(|neighbour| neighbour != by) {
            self.send_close(&neighbour, circuit, code, reason);
        }
        if let Some(held) = held {
            self.tell_closed(circuit, held.role(), by, code, reason);
        }
    }

    /// Policy changed: asks about every circuit of others again and closes those that are no longer allowed.
    /// `allowed` says why not.
    pub fn reauthorize(&mut self, mut allowed: impl FnMut(&Asked, Role) -> Result<(), String>) {
        let held = self.leases.iter().map(|(circuit, held)| (circuit, &held.asked, held.role()));
        let pending = self.pending.iter().map(|(circuit, pending)| (circuit, &pending.asked, Role::Relay));
        let over: Vec<(CircuitId, String)> = held
            .chain(pending)
            .filter_map(|(circuit, asked, role)| allowed(asked, role).err().map(|why| (circuit, why)))
            .collect();
        for (circuit, why) in over {
            self.close(circuit, CircuitClose::Policy, &why);
        }
    }

    /// Identities were revoked: closes every circuit that they are on, at either end or, by a node's name, as a relay.
    pub fn revoke(&mut self, subjects: &BTreeSet<Subject>) {
        let on_path = |path: &Path| path.relays().iter().find_map(|relay| revoked_node(subjects, relay));
        let by_want = |want: &Want| {
            let end = revoked_node(subjects, &want.destination).or_else(|| revoked_app(subjects, &want.app));
            end.or_else(|| on_path(&want.path))
        };
        let by_asked = |asked: &Asked| {
            let source = revoked_node(subjects, &asked.source.node);
            let source = source.or_else(|| revoked_app(subjects, asked.source.app()?));
            let end =
                revoked_node(subjects, &asked.destination).or_else(|| revoked_app(subjects, &asked.app));
            source.or(end).or_else(|| on_path(&asked.path))
        };
        let own = self.own.iter().map(|(circuit, own)| (*circuit, by_want(&own.want)));
        let held = self.leases.iter().map(|(circuit, held)| (circuit, by_asked(&held.asked)));
        let pending = self.pending.iter().map(|(circuit, pending)| (circuit, by_asked(&pending.asked)));
        let over: Vec<_> = own
            .chain(held)
            .chain(pending)
            .filter_map(|(circuit, by)| Some((circuit, format!("{} was revoked", by?))))
            .collect();
        for (circuit, why) in over {
            self.close(circuit, CircuitClose::Revoked, &why);
        }
    }

    /// A node came back without its memory: closes every granted circuit that it was on.
    pub fn forgotten_by(&mut self, node: &NodeName) {
        for circuit in self.granted_on(node) {
            self.close(circuit, CircuitClose::HopGone, &format!("{node} restarted"));
        }
    }

    /// Granted circuits that a node is on, at either end or as a relay.
    fn granted_on(&self, node: &NodeName) -> Vec<CircuitId> {
        let own = self.own.iter().filter(|(_, own)| own.granted.is_some() && own.want.is_on(node));
        let held = self.leases.iter().filter(|(_, held)| held.asked.is_on(node));
        own.map(|(circuit, _)| *circuit).chain(held.map(|(circuit, _)| circuit)).collect()
    }

    /// The agent is shutting down: nothing new, and everybody on a circuit that it relays is told, so that streams can
    /// move. Circuits that begin or end here go on until the agent closes them, as their streams can go nowhere else.
    pub fn drain(&mut self) {
        self.draining = true;
        let relayed = self.leases.iter().filter(|(_, held)| held.role() == Role::Relay);
        let mut over: Vec<CircuitId> = relayed.map(|(circuit, _)| circuit).collect();
        over.extend(self.pending.iter().map(|(circuit, _)| circuit));
        for circuit in over {
            self.close(circuit, CircuitClose::Draining, "the agent is draining");
        }
    }

    /// Carriers of a relayed circuit cannot reach the next hop: tells the source at once.
    pub fn next_hop_gone(&mut self, circuit: CircuitId, reason: &str) {
        if self.leases.get(circuit).is_some_and(|held| held.next.is_some()) {
            self.close(circuit, CircuitClose::HopGone, reason);
        }
    }

    /// When the newest lease of an own circuit ends.
    pub fn lease_until(&self, circuit: CircuitId) -> Option<Time> {
        self.own.get(&circuit)?.granted.as_ref().map(|granted| granted.lease_until)
    }
}

fn revoked_node(subjects: &BTreeSet<Subject>, node: &NodeName) -> Option<Subject> {
    subjects.get(&Subject::Node(node.clone())).cloned()
}

fn revoked_app(subjects: &BTreeSet<Subject>, app: &AppName) -> Option<Subject> {
    subjects.get(&Subject::App(app.clone())).cloned()
}

/// What a close means for a source that still waits for the grant.
const fn refusal(code: CircuitClose) -> RefusalCode {
    match code {
        CircuitClose::Policy | CircuitClose::Revoked => RefusalCode::Policy,
        CircuitClose::Draining => RefusalCode::Draining,
        CircuitClose::Unwanted | CircuitClose::HopGone => RefusalCode::NoRoute,
    }
}
