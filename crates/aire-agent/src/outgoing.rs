//! Associations that this agent opened: one for each instance and class that its applications call.

mod dial;
mod shortcut;

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use aire_brain::{RankedPaths, Sample};
use aire_circuit::{LeftBecause, Pool, PoolConfig, PoolEvent, Symptom};
use aire_stream::CarrierId;
use aire_types::{Class, Incarnation, Instance, NodeName, Path, RouteId, Time};
use aire_wire::{AssociationId, CarrierClose, CircuitId, RefusalCode, ResetCode};
use parking_lot::Mutex;
use ring::rand::{SecureRandom, SystemRandom};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use crate::agent::Agent;
use crate::carry::{Association, Keeper, Report};
use crate::control::Granted;
use crate::happening::{Happening, Kind};
use crate::ledger::Ending;

/// Streams that wait shorter than this for a path are not worth an event.
const WORTH_TELLING: Duration = Duration::from_secs(1);
/// An association without streams and carriers is kept so long; less than its destination remembers it.
const IDLE: Duration = Duration::from_secs(60);

/// An association of which this agent is the source.
pub(crate) struct Outgoing {
    agent: Weak<Agent>,
    pub(crate) instance: Instance,
    pub(crate) class: Class,
    pub(crate) association: Arc<Association>,
    id: AssociationId,
    secret: [u8; 32],
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Which run of the destination the association is with; unknown before the first grant.
    incarnation: Option<Incarnation>,
    dials: BTreeMap<CarrierId, AbortHandle>,
    /// Paths over which no carrier opened the last time, and why.
    failures: BTreeMap<Path, String>,
    /// Looks for a way for datagrams, while there are any.
    seeking: Option<AbortHandle>,
    /// Resets the streams when no path comes for too long.
    patience: Option<AbortHandle>,
    /// Of circuits, the last one, where none was granted since.
    refusal: Option<(RefusalCode, String)>,
    /// Since when nobody has used it and it has had no carriers.
    bare_since: Option<Instant>,
}

impl Outgoing {
    /// The association with an instance, for a class; begun where there is none.
    pub(crate) fn find(agent: &Arc<Agent>, instance: &Instance, class: Class) -> Arc<Self> {
        let key = (instance.clone(), class);
        let mut begun = None;
        let outgoing = Arc::clone(agent.outgoing.lock().entry(key).or_insert_with(|| {
            let (outgoing, reports) = Self::begin(agent, instance, class);
            begun = Some(reports);
            outgoing
        }));
        if let Some(reports) = begun {
            tokio::spawn(Arc::clone(&outgoing).follow(reports));
            agent.control(|now, control| control.rank(now, instance, class));
        }
        outgoing
    }

    fn begin(
        agent: &Arc<Agent>,
        instance: &Instance,
        class: Class,
    ) -> (Arc<Self>, mpsc::UnboundedReceiver<Report>) {
        let (mut id, mut secret) = ([0; 16], [0; 32]);
        let random = SystemRandom::new();
        let filled = random.fill(&mut id).and_then(|()| random.fill(&mut secret));
        filled.expect("Linux gives random numbers without fail once it has started");
        let seed = u64::from_be_bytes([id[0], id[1], id[2], id[3], id[4], id[5], id[6], id[7]]);
        let pool = Pool::new(PoolConfig::new(class, seed));
        let (association, reports) =
            Association::new(agent.clock, Keeper::Source(Box::new(pool)), agent.budget.clone());
        association.keep_warm(agent.config.to.iter().any(|to| to.app == instance.app));
        let outgoing = Outgoing {
            agent: Arc::downgrade(agent),
            instance: instance.clone(),
            class,
            association,
            id: AssociationId(id),
            secret,
            state: Mutex::default(),
        };
        (Arc::new(outgoing), reports)
    }

    /// Paths over which no carrier opens, and why.
    pub(crate) fn failures(&self) -> Vec<(Path, String)> {
        self.state.lock().failures.iter().map(|(path, why)| (path.clone(), why.clone())).collect()
    }

    /// Why circuits were refused last, if no carrier is open.
    pub(crate) fn refusal(&self) -> Option<String> {
        self.state.lock().refusal.as_ref().map(|(_, reason)| reason.clone())
    }

    /// Was it policy?
    pub(crate) fn was_denied(&self) -> bool {
        matches!(self.state.lock().refusal, Some((RefusalCode::Policy, _)))
    }

    fn route(&self, path: Path) -> RouteId {
        RouteId { instance: self.instance.clone(), path }
    }

    pub(crate) fn handle_ranking(&self, ranked: RankedPaths) {
        let RankedPaths { mut paths, standby, silent } = ranked;
        self.association.prefer_direct(paths.first().is_some_and(Path::is_direct));
        // The pool takes the first disjoint path for its standby; the brain knows which is best.
        if let Some(standby) = standby {
            paths.retain(|path| *path != standby);
            let place = paths.len().min(1);
            paths.insert(place, standby);
        }
        self.association.with_pool(|now, pool| pool.handle_ranking(now, paths, silent));
    }

    pub(crate) fn handle_granted(self: &Arc<Self>, path: &Path, granted: Granted) {
        let restarted = {
            let mut state = self.state.lock();
            state.refusal = None;
            let before = state.incarnation.replace(granted.incarnation);
            before.is_some_and(|before| before != granted.incarnation)
        };
        if restarted {
            return self.peer_restarted();
        }
        self.association.with_pool(|now, pool| pool.handle_granted(now, path, granted.circuit));
    }

    /// A way was refused. `denied`: by the destination's policy, so that all ways are: streams that wait for their first
    /// carrier need not wait, and whoever calls next asks anew.
    pub(crate) fn handle_refused(
        self: &Arc<Self>,
        path: &Path,
        code: RefusalCode,
        denied: bool,
        reason: &str,
    ) {
        self.state.lock().refusal = Some((code, reason.to_owned()));
        if denied && self.association.carriers().is_empty() {
            return self.end(ResetCode::NotAllowed, CarrierClose::Done, reason);
        }
        self.association.with_pool(|now, pool| pool.handle_refused(now, path, code));
    }

    /// The destination has no memory of our streams: they end, and the next one begins a new association.
    fn peer_restarted(self: &Arc<Self>) {
        self.end(ResetCode::PeerRestarted, CarrierClose::Restarted, "the destination restarted");
        if let Some(agent) = self.agent.upgrade().filter(|agent| self.is_configured(agent)) {
            Self::find(&agent, &self.instance, self.class);
        }
    }

    /// Ends the association. Whoever calls the instance from now on begins another one.
    pub(crate) fn end(self: &Arc<Self>, streams: ResetCode, close: CarrierClose, reason: &str) {
        self.forget();
        self.association.end(streams, close, reason);
        self.stop_tasks();
    }

    fn forget(self: &Arc<Self>) {
        if let Some(agent) = self.agent.upgrade() {
            let mut outgoing = agent.outgoing.lock();
            let key = (self.instance.clone(), self.class);
            if outgoing.get(&key).is_some_and(|held| Arc::ptr_eq(held, self)) {
                outgoing.remove(&key);
            }
        }
    }

    fn stop_tasks(&self) {
        let mut state = self.state.lock();
        let dials = std::mem::take(&mut state.dials);
        let others = state.patience.take().into_iter().chain(state.seeking.take());
        dials.into_values().chain(others).for_each(|task| task.abort());
    }

    /// Does the configuration name its app?
    fn is_configured(&self, agent: &Agent) -> bool {
        agent.config.to.iter().any(|to| to.app == self.instance.app)
    }

    /// Ends an association that nobody has used for a while. `exists`: its instance is known to the registry.
    pub(crate) fn end_if_idle(self: &Arc<Self>, agent: &Agent, exists: bool) {
        let warm = exists && self.is_configured(agent);
        self.association.keep_warm(warm);
        let bare = !warm && self.association.is_bare();
        let since = {
            let mut state = self.state.lock();
            state.bare_since = bare.then(|| state.bare_since.unwrap_or_else(Instant::now));
            state.bare_since
        };
        if since.is_some_and(|since| since.elapsed() >= IDLE) && self.association.end_if_bare() {
            self.forget();
            self.stop_tasks();
        }
    }

    async fn follow(self: Arc<Self>, mut reports: mpsc::UnboundedReceiver<Report>) {
        while let Some(report) = reports.recv().await {
            let Some(agent) = self.agent.upgrade() else { return };
            // What came before the end of the association says nothing about paths any more.
            if !self.association.is_over() || matches!(report, Report::Ended { .. }) {
                self.handle_report(&agent, report);
            }
        }
    }

    fn handle_report(self: &Arc<Self>, agent: &Arc<Agent>, report: Report) {
        match report {
            Report::Negotiate { path } => {
                let route = self.route(path);
                agent.control(|now, control| control.need(now, &route));
            }
            Report::Release { circuit } => self.release(agent, circuit),
            Report::Dial { carrier, circuit, path, class } => {
                let dial =
                    tokio::spawn(Arc::clone(self).dial(Arc::clone(agent), carrier, circuit, path, class));
                self.state.lock().dials.insert(carrier, dial.abort_handle());
            }
            Report::Abandoned { carrier } => {
                if let Some(dial) = self.state.lock().dials.remove(&carrier) {
                    dial.abort();
                }
            }
            Report::Rerank { path, because } => self.rerank(agent, path, because),
            Report::NoPath { since } => self.wait_for_path(agent, since),
            Report::Path(event) => self.handle_path_event(agent, event),
            Report::Ended { stream, reset, moves, bytes_in, bytes_out } => {
                agent.ledger.end(agent, self.id, stream, Ending { reset, moves, bytes_in, bytes_out });
            }
            Report::Measured { path, neighbour, rtt, counted } => {
                let route = self.route(path);
                agent.control(|now, control| {
                    control.record_counted(&route, &neighbour, &counted);
                    control.handle_sample(now, &route, Sample::Rtt(rtt));
                });
            }
            Report::CarrierDown { carrier, close, why } => self.carrier_down(agent, carrier, close, &why),
            // Only destinations are called.
            Report::Incoming { stream, .. } => self.association.reset(stream, ResetCode::Protocol),
        }
    }

    /// Nothing of this class runs over the circuit; those of others may.
    fn release(&self, agent: &Arc<Agent>, circuit: CircuitId) {
        let mut used = false;
        for other in agent.outgoing_to(&self.instance) {
            other.association.with_pool(|_, pool| used |= pool.uses(circuit));
        }
        if !used {
            agent.control(|now, control| control.release(now, circuit));
        }
    }

    fn carrier_down(
        self: &Arc<Self>,
        agent: &Agent,
        carrier: CarrierId,
        close: Option<CarrierClose>,
        why: &str,
    ) {
        tracing::debug!(%carrier, instance = %self.instance, why, "a carrier is gone");
        match close {
            Some(CarrierClose::Restarted) => self.peer_restarted(),
            Some(refused @ (CarrierClose::NotAllowed | CarrierClose::Revoked)) => {
                let text = format!("{} took no carrier: {why}", self.instance);
                self.tell(agent, Kind::CircuitRefused, text);
                let code = match refused {
                    CarrierClose::Revoked => ResetCode::Revoked,
                    _ => ResetCode::NotAllowed,
                };
                self.end(code, CarrierClose::Done, why);
            }
            Some(CarrierClose::Protocol) => {
                self.tell(
                    agent,
                    Kind::MessageRejected,
                    format!("the association with {} broke: {why}", self.instance),
                );
                self.end(ResetCode::Protocol, CarrierClose::Protocol, why);
            }
            Some(CarrierClose::Draining) if !self.association.is_joined() => {
                self.association.reset_unopened(ResetCode::Draining);
            }
            _ => {}
        }
    }

    fn tell(&self, agent: &Agent, kind: Kind, text: String) {
        agent.tell(Happening::new(kind, text).app(&self.instance.app).peer(&self.instance.node));
    }

    fn rerank(&self, agent: &Arc<Agent>, path: Path, because: LeftBecause) {
        let route = self.route(path);
        let dead = matches!(because, LeftBecause::Dead(_) | LeftBecause::Closed);
        agent.control(|now, control| {
            control.handle_left(now, &route, dead, Duration::from_secs(10));
            control.rank(now, &self.instance, self.class);
        });
    }

    /// Streams wait for a path for as long as the configuration says. A moment without one is nothing to speak of.
    fn wait_for_path(self: &Arc<Self>, agent: &Arc<Agent>, since: Time) {
        let waited = agent.clock.now().since(since);
        let (this, agent) = (Arc::clone(self), Arc::clone(agent));
        let waiting = tokio::spawn(async move {
            let patience = agent.config.patience.saturating_sub(waited);
            tokio::time::sleep(WORTH_TELLING.min(patience)).await;
            let refusal = this.refusal().map(|why| format!(" ({why})")).unwrap_or_default();
            let text = format!(
                "no path to {}{refusal}; its streams wait {} s",
                this.instance,
                agent.config.patience.as_secs()
            );
            this.tell(&agent, Kind::NoPath, text);
            tokio::time::sleep(patience.saturating_sub(WORTH_TELLING)).await;
            this.association.reset_all(ResetCode::NoPath);
        });
        if let Some(before) = self.state.lock().patience.replace(waiting.abort_handle()) {
            before.abort();
        }
    }

    fn handle_path_event(&self, agent: &Arc<Agent>, event: PoolEvent) {
        let (kind, text, current) = match event {
            PoolEvent::Left { path, because, to } => {
                if because == LeftBecause::Expired {
                    let whose = agent.whose_certificate_ran_out(&self.instance.node);
                    self.tell(
                        agent,
                        Kind::CertificateExpired,
                        format!("carriers to {} end with {whose}", self.instance),
                    );
                }
                if let (LeftBecause::Dead(silent), Some(_)) = (because, &to) {
                    agent.metrics.stalled(silent);
                }
                let to_text = to.as_ref().map_or("nowhere yet".to_owned(), |to| format!("for {to}"));
                let why = describe(because);
                (Kind::PathLeft, format!("{} left {path} {to_text}: {why}", self.instance), to)
            }
            PoolEvent::Found { path, after, again } => {
                if let Some(patience) = self.state.lock().patience.take() {
                    patience.abort();
                }
                if again {
                    agent.metrics.stalled(after);
                }
                let text = format!("{} is reached {path} after {} ms", self.instance, after.as_millis());
                (Kind::PathMoved, text, Some(path))
            }
        };
        self.tell(agent, kind, text);
        if let Some(path) = current {
            let route = self.route(path);
            agent.control(|now, control| control.handle_current(now, &route, self.class));
        }
    }

    /// Names the association, for the ledger.
    pub(crate) const fn id(&self) -> AssociationId {
        self.id
    }
}

impl Agent {
    /// A peer has come back as this run: its earlier runs' memory of our streams is gone.
    pub(crate) fn destination_restarted(&self, node: &NodeName, run: Incarnation) {
        let outgoing = self.all_outgoing();
        for held in outgoing.iter().filter(|held| held.instance.node == *node) {
            let known = held.state.lock().incarnation;
            if known.is_some_and(|known| known < run) {
                held.peer_restarted();
            }
        }
    }
}

/// Why a path was left, for people.
fn describe(because: LeftBecause) -> String {
    match because {
        LeftBecause::Dead(silent) => format!("it was silent for {} ms", silent.as_millis()),
        LeftBecause::Closed => "its carrier was closed".to_owned(),
        LeftBecause::Degraded(Symptom::Silent) => "it is silent, like all others".to_owned(),
        LeftBecause::Degraded(Symptom::Slow { times }) => {
            format!("its round trip is {times:.1} times the usual")
        }
        LeftBecause::Degraded(Symptom::Lossy) => "it loses packets".to_owned(),
        LeftBecause::Degraded(Symptom::Unanswered) => "its probes are not answered".to_owned(),
        LeftBecause::Expired => "a certificate ran out".to_owned(),
        LeftBecause::CircuitClosed(code) => format!("a hop closed the circuit: {code}"),
        LeftBecause::Better => "another one is better".to_owned(),
    }
}
