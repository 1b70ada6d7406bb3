//! Paths that an agent measures end to end: a few candidates for each destination, probed in turns.

use crate::data::Quantity;
use crate::replay::{Measurement, Outbox, Seat, Via, View};

/// One path to one destination, as probes show it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Track {
    pub(super) via: Via,
    /// Slow average.
    pub(super) mean: f32,
    /// Mean deviation.
    pub(super) deviation: f32,
    pub(super) last: f32,
    /// Answers.
    pub(super) count: u32,
    /// Round of the last probe, plus one; 0 before any.
    pub(super) probed: u32,
}

impl Track {
    pub(super) fn new(via: Via) -> Self {
        Track { via, mean: f32::NAN, deviation: 0.0, last: f32::NAN, count: 0, probed: 0 }
    }

    fn add(&mut self, value: f32, weight: f32) {
        if value.is_nan() {
            // a path that does not answer is not the last that did
            self.last = f32::NAN;
            return;
        }
        self.count += 1;
        self.last = value;
        if self.count == 1 {
            self.mean = value;
            return;
        }
        let weight = weight.max(1.0 / self.count as f32);
        let error = value - self.mean;
        self.deviation += weight * (error.abs() - self.deviation);
        self.mean += weight * error;
    }
}

/// When candidates are looked for again: now and then, and while somebody is new.
pub(super) struct Calendar {
    every: usize,
    next: usize,
    present: usize,
    settled: usize,
}

impl Calendar {
    pub(super) fn new(every: usize) -> Self {
        Calendar { every, next: 0, present: 0, settled: 0 }
    }

    /// Is it time in this round?
    pub(super) fn due(&mut self, view: &View<'_>) -> bool {
        // who joins is measured in its first round and speaks of that in the next
        const SETTLES: usize = 3;
        let present = view.present.iter().filter(|present| **present).count();
        if present != self.present {
            self.present = present;
            self.settled = view.round + SETTLES;
        }
        let due = view.round >= self.next || view.round < self.settled;
        if due {
            self.next = view.round + self.every;
        }
        due
    }
}

/// The candidates of all destinations of one agent; the first of each is direct.
pub(super) struct Bench {
    pub(super) quantity: Quantity,
    pub(super) tracks: Vec<Vec<Track>>,
    place: Vec<Option<u32>>,
    weight: f32,
    start: usize,
}

impl Bench {
    pub(super) fn new(seat: &Seat, weight: f32) -> Self {
        let mut place = vec![None; seat.nodes];
        for (at, to) in seat.destinations.iter().enumerate() {
            place[*to] = u32::try_from(at).ok();
        }
        let tracks = vec![vec![Track::new(Via::Direct)]; seat.destinations.len()];
        let start = (seat.seed as usize) % seat.destinations.len().max(1);
        Bench { quantity: seat.quantity, tracks, place, weight, start }
    }

    /// The place of a destination.
    pub(super) fn place(&self, to: usize) -> Option<usize> {
        self.place.get(to).copied().flatten().map(|at| at as usize)
    }

    pub(super) fn observe(&mut self, view: &View<'_>, measured: &[Measurement]) {
        for measurement in measured {
            let Some(at) = self.place(measurement.probe.to) else { continue };
            let Some(track) = self.tracks[at].iter_mut().find(|track| track.via == measurement.probe.via)
            else {
                continue;
            };
            track.add(measurement.value, self.weight);
            track.probed = view.round as u32 + 1;
        }
    }

    /// Spends the budget: in each pass every destination once, with the track that `next` names, until nothing is left
    /// or nobody wants more. The passes begin with another destination in each round, so that rests go around.
    pub(super) fn spend(
        &mut self,
        seat: &Seat,
        view: &View<'_>,
        outbox: &mut Outbox,
        mut next: impl FnMut(usize, &[Track], usize) -> Option<usize>,
    ) {
        let count = seat.destinations.len();
        for pass in 0.. {
            let mut wanted = false;
            for step in 0..count {
                let at = (self.start + step) % count;
                let to = seat.destinations[at];
                if !view.present[to] {
                    continue;
                }
                let Some(index) = next(at, &self.tracks[at], pass) else { continue };
                let Some(track) = self.tracks[at].get_mut(index) else { continue };
                if !outbox.send(to, track.via) {
                    self.start = at;
                    return;
                }
                track.probed = view.round as u32 + 1;
                wanted = true;
            }
            if !wanted {
                return;
            }
        }
    }

    /// Probes every track in turns, none twice in a round.
    pub(super) fn take_turns(&mut self, seat: &Seat, view: &View<'_>, outbox: &mut Outbox) {
        let now = view.round as u32 + 1;
        self.spend(seat, view, outbox, |_, tracks, _| {
            let waiting = tracks.iter().enumerate().filter(|(_, track)| track.probed < now);
            waiting.min_by_key(|(_, track)| track.probed).map(|(index, _)| index)
        });
    }

    /// The tracks of one destination by `value`, the best one first; those without a value are left out.
    pub(super) fn best(&self, at: usize, value: impl Fn(&Track) -> f32) -> Option<&Track> {
        let mut best: Option<(&Track, f32)> = None;
        for track in &self.tracks[at] {
            let own = value(track);
            if !own.is_nan() && best.is_none_or(|(_, other)| self.quantity.better(own, other)) {
                best = Some((track, own));
            }
        }
        best.map(|(track, _)| track)
    }

    /// Makes `relays` the candidates of one destination; what was measured on those that stay is kept.
    pub(super) fn set_relays(&mut self, at: usize, relays: impl Iterator<Item = usize>) {
        let mut tracks = vec![self.tracks[at][0]];
        for relay in relays {
            let via = Via::Relay(relay);
            let known = self.tracks[at].iter().find(|track| track.via == via).copied();
            tracks.push(known.unwrap_or(Track::new(via)));
        }
        self.tracks[at] = tracks;
    }
}
