//! What an agent would have known: a prober with its budget goes through the recorded rounds and notes what it could have
//! decided on.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aire_brain::{Evidence, Sample};
use aire_types::{
    AppName, Candidate, Class, Estimate, Instance, NodeName, Override, Path, Random, RouteId, SecurityLevel,
    Snapshot, Source, Time,
};

use crate::data::{Frames, Quantity};
use crate::replay::{Agent, Choice, Measurement, Outbox, Policy, Seat, Via, View};

/// Relays that are looked at on the way to one destination, as in the agent.
const PORTFOLIO: usize = 8;
/// Of them drawn instead of chosen.
const DRAWN: usize = 2;
/// Rounds further apart than this are taken for so far apart: agents measure what they use more often.
const LONGEST_ROUND_S: f64 = 30.0;
/// A relay with less than this share of what is in use looks clearly better.
const CLEARLY: f64 = 0.95;
/// How often relays are looked for anew, in turns of a destination.
const SCOUTED: usize = 8;

/// One question that an agent could have asked.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Seen {
    pub(super) round: usize,
    pub(super) from: usize,
    pub(super) to: usize,
    /// Beside the snapshot's candidates, in their order.
    pub(super) ways: Vec<Via>,
    pub(super) snapshot: Snapshot,
}

/// Goes through a replay and notes a part of the questions.
pub(super) struct Observer {
    share: f64,
    nodes: Vec<NodeName>,
    app: AppName,
    seen: Mutex<Vec<Seen>>,
}

impl Observer {
    /// Notes this share of all questions.
    pub(super) fn new(frames: &Frames, share: f64) -> Self {
        let name = |node: usize| NodeName::new(&format!("n{node}")).expect("letters and digits are a name");
        Observer {
            share,
            nodes: (0..frames.nodes.len()).map(name).collect(),
            app: AppName::new("app").expect("letters are a name"),
            seen: Mutex::new(Vec::new()),
        }
    }

    /// What was noted, in the order of rounds and nodes.
    pub(super) fn into_seen(self) -> Vec<Seen> {
        let mut seen = self.seen.into_inner().unwrap_or_else(PoisonError::into_inner);
        seen.sort_by_key(|seen| (seen.round, seen.from, seen.to));
        seen
    }
}

impl Policy for Observer {
    fn name(&self) -> &str {
        "observer"
    }

    fn agent<'a>(&'a self, seat: &Seat) -> Box<dyn Agent + 'a> {
        let towards = |&to: &usize| Destination::new(to, &self.app, &self.nodes);
        Box::new(Prober {
            observer: self,
            seat: seat.clone(),
            destinations: seat.destinations.iter().map(towards).collect(),
            random: Random::new(seat.seed),
            turn: 0,
        })
    }
}

/// One way to a destination.
#[derive(Clone, Debug)]
struct Way {
    via: Via,
    evidence: Evidence,
    /// What published legs add up to, milliseconds; NaN where they do not.
    prior: f32,
    /// The round of the last probe.
    probed: Option<usize>,
    /// Round trips so far: how many, and their average, milliseconds.
    mean: (u32, f64),
}

impl Way {
    fn new(via: Via, prior: f32) -> Self {
        Way { via, evidence: Evidence::new(), prior, probed: None, mean: (0, 0.0) }
    }
}

struct Destination {
    to: usize,
    instance: Instance,
    /// Direct first.
    ways: Vec<Way>,
    current: (Via, Time),
    last_direct: f32,
}

impl Destination {
    fn new(to: usize, app: &AppName, nodes: &[NodeName]) -> Self {
        let instance = Instance { app: app.clone(), node: nodes[to].clone() };
        let ways = vec![Way::new(Via::Direct, f32::NAN)];
        Destination { to, instance, ways, current: (Via::Direct, Time::ZERO), last_direct: f32::NAN }
    }

    /// The relay that a probe should go over: new ones by what they promise, then half of the time the one in use, else
    /// the one that was not probed for longest.
    fn next(&self, random: &mut Random) -> Option<usize> {
        let relays = || self.ways.iter().enumerate().skip(1);
        let fresh = relays().filter(|(_, way)| way.probed.is_none());
        let promise = |way: &Way| if way.prior.is_nan() { f32::INFINITY } else { way.prior };
        let first = fresh.min_by(|a, b| promise(a.1).total_cmp(&promise(b.1)));
        let in_use = || relays().find(|(_, way)| way.via == self.current.0).filter(|_| random.chance(0.5));
        let oldest = || relays().min_by_key(|(_, way)| way.probed);
        first.or_else(in_use).or_else(oldest).map(|(at, _)| at)
    }
}

struct Prober<'a> {
    observer: &'a Observer,
    seat: Seat,
    destinations: Vec<Destination>,
    random: Random,
    turn: usize,
}

impl Prober<'_> {
    fn now(&self, round: usize) -> Time {
        let each = self.seat.step_s.clamp(0.001, LONGEST_ROUND_S);
        Time::ZERO + Duration::from_secs_f64(each * (round + 1) as f64)
    }

    /// Relays to look at on the way to a destination: those whose published legs promise most, and some drawn.
    fn scout(&mut self, at: usize, view: &View<'_>) {
        let to = self.destinations[at].to;
        let own: Vec<f32> = self.legs();
        let relays: Vec<usize> = (0..self.seat.nodes)
            .filter(|&node| view.present[node] && node != to && node != self.seat.node)
            .collect();
        let promise = |relay: usize| {
            let leg = view.published.leg(relay, to).or_else(|| view.published.leg(to, relay));
            leg.map_or(f32::NAN, |leg| self.seat.quantity.join(own[relay], leg.value))
        };
        let mut promising: Vec<(f32, usize)> = relays
            .iter()
            .map(|&relay| (promise(relay), relay))
            .filter(|(promise, _)| !promise.is_nan())
            .collect();
        promising.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        promising.truncate(PORTFOLIO - DRAWN);
        let drawn = (0..DRAWN).filter_map(|_| {
            let relay = relays.get(self.random.below(relays.len())).copied()?;
            Some((promise(relay), relay))
        });
        promising.extend(drawn.collect::<Vec<_>>());
        let destination = &mut self.destinations[at];
        for (promise, relay) in promising {
            match destination.ways.iter_mut().find(|way| way.via == Via::Relay(relay)) {
                Some(way) => way.prior = promise,
                None => destination.ways.push(Way::new(Via::Relay(relay), promise)),
            }
        }
        thin(destination);
    }

    /// The own direct measurements, by node.
    fn legs(&self) -> Vec<f32> {
        let mut legs = vec![f32::NAN; self.seat.nodes];
        self.destinations.iter().for_each(|destination| legs[destination.to] = destination.last_direct);
        legs
    }

    fn snapshot(&mut self, at: usize, now: Time) -> (Snapshot, Vec<Via>) {
        let class = match self.random.below(6) {
            0 => Class::Bulk,
            1 => Class::Critical,
            _ => Class::Interactive,
        };
        let destination = &self.destinations[at];
        let mut ways: Vec<&Way> = destination.ways.iter().collect();
        ways.sort_by_cached_key(|way| self.path(way.via));
        let candidates = ways.iter().map(|way| self.candidate(&destination.instance, way, now)).collect();
        let (current, since) = destination.current;
        let route = RouteId { instance: destination.instance.clone(), path: self.path(current) };
        let snapshot = Snapshot {
            at: now,
            class,
            security: SecurityLevel::Normal,
            overrides: Override::default(),
            current: Some((route, since)),
            hold_until: Time::ZERO,
            candidates,
        };
        (snapshot, ways.iter().map(|way| way.via).collect())
    }

    fn candidate(&self, instance: &Instance, way: &Way, now: Time) -> Candidate {
        let measured = way.evidence.measured(now, 0, None);
        let prior = Estimate {
            value: f64::from(way.prior),
            count: 1,
            source: Source::Claimed,
            ..Estimate::default()
        };
        Candidate {
            route: RouteId { instance: instance.clone(), path: self.path(way.via) },
            rtt_ms: measured.rtt,
            tail_ms: measured.tail_ms,
            base_ms: measured.base_ms,
            prior_ms: (!way.prior.is_nan()).then_some(prior),
            loss: measured.loss,
            bandwidth_mbps: measured.bandwidth,
            load: 0.0,
            risk: 0.0,
            leased: false,
            ineligible: None,
        }
    }

    fn path(&self, via: Via) -> Path {
        match via {
            Via::Direct => Path::DIRECT,
            Via::Relay(relay) => Path::via(self.observer.nodes[relay].clone()),
        }
    }
}

/// Keeps direct, what is in use and the best of the rest.
fn thin(destination: &mut Destination) {
    let current = destination.current.0;
    let worth = |way: &Way| match () {
        () if way.via == Via::Direct => f64::NEG_INFINITY,
        () if way.via == current => f64::MIN,
        () if way.mean.0 > 0 => way.mean.1,
        () if way.prior.is_nan() => f64::MAX,
        () => f64::from(way.prior),
    };
    destination.ways.sort_by(|a, b| worth(a).total_cmp(&worth(b)));
    destination.ways.truncate(1 + PORTFOLIO);
}

/// What an agent may be using when it asks: a relay that looked clearly better.
fn use_best(destination: &mut Destination, now: Time) {
    let cost = |way: &Way| if way.mean.0 > 0 { way.mean.1 } else { f64::INFINITY };
    let current = destination.ways.iter().find(|way| way.via == destination.current.0);
    let least = destination.ways.iter().min_by(|a, b| cost(a).total_cmp(&cost(b)));
    let (Some(least), known) = (least, current.map_or(f64::INFINITY, cost)) else { return };
    if cost(least) < CLEARLY * known {
        destination.current = (least.via, now);
    }
}

impl Agent for Prober<'_> {
    fn probe(&mut self, view: &View<'_>, outbox: &mut Outbox) {
        for destination in &self.destinations {
            if view.present[destination.to] {
                outbox.send(destination.to, Via::Direct);
            }
        }
        let count = self.destinations.len();
        // at most one round over all destinations, whatever the budget
        for _ in 0..count.min(outbox.left()) {
            let at = self.turn % count;
            self.turn += 1;
            if (self.turn / count).is_multiple_of(SCOUTED) || self.destinations[at].ways.len() <= PORTFOLIO {
                self.scout(at, view);
            }
            let destination = &mut self.destinations[at];
            let Some(way) = destination.next(&mut self.random) else { continue };
            destination.ways[way].probed = Some(view.round);
            outbox.send(destination.to, destination.ways[way].via);
        }
    }

    fn observe(&mut self, view: &View<'_>, measured: &[Measurement]) {
        let now = self.now(view.round);
        for &Measurement { probe, value } in measured {
            let Some(destination) = self.destinations.iter_mut().find(|other| other.to == probe.to) else {
                continue;
            };
            let sample = match value.is_nan() {
                true => Sample::Lost,
                false => Sample::Rtt(Duration::from_secs_f64(f64::from(value.max(0.0)) / 1000.0)),
            };
            if probe.via == Via::Direct && !value.is_nan() {
                destination.last_direct = value;
            }
            if let Some(way) = destination.ways.iter_mut().find(|way| way.via == probe.via) {
                way.evidence.add(now, sample, Source::Probe);
                if !value.is_nan() {
                    way.mean.0 += 1;
                    let weight = (1.0 / f64::from(way.mean.0)).max(0.1);
                    way.mean.1 += weight * (f64::from(value) - way.mean.1);
                }
            }
        }
    }

    fn decide(&mut self, view: &View<'_>, choices: &mut [Choice]) {
        if self.seat.quantity != Quantity::Rtt {
            return;
        }
        let now = self.now(view.round);
        for (at, choice) in choices.iter_mut().enumerate() {
            let (to, measured) = (self.destinations[at].to, self.destinations[at].ways.len() > 1);
            if !measured || !view.present[to] {
                continue;
            }
            use_best(&mut self.destinations[at], now);
            *choice = Choice::Path(self.destinations[at].current.0);
            if self.random.chance(self.observer.share) {
                let (snapshot, ways) = self.snapshot(at, now);
                let seen = Seen { round: view.round, from: self.seat.node, to, ways, snapshot };
                self.observer.seen.lock().unwrap_or_else(PoisonError::into_inner).push(seen);
            }
        }
    }
}
