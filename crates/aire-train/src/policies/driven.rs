//! The rule, and a model on top of it, as the agent runs them: the same estimators, the same snapshot, the same policy.
//!
//! What the agent's brain does around the policy is done here by node numbers and rounds: a portfolio of eight relays, half by
//! published legs, a quarter close by, the rest by chance; probes first where there is no proof yet. Rounds stand for at most
//! half a minute, as an agent measures what it uses more often than recordings do.

use std::time::Duration;

use aire_brain::{Evidence, Policy as BrainPolicy, Rule, Sample};
use aire_types::{
    AppName, Candidate, Class, Estimate, Instance, Needs, NodeName, Override, Path, Priority, Random,
    RouteId, SecurityLevel, Snapshot, Source, Time,
};

use super::bench::Calendar;
use super::destination::{Destination, PROOF, Way, pick, prune};
use super::table::{Own, Past, WEIGHT};
use crate::data::Quantity;
use crate::replay::{Agent, Choice, History, Measurement, Outbox, Policy, Seat, Via, View};

/// Rounds between two looks at the portfolio.
const REVIEW: usize = 8;
/// Longer rounds are taken for so long.
const LONGEST_ROUND_S: f64 = 30.0;
/// A change for improvement is not followed by another for so long.
const DWELL: Duration = Duration::from_secs(10);
/// A transfer that measures throughput has many round trips; they are taken for so long each.
const TRANSFER_RTT: Duration = Duration::from_millis(50);

/// Makes the brain's policy for the agent at a seat.
type Maker = Box<dyn Fn(&Seat) -> Box<dyn BrainPolicy> + Send + Sync>;

/// What a round is taken for, seconds, in a set with this step.
pub fn round_s(step_s: f64) -> f64 {
    step_s.clamp(0.001, LONGEST_ROUND_S)
}

/// A policy of the brain in the replay.
pub struct Driven {
    name: String,
    make: Maker,
    past: Past,
    paths: Vec<Path>,
    nodes: Vec<NodeName>,
    app: AppName,
}

impl Driven {
    /// The built-in rule.
    pub fn rule() -> Self {
        Driven::new("rule", Box::new(|_| Box::new(Rule::default())))
    }

    /// Any policy of the brain; each node gets its own.
    pub fn new(name: &str, make: Maker) -> Self {
        Driven {
            name: name.to_owned(),
            make,
            past: Past::nothing(),
            paths: Vec::new(),
            nodes: Vec::new(),
            app: AppName::new("app").expect("letters are a name"),
        }
    }
}

impl Policy for Driven {
    fn name(&self) -> &str {
        &self.name
    }

    fn learn(&mut self, history: &History) {
        // only how many there are: what was recorded before is no part of the rule
        let name = |node| NodeName::new(&format!("n{node:07}")).expect("letters and digits are a name");
        self.nodes = (0..history.nodes).map(name).collect();
        self.paths = self.nodes.iter().cloned().map(Path::via).collect();
        self.past = Past::nothing();
    }

    fn agent<'a>(&'a self, seat: &Seat) -> Box<dyn Agent + 'a> {
        let towards = |&to: &usize| {
            let instance = Instance { app: self.app.clone(), node: self.nodes[to].clone() };
            Destination {
                instance,
                ways: vec![Way::new(Via::Direct)],
                current: Via::Direct,
                hold: Time::ZERO,
                since: Time::ZERO,
            }
        };
        Box::new(Driver {
            driven: self,
            policy: (self.make)(seat),
            destinations: seat.destinations.iter().map(towards).collect(),
            own: Own::new(seat, WEIGHT),
            place: place(seat),
            calendar: Calendar::new(REVIEW),
            random: Random::new(seat.seed),
            promises: Vec::new(),
            start: 0,
            seat: seat.clone(),
        })
    }
}

fn place(seat: &Seat) -> Vec<Option<usize>> {
    let mut place = vec![None; seat.nodes];
    seat.destinations.iter().enumerate().for_each(|(at, to)| place[*to] = Some(at));
    place
}

struct Driver<'a> {
    driven: &'a Driven,
    policy: Box<dyn BrainPolicy>,
    seat: Seat,
    destinations: Vec<Destination>,
    own: Own,
    place: Vec<Option<usize>>,
    calendar: Calendar,
    random: Random,
    promises: Vec<f32>,
    start: usize,
}

impl Driver<'_> {
    fn now(&self, round: usize) -> Time {
        Time::ZERO + Duration::from_secs_f64(round_s(self.seat.step_s) * (round + 1) as f64)
    }

    /// Fills every portfolio; the worst two of a full one give way to relays that legs or chance propose.
    fn review(&mut self, view: &View<'_>) {
        if !self.calendar.due(view) {
            return;
        }
        for at in 0..self.destinations.len() {
            let to = self.seat.destinations[at];
            self.own.promises(&self.driven.past, view, to, &mut self.promises);
            let destination = &mut self.destinations[at];
            let relays = (0..self.seat.nodes)
                .filter(|relay| *relay != to && *relay != self.seat.node && view.present[*relay]);
            let relays: Vec<usize> = relays.collect();
            prune(destination, relays.len(), view.present);
            for relay in pick(&relays, &destination.ways, &self.promises, &self.own, &mut self.random) {
                destination.ways.push(Way::new(Via::Relay(relay)));
            }
            destination.ways.sort_by_key(|way| way.via);
            for way in &mut destination.ways {
                if let Via::Relay(relay) = way.via {
                    let promise = self.promises[relay];
                    way.prior = if self.seat.quantity == Quantity::Rtt { promise } else { -promise };
                }
            }
        }
    }

    fn snapshot(&self, at: usize, now: Time) -> Snapshot {
        let destination = &self.destinations[at];
        let route = |via: Via| RouteId { instance: destination.instance.clone(), path: self.path(via) };
        let class = if self.seat.quantity == Quantity::Rtt { Class::Interactive } else { Class::Bulk };
        let asked = destination.ways.iter().filter(|way| way.via == Via::Direct || way.answers() > 0);
        Snapshot {
            at: now,
            class,
            security: SecurityLevel::Normal,
            needs: Needs::default(),
            priority: Priority::NORMAL,
            overrides: Override::default(),
            current: Some((route(destination.current), destination.since)),
            hold_until: destination.hold,
            candidates: asked.map(|way| candidate(way, route(way.via), now)).collect(),
        }
    }

    fn path(&self, via: Via) -> Path {
        match via {
            Via::Direct => Path::DIRECT,
            Via::Relay(relay) => self.driven.paths[relay].clone(),
        }
    }
}

fn candidate(way: &Way, route: RouteId, now: Time) -> Candidate {
    let unknown = || Evidence::new().measured(now, 0, None);
    let measured = way.evidence.as_ref().map_or_else(unknown, |evidence| evidence.measured(now, 0, None));
    let prior = Estimate { value: f64::from(way.prior), count: 1, ..Estimate::default() };
    Candidate {
        route,
        rtt_ms: measured.rtt,
        tail_ms: measured.tail_ms,
        base_ms: measured.base_ms,
        prior_ms: (way.prior >= 0.0).then_some(prior),
        loss: measured.loss,
        bandwidth_mbps: measured.bandwidth,
        load: 0.0,
        risk: 0.0,
        leased: false,
        ineligible: None,
    }
}

/// Takes in what one probe gave.
fn learn_of(way: &mut Way, now: Time, quantity: Quantity, value: f32) {
    let evidence = way.evidence.get_or_insert_with(|| Box::new(Evidence::new()));
    if value.is_nan() {
        evidence.miss();
        evidence.add(now, Sample::Lost, Source::Probe);
        return;
    }
    match quantity {
        Quantity::Rtt => {
            let rtt = Duration::from_secs_f64(f64::from(value.max(0.0)) / 1000.0);
            evidence.add(now, Sample::Rtt(rtt), Source::Probe);
            way.cost = evidence.mean_ms(now);
        }
        Quantity::Throughput => {
            for _ in 0..PROOF {
                evidence.add(now, Sample::Rtt(TRANSFER_RTT), Source::Probe);
            }
            let bytes = (f64::from(value.max(0.0)) * 1e6 / 8.0) as u64;
            evidence.add(now, Sample::Transfer { bytes, elapsed: Duration::from_secs(1) }, Source::Probe);
            way.cost = -f64::from(value);
        }
    }
}

impl Agent for Driver<'_> {
    fn probe(&mut self, view: &View<'_>, outbox: &mut Outbox) {
        self.review(view);
        let count = self.destinations.len();
        loop {
            let mut wanted = false;
            for step in 0..count {
                let at = (self.start + step) % count;
                let to = self.seat.destinations[at];
                if !view.present[to] {
                    continue;
                }
                let destination = &mut self.destinations[at];
                let Some(next) = destination.next(view.round) else { continue };
                let way = &mut destination.ways[next];
                if !outbox.send(to, way.via) {
                    self.start = at;
                    return;
                }
                way.sent += 1;
                way.probed = view.round + 1;
                wanted = true;
            }
            if !wanted {
                return;
            }
        }
    }

    fn observe(&mut self, view: &View<'_>, measured: &[Measurement]) {
        let now = self.now(view.round);
        self.own.observe(measured);
        for &Measurement { probe, value } in measured {
            let Some(at) = self.place[probe.to] else { continue };
            let ways = &mut self.destinations[at].ways;
            if let Some(way) = ways.iter_mut().find(|way| way.via == probe.via) {
                learn_of(way, now, self.seat.quantity, value);
            }
        }
    }

    fn decide(&mut self, view: &View<'_>, choices: &mut [Choice]) {
        let now = self.now(view.round);
        for (at, choice) in choices.iter_mut().enumerate() {
            if !view.present[self.seat.destinations[at]] {
                continue;
            }
            let snapshot = self.snapshot(at, now);
            let ranking = self.policy.rank(&snapshot);
            let first = ranking.first().filter(|first| first.ineligible.is_none());
            let chosen = first.map_or(Via::Direct, |first| {
                let ways = self.destinations[at].ways.iter();
                ways.map(|way| way.via).find(|via| self.path(*via) == first.route.path).unwrap_or(Via::Direct)
            });
            let destination = &mut self.destinations[at];
            if chosen != destination.current {
                destination.current = chosen;
                destination.since = now;
                destination.hold = now + DWELL;
            }
            *choice = Choice::Path(chosen);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Frames, Matrix};
    use crate::replay::{Budget, Fold, Probe, Protocol, Published, replay};
    use std::collections::HashSet;

    #[test]
    fn the_rule_finds_a_relay_that_is_clearly_better_and_keeps_it() {
        let nodes = 12;
        let mut random = Random::new(4);
        let frames = (0..80).map(|_| {
            let mut matrix = Matrix::missing(nodes);
            for (from, to) in (0..nodes).flat_map(|from| (0..nodes).map(move |to| (from, to))) {
                if from != to {
                    let level = if from == 0 || to == 0 { 10.0 } else { 100.0 };
                    matrix.set(from, to, level + 2.0 * random.unit() as f32);
                }
            }
            matrix
        });
        let frames = Frames {
            name: "hub".into(),
            quantity: Quantity::Rtt,
            nodes: (0..nodes).map(|node| node.to_string()).collect(),
            step_s: 10.0,
            symmetric: false,
            score_gap: 1,
            frames: frames.collect(),
        };
        let protocol = Protocol::default();
        let fold = Fold::plan(&frames, &protocol, 0).unwrap();
        let outcome = replay(&frames, &fold, &protocol, Budget::Kept, &mut Driven::rule());
        let last = &outcome.values[outcome.values.len() - nodes * (nodes - 1)..];
        let slow = last.iter().filter(|value| **value > 90.0).count();
        assert!(slow < last.len() / 10, "{slow} of {} decisions go the slow way", last.len());
        assert!(outcome.ledger.switches < outcome.ledger.repeated / 20);
    }

    #[test]
    fn a_way_is_probed_once_a_round_however_much_room_there_is() {
        let mut rule = Driven::rule();
        let known: Vec<usize> = (0..6).collect();
        let (quantity, records) = (Quantity::Rtt, Vec::new());
        rule.learn(&History { nodes: 6, known, quantity, step_s: 10.0, symmetric: false, records, seed: 1 });
        let seat = Seat {
            node: 0,
            nodes: 6,
            destinations: vec![1, 2],
            quantity,
            step_s: 10.0,
            newcomer: false,
            budget: None,
            horizon: 1,
            seed: 1,
        };
        let mut agent = rule.agent(&seat);
        for round in 0..12 {
            let published = Published::nothing(6);
            let view = View { round, present: &[true; 6], published: &published };
            let mut outbox = Outbox::new(0, usize::MAX);
            agent.probe(&view, &mut outbox);
            let different: HashSet<Probe> = outbox.probes().iter().copied().collect();
            assert_eq!(outbox.probes().len(), different.len(), "round {round}");
            // direct and four relays to each of two
            assert_eq!(different.len(), 10, "round {round}");
            let measured = outbox.probes().iter().map(|&probe| Measurement { probe, value: 50.0 });
            agent.observe(&view, &measured.collect::<Vec<_>>());
        }
    }
}
