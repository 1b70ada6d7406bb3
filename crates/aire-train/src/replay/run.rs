//! One policy on one fold.

use aire_types::Random;

use super::fold::{Fold, Protocol};
use super::policy::{
    Agent, Choice, MOST_LEGS, Measurement, Outbox, Policy, Publication, Published, Seat, Via, View,
};
use crate::data::{Frames, Matrix};

/// A probe and its echo on the wire, headers of IP, UDP and QUIC included, bytes; the same as the agent counts.
pub const PROBE_BYTES: f64 = 220.0;
/// A published leg within a signed profile: node and milliseconds, bytes.
pub const LEG_BYTES: f64 = 12.0;

/// What a policy may spend in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Budget {
    /// [`Protocol::probes`] and [`MOST_LEGS`].
    Kept,
    /// As many probes and published legs as it likes.
    Unlimited,
}

/// What one policy did in one fold.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// For each scored round and pair, in the order of [`pairs`]: what the chosen path gave in the scored frame; NaN
    /// where that is unknown.
    pub values: Vec<f32>,
    /// What was spent.
    pub ledger: Ledger,
}

/// What one policy spent in one fold, counted in scored time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Ledger {
    /// Probes sent.
    pub probes: u64,
    /// Destinations, each counted once a round.
    pub destination_rounds: u64,
    /// Nodes, each counted once a round.
    pub node_rounds: u64,
    /// Published legs that some node received.
    pub legs_received: u64,
    /// Decisions that had one before them.
    pub repeated: u64,
    /// Those of them that chose otherwise.
    pub switches: u64,
    /// Paths used at once, summed over decisions.
    pub paths: u64,
    /// Decisions.
    pub decisions: u64,
}

impl Ledger {
    /// Adds what another fold spent.
    pub fn add(&mut self, other: &Ledger) {
        self.probes += other.probes;
        self.destination_rounds += other.destination_rounds;
        self.node_rounds += other.node_rounds;
        self.legs_received += other.legs_received;
        self.repeated += other.repeated;
        self.switches += other.switches;
        self.paths += other.paths;
        self.decisions += other.decisions;
    }
}

/// From and to of each scored pair, in the order of [`Outcome::values`] within a round.
pub fn pairs(fold: &Fold) -> Vec<(usize, usize)> {
    let nodes = fold.destinations.iter().enumerate();
    nodes.flat_map(|(from, to)| to.iter().map(move |to| (from, *to))).collect()
}

/// What a path gives in a frame; NaN where a leg is missing or the path makes no sense.
pub fn value(frames: &Frames, frame: &Matrix, from: usize, to: usize, via: Via) -> f32 {
    match via {
        Via::Direct => frame.get(from, to),
        Via::Relay(relay) if relay == from || relay == to || relay >= frame.size() => f32::NAN,
        Via::Relay(relay) => frames.quantity.join(frame.get(from, relay), frame.get(relay, to)),
    }
}

/// What a choice gives: the best of the paths that are used at once, of those that are known.
pub fn outcome(frames: &Frames, frame: &Matrix, from: usize, to: usize, choice: Choice) -> f32 {
    match choice {
        Choice::Path(via) => value(frames, frame, from, to, via),
        Choice::Race(ways) => ways
            .into_iter()
            .map(|via| value(frames, frame, from, to, via))
            .filter(|value| !value.is_nan())
            .reduce(|a, b| if frames.quantity.better(b, a) { b } else { a })
            .unwrap_or(f32::NAN),
    }
}

/// An agent with what the replay knows of it.
struct Node<'a> {
    seat: Seat,
    agent: Box<dyn Agent + 'a>,
    joined: usize,
    /// Rounds and budget so far, so that fractions of a probe are not lost.
    granted: f64,
    spent: usize,
    choices: Vec<Choice>,
    decided: bool,
    /// Own direct measurements by node, and when they were last told.
    direct: Vec<f32>,
    told: Vec<usize>,
}

impl Node<'_> {
    /// Room for probes in this round. What was not used in the round before is not saved up.
    fn room(&mut self, round: usize, present: &[bool], protocol: &Protocol, landmarks: bool) -> usize {
        let Some(budget) = self.seat.budget else { return usize::MAX };
        if landmarks && self.seat.newcomer && round == self.joined {
            return protocol.landmarks;
        }
        let destinations = self.seat.destinations.iter().filter(|to| present[**to]).count();
        let before = self.granted.floor();
        self.granted += budget * destinations as f64;
        (self.granted.floor() - before) as usize
    }
}

/// Replays `frames` by the plan of `fold`, in which `policy` may spend `budget`.
pub fn replay(
    frames: &Frames,
    fold: &Fold,
    protocol: &Protocol,
    budget: Budget,
    policy: &mut dyn Policy,
) -> Outcome {
    policy.learn(&fold.history(frames));
    let policy: &dyn Policy = policy;
    let mut run = Run::new(frames, fold, protocol, budget, policy);
    for round in fold.begin..=fold.last {
        run.round(round);
    }
    run.outcome
}

struct Run<'a> {
    frames: &'a Frames,
    fold: &'a Fold,
    protocol: &'a Protocol,
    budget: Budget,
    policy: &'a dyn Policy,
    nodes: Vec<Option<Node<'a>>>,
    present: Vec<bool>,
    published: Published,
    outcome: Outcome,
}

impl<'a> Run<'a> {
    fn new(
        frames: &'a Frames,
        fold: &'a Fold,
        protocol: &'a Protocol,
        budget: Budget,
        policy: &'a dyn Policy,
    ) -> Self {
        let count = fold.newcomer.len();
        let scored = fold.scored_rounds().count();
        let pairs: usize = fold.destinations.iter().map(Vec::len).sum();
        let outcome = Outcome { values: Vec::with_capacity(scored * pairs), ledger: Ledger::default() };
        let nodes = std::iter::repeat_with(|| None).take(count).collect();
        let (present, published) = (vec![false; count], Published::nothing(count));
        Run { frames, fold, protocol, budget, policy, nodes, present, published, outcome }
    }

    fn admit(&mut self, round: usize) {
        let count = self.nodes.len();
        for node in 0..count {
            let newcomer = self.fold.newcomer[node];
            if self.present[node] || (newcomer && round < self.fold.join) {
                continue;
            }
            self.present[node] = true;
            let seat = Seat {
                node,
                nodes: count,
                destinations: self.fold.destinations[node].clone(),
                quantity: self.frames.quantity,
                step_s: self.frames.step_s,
                newcomer,
                budget: (self.budget == Budget::Kept).then_some(self.protocol.probes),
                horizon: self.fold.gap,
                seed: Random::new(self.fold.seed ^ (node as u64) << 32).next_u64(),
            };
            self.nodes[node] = Some(Node {
                agent: self.policy.agent(&seat),
                joined: round,
                granted: 0.0,
                spent: 0,
                choices: vec![Choice::DIRECT; seat.destinations.len()],
                decided: false,
                direct: vec![f32::NAN; count],
                told: vec![0; count],
                seat,
            });
        }
    }

    fn round(&mut self, round: usize) {
        self.admit(round);
        let scored = self.fold.scored(round);
        let counted = round >= self.fold.join;
        let mut told = Vec::new();
        let mut nodes = std::mem::take(&mut self.nodes);
        for node in nodes.iter_mut().flatten() {
            let view = View { round, present: &self.present, published: &self.published };
            self.measure(node, &view);
            if let Some(frame) = scored {
                let values = decide(self.frames, frame, node, &view, &mut self.outcome.ledger);
                self.outcome.values.extend(values);
            }
            if counted {
                let ledger = &mut self.outcome.ledger;
                ledger.probes += node.spent as u64;
                ledger.node_rounds += 1;
                ledger.destination_rounds +=
                    node.seat.destinations.iter().filter(|to| self.present[**to]).count() as u64;
            }
            if self.fold.publishes(self.frames.quantity) {
                let most = if self.budget == Budget::Kept { MOST_LEGS } else { usize::MAX };
                told.push((node.seat.node, publication(node, &view, most)));
            }
        }
        let readers = nodes.iter().flatten().count().saturating_sub(1) as u64;
        self.nodes = nodes;
        for (from, legs) in told {
            if counted {
                self.outcome.ledger.legs_received += legs.len() as u64 * readers;
            }
            for (to, value) in legs {
                self.published.put(from, to, value, round);
            }
        }
    }

    /// One node's probes of this round.
    fn measure(&self, node: &mut Node<'_>, view: &View<'_>) {
        let room = node.room(view.round, view.present, self.protocol, !self.fold.one_frame);
        let mut outbox = Outbox::new(node.seat.node, room);
        node.agent.probe(view, &mut outbox);
        let frame = &self.frames.frames[self.fold.frame(view.round)];
        let from = node.seat.node;
        let mut measured = Vec::with_capacity(outbox.probes().len());
        for &probe in outbox.probes() {
            let there = |other: usize| view.present.get(other) == Some(&true);
            let reachable = there(probe.to)
                && match probe.via {
                    Via::Direct => true,
                    Via::Relay(relay) => there(relay),
                };
            // who is not in the mesh does not answer
            let value =
                if reachable { value(self.frames, frame, from, probe.to, probe.via) } else { f32::NAN };
            if probe.via == Via::Direct && reachable && !value.is_nan() {
                node.direct[probe.to] = value;
            }
            measured.push(Measurement { probe, value });
        }
        node.spent = measured.len();
        node.agent.observe(view, &measured);
    }
}

/// One node's decisions of this round, and what they gave.
fn decide<'v>(
    frames: &'v Frames,
    frame: usize,
    node: &'v mut Node<'_>,
    view: &View<'_>,
    ledger: &mut Ledger,
) -> impl Iterator<Item = f32> + use<'v> {
    let before = node.choices.clone();
    node.agent.decide(view, &mut node.choices);
    ledger.decisions += before.len() as u64;
    for (choice, before) in node.choices.iter().zip(&before) {
        ledger.paths += if matches!(choice, Choice::Path(_)) { 1 } else { 3 };
        ledger.repeated += u64::from(node.decided);
        ledger.switches += u64::from(node.decided && choice != before);
    }
    node.decided = true;
    let scoring = &frames.frames[frame];
    let ways = node.choices.iter().zip(&node.seat.destinations);
    let from = node.seat.node;
    ways.map(move |(choice, to)| outcome(frames, scoring, from, *to, *choice))
}

/// What a node tells the others: only of what it measured directly itself.
fn publication(node: &mut Node<'_>, view: &View<'_>, most: usize) -> Vec<(usize, f32)> {
    let told = match node.agent.publish(view) {
        Publication::These(mut legs) => {
            legs.retain(|(to, value)| {
                value.is_finite() && node.direct.get(*to).is_some_and(|own| !own.is_nan())
            });
            legs.truncate(most);
            legs
        }
        Publication::Turns => {
            let mut measured: Vec<usize> =
                (0..node.direct.len()).filter(|to| !node.direct[*to].is_nan()).collect();
            if measured.len() > most {
                // the node's number turns the order, so that nodes do not all speak of the same few
                let (own, nodes) = (node.seat.node, node.direct.len());
                measured.sort_by_key(|to| (node.told[*to], (to + nodes - own) % nodes));
                measured.truncate(most);
            }
            measured.into_iter().map(|to| (to, node.direct[to])).collect()
        }
    };
    for (to, _) in &told {
        node.told[*to] = view.round + 1;
    }
    told
}
