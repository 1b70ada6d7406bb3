use std::collections::BTreeMap;
use std::time::Duration;

use aire_circuit::{Accepted, Output, PreambleError, Want};
use aire_types::{AppName, Class, Incarnation, Ineligible, NodeName, RouteId, Time};
use aire_wire::{CircuitClose, CircuitId, Message, Preamble, RefusalCode};

use super::hop_gate::HopGate;
use super::probes::Probes;
use super::{Control, Effect};
use crate::happening::{Happening, Kind};

/// A circuit that nobody used for so long is closed.
const IDLE: Duration = Duration::from_secs(300);
/// How often idle circuits are looked for.
const SWEEP: Duration = Duration::from_secs(30);
/// A refused route is not asked for again before.
const REFUSED_FOR: Duration = Duration::from_secs(5);
/// The same where only a link is missing, or where a change of the policy must show at once.
const SOON: Duration = Duration::from_millis(500);
/// Dials that fail in a row before a circuit is taken for forgotten.
const DIALS_PER_CIRCUIT: u32 = 2;

/// A circuit that stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Granted {
    /// The circuit.
    pub(crate) circuit: CircuitId,
    /// Which run of the destination granted it.
    pub(crate) incarnation: Incarnation,
}

#[derive(Debug)]
pub(super) enum State {
    Asking,
    Granted(Granted),
}

#[derive(Debug)]
pub(super) struct RouteCircuit {
    circuit: CircuitId,
    pub(super) state: State,
    pub(super) used: Time,
    pub(super) probes: Probes,
    /// Dials that failed in a row.
    failures: u32,
}

/// Our own circuits, one for each route.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    pub(super) by_route: BTreeMap<RouteId, RouteCircuit>,
    pub(super) by_circuit: BTreeMap<CircuitId, RouteId>,
    refused: BTreeMap<RouteId, Refused>,
    swept: Time,
}

/// Why a route is not asked for again at once.
#[derive(Clone, Debug)]
pub(super) struct Refused {
    until: Time,
    code: RefusalCode,
    /// The destination's policy said no: all other ways end there, too.
    denied: bool,
    pub(super) reason: String,
}

/// Where a new stream goes.
#[derive(Debug)]
pub(crate) enum Placement {
    /// There.
    Route(RouteId),
    /// Nowhere: the app's policy does not allow it.
    Denied(String),
    /// Nowhere now: there are instances, but no usable way.
    NoWay,
    /// Nobody has spoken of the app.
    NoInstance,
}

impl Routes {
    pub(super) fn poll_timeout(&self) -> Option<Time> {
        (!self.by_route.is_empty()).then(|| self.swept + SWEEP)
    }
}

impl Control {
    /// Wants a circuit along `route`. [`Effect::Granted`] or [`Effect::Refused`] follows.
    pub(crate) fn need(&mut self, now: Time, route: &RouteId) {
        if let Some(entry) = self.routes.by_route.get_mut(route) {
            entry.used = now;
            if let State::Granted(granted) = entry.state {
                self.effects.push(Effect::Granted { route: route.clone(), granted });
            }
            return;
        }
        if let Err(Refused { code, denied, reason, .. }) = self.ask(now, route) {
            self.effects.push(Effect::Refused { route: route.clone(), code, denied, reason });
        }
        self.pump(now);
    }

    /// Where a new stream to `app` goes. Where all ways were refused, one of them is asked for again, as the policy may
    /// have changed; [`Effect::TopologyChanged`] follows.
    pub(crate) fn place_or_ask(&mut self, now: Time, app: &AppName, class: Class) -> Placement {
        let decision = self.brain.place(now, app, class);
        self.pump(now);
        if let Some(route) = decision.choice() {
            return Placement::Route(route.clone());
        }
        let refused = || {
            let ranking = decision.ranking.iter();
            ranking.filter(|r| matches!(r.ineligible, Some(Ineligible::Refused(_)))).map(|r| &r.route)
        };
        let mut known = refused().filter_map(|route| self.routes.refused.get(route));
        if let Some(denial) = known.find(|refused| refused.denied && refused.until > now) {
            return Placement::Denied(denial.reason.clone());
        }
        if let Some(route) = refused().min_by_key(|route| route.path.relays().len()) {
            self.need(now, route);
        }
        if decision.ranking.is_empty() { Placement::NoInstance } else { Placement::NoWay }
    }

    pub(super) fn ask(&mut self, now: Time, route: &RouteId) -> Result<(), Refused> {
        if let Some(refused) = self.routes.refused.get(route) {
            if refused.until > now {
                return Err(refused.clone());
            }
            self.routes.refused.remove(route);
        }
        let want = Want {
            app: route.instance.app.clone(),
            class: self.interests.get(&route.instance.app).copied().unwrap_or(Class::Interactive),
            path: route.path.clone(),
            destination: route.instance.node.clone(),
        };
        let circuit =
            self.circuits.request(now, crate::clock::unix_seconds(), want, None).map_err(|error| {
                Refused { until: now, code: RefusalCode::Capacity, denied: false, reason: error.to_string() }
            })?;
        let (state, probes) = (State::Asking, Probes::default());
        let entry = RouteCircuit { circuit, state, used: now, probes, failures: 0 };
        self.routes.by_route.insert(route.clone(), entry);
        self.routes.by_circuit.insert(circuit, route.clone());
        Ok(())
    }

    pub(super) fn handle_circuit_message(&mut self, now: Time, from: &NodeName, message: Message) {
        let (gate, links, limits) = (&self.gate, &self.links, &self.terms);
        let mut gate = HopGate { gate, links, limits, denied: Vec::new() };
        let unix = crate::clock::unix_seconds();
        self.circuits.handle_message(now, unix, from, message, &mut gate);
        let denied = gate.denied;
        denied.into_iter().for_each(|happening| self.tell(happening));
    }

    /// A carrier came in with this preamble: what becomes of it?
    pub(crate) fn check_preamble(
        &mut self,
        now: Time,
        preamble: &Preamble,
    ) -> Result<Accepted, PreambleError> {
        self.circuits.check_preamble(now, preamble)
    }

    /// The policy changed: circuits that it no longer allows are closed.
    pub(crate) fn reauthorize(&mut self, now: Time) {
        let gate = &self.gate;
        self.circuits.reauthorize(|asked, role| {
            let verdict = match role {
                aire_circuit::Role::Relay => gate.relay(&asked.source, &asked.app, asked.class),
                _ => gate.connect(&asked.source, &asked.app, asked.class),
            };
            if verdict.allowed { Ok(()) } else { Err(verdict.reason.clone()) }
        });
        self.routes.refused.clear();
        self.pump(now);
    }

    /// Closes circuits that nobody used for a while.
    pub(super) fn close_idle_routes(&mut self, now: Time) {
        if now < self.routes.swept + SWEEP {
            return;
        }
        self.routes.swept = now;
        self.routes.refused.retain(|_, refused| refused.until > now);
        let idle: Vec<CircuitId> = self
            .routes
            .by_route
            .values()
            .filter(|entry| now.since(entry.used) > IDLE)
            .map(|entry| entry.circuit)
            .collect();
        for circuit in idle {
            self.circuits.close(circuit, CircuitClose::Unwanted, "not used for a while");
        }
    }

    /// A circuit along `route` carries something.
    pub(crate) fn keep_route(&mut self, now: Time, route: &RouteId) {
        if let Some(entry) = self.routes.by_route.get_mut(route) {
            entry.used = now;
        }
    }

    /// Nothing runs over this circuit any more: one that lapsed is over now, others may serve somebody else.
    pub(crate) fn release(&mut self, now: Time, circuit: CircuitId) {
        if !self.routes.by_circuit.contains_key(&circuit) {
            self.circuits.close(circuit, CircuitClose::Unwanted, "nothing runs over it");
            self.pump(now);
        }
    }

    /// A carrier was opened over this circuit.
    pub(crate) fn dialled(&mut self, circuit: CircuitId) {
        if let Some(route) = self.routes.by_circuit.get(&circuit)
            && let Some(entry) = self.routes.by_route.get_mut(route)
        {
            entry.failures = 0;
        }
    }

    /// A carrier could not be opened. When that happens again a hop may have forgotten the circuit without a word: whoever
    /// needs the route next gets another one.
    pub(crate) fn dial_failed(&mut self, now: Time, circuit: CircuitId) {
        let Some(route) = self.routes.by_circuit.get(&circuit) else { return };
        let Some(entry) = self.routes.by_route.get_mut(route) else { return };
        entry.failures += 1;
        if entry.failures >= DIALS_PER_CIRCUIT {
            self.forget_route(now, circuit, "carriers do not get through");
            self.pump(now);
        }
    }

    /// A circuit is no longer what its route is reached by; probes that wait for an answer get none.
    fn forget_route(&mut self, now: Time, circuit: CircuitId, why: &str) -> Option<RouteId> {
        let route = self.routes.by_circuit.remove(&circuit)?;
        if let Some(entry) = self.routes.by_route.remove(&route) {
            self.probes_unsent(now, entry.probes, why);
        }
        Some(route)
    }

    pub(super) fn pump_circuits(&mut self, now: Time) -> bool {
        let mut quiet = true;
        while let Some(output) = self.circuits.poll_output() {
            quiet = false;
            self.handle_circuit_output(now, output);
        }
        quiet
    }

    fn handle_circuit_output(&mut self, now: Time, output: Output) {
        match output {
            Output::Send { to, message } => {
                if !self.send(&to, &message) {
                    self.circuits.handle_unreachable(&to);
                }
            }
            Output::SendProbe { to, datagram } => self.send_datagram(&to, &datagram),
            Output::Granted { circuit, incarnation, .. } => {
                self.granted(now, Granted { circuit, incarnation })
            }
            Output::Refused { circuit, by, code, reason, .. } => {
                self.refused(now, circuit, &by, code, &reason)
            }
            Output::Lapsed { circuit } => {
                if let Some(route) = self.forget_route(now, circuit, "its lease lapsed") {
                    self.effects.push(Effect::Lapsed { route, circuit });
                }
            }
            Output::Held { asked, .. } => self.note_run(&asked.source.node, asked.incarnation),
            Output::Closed { circuit, role, by, code, reason, grace } => {
                let route = self.forget_route(now, circuit, &reason);
                if code != CircuitClose::Unwanted {
                    let text = format!("circuit {circuit} closed by {by}: {code} ({reason})");
                    self.tell(Happening::new(Kind::CircuitClosed, text).peer(&by));
                }
                self.effects.push(Effect::Closed { circuit, role, route, code, reason, grace });
            }
            Output::Rejected { from, reason, .. } => {
                let text = format!("a message about a circuit was rejected: {reason}");
                self.tell(Happening::new(Kind::MessageRejected, text).peer(&from));
            }
            Output::Probed { circuit, sequence, rtt } => self.probed(now, circuit, sequence, rtt),
        }
    }

    fn granted(&mut self, now: Time, granted: Granted) {
        let Some(route) = self.routes.by_circuit.get(&granted.circuit).cloned() else { return };
        let Some(entry) = self.routes.by_route.get_mut(&route) else { return };
        let first = matches!(entry.state, State::Asking);
        entry.state = State::Granted(granted);
        let until = self.circuits.lease_until(granted.circuit).unwrap_or(now);
        self.brain.handle_leased(now, &route, until);
        if first {
            self.send_waiting_probes(now, &route);
            self.effects.push(Effect::Granted { route, granted });
            self.effects.push(Effect::TopologyChanged);
        }
    }

    fn refused(&mut self, now: Time, circuit: CircuitId, by: &NodeName, code: RefusalCode, reason: &str) {
        let text = format!("{by}: {code} ({reason})");
        let Some(route) = self.forget_route(now, circuit, &text) else { return };
        let refusal = match code {
            RefusalCode::Capacity => aire_brain::Refusal::Capacity,
            RefusalCode::NoRoute => aire_brain::Refusal::Unlinked(text.clone()),
            _ => aire_brain::Refusal::Other(text.clone()),
        };
        self.brain.handle_refused(now, &route, refusal);
        if matches!(code, RefusalCode::Policy | RefusalCode::NoSuchApp) {
            let happening =
                Happening::new(Kind::CircuitRefused, format!("circuit to {route} refused by {text}"));
            self.tell(happening.peer(by).app(&route.instance.app));
        }
        let denied = code == RefusalCode::Policy && *by == route.instance.node;
        let rest = if denied || code == RefusalCode::NoRoute { SOON } else { REFUSED_FOR };
        let refused = Refused { until: now + rest, code, denied, reason: text.clone() };
        self.routes.refused.insert(route.clone(), refused);
        self.effects.push(Effect::Refused { route, code, denied, reason: text });
        self.effects.push(Effect::TopologyChanged);
    }
}
