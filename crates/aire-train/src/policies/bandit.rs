//! Bandits over the most promising relays: VIA's upper confidence bound (Jiang et al., "VIA: improving internet telephony
//! call quality using predictive relay selection", SIGCOMM 2016) and Thompson sampling over a sliding window (Trovò et
//! al., "Sliding-window Thompson sampling for non-stationary settings", JAIR 2020).

use aire_types::Random;

use super::bench::{Bench, Calendar, Track};
use super::portfolio::{RELAYS, lowest, most_promising};
use super::table::{Own, Past, WEIGHT};
use crate::replay::{Agent, Choice, History, Measurement, Outbox, Policy, Seat, View};

/// Rounds between two prunings of the candidates.
const REVIEW: usize = 8;
/// VIA's weight of the confidence term, relative to the candidates' average.
const CONFIDENCE: f32 = 0.1;
/// Samples that Thompson's window holds.
const WINDOW: usize = 8;

#[derive(Clone, Copy, PartialEq)]
enum Draw {
    Confidence,
    Thompson,
}

/// A bandit for each destination.
pub(super) struct Bandit {
    draw: Draw,
    past: Past,
}

impl Bandit {
    /// `ucb`.
    pub(super) fn confidence() -> Self {
        Bandit { draw: Draw::Confidence, past: Past::nothing() }
    }

    /// `thompson`.
    pub(super) fn thompson() -> Self {
        Bandit { draw: Draw::Thompson, past: Past::nothing() }
    }
}

impl Policy for Bandit {
    fn name(&self) -> &str {
        if self.draw == Draw::Confidence { "ucb" } else { "thompson" }
    }

    fn learn(&mut self, history: &History) {
        self.past = Past::of(history);
    }

    fn agent<'a>(&'a self, seat: &Seat) -> Box<dyn Agent + 'a> {
        // the window of Thompson's arms is what the average forgets by
        let weight = if self.draw == Draw::Thompson { 1.0 / WINDOW as f32 } else { WEIGHT };
        Box::new(Gambler {
            bandit: self,
            own: Own::new(seat, WEIGHT),
            bench: Bench::new(seat, weight),
            random: Random::new(seat.seed),
            promises: Vec::new(),
            calendar: Calendar::new(REVIEW),
            seat: seat.clone(),
        })
    }
}

struct Gambler<'a> {
    bandit: &'a Bandit,
    seat: Seat,
    own: Own,
    bench: Bench,
    random: Random,
    promises: Vec<f32>,
    calendar: Calendar,
}

impl Gambler<'_> {
    fn review(&mut self, view: &View<'_>) {
        if !self.calendar.due(view) {
            return;
        }
        for (at, &to) in self.seat.destinations.iter().enumerate() {
            self.own.promises(&self.bandit.past, view, to, &mut self.promises);
            let promised = most_promising(&self.promises, &self.bench, at, RELAYS);
            self.bench.set_relays(at, promised.into_iter());
        }
    }
}

/// The arm to pull among `tracks` that were not probed in round `now`, or among all where that is `None`.
fn arm(
    draw: Draw,
    better_is_less: bool,
    tracks: &[Track],
    now: Option<u32>,
    random: &mut Random,
) -> Option<usize> {
    let sign = if better_is_less { 1.0 } else { -1.0 };
    let all: u32 = tracks.iter().map(|track| track.count).sum();
    let level = tracks.iter().filter(|track| track.count > 0).map(|track| track.mean);
    let scale = level.clone().sum::<f32>() / level.count().max(1) as f32;
    let score = |track: &Track, random: &mut Random| {
        if track.count == 0 {
            return f32::NEG_INFINITY;
        }
        let count = track.count as f32;
        match draw {
            Draw::Confidence => {
                sign * track.mean - CONFIDENCE * scale * ((all.max(2) as f32).ln() / count).sqrt()
            }
            Draw::Thompson => {
                // of one sample no deviation is known: a quarter of it is assumed
                let deviation = if track.count < 3 { 0.25 * track.mean } else { 1.25 * track.deviation };
                sign * track.mean + normal(random) * deviation / count.min(WINDOW as f32).sqrt()
            }
        }
    };
    let mut best: Option<(usize, f32)> = None;
    for (index, track) in tracks.iter().enumerate() {
        if now.is_some_and(|now| track.probed >= now) {
            continue;
        }
        let own = score(track, random);
        if best.is_none_or(|(_, other)| own < other) {
            best = Some((index, own));
        }
    }
    best.map(|(index, _)| index)
}

/// A standard normal number (Box and Muller).
fn normal(random: &mut Random) -> f32 {
    let radius = (-2.0 * (1.0 - random.unit()).ln()).sqrt();
    (radius * (std::f64::consts::TAU * random.unit()).cos()) as f32
}

impl Agent for Gambler<'_> {
    fn probe(&mut self, view: &View<'_>, outbox: &mut Outbox) {
        self.review(view);
        let less = self.seat.quantity.better(1.0, 2.0);
        let (draw, now, random) = (self.bandit.draw, view.round as u32 + 1, &mut self.random);
        self.bench.spend(&self.seat, view, outbox, |_, tracks, _| arm(draw, less, tracks, Some(now), random));
    }

    fn observe(&mut self, view: &View<'_>, measured: &[Measurement]) {
        self.own.observe(measured);
        self.bench.observe(view, measured);
    }

    fn decide(&mut self, _view: &View<'_>, choices: &mut [Choice]) {
        let less = self.seat.quantity.better(1.0, 2.0);
        for (at, choice) in choices.iter_mut().enumerate() {
            let tracks = &self.bench.tracks[at];
            let unknown = tracks.iter().all(|track| track.count == 0);
            let arm =
                if unknown { None } else { arm(self.bandit.draw, less, tracks, None, &mut self.random) };
            // an arm that was never pulled is no choice yet
            let arm = arm.filter(|arm| tracks[*arm].count > 0);
            let arm = arm.map(|arm| tracks[arm].via).unwrap_or_else(|| lowest(&self.bench, at));
            *choice = Choice::Path(arm);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay::Via;

    #[test]
    fn the_better_arm_is_pulled_most_and_the_other_is_not_forgotten() {
        for draw in [Draw::Confidence, Draw::Thompson] {
            for less in [true, false] {
                let track = |via, mean| Track { mean, last: mean, count: 4, deviation: 5.0, probed: 1, via };
                let good = if less { 20.0 } else { 40.0 };
                let mut tracks = [track(Via::Direct, 30.0), track(Via::Relay(1), good)];
                let mut random = Random::new(5);
                let mut pulls = [0; 2];
                for _ in 0..500 {
                    let pulled = arm(draw, less, &tracks, None, &mut random).unwrap();
                    pulls[pulled] += 1;
                    tracks[pulled].count += 1;
                }
                assert!(pulls[1] > 400, "{pulls:?}");
                assert_eq!(arm(draw, less, &tracks, Some(1), &mut random), None);
            }
        }
    }
}
