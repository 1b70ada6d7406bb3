use std::sync::Mutex;

use super::*;
use crate::data::{Frames, Matrix, Quantity};

/// Every value says in which frame and between whom it was measured.
fn telling(nodes: usize, count: usize, symmetric: bool, gap: usize) -> Frames {
    let frame = |frame: usize| {
        let mut matrix = Matrix::missing(nodes);
        for from in 0..nodes {
            for to in (0..nodes).filter(|to| *to != from) {
                let (a, b) = if symmetric { (from.min(to), from.max(to)) } else { (from, to) };
                matrix.set(from, to, ((frame * 64 + a) * 64 + b) as f32 + 1.0);
            }
        }
        matrix
    };
    Frames {
        name: "telling".into(),
        quantity: Quantity::Rtt,
        nodes: (0..nodes).map(|node| node.to_string()).collect(),
        step_s: 10.0,
        symmetric,
        score_gap: gap,
        frames: (0..count).map(frame).collect(),
    }
}

fn told(value: f32) -> (usize, usize, usize) {
    let value = value as usize - 1;
    (value / 4096, value / 64 % 64, value % 64)
}

/// Probes all it can directly, and checks every number that it is handed.
struct Witness {
    newcomer: Vec<bool>,
    begin: usize,
    join: usize,
    seen: Mutex<usize>,
    wishes: usize,
}

impl Policy for Witness {
    fn name(&self) -> &str {
        "witness"
    }

    fn learn(&mut self, history: &History) {
        for record in &history.records {
            let (frame, a, b) = told(record.value);
            assert!(frame < self.begin && frame == record.round);
            assert!(!self.newcomer[a] && !self.newcomer[b], "history knows a newcomer or its mirror");
        }
        let means = history.means();
        for (from, to) in (0..history.nodes).flat_map(|from| (0..history.nodes).map(move |to| (from, to))) {
            let strange = self.newcomer[from] || self.newcomer[to];
            assert!(from == to || !strange || means.get(from, to).is_nan());
        }
    }

    fn agent<'a>(&'a self, seat: &Seat) -> Box<dyn Agent + 'a> {
        Box::new(Watcher { witness: self, seat: seat.clone(), first: true })
    }
}

struct Watcher<'a> {
    witness: &'a Witness,
    seat: Seat,
    first: bool,
}

impl Agent for Watcher<'_> {
    fn probe(&mut self, view: &View<'_>, outbox: &mut Outbox) {
        if std::mem::take(&mut self.first) && self.seat.newcomer {
            assert_eq!(view.round, self.witness.join);
            assert!(outbox.left() == 3 || self.seat.budget.is_none());
        }
        assert!(view.present[self.seat.node]);
        for _ in 0..self.witness.wishes {
            for &to in &self.seat.destinations {
                outbox.send(to, Via::Direct);
                outbox.send(to, Via::Relay((to + 1) % self.seat.nodes));
            }
        }
        outbox.send(self.seat.node, Via::Direct);
    }

    fn observe(&mut self, view: &View<'_>, measured: &[Measurement]) {
        for measurement in measured.iter().filter(|m| m.probe.via == Via::Direct && !m.value.is_nan()) {
            let (frame, a, b) = told(measurement.value);
            assert_eq!(frame, view.round, "only this round's frame is measured");
            assert!(view.present[a] && view.present[b]);
        }
        for from in 0..self.seat.nodes {
            for value in view.published.values(from).iter().filter(|value| !value.is_nan()) {
                let (frame, a, b) = told(*value);
                assert!(frame < view.round, "what is published is a round old");
                assert!(a == from || b == from);
                *self.witness.seen.lock().unwrap() += 1;
            }
        }
    }

    fn decide(&mut self, _view: &View<'_>, choices: &mut [Choice]) {
        choices.fill(Choice::Path(Via::Relay(self.seat.node)));
    }
}

fn witness(fold: &Fold, wishes: usize) -> Witness {
    let newcomer = fold.newcomer.clone();
    Witness { newcomer, begin: fold.begin, join: fold.join, seen: Mutex::new(0), wishes }
}

const PROTOCOL: Protocol =
    Protocol { seeds: 1, probes: 1.5, landmarks: 3, newcomers: 0.2, most_decisions: 1_000_000 };

#[test]
fn nothing_of_the_scored_frame_or_its_mirror_is_ever_handed_out() {
    for symmetric in [true, false] {
        for index in 0..3 {
            let frames = telling(10, 20, symmetric, 3);
            let fold = Fold::plan(&frames, &PROTOCOL, index).unwrap();
            assert_eq!(fold.newcomer.iter().filter(|new| **new).count(), 2);
            for round in fold.scored_rounds() {
                assert_eq!(fold.scored(round), Some(round + 3));
            }
            for budget in [Budget::Kept, Budget::Unlimited] {
                let mut policy = witness(&fold, 2);
                let outcome = replay(&frames, &fold, &PROTOCOL, budget, &mut policy);
                assert!(*policy.seen.lock().unwrap() > 0, "something must have been published");
                assert!(outcome.values.iter().all(|value| value.is_nan()), "a path over an end is none");
            }
        }
    }
}

#[test]
fn probes_and_published_legs_are_counted() {
    let frames = telling(10, 20, false, 1);
    let fold = Fold::plan(&frames, &PROTOCOL, 0).unwrap();
    let rounds = (fold.last - fold.join + 1) as u64;
    let mut policy = witness(&fold, 2);
    let kept = replay(&frames, &fold, &PROTOCOL, Budget::Kept, &mut policy).ledger;
    // 9 destinations, 1.5 probes each; two newcomers have 3 in their first round
    let granted: u64 = 8 * (rounds * 27).div_ceil(2) + 2 * ((rounds - 1) * 27 / 2 + 3);
    assert!(kept.probes.abs_diff(granted) <= 10, "{} of {granted}", kept.probes);
    assert_eq!((kept.node_rounds, kept.destination_rounds), (10 * rounds, 90 * rounds));
    assert_eq!(kept.decisions, 90 * rounds);
    assert_eq!(kept.repeated, 90 * (rounds - 1));
    assert_eq!(kept.switches, 0, "the same choice again is no switch");
    let mut policy = witness(&fold, 2);
    let free = replay(&frames, &fold, &PROTOCOL, Budget::Unlimited, &mut policy).ledger;
    // to each destination directly and over its neighbour, twice; not where the neighbour is the node itself
    assert_eq!(free.probes, 10 * rounds * 2 * (9 + 8));
    assert_eq!(free.legs_received, rounds * 10 * 9 * 9);
}

#[test]
fn bounds_of_a_known_network() {
    // 0 → 1 costs 100 directly; over 2 it costs 30, but 300 in every other frame; over 3 always 60
    let mut frames = telling(6, 12, false, 1);
    for (at, frame) in frames.frames.iter_mut().enumerate() {
        for (from, to) in (0..6).flat_map(|from| (0..6).map(move |to| (from, to))).filter(|(a, b)| a != b) {
            frame.set(from, to, 1000.0);
        }
        frame.set(0, 1, 100.0);
        frame.set(0, 2, if at % 2 == 0 { 10.0 } else { 280.0 });
        frame.set(2, 1, 20.0);
        frame.set(0, 3, 30.0);
        frame.set(3, 1, 30.0);
    }
    let fold = Fold::plan(&frames, &PROTOCOL, 0).unwrap();
    let bounds = Bounds::new(&frames, &fold);
    let pairs = pairs(&fold);
    let pair = pairs.iter().position(|pair| *pair == (0, 1)).unwrap();
    for (at, round) in fold.scored_rounds().enumerate() {
        let here = at * pairs.len() + pair;
        let best = if fold.scored(round).unwrap().is_multiple_of(2) { 30.0 } else { 60.0 };
        assert_eq!((bounds.direct[here], bounds.clairvoyant[here]), (100.0, best));
        assert_eq!(bounds.fixed[here], 60.0);
    }
}

#[test]
fn a_set_of_one_frame_is_scored_on_newcomers_alone_and_publishes_nothing() {
    let frames = telling(10, 1, false, 1);
    let fold = Fold::plan(&frames, &PROTOCOL, 0).unwrap();
    assert_eq!(fold.scored_rounds().count(), 1);
    assert!(!fold.publishes(Quantity::Rtt));
    let bounds = Bounds::new(&frames, &fold);
    for ((from, to), direct) in pairs(&fold).into_iter().zip(&bounds.direct) {
        assert_eq!(direct.is_nan(), !fold.newcomer[from] && !fold.newcomer[to]);
    }
    let history = fold.history(&frames);
    assert_eq!(history.records.len(), 8 * 7, "all ways between known nodes");
}

#[test]
fn a_set_that_is_too_short_or_too_small_is_refused() {
    assert_eq!(Fold::plan(&telling(10, 8, false, 8), &PROTOCOL, 0), Err(Unfit::Short { frames: 8, gap: 8 }));
    assert_eq!(Fold::plan(&telling(4, 8, false, 1), &PROTOCOL, 0), Err(Unfit::Small(4)));
    let two = telling(10, 2, false, 1);
    assert_eq!(Fold::plan(&two, &PROTOCOL, 0).unwrap().scored_rounds().count(), 1);
}

#[test]
fn a_large_set_is_thinned_by_rounds_and_then_by_destinations() {
    let frames = telling(20, 60, false, 1);
    let protocol = Protocol { most_decisions: 4000, ..PROTOCOL };
    let fold = Fold::plan(&frames, &protocol, 0).unwrap();
    assert!(fold.stride == 4 && fold.destinations[0].len() == 19, "{} {:?}", fold.stride, fold.thinned());
    let fold = Fold::plan(&frames, &Protocol { most_decisions: 2000, ..PROTOCOL }, 0).unwrap();
    assert!(fold.stride == 4 && fold.destinations[0].len() == 11, "{:?}", fold.thinned());
    assert!(fold.destinations.iter().enumerate().all(|(node, to)| !to.contains(&node)));
    assert!(fold.thinned().unwrap().contains("11 of 19"));
}

#[test]
fn a_race_counts_the_best_of_its_paths_and_a_missing_leg_is_unknown() {
    let mut frames = telling(6, 3, false, 1);
    let frame = &mut frames.frames[0];
    frame.set(0, 1, 50.0);
    frame.set(0, 2, f32::NAN);
    frame.set(0, 3, 20.0);
    frame.set(3, 1, 20.0);
    let frame = &frames.frames[0];
    let race = Choice::Race([Via::Direct, Via::Relay(2), Via::Relay(3)]);
    assert_eq!(outcome(&frames, frame, 0, 1, race), 40.0);
    assert!(outcome(&frames, frame, 0, 1, Choice::Path(Via::Relay(2))).is_nan());
    assert!(value(&frames, frame, 0, 1, Via::Relay(99)).is_nan());
}

#[test]
fn no_destination_is_thinned_more_often_than_others() {
    let frames = telling(20, 30, false, 1);
    let protocol = Protocol { most_decisions: 200, ..PROTOCOL };
    let mut kept = [0; 20];
    for index in 0..400 {
        let fold = Fold::plan(&frames, &protocol, index).unwrap();
        assert!(fold.destinations.iter().all(|to| to.len() == 8));
        fold.destinations[0].iter().for_each(|to| kept[*to] += 1);
    }
    // 8 of 19 others, 400 times: 168
    assert!(kept[0] == 0 && kept[1..].iter().all(|count| (125..215).contains(count)), "{kept:?}");
}
