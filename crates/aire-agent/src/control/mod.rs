//! The control plane: the cores that all parts of the agent share, behind one lock, and what they want done.
//!
//! Facts go in through methods of [`Control`], which pump the cores until they are quiet. What they want from the
//! world outside is either sent at once (messages on links, which never block) or left in a list of [`Effect`]s,
//! carried out by the agent after the lock is released.

mod brain;
mod circuits;
mod dialler;
mod history;
mod hop_gate;
mod introductions;
mod link_ends;
mod links;
mod moved;
mod notices;
mod probes;
mod reach;
mod registry;

pub(crate) use circuits::{Granted, Placement};
pub(crate) use links::{LinkSerial, Onward};
pub(crate) use registry::Examined;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use aire_brain::{Brain, RankedPaths};
use aire_circuit::{Circuits, Role};
use aire_net::{Link, Ticket};
use aire_registry::{Notices, Registry};
use aire_types::{AppName, AppProfile, Class, Incarnation, Instance, NodeName, RouteId, Time};
use aire_wire::{CircuitClose, CircuitId, RecordBody, RefusalCode};

use crate::config::Config;
use crate::crypto::NodeCrypto;
use crate::gate::Gate;
use crate::happening::Happening;
use crate::history::Window;
use crate::membership::Membership;
use circuits::Routes;
use dialler::Dialler;
use introductions::Introductions;
use links::Links;
use reach::Reach;

/// What the control plane wants done outside its lock.
#[derive(Debug)]
pub(crate) enum Effect {
    /// Open a link to this address.
    Dial(SocketAddr),
    /// Open a link to this node, which dials us at the same moment.
    Punch { node: NodeName, addresses: Vec<SocketAddr> },
    /// Open the TCP connection that the node listening there asked for.
    DialBack { address: SocketAddr, ticket: Ticket },
    /// The order of the paths to an instance changed.
    Ranking { instance: Instance, class: Class, paths: RankedPaths },
    /// A circuit of ours stands.
    Granted { route: RouteId, granted: Granted },
    /// A circuit of ours was refused; `denied` when the destination's policy did it.
    Refused { route: RouteId, code: RefusalCode, denied: bool, reason: String },
    /// The lease of a circuit of ours ended; its carriers go on.
    Lapsed { route: RouteId, circuit: CircuitId },
    /// A circuit is over; its carriers are cut after `grace`.
    Closed {
        circuit: CircuitId,
        role: Role,
        route: Option<RouteId>,
        code: CircuitClose,
        reason: String,
        grace: Duration,
    },
    /// A probe of ours came back, or did not.
    Probed { route: RouteId, circuit: CircuitId, rtt: Option<Duration> },
    /// A renewed certificate arrived from the authority.
    Renewed(Vec<u8>),
    /// A member asks the authority, which we hold, for a new certificate.
    Renewal { from: NodeName, request: Vec<u8> },
    /// A newer notice of the authority is in force.
    NoticeAdopted,
    /// End this link in a moment, when what was sent over it has arrived.
    CloseLink { link: Link, why: String },
    /// A peer is, or came back as, this run.
    Running { node: NodeName, run: Incarnation },
    /// A peer is linked from another address than before: what was open to it is lost.
    Moved { node: NodeName },
    /// Nodes came or went, or a way was granted or refused.
    TopologyChanged,
    /// Tell the operator.
    Tell(Happening),
}

impl Effect {
    /// What it is, for people.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Effect::Dial(_) => "dialling a link",
            Effect::Ranking { .. } => "following a ranking of paths",
            Effect::Granted { .. } => "taking a granted circuit",
            Effect::Refused { .. } => "taking a refused circuit",
            Effect::Lapsed { .. } => "letting go of a lapsed lease",
            Effect::Closed { .. } => "closing a circuit",
            Effect::Probed { .. } => "taking a probe's result",
            Effect::Renewed(_) => "taking a renewed certificate",
            Effect::Renewal { .. } => "answering a renewal",
            Effect::Punch { .. } => "punching a hole",
            Effect::DialBack { .. } => "dialling back",
            Effect::NoticeAdopted => "following a notice of the authority",
            Effect::CloseLink { .. } => "closing a link",
            Effect::Running { .. } => "noting a peer's run",
            Effect::TopologyChanged => "telling of a changed topology",
            Effect::Moved { .. } => "following a peer to its new address",
            Effect::Tell(_) => "telling the operator",
        }
    }
}

/// All shared cores of an agent.
pub(crate) struct Control {
    node: NodeName,
    incarnation: Incarnation,
    membership: Arc<Membership>,
    gate: Arc<Gate>,
    registry: Registry,
    notices: Notices,
    circuits: Circuits<NodeCrypto>,
    brain: Brain,
    dialler: Dialler,
    introductions: Introductions,
    reach: Reach,
    links: Links,
    routes: Routes,
    terms: hop_gate::Limits,
    own_body: RecordBody,
    /// It says something: the first record of a run must not take back what the last one said.
    published: bool,
    /// The class that each destination app is reached by, as its interest was declared.
    interests: BTreeMap<AppName, Class>,
    /// The registry or the links changed since the brain was told.
    topology_is_old: bool,
    /// When the brain is told again what others publish of their legs.
    claims_at: Time,
    draining: bool,
    /// Peers' runs, as they told us over a link or in a circuit request.
    runs: BTreeMap<NodeName, Incarnation>,
    /// What was measured and decided; `None` where no history is kept.
    history: Option<Window>,
    effects: Vec<Effect>,
    /// Somebody carries effects out, and will do so until there are none.
    carrying_out: bool,
}

impl Control {
    /// The control plane of a node that has just started.
    pub(crate) fn new(
        now: Time,
        config: &Config,
        incarnation: Incarnation,
        membership: Arc<Membership>,
        gate: Arc<Gate>,
    ) -> Self {
        let identity = membership.identity();
        let seed = incarnation.0 ^ hash_of(config.node.as_str());
        let mut brain_config = aire_brain::Config::new(config.node.clone(), seed);
        brain_config.zone.clone_from(&config.zone);
        brain_config.scouts = config.model.enabled;
        let circuits_config =
            aire_circuit::Config::new(config.node.clone(), identity.mesh.clone(), incarnation);
        let mut control = Control {
            node: config.node.clone(),
            incarnation,
            notices: Notices::new(identity.mesh.clone(), seed),
            registry: Registry::new(now, aire_registry::Config::new(identity, incarnation, seed)),
            circuits: Circuits::new(circuits_config, NodeCrypto::new(Arc::clone(&membership))),
            brain: Brain::new(brain_config),
            dialler: Dialler::new(config.node.clone()),
            introductions: Introductions::default(),
            reach: Reach::default(),
            links: Links::default(),
            routes: Routes::default(),
            terms: hop_gate::Limits::new(config),
            own_body: RecordBody::default(),
            published: false,
            interests: BTreeMap::new(),
            topology_is_old: false,
            claims_at: now,
            draining: false,
            runs: BTreeMap::new(),
            history: config.history.map(|_| Window::new(now)),
            effects: Vec::new(),
            carrying_out: false,
            membership,
            gate,
        };
        for (app, order) in &config.overrides {
            control.brain.set_override(now, app, order.clone());
        }
        control
    }

    /// What is to be done, for the one who carries it out; `None` for others, and when nothing is left. One at a time does,
    /// so that effects happen in the order in which they were decided. After `Some`, call [`Control::more_effects`].
    pub(crate) fn take_effects(&mut self) -> Option<Vec<Effect>> {
        if self.carrying_out || self.effects.is_empty() {
            return None;
        }
        self.carrying_out = true;
        Some(std::mem::take(&mut self.effects))
    }

    /// What is to be done since [`Control::take_effects`].
    pub(crate) fn more_effects(&mut self) -> Option<Vec<Effect>> {
        self.carrying_out = !self.effects.is_empty();
        self.carrying_out.then(|| std::mem::take(&mut self.effects))
    }

    /// A peer spoke as this run. What its earlier runs agreed to is forgotten there.
    fn note_run(&mut self, node: &NodeName, run: Incarnation) {
        let known = self.runs.get(node).copied();
        if known.is_some_and(|known| run <= known) {
            return;
        }
        self.runs.insert(node.clone(), run);
        if known.is_some() {
            self.circuits.forgotten_by(node);
        }
        self.effects.push(Effect::Running { node: node.clone(), run });
    }

    /// Lets the cores talk to each other until they are quiet.
    pub(crate) fn pump(&mut self, now: Time) {
        loop {
            let mut quiet = self.pump_registry(now);
            quiet &= self.pump_notices();
            quiet &= self.pump_circuits(now);
            if std::mem::take(&mut self.topology_is_old) {
                self.tell_topology(now);
                self.effects.push(Effect::TopologyChanged);
                quiet = false;
            }
            quiet &= self.pump_brain(now);
            if quiet {
                break;
            }
        }
        let links = &self.links;
        for (address, node) in self.dialler.due(now, |node| links.has(node)) {
            if let Some(node) = node {
                self.introductions.want(now, &node);
            }
            self.effects.push(Effect::Dial(address));
        }
        self.ask_introductions(now);
    }

    /// When [`Control::handle_timeout`] wants to be called.
    pub(crate) fn poll_timeout(&self) -> Option<Time> {
        [
            self.registry.poll_timeout(),
            self.notices.poll_timeout(),
            self.circuits.poll_timeout(),
            self.brain.poll_timeout(),
            self.dialler.poll_timeout(),
            self.introductions.poll_timeout(),
            self.routes.poll_timeout(),
            self.links.poll_timeout(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Time has passed.
    pub(crate) fn handle_timeout(&mut self, now: Time) {
        if self.registry.poll_timeout().is_some_and(|at| at <= now) {
            self.registry.handle_timeout(now);
        }
        if self.notices.poll_timeout().is_some_and(|at| at <= now) {
            self.notices.handle_timeout(now);
        }
        if self.circuits.poll_timeout().is_some_and(|at| at <= now) {
            self.circuits.handle_timeout(now, crate::clock::unix_seconds());
        }
        if self.brain.poll_timeout().is_some_and(|at| at <= now) {
            self.brain.handle_timeout(now);
        }
        self.close_idle_routes(now);
        self.end_links(now);
        self.pump(now);
    }

    /// Takes nothing new and tells everybody.
    pub(crate) fn drain(&mut self, now: Time) {
        self.draining = true;
        self.terms.draining = true;
        self.circuits.drain();
        self.publish_with(now, |body| body.draining = true);
        self.pump(now);
    }

    /// The agent's port is open; `port` is its number.
    pub(crate) fn started(&mut self, now: Time, port: u16) {
        self.terms.port = port;
        self.pump(now);
    }

    /// Carriers that we relay do not reach the next hop.
    pub(crate) fn next_hop_gone(&mut self, now: Time, circuit: CircuitId, why: &str) {
        self.circuits.next_hop_gone(circuit, why);
        self.pump(now);
    }

    /// The app's profile changed at run time.
    pub(crate) fn set_app_profile(&mut self, now: Time, profile: AppProfile) {
        self.publish_with(now, |body| body.app = Some(profile));
        self.pump(now);
    }

    /// The registry, for reading.
    pub(crate) fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The brain, for questions (which may note what was asked).
    pub(crate) fn brain(&mut self) -> &mut Brain {
        &mut self.brain
    }

    /// The links, for reading.
    pub(crate) fn links(&self) -> &Links {
        &self.links
    }

    /// The circuits, for preambles.
    pub(crate) fn circuits(&mut self) -> &mut Circuits<NodeCrypto> {
        &mut self.circuits
    }

    fn tell(&mut self, happening: Happening) {
        self.effects.push(Effect::Tell(happening));
    }
}

/// For seeds.
fn hash_of(text: &str) -> u64 {
    aire_types::fnv::hash(text.as_bytes())
}
