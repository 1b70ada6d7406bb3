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
    /// The first destination that direct probes had no room for.
    start: usize,
    /// Probes whose third was not given to relays yet.
    owed: usize,
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
            start: 0,
            owed: 0,
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
            there.for_each(|to| {
                outbox.send(*to, Via::Direct);
            });
            return;
        }
        let pause = if join(self.seat.quantity) == Join::Least { BULK_PAUSE } else { 1 };
        let mut room = outbox.left() - self.for_relays(outbox.left());
        let count = self.seat.destinations.len();
        for at in (self.start..self.start + count).map(|at| at % count) {
            let to = self.seat.destinations[at];
            let due = self.measured_at[to].is_none_or(|before| view.round >= before + pause);
            if !due || !view.present[to] {
                continue;
            }
            if room == 0 || !outbox.send(to, Via::Direct) {
                self.start = at;
                return;
            }
            room -= 1;
            self.measured_at[to] = Some(view.round);
        }
    }

    /// A third of the probes: at the usual 1.5 for each destination that leaves one for each direct path, and with fewer
    /// relays are still looked at.
    fn for_relays(&mut self, room: usize) -> usize {
        if room >= 3 {
            return room / 3;
        }
        self.owed += room;
        let share = self.owed / 3;
        self.owed %= 3;
        share.min(room)
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
        for (relay, to) in plan {
            outbox.send(to, Via::Relay(relay));
        }
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::Scouts;
    use super::*;
    use crate::data::{Frames, Matrix, Quantity};
    use crate::replay::{Fold, Policy, Protocol, Published, value};

    fn hub(nodes: usize) -> Frames {
        let mut matrix = Matrix::missing(nodes);
        for (from, to) in (0..nodes).flat_map(|from| (0..nodes).map(move |to| (from, to))) {
            if from != to {
                matrix.set(from, to, if from == 0 || to == 0 { 10.0 } else { 100.0 });
            }
        }
        Frames {
            name: "hub".into(),
            quantity: Quantity::Rtt,
            nodes: (0..nodes).map(|node| node.to_string()).collect(),
            step_s: 10.0,
            symmetric: false,
            score_gap: 1,
            frames: vec![matrix; 20],
        }
    }

    /// Destinations that were probed directly, and probes over relays, in ten rounds with so many probes each.
    fn probed(room: usize) -> (usize, usize) {
        let frames = hub(12);
        let fold = Fold::plan(&frames, &Protocol::default(), 0).unwrap();
        let mut scouts = Scouts::new();
        scouts.learn(&fold.history(&frames));
        let node = (1..12).find(|node| !fold.newcomer[*node]).unwrap();
        let seat = Seat {
            node,
            nodes: 12,
            destinations: fold.destinations[node].clone(),
            quantity: frames.quantity,
            step_s: frames.step_s,
            newcomer: false,
            budget: Some(room as f64 / 11.0),
            horizon: 1,
            seed: 1,
        };
        let mut agent = scouts.agent(&seat);
        let (mut direct, mut relayed) = (BTreeSet::new(), 0);
        let published = Published::nothing(12);
        for round in 0..10 {
            let view = View { round, present: &[true; 12], published: &published };
            let mut outbox = Outbox::new(node, room);
            agent.probe(&view, &mut outbox);
            let mut measured = Vec::new();
            for &probe in outbox.probes() {
                match probe.via {
                    Via::Direct => drop(direct.insert(probe.to)),
                    Via::Relay(_) => relayed += 1,
                }
                let value = value(&frames, &frames.frames[0], node, probe.to, probe.via);
                measured.push(Measurement { probe, value });
            }
            agent.observe(&view, &measured);
        }
        (direct.len(), relayed)
    }

    #[test]
    fn with_few_probes_every_destination_has_its_turn_and_relays_are_looked_at() {
        for room in [2, 5, 8, 11] {
            let (direct, relayed) = probed(room);
            assert!(direct == 11 && relayed > 0, "{room} a round: {direct} direct, {relayed} over relays");
        }
        assert_eq!(probed(16).0, 11);
    }
}
