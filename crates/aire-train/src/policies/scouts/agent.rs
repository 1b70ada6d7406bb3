use aire_brain::relays::{Join, Scout, Settings};

use super::lore::{Lore, Word, join};
use crate::replay::{Agent, Choice, MOST_LEGS, Measurement, Outbox, Publication, Seat, Via, View};

/// Legs to so many landmarks are told first.
const TOLD_LANDMARKS: usize = 32;
/// Relays of a larger mesh that serve the node itself well, and are looked at beside landmarks.
const FAVOURITES: usize = 16;
/// In a larger mesh only landmarks and favourites are looked at as relays.
const WHOLE: usize = 512;
/// Throughput is measured again after so many rounds: it costs more than a round trip.
const BULK_PAUSE: usize = 8;

pub(super) struct ScoutAgent<'a> {
    seat: Seat,
    lore: &'a Lore,
    published: bool,
    scout: Scout,
    using: Vec<Option<usize>>,
    measured_at: Vec<Option<usize>>,
    rounds: usize,
}

impl<'a> ScoutAgent<'a> {
    pub(super) fn new(seat: &Seat, lore: &'a Lore, settings: Settings, published: bool) -> Self {
        let horizon = seat.horizon;
        let mut scout = Scout::new(seat.node, seat.nodes, horizon, join(seat.quantity), settings, seat.seed);
        scout.inherit(&lore.strength);
        lore.remind(seat.node, &mut scout);
        ScoutAgent {
            lore,
            published,
            scout,
            using: vec![None; seat.destinations.len()],
            measured_at: vec![None; seat.nodes],
            rounds: 0,
            seat: seat.clone(),
        }
    }

    fn word<'v>(&self, view: &View<'v>) -> Word<'v>
    where
        'a: 'v,
    {
        Word { published: self.published.then_some(view.published), lore: self.lore }
    }

    /// Who may be a relay.
    fn relays(&self, view: &View<'_>) -> Vec<usize> {
        let own = self.seat.node;
        let there = |node: &usize| *node != own && view.present[*node];
        if self.seat.nodes <= WHOLE {
            return (0..self.seat.nodes).filter(there).collect();
        }
        let mut relays = self.scout.favourites(FAVOURITES);
        relays.extend(&self.lore.landmarks);
        relays.sort_unstable();
        relays.dedup();
        relays.retain(there);
        relays
    }

    fn probe_direct(&mut self, view: &View<'_>, outbox: &mut Outbox) {
        if self.seat.newcomer && self.rounds == 0 && outbox.left() < self.seat.destinations.len() {
            let there = self.lore.landmarks.iter().filter(|node| view.present[**node]);
            there.for_each(|to| self.ask(*to, Via::Direct, outbox));
            return;
        }
        let pause = if join(self.seat.quantity) == Join::Least { BULK_PAUSE } else { 1 };
        for at in 0..self.seat.destinations.len() {
            let to = self.seat.destinations[at];
            let due = self.measured_at[to].is_none_or(|before| view.round >= before + pause);
            if due && view.present[to] {
                self.ask(to, Via::Direct, outbox);
                self.measured_at[to] = Some(view.round);
            }
        }
    }

    fn ask(&self, to: usize, via: Via, outbox: &mut Outbox) {
        outbox.send(to, via);
    }
}

impl Agent for ScoutAgent<'_> {
    fn probe(&mut self, view: &View<'_>, outbox: &mut Outbox) {
        self.probe_direct(view, outbox);
        let relays = self.relays(view);
        let word = self.word(view);
        let destinations: Vec<usize> =
            self.seat.destinations.iter().copied().filter(|to| view.present[*to]).collect();
        let using: Vec<Option<usize>> = (self.seat.destinations.iter().zip(&self.using))
            .filter(|(to, _)| view.present[**to])
            .map(|(_, using)| *using)
            .collect();
        let room = outbox.left().min(destinations.len() * 8);
        if room == 0 {
            return;
        }
        let plan = self.scout.plan(&destinations, |at| using[at], &relays, room, &word);
        plan.into_iter().for_each(|(relay, to)| self.ask(to, Via::Relay(relay), outbox));
    }

    fn observe(&mut self, view: &View<'_>, measured: &[Measurement]) {
        let mut direct = vec![f32::NAN; self.seat.nodes];
        let mut probes = Vec::new();
        for Measurement { probe, value } in measured.iter().copied() {
            match probe.via {
                Via::Direct => direct[probe.to] = value,
                Via::Relay(relay) => probes.push((relay, probe.to, value)),
            }
        }
        let word = self.word(view);
        self.scout.observe(view.round, &direct, &probes, &word);
        if self.seat.newcomer && self.rounds == 0 {
            self.scout.compare(self.lore.known.iter().copied(), &word);
        }
        self.rounds += 1;
    }

    fn decide(&mut self, view: &View<'_>, choices: &mut [Choice]) {
        let word = self.word(view);
        let relays = self.relays(view);
        for (at, choice) in choices.iter_mut().enumerate() {
            let to = self.seat.destinations[at];
            let current = self.using[at].filter(|relay| view.present[*relay]);
            self.using[at] = self.scout.choose(to, current, &relays, &word);
            *choice = Choice::Path(self.using[at].map_or(Via::Direct, Via::Relay));
        }
    }

    fn publish(&mut self, view: &View<'_>) -> Publication {
        let most = if self.seat.budget.is_some() { MOST_LEGS } else { self.seat.nodes };
        let word = self.word(view);
        let landmarks = &self.lore.landmarks[..TOLD_LANDMARKS.min(self.lore.landmarks.len())];
        Publication::These(self.scout.tell(landmarks, most, &word))
    }
}
