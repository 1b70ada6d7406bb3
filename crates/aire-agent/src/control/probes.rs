//! Probes of routes: for the brain, and for people.

use std::collections::BTreeMap;
use std::time::Duration;

use aire_types::{RouteId, Time};
use aire_wire::CircuitId;
use tokio::sync::oneshot;

use super::circuits::{Refused, State};
use super::{Control, Effect};

/// A probe that was not answered for so long counts as lost.
const PATIENCE: Duration = Duration::from_secs(3);
/// The same for what datagrams ask, which is often.
const SOUNDED: Duration = Duration::from_secs(1);

/// Whom the answer to a probe is for.
#[derive(Debug)]
enum Asker {
    Brain(u64),
    /// Datagrams that may take the route: [`Effect::Probed`] is all they need.
    Datagrams,
    /// `aire ping`.
    Person(oneshot::Sender<Result<Duration, String>>),
}

/// Probes of one route.
#[derive(Debug, Default)]
pub(super) struct Probes {
    /// They wait for the grant.
    waiting: Vec<Asker>,
    /// They wait for their echo; by the number that they were sent with.
    sent: BTreeMap<u32, Asker>,
}

impl Control {
    /// Sends one probe of the brain along `route`, after negotiating a circuit where there is none.
    pub(super) fn probe(&mut self, now: Time, id: u64, route: &RouteId) {
        self.probe_for(now, Asker::Brain(id), route);
    }

    /// Measures `route` for a person, who is told the round trip, or why there is no circuit; nothing where it is lost.
    pub(crate) fn ping(
        &mut self,
        now: Time,
        route: &RouteId,
        told: oneshot::Sender<Result<Duration, String>>,
    ) {
        self.probe_for(now, Asker::Person(told), route);
        self.pump(now);
    }

    /// Looks whether datagrams get through on `route`; [`Effect::Probed`] follows where they do.
    pub(crate) fn sound(&mut self, now: Time, route: &RouteId) {
        self.probe_for(now, Asker::Datagrams, route);
        self.pump(now);
    }

    fn probe_for(&mut self, now: Time, asker: Asker, route: &RouteId) {
        if !self.routes.by_route.contains_key(route)
            && let Err(Refused { reason, .. }) = self.ask(now, route)
        {
            return self.unsent(now, asker, &reason);
        }
        let Some(entry) = self.routes.by_route.get_mut(route) else { return };
        entry.used = now;
        match entry.state {
            State::Asking => entry.probes.waiting.push(asker),
            State::Granted(granted) => self.send_probe(now, route, granted.circuit, asker),
        }
    }

    /// The circuit of a route was granted.
    pub(super) fn send_waiting_probes(&mut self, now: Time, route: &RouteId) {
        let Some(entry) = self.routes.by_route.get_mut(route) else { return };
        let State::Granted(granted) = entry.state else { return };
        for asker in std::mem::take(&mut entry.probes.waiting) {
            self.send_probe(now, route, granted.circuit, asker);
        }
    }

    fn send_probe(&mut self, now: Time, route: &RouteId, circuit: CircuitId, asker: Asker) {
        let patience = if matches!(asker, Asker::Datagrams) { SOUNDED } else { PATIENCE };
        let sent = self.circuits.probe(now, circuit, patience);
        match (sent, self.routes.by_route.get_mut(route)) {
            (Some(sequence), Some(entry)) => {
                if let Asker::Brain(id) = asker {
                    self.brain.handle_sent(now, id);
                }
                entry.probes.sent.insert(sequence, asker);
            }
            _ => self.unsent(now, asker, "too many probes are under way"),
        }
    }

    /// Probes of a route whose circuit is over.
    pub(super) fn probes_unsent(&mut self, now: Time, probes: Probes, reason: &str) {
        let Probes { waiting, sent } = probes;
        for asker in waiting.into_iter().chain(sent.into_values()) {
            self.unsent(now, asker, reason);
        }
    }

    fn unsent(&mut self, now: Time, asker: Asker, reason: &str) {
        match asker {
            Asker::Brain(id) => self.brain.handle_unsent(now, id),
            Asker::Datagrams => {}
            Asker::Person(told) => {
                // A person who left does not mind.
                let _ = told.send(Err(reason.to_owned()));
            }
        }
    }

    pub(super) fn probed(&mut self, now: Time, circuit: CircuitId, sequence: u32, rtt: Option<Duration>) {
        let Some(route) = self.routes.by_circuit.get(&circuit).cloned() else { return };
        let Some(entry) = self.routes.by_route.get_mut(&route) else { return };
        let asker = entry.probes.sent.remove(&sequence);
        if matches!(asker, Some(Asker::Brain(_) | Asker::Person(_))) {
            self.record_probe(&route, rtt, PATIENCE);
        }
        match (asker, rtt) {
            (Some(Asker::Brain(id)), Some(rtt)) => self.brain.handle_echo(now, id, rtt),
            (Some(Asker::Person(told)), Some(rtt)) => {
                let _ = told.send(Ok(rtt));
            }
            // The brain gives unanswered probes up by itself; a person hears nothing more.
            (_, None) | (None | Some(Asker::Datagrams), _) => {}
        }
        self.effects.push(Effect::Probed { route, circuit, rtt });
    }
}
