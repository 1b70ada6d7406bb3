//! What all parts of a running agent share.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aire_admin::{Events, Metrics, News};
use aire_identity::Authority;
use aire_net::{Endpoint, Link, Pacer, RelayCounters, Underlay};
use aire_stream::Budget;
use aire_types::{AppName, Class, Incarnation, Instance, NodeName, Override, Time};
use aire_wire::{AssociationId, CircuitId};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::bug::contained;
use crate::clock::Clock;
use crate::config::Config;
use crate::control::{Control, Effect};
use crate::ends::Ends;
use crate::gate::Gate;
use crate::happening::{Happening, Kind, Weight};
use crate::incoming::Incoming;
use crate::ledger::Ledger;
use crate::membership::Membership;
use crate::model::ModelSource;
use crate::notices::InForce;
use crate::outgoing::Outgoing;
use crate::renewals::RenewalLimit;
use crate::upkeep::OwnRecord;

/// Bytes that all streams together may borrow beyond their guarantees.
const STREAM_BUDGET: usize = 256 * 1024 * 1024;

/// A timer that failed is not tried again at once, as it may do nothing but fail.
const AFTER_BUG: Duration = Duration::from_secs(1);

/// Counts since the start.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    pub(crate) streams: AtomicU64,
    pub(crate) moved: AtomicU64,
    pub(crate) reset: AtomicU64,
    pub(crate) bytes_in: AtomicU64,
    pub(crate) bytes_out: AtomicU64,
}

/// A circuit that this agent relays.
pub(crate) struct Relayed {
    pub(crate) kill: CancellationToken,
    pub(crate) counters: Arc<RelayCounters>,
    pub(crate) pacer: Option<Arc<Pacer>>,
}

/// A running agent.
pub(crate) struct Agent {
    pub(crate) config: Config,
    pub(crate) clock: Clock,
    pub(crate) incarnation: Incarnation,
    pub(crate) membership: Arc<Membership>,
    pub(crate) authority: Option<Arc<Authority>>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) events: Arc<Events>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) underlay: Underlay,
    pub(crate) endpoint: OnceLock<Endpoint>,
    pub(crate) budget: Budget,
    pub(crate) totals: Totals,
    pub(crate) ledger: Ledger,
    pub(crate) draining: AtomicBool,
    pub(crate) drain_requested: watch::Sender<bool>,
    pub(crate) renewed: Notify,
    pub(crate) renewals: Mutex<RenewalLimit>,
    pub(crate) in_force: InForce,
    pub(crate) topology_changed: Notify,
    pub(crate) own_record: OwnRecord,
    pub(crate) model: ModelSource,
    pub(crate) overrides: Mutex<BTreeMap<AppName, Override>>,
    pub(crate) outgoing: Mutex<BTreeMap<(Instance, Class), Arc<Outgoing>>>,
    pub(crate) incoming: Mutex<BTreeMap<(NodeName, AssociationId), Arc<Incoming>>>,
    pub(crate) relayed: Mutex<BTreeMap<CircuitId, Relayed>>,
    /// Whose datagrams end here.
    pub(crate) ends: Ends,
    /// Carriers that are relayed now.
    pub(crate) relaying: AtomicU64,
    control: Mutex<Control>,
    control_timer: Notify,
}

impl Agent {
    /// An agent that has not opened any socket yet.
    pub(crate) fn new(
        config: Config,
        membership: Membership,
        authority: Option<Authority>,
        gate: Gate,
        underlay: Underlay,
    ) -> Arc<Self> {
        let clock = Clock::new();
        let incarnation = crate::clock::incarnation();
        let (membership, gate) = (Arc::new(membership), Arc::new(gate));
        let (policy, model) = crate::model::first(&config.model);
        let mut control =
            Control::new(clock.now(), &config, incarnation, Arc::clone(&membership), Arc::clone(&gate));
        if let Some(policy) = policy {
            control.set_policy(clock.now(), policy);
        }
        Arc::new(Agent {
            clock,
            incarnation,
            membership,
            authority: authority.map(Arc::new),
            gate,
            events: Arc::new(Events::default()),
            metrics: Arc::new(Metrics::new()),
            underlay,
            endpoint: OnceLock::new(),
            budget: Budget::new(STREAM_BUDGET),
            totals: Totals::default(),
            ledger: Ledger::default(),
            draining: AtomicBool::new(false),
            drain_requested: watch::Sender::new(false),
            renewed: Notify::new(),
            renewals: Mutex::new(RenewalLimit::new(config.svid_lifetime)),
            in_force: InForce::default(),
            topology_changed: Notify::new(),
            own_record: OwnRecord::new(config.app.as_ref().map(|served| served.profile.clone())),
            model,
            overrides: Mutex::new(config.overrides.clone()),
            outgoing: Mutex::default(),
            incoming: Mutex::default(),
            relayed: Mutex::default(),
            ends: Ends::default(),
            relaying: AtomicU64::new(0),
            control: Mutex::new(control),
            control_timer: Notify::new(),
            config,
        })
    }

    /// Does something with the control plane, and what follows from it. Never called with another lock held.
    pub(crate) fn control<R>(self: &Arc<Self>, act: impl FnOnce(Time, &mut Control) -> R) -> R {
        let mut control = self.control.lock();
        // Under the lock, so that it never goes back for the cores.
        let result = act(self.clock.now(), &mut control);
        let mut effects = control.take_effects();
        drop(control);
        self.control_timer.notify_one();
        while let Some(batch) = effects {
            for effect in batch {
                // Whoever carries out goes on: nobody else would until the end of the run.
                let what = effect.name();
                contained(what, || self.carry_out(effect)).unwrap_or_else(|bug| self.tell(bug));
            }
            effects = self.control.lock().more_effects();
        }
        result
    }

    /// Reads the control plane; nothing follows from it. Never called with another lock held.
    pub(crate) fn look<R>(&self, read: impl FnOnce(&Control) -> R) -> R {
        read(&self.control.lock())
    }

    /// The link to a node.
    pub(crate) fn link_to(&self, node: &NodeName) -> Option<Link> {
        self.look(|control| control.links().get(node).cloned())
    }

    /// Calls the control plane when its time has come, until the agent ends.
    pub(crate) async fn keep_time(self: Arc<Self>) {
        loop {
            let deadline = self.control.lock().poll_timeout().unwrap_or(Time::NEVER);
            tokio::select! {
                () = tokio::time::sleep_until(self.clock.instant(deadline)), if deadline != Time::NEVER => {
                    let act = || self.control(|now, control| control.handle_timeout(now));
                    if let Err(bug) = contained("a timer of the control plane", act) {
                        self.tell(bug);
                        tokio::time::sleep(AFTER_BUG).await;
                    }
                }
                () = self.control_timer.notified() => {}
            }
        }
    }

    fn carry_out(self: &Arc<Self>, effect: Effect) {
        match effect {
            Effect::Dial(address) => {
                tokio::spawn(crate::linking::dial(Arc::clone(self), address));
            }
            Effect::Punch { node, addresses } => {
                tokio::spawn(crate::reaching::punch(Arc::clone(self), node, addresses));
            }
            Effect::DialBack { address, ticket } => {
                tokio::spawn(crate::reaching::dial_back(Arc::clone(self), address, ticket));
            }
            Effect::Ranking { instance, class, paths } => {
                if let Some(outgoing) = self.find_outgoing(&instance, class) {
                    outgoing.handle_ranking(paths);
                }
            }
            Effect::Granted { route, granted } => {
                for outgoing in self.outgoing_to(&route.instance) {
                    outgoing.handle_granted(&route.path, granted);
                }
            }
            Effect::Refused { route, code, denied, reason } => {
                for outgoing in self.outgoing_to(&route.instance) {
                    outgoing.handle_refused(&route.path, code, denied, &reason);
                }
            }
            Effect::Lapsed { route, circuit } => {
                for outgoing in self.outgoing_to(&route.instance) {
                    outgoing.association.with_pool(|now, pool| pool.handle_lapsed(now, circuit));
                }
            }
            Effect::Closed { circuit, role, route, code, reason, grace } => {
                crate::ends::close(self, circuit);
                self.close_circuit(circuit, role, route, code, &reason, grace);
            }
            Effect::Probed { route, circuit, rtt } => {
                for outgoing in self.outgoing_to(&route.instance) {
                    outgoing.association.probed(&route.path, rtt);
                    if rtt.is_some() {
                        outgoing.handle_echo(self, &route.path, circuit);
                    }
                }
            }
            Effect::Renewed(answer) => self.take_renewal(answer),
            Effect::Renewal { from, request } => self.answer_renewal(from, request),
            Effect::NoticeAdopted => self.in_force.wake(),
            Effect::CloseLink { link, why } => {
                tokio::spawn(async move {
                    tokio::time::sleep(crate::upkeep::HEAD_START).await;
                    link.close(0, &why);
                });
            }
            Effect::Running { node, run } => {
                self.source_restarted(&node, run);
                self.destination_restarted(&node, run);
            }
            Effect::Moved { node } => {
                let outgoing = self.all_outgoing();
                let to = outgoing.iter().filter(|held| held.instance.node == node);
                to.for_each(|held| held.association.peer_moved());
            }
            Effect::TopologyChanged => self.topology_changed.notify_waiters(),
            Effect::Tell(happening) => {
                if happening.kind == Kind::CircuitDenied {
                    self.metrics.denied("relay");
                }
                self.tell(happening);
            }
        }
    }

    /// Tells the operator.
    pub(crate) fn tell(&self, happening: Happening) {
        let Happening { kind, text, peer, app } = happening;
        let (kind, weight) = (kind.as_str(), kind.weight());
        let severity = match weight {
            Weight::Info => aire_admin::documents::Severity::Info,
            Weight::Warning => aire_admin::documents::Severity::Warning,
        };
        let who = peer.clone().unwrap_or_else(|| self.config.node.to_string());
        let mut news = News::new(kind, severity, who, text);
        if let Some(node) = peer.and_then(|peer| peer.parse().ok()) {
            news = news.peer(node);
        }
        if let Some(app) = app.and_then(|app| app.parse().ok()) {
            news = news.app(app);
        }
        self.events.record(news);
    }

    /// Is the agent shutting down?
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    fn find_outgoing(&self, instance: &Instance, class: Class) -> Option<Arc<Outgoing>> {
        self.outgoing.lock().get(&(instance.clone(), class)).cloned()
    }

    /// The associations, one for each class, with an instance.
    pub(crate) fn outgoing_to(&self, instance: &Instance) -> Vec<Arc<Outgoing>> {
        Class::ALL.into_iter().filter_map(|class| self.find_outgoing(instance, class)).collect()
    }
}
