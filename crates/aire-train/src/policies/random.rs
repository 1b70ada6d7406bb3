//! Random relays: four tried and the best of them used (SOSR: Gummadi et al., "Improving the reliability of internet paths
//! with one-hop source routing", OSDI 2004), and three paths raced.

use aire_types::Random;

use super::bench::{Bench, Track};
use super::table::WEIGHT;
use crate::replay::{Agent, Choice, Measurement, Outbox, Policy, Seat, Via, View};

/// Relays that are tried for one destination.
const TRIED: usize = 4;

/// What is done with random relays.
#[derive(Clone, Copy, PartialEq)]
enum Use {
    /// The best last sample.
    Best,
    /// Direct and the two best at once.
    Race,
}

/// Random relays.
pub(super) struct Lots {
    used: Use,
}

impl Lots {
    /// `random-4`.
    pub(super) fn best_of_four() -> Self {
        Lots { used: Use::Best }
    }

    /// `race-3`.
    pub(super) fn race() -> Self {
        Lots { used: Use::Race }
    }
}

impl Policy for Lots {
    fn name(&self) -> &str {
        if self.used == Use::Best { "random-4" } else { "race-3" }
    }

    fn agent<'a>(&'a self, seat: &Seat) -> Box<dyn Agent + 'a> {
        Box::new(Player {
            used: self.used,
            bench: Bench::new(seat, if self.used == Use::Best { 1.0 } else { WEIGHT }),
            random: Random::new(seat.seed),
            seat: seat.clone(),
        })
    }
}

struct Player {
    used: Use,
    seat: Seat,
    bench: Bench,
    random: Random,
}

impl Player {
    /// Fills up to four relays; of four that were all tried the worst gives its place to a new one.
    fn draw(&mut self, view: &View<'_>) {
        for at in 0..self.seat.destinations.len() {
            let (to, quantity) = (self.seat.destinations[at], self.bench.quantity);
            let tracks = &mut self.bench.tracks[at];
            if tracks.len() > TRIED && tracks[1..].iter().all(|track| track.probed > 0) {
                let score = |track: &Track| if self.used == Use::Best { track.last } else { track.mean };
                let worse = |a: &Track, b: &Track| score(a).is_nan() || quantity.better(score(b), score(a));
                let worst =
                    (1..tracks.len()).reduce(|a, b| if worse(&tracks[a], &tracks[b]) { a } else { b });
                worst.map(|worst| tracks.remove(worst));
            }
            while tracks.len() <= TRIED.min(self.seat.nodes.saturating_sub(2)) {
                let relay = self.random.below(self.seat.nodes);
                let via = Via::Relay(relay);
                let twice = tracks.iter().any(|track| track.via == via);
                if relay == to || relay == self.seat.node || twice {
                    continue;
                }
                // who is not there answers no probe and is drawn away again
                tracks.push(Track::new(via));
            }
            if !view.present[to] {
                tracks.truncate(1);
            }
        }
    }
}

impl Agent for Player {
    fn probe(&mut self, view: &View<'_>, outbox: &mut Outbox) {
        self.draw(view);
        self.bench.take_turns(&self.seat, view, outbox);
    }

    fn observe(&mut self, view: &View<'_>, measured: &[Measurement]) {
        self.bench.observe(view, measured);
    }

    fn decide(&mut self, _view: &View<'_>, choices: &mut [Choice]) {
        for (at, choice) in choices.iter_mut().enumerate() {
            let tracks = &self.bench.tracks[at];
            let direct = tracks[0].last;
            if self.used == Use::Best {
                let best = self.bench.best(at, |track| track.last).filter(|_| !direct.is_nan());
                *choice = Choice::Path(best.map_or(Via::Direct, |track| track.via));
                continue;
            }
            let mut order: Vec<&Track> = tracks[1..].iter().filter(|track| track.count > 0).collect();
            let sign = if self.bench.quantity.better(1.0, 2.0) { 1.0 } else { -1.0 };
            order.sort_by(|a, b| (sign * a.mean).total_cmp(&(sign * b.mean)));
            let nth = |n: usize| order.get(n).map_or(Via::Direct, |track| track.via);
            *choice = Choice::Race([Via::Direct, nth(0), nth(1)]);
        }
    }
}
