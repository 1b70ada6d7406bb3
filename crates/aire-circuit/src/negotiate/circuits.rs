use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use aire_types::{Class, NodeName, Time};
use aire_wire::{CircuitClose, CircuitId, Message, Preamble, PreambleKind, Refusal, RefusalCode};

use super::config::{Config, Gate, Output};
use super::hop::Arrived;
use super::own::Own;
use super::pending::PendingTable;
use crate::crypto::Crypto;
use crate::lease::{Accepted, HeldView, Leases, PreambleError, Role};

/// All circuits of one agent: its own, and those that it relays or that end at it.
///
/// `unix_s` is wall-clock time in seconds since 1970; it is compared with other agents' clocks only with an hour's slack.
pub struct Circuits<C: Crypto> {
    pub(super) config: Config,
    pub(super) crypto: C,
    pub(super) own: BTreeMap<CircuitId, Own<C::Secret>>,
    pub(super) leases: Leases,
    pub(super) pending: PendingTable,
    pub(super) draining: bool,
    pub(super) outputs: VecDeque<Output>,
}

impl<C: Crypto> Circuits<C> {
    /// No circuits yet.
    pub fn new(config: Config, crypto: C) -> Self {
        Circuits {
            config,
            crypto,
            own: BTreeMap::new(),
            leases: Leases::default(),
            pending: PendingTable::default(),
            draining: false,
            outputs: VecDeque::new(),
        }
    }

    /// A message arrived on the link from `from`. Messages that are not about circuits are left alone.
    pub fn handle_message(
        &mut self,
        now: Time,
        unix_s: u64,
        from: &NodeName,
        message: Message,
        gate: &mut dyn Gate,
    ) {
        match message {
            Message::CircuitRequest { request, signature, offers } => {
                self.handle_request(Arrived { now, unix_s, from, body: request, signature, offers }, gate);
            }
            Message::CircuitGrant { grant, signature } => self.handle_grant(now, from, grant, signature),
            Message::CircuitRefusal(refusal) => self.handle_refusal(from, refusal),
            Message::CircuitClose { circuit, code, reason } => {
                self.handle_close(from, circuit, code, &reason);
            }
            _ => {}
        }
    }

    /// The next thing to do or to know.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Circuits::handle_timeout`] has something to do.
    pub fn poll_timeout(&self) -> Option<Time> {
        let own = self.own.values().filter_map(Own::next_timeout).min();
        [own, self.pending.next_deadline(), self.leases.next_expiry()].into_iter().flatten().min()
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Time, unix_s: u64) {
        self.time_out_own(now, unix_s);
        self.time_out_pending(now);
        for held in self.leases.expire(now) {
            let (circuit, role) = (held.asked.circuit, held.role());
            self.pending.end(circuit);
            self.outputs.push_back(Output::Closed {
                circuit,
                role,
                by: self.config.node.clone(),
                code: CircuitClose::Unwanted,
                reason: "its lease lapsed and nothing uses it".to_owned(),
                grace: Duration::ZERO,
            });
        }
    }

    /// Checks a carrier's preamble as relay or destination. Every accepted carrier must end in [`Circuits::carrier_closed`].
    ///
    /// # Errors
    /// Why the connection must be closed at once.
    pub fn check_preamble(&mut self, now: Time, preamble: &Preamble) -> Result<Accepted, PreambleError> {
        self.leases.check_preamble(now, preamble, self.config.max_carriers, &self.crypto)
    }

    /// A carrier that [`Circuits::check_preamble`] accepted is closed.
    pub fn carrier_closed(&mut self, circuit: CircuitId) {
        self.leases.carrier_closed(circuit);
    }

    /// The preambles of one new carrier, the first hop's first, and whom to dial. `None` without a running lease.
    pub fn preambles(
        &mut self,
        now: Time,
        circuit: CircuitId,
        class: Class,
    ) -> Option<(NodeName, Vec<Preamble>)> {
        let own = self.own.get_mut(&circuit)?;
        let first = own.first_hop().clone();
        let granted = own.granted.as_mut().filter(|granted| now < granted.lease_until)?;
        granted.counter += 1;
        let counter = granted.counter;
        let preambles = granted.hop_keys.iter().map(|key| {
            let mut preamble =
                Preamble { kind: PreambleKind::Carrier, class, circuit, counter, mac: [0; 16] };
            preamble.mac = self.crypto.mac(key, &preamble.signed());
            preamble
        });
        Some((first, preambles.collect()))
    }

    /// A relayed or ended circuit, for operators.
    pub fn held(&self, circuit: CircuitId) -> Option<HeldView> {
        self.leases.get(circuit).map(crate::lease::Held::view)
    }

    /// All relayed and ended circuits, for operators, by id.
    pub fn all_held(&self) -> impl Iterator<Item = HeldView> {
        self.leases.iter().map(|(_, held)| held.view())
    }

    /// Does a circuit that is held here come from `node`, as the hop before this one?
    pub fn holds_from(&self, node: &NodeName) -> bool {
        self.leases.iter().any(|(_, held)| held.previous == *node)
    }

    /// How many circuits of others are granted or under way here.
    pub fn load(&self) -> usize {
        self.leases.len() + self.pending.len()
    }

    /// The cryptography given at the start.
    pub fn crypto(&self) -> &C {
        &self.crypto
    }

    /// The cryptography given at the start.
    pub fn crypto_mut(&mut self) -> &mut C {
        &mut self.crypto
    }

    /// Panics where the state contradicts itself. For tests.
    ///
    /// # Panics
    /// A bug here.
    pub fn check_invariants(&self) {
        self.leases.check_invariants();
        self.pending.check_invariants();
        // A renewal is in both tables, so each is held to the limit by itself.
        assert!(self.leases.len() <= self.config.max_circuits, "more leases than allowed");
        assert!(self.pending.len() <= self.config.max_circuits, "more requests under way than allowed");
        assert!(self.own.len() <= self.config.max_own, "more own circuits than allowed");
        for own in self.own.values() {
            assert!(own.asking.is_some() || own.granted.is_some(), "a circuit waits for nothing");
            assert!(own.secret.is_some() != own.granted.is_some(), "a secret outlives its agreement");
        }
    }

    pub(super) fn send(&mut self, to: &NodeName, message: Message) {
        self.outputs.push_back(Output::Send { to: to.clone(), message });
    }

    pub(super) fn reject(&mut self, from: &NodeName, circuit: Option<CircuitId>, reason: String) {
        self.outputs.push_back(Output::Rejected { from: from.clone(), circuit, reason });
    }

    pub(super) fn send_refusal(
        &mut self,
        to: &NodeName,
        circuit: CircuitId,
        code: RefusalCode,
        reason: &str,
    ) {
        let (by, reason) = (self.config.node.clone(), reason.to_owned());
        let (certificates, signature) = (Vec::new(), Vec::new());
        self.send(
            to,
            Message::CircuitRefusal(Refusal { circuit, by, code, reason, certificates, signature }),
        );
    }

    pub(super) fn send_close(&mut self, to: &NodeName, circuit: CircuitId, code: CircuitClose, reason: &str) {
        self.send(to, Message::CircuitClose { circuit, code, reason: reason.to_owned() });
    }

    pub(super) fn tell_closed(
        &mut self,
        circuit: CircuitId,
        role: Role,
        by: &NodeName,
        code: CircuitClose,
        reason: &str,
    ) {
        self.outputs.push_back(Output::Closed {
            circuit,
            role,
            by: by.clone(),
            code,
            reason: reason.to_owned(),
            grace: super::config::grace(code),
        });
    }
}
