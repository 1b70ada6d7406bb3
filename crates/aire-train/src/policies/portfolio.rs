//! A fixed handful of relays for each destination, measured end to end; the lowest average is used. The relays are the
//! same hubs for everybody, or those that history and published legs promise most of.

use super::bench::{Bench, Calendar, Track};
use super::table::{Own, Past, WEIGHT};
use crate::replay::{Agent, Choice, History, Measurement, Outbox, Policy, Seat, Via, View};

/// Relays of one destination; the product looks at as many.
pub(super) const RELAYS: usize = 8;
/// Rounds between two looks at what legs promise.
const REVIEW: usize = 4;

/// How the relays are found.
#[derive(Clone, Copy, PartialEq)]
enum Found {
    /// The same few for all pairs: those that together shorten most.
    Hubs,
    /// For each pair, by the sum of known legs.
    Legs,
}

/// Relays found once, measured for ever.
pub(super) struct Handful {
    found: Found,
    past: Past,
    hubs: Vec<usize>,
}

impl Handful {
    /// `hubs`.
    pub(super) fn hubs() -> Self {
        Handful { found: Found::Hubs, past: Past::nothing(), hubs: Vec::new() }
    }

    /// `top-k`.
    pub(super) fn by_history() -> Self {
        Handful { found: Found::Legs, past: Past::nothing(), hubs: Vec::new() }
    }
}

impl Policy for Handful {
    fn name(&self) -> &str {
        if self.found == Found::Hubs { "hubs" } else { "top-k" }
    }

    fn learn(&mut self, history: &History) {
        self.past = Past::of(history);
        if self.found == Found::Hubs {
            self.hubs = hubs(history, &self.past);
        }
    }

    fn agent<'a>(&'a self, seat: &Seat) -> Box<dyn Agent + 'a> {
        Box::new(Holder {
            handful: self,
            own: Own::new(seat, WEIGHT),
            bench: Bench::new(seat, WEIGHT),
            promises: Vec::new(),
            calendar: Calendar::new(REVIEW),
            seat: seat.clone(),
        })
    }
}

/// Nodes that as relays cover the most gain over direct, one after the other.
fn hubs(history: &History, past: &Past) -> Vec<usize> {
    let means = past.means();
    let quantity = history.quantity;
    let ways = history.known.iter().flat_map(|from| history.known.iter().map(move |to| (*from, *to)));
    let mut best: Vec<(usize, usize, f32)> = ways
        .filter(|(from, to)| from != to)
        .map(|(from, to)| (from, to, means.get(from, to)))
        .filter(|(_, _, direct)| !direct.is_nan())
        .collect();
    let mut hubs = Vec::new();
    for _ in 0..RELAYS {
        let gain = |relay: usize| -> f64 {
            let over = |(from, to, now): &(usize, usize, f32)| {
                let value = quantity.join(means.get(*from, relay), means.get(relay, *to));
                let better = relay != *from && relay != *to && quantity.better(value, *now);
                if better { f64::from((value - now).abs()) } else { 0.0 }
            };
            best.iter().map(over).sum()
        };
        let open = history.known.iter().copied().filter(|relay| !hubs.contains(relay));
        let Some((relay, _)) = open.map(|relay| (relay, gain(relay))).max_by(|a, b| a.1.total_cmp(&b.1))
        else {
            break;
        };
        for (from, to, now) in &mut best {
            let value = quantity.join(means.get(*from, relay), means.get(relay, *to));
            if relay != *from && relay != *to && quantity.better(value, *now) {
                *now = value;
            }
        }
        hubs.push(relay);
    }
    hubs
}

struct Holder<'a> {
    handful: &'a Handful,
    seat: Seat,
    own: Own,
    bench: Bench,
    promises: Vec<f32>,
    calendar: Calendar,
}

impl Holder<'_> {
    fn review(&mut self, view: &View<'_>) {
        if !self.calendar.due(view) {
            return;
        }
        for (at, &to) in self.seat.destinations.iter().enumerate() {
            if self.handful.found == Found::Hubs {
                let usable = self.handful.hubs.iter().copied();
                let usable = usable.filter(|hub| *hub != to && *hub != self.seat.node);
                self.bench.set_relays(at, usable);
                continue;
            }
            self.own.promises(&self.handful.past, view, to, &mut self.promises);
            let promised = most_promising(&self.promises, &self.bench, at, RELAYS);
            self.bench.set_relays(at, promised.into_iter());
        }
    }
}

/// The `most` relays, one or more, whose average or else whose promise is best.
pub(super) fn most_promising(promises: &[f32], bench: &Bench, at: usize, most: usize) -> Vec<usize> {
    let measured = |relay: usize| {
        let track = bench.tracks[at].iter().find(|track| track.via == Via::Relay(relay));
        track.filter(|track| track.count > 0).map(|track| track.mean)
    };
    let sign = if bench.quantity.better(1.0, 2.0) { 1.0 } else { -1.0 };
    let mut order: Vec<(f32, usize)> = (0..promises.len())
        .map(|relay| (sign * measured(relay).unwrap_or(promises[relay]), relay))
        .filter(|(value, _)| !value.is_nan())
        .collect();
    if order.len() > most {
        order.select_nth_unstable_by(most - 1, |a, b| a.0.total_cmp(&b.0));
        order.truncate(most);
    }
    order.into_iter().map(|(_, relay)| relay).collect()
}

impl Agent for Holder<'_> {
    fn probe(&mut self, view: &View<'_>, outbox: &mut Outbox) {
        self.review(view);
        self.bench.take_turns(&self.seat, view, outbox);
    }

    fn observe(&mut self, view: &View<'_>, measured: &[Measurement]) {
        self.own.observe(measured);
        self.bench.observe(view, measured);
    }

    fn decide(&mut self, _view: &View<'_>, choices: &mut [Choice]) {
        for (at, choice) in choices.iter_mut().enumerate() {
            *choice = Choice::Path(lowest(&self.bench, at));
        }
    }
}

/// The path with the best average, once direct has one too.
pub(super) fn lowest(bench: &Bench, at: usize) -> Via {
    let direct: &Track = &bench.tracks[at][0];
    if direct.count == 0 {
        return Via::Direct;
    }
    bench.best(at, |track| track.mean).map_or(Via::Direct, |track| track.via)
}
