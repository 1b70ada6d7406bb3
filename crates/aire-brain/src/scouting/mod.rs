//! The scout of an agent: names and irregular times on the outside, numbers and rounds on the inside.
//!
//! Own measurements, direct and over relays, and what other nodes publish of their legs go in; which relays are worth looking at, what
//! paths should take, and what to publish ourselves come out. Whatever the size of the mesh, at most [`DESTINATIONS`] destinations and
//! [`RELAYS`] relays have numbers: in a larger mesh those that are used or promise something, those close by, the common ground, which
//! all nodes agree on without a word, and others in turns. So a round costs at most so many nodes squared, and memory the same.

mod choice;
mod roster;
mod round;
#[cfg(test)]
mod tests;
mod word;

use std::collections::BTreeSet;

use aire_types::{Estimate, NodeName, Random, Source, Time, fnv};

use self::roster::Roster;
use self::round::Round;
use self::word::Word;
use crate::relays::{Claims, Join, Scout, Settings, Transfer, coverage};

/// Relays that have numbers, at most.
const RELAYS: usize = 128;
/// Destinations that have, at most.
const DESTINATIONS: usize = 64;
/// Nodes that all agents of the mesh know of, for landmarks.
const COMMON: usize = 48;
/// Landmarks that a new node measures, and whose legs are told before others.
const LANDMARKS: usize = 32;
/// Relays that served us well: they keep their numbers.
const FAVOURITES: usize = 16;
/// Legs in one record.
const PUBLISHED: usize = 64;
/// Landmarks are chosen in these rounds, and then again after so many.
const CHOSEN_IN: [usize; 4] = [0, 2, 5, 11];
const CHOSEN_AFTER: usize = 20;
/// Numbers are made for more nodes than there are, in steps, so that tables grow rarely.
const STEP: usize = 16;
/// What a forecast is off by, as a share of it, before there is any experience.
const FIRST_ERROR: f32 = 0.25;
/// Weight of the newest miss.
const LEARNS: f32 = 0.05;

/// What one node knows of relays.
#[derive(Clone, Debug)]
pub(crate) struct Scouting {
    roster: Roster,
    relays: BTreeSet<usize>,
    destinations: BTreeSet<usize>,
    scout: Scout,
    word: Word,
    round: Round,
    room: usize,
    landmarks: Vec<usize>,
    /// Landmarks that were asked for.
    asked: BTreeSet<usize>,
    /// Whose legs the next record tells, and what it says of them.
    telling: Vec<usize>,
    told: Vec<(NodeName, f64)>,
    published: bool,
    /// Mean relative error of forecasts of paths, without and with proof.
    errors: [f32; 2],
    turned_at: usize,
    random: Random,
}

impl Scouting {
    pub(crate) fn new(own: NodeName, seed: u64) -> Self {
        let random = Random::new(seed ^ 0x7363_6f75_7473);
        let mut scouting = Scouting {
            roster: Roster::new(own, 1 + RELAYS + DESTINATIONS),
            relays: BTreeSet::new(),
            destinations: BTreeSet::new(),
            scout: Scout::new(0, 0, 1, Join::Sum, Settings::default(), seed),
            word: Word::default(),
            round: Round::default(),
            room: 0,
            landmarks: Vec::new(),
            asked: BTreeSet::new(),
            telling: Vec::new(),
            told: Vec::new(),
            published: true,
            errors: [FIRST_ERROR; 2],
            turned_at: 0,
            random,
        };
        scouting.make_room();
        scouting
    }

    fn make_room(&mut self) {
        if self.roster.len() > self.room || self.room == 0 {
            self.room = self.roster.len().next_multiple_of(STEP);
            self.scout.grow(self.room);
            self.word.grow(self.room);
            self.round.grow(self.room);
        }
    }

    /// Does the node have a number? What others publish is only of use where it has.
    pub(crate) fn watches(&self, node: &NodeName) -> bool {
        self.roster.number(node).is_some()
    }

    /// Those that have one and are members.
    pub(crate) fn watched(&self) -> impl Iterator<Item = &NodeName> {
        self.roster.others().map(|(_, node)| node)
    }

    fn enter(&mut self, node: &NodeName) -> Option<usize> {
        let entry = self.roster.enter(node)?;
        self.make_room();
        if entry.reused {
            self.scout.forget(entry.number);
            self.word.clear(entry.number);
            self.round.forget(entry.number);
            self.landmarks.retain(|landmark| *landmark != entry.number);
            self.asked.remove(&entry.number);
            self.telling.retain(|to| *to != entry.number);
        }
        Some(entry.number)
    }

    /// What `node` publishes of its legs, milliseconds by node. Of what it said before the newest word on each leg stays.
    pub(crate) fn hear<'a>(&mut self, node: &NodeName, legs: impl Iterator<Item = (&'a NodeName, f64)>) {
        let Some(from) = self.roster.number(node).filter(|from| *from > 0) else { return };
        for (other, ms) in legs.take(PUBLISHED) {
            if let Some(to) = self.roster.number(other).filter(|to| *to != from) {
                self.word.say(from, to, ms);
            }
        }
    }

    /// The own leg to `node` took so long.
    pub(crate) fn measured(&mut self, node: &NodeName, ms: f64) {
        if let Some(to) = self.roster.number(node).filter(|to| *to > 0) {
            self.round.add_direct(to, ms);
        }
    }

    /// A probe or a stream over `relay` to `to` took so long; `None` for no answer.
    pub(crate) fn proved(&mut self, relay: &NodeName, to: &NodeName, ms: Option<f64>) {
        let numbers = self.roster.number(relay).zip(self.roster.number(to));
        let Some((relay, to)) = numbers.filter(|(relay, to)| relay != to && *relay > 0 && *to > 0) else {
            return;
        };
        self.round.add_path(relay, to, ms);
    }

    /// When [`Scouting::handle_timeout`] wants to be called.
    pub(crate) fn poll_timeout(&self) -> Time {
        if self.roster.len() > 1 { self.round.ends() } else { Time::NEVER }
    }

    /// Closes the round that is over. `using` says which relay is in use towards a destination. True where something was learned.
    pub(crate) fn handle_timeout(
        &mut self,
        now: Time,
        using: impl Fn(&NodeName) -> Option<NodeName>,
    ) -> bool {
        if self.poll_timeout() > now {
            return false;
        }
        let number = self.round.number();
        let (direct, paths) = self.round.close(now);
        // before the round is learned from: what guesses of it made would be judged by itself
        self.judge(&paths);
        self.guess(&direct, &paths);
        self.scout.observe(number, &direct, &paths, &self.word);
        self.compare(now);
        if CHOSEN_IN.contains(&number) || number.is_multiple_of(CHOSEN_AFTER) {
            self.choose_landmarks();
        }
        self.plan(using);
        // one who has few legs yet tells them as they come
        self.published |= self.telling.len() < PUBLISHED / 2;
        self.tell();
        true
    }

    /// The first leg of a path that answered is at most the path: where nothing else is known, half of it.
    fn guess(&mut self, direct: &[f32], paths: &[(usize, usize, f32)]) {
        for (relay, _, ms) in paths.iter().filter(|(_, _, ms)| ms.is_finite()) {
            let known = self.scout.leg(*relay).is_finite() || direct[*relay].is_finite();
            if !known && self.word.leg(*relay, 0).is_nan() {
                self.word.guess(*relay, ms / 2.0);
            }
        }
    }

    /// How far forecasts were off.
    fn judge(&mut self, paths: &[(usize, usize, f32)]) {
        for (relay, to, ms) in paths.iter().copied().filter(|(_, _, ms)| ms.is_finite()) {
            let promise = self.scout.promise(relay, to, &self.word).filter(|promise| promise.proven);
            let by_word = self.scout.by_word(relay, to, &self.word);
            for promise in [by_word, promise].into_iter().flatten().filter(|promise| promise.known) {
                // one outlier says no more than that the forecast was off by all of it
                let off = ((ms - promise.path).abs() / promise.path.max(1.0)).min(1.0);
                let error = &mut self.errors[usize::from(promise.proven)];
                *error += LEARNS * (off - *error);
            }
        }
    }

    /// A node that has not measured all that matters takes what its neighbours see for its own.
    fn compare(&mut self, now: Time) {
        let known: Vec<usize> =
            self.roster.others().map(|(node, _)| node).filter(|node| self.word.speaks(*node)).collect();
        let seen: Vec<(usize, f32)> = (1..self.roster.len())
            .map(|node| (node, self.scout.leg(node)))
            .filter(|(_, leg)| leg.is_finite())
            .collect();
        if self.round.is_new(now) {
            self.scout.compare(known.iter().copied(), &self.word);
        }
        seen.iter().for_each(|(node, _)| self.word.guess(*node, f32::NAN));
        if seen.len() + 1 == self.roster.len() {
            return;
        }
        let transfer = Transfer::new(&seen, known.into_iter(), &self.word);
        for node in (1..self.roster.len()).filter(|node| self.scout.leg(*node).is_nan()) {
            let leg = transfer.leg(node, &self.word);
            if leg.is_finite() {
                self.word.guess(node, leg);
            }
        }
    }

    /// All nodes that know the same choose the same: in the order of a hash of their names, by one seed.
    fn choose_landmarks(&mut self) {
        let mut order: Vec<usize> = self.roster.others().map(|(node, _)| node).collect();
        order.sort_by_key(|node| order_of(self.roster.name(*node)));
        let ground = self.common_ground();
        let places = |nodes: &dyn Fn(usize) -> bool| -> Vec<usize> {
            (0..order.len()).filter(|at| nodes(order[*at])).collect()
        };
        let (all, relays) = (places(&|_| true), places(&|node| ground.contains(&node)));
        let said = Ordered { word: &self.word, order: &order };
        let chosen = coverage::landmarks(&said, Join::Sum, &all, &relays, LANDMARKS, &mut Random::new(1));
        self.landmarks = chosen.into_iter().map(|at| order[at]).collect();
    }

    /// A landmark that a new node should measure now; each once.
    pub(crate) fn missing_landmark(&mut self, now: Time) -> Option<NodeName> {
        if !self.round.is_new(now) || self.asked.len() >= LANDMARKS {
            return None;
        }
        let missing = |landmark: &&usize| {
            let (measured, asked) = (self.scout.leg(**landmark), self.asked.contains(*landmark));
            self.roster.is_present(**landmark)
                && measured.is_nan()
                && !asked
                && !self.round.has_direct(**landmark)
        };
        let landmark = self.landmarks.iter().find(missing).copied()?;
        self.asked.insert(landmark);
        Some(self.roster.name(landmark).clone())
    }

    /// What is expected of the path over `relay`, or of direct, to `to`; milliseconds, with the standard deviation of what comes. Of a
    /// relayed path without what was measured of it, which stands beside the forecast and must not count twice.
    pub(crate) fn forecast(&self, relay: Option<&NodeName>, to: &NodeName) -> Option<Estimate> {
        let to = self.roster.number(to)?;
        let (value, error, known) = match relay {
            None => (self.scout.direct(to, &self.word), self.errors[1], self.scout.leg(to).is_finite()),
            Some(relay) => {
                let promise = self.scout.by_word(self.roster.number(relay)?, to, &self.word)?;
                (promise.path, self.errors[0], promise.known)
            }
        };
        // a mean absolute error turned into a standard deviation
        let deviation = 1.25 * f64::from(error * value);
        let sound = value.is_finite() && value > 0.0 && known;
        let value = f64::from(value);
        sound.then(|| Estimate { value, deviation, count: 1, source: Source::Claimed, ..Estimate::default() })
    }

    /// What the node publishes of its legs: forecasts, milliseconds.
    pub(crate) fn legs(&self) -> &[(NodeName, f64)] {
        &self.told
    }

    /// These legs were published: others are told next. What there was no room for, or was chosen since, is still to be told.
    pub(crate) fn published<'a>(&mut self, legs: impl Iterator<Item = (&'a NodeName, f64)>) {
        for (node, ms) in legs {
            if let Some(to) = self.roster.number(node) {
                self.scout.mark_told(to, ms as f32);
                self.published = true;
            }
        }
    }

    fn tell(&mut self) {
        if std::mem::take(&mut self.published) {
            let told = self.scout.news(&self.landmarks, PUBLISHED, &self.word);
            self.telling = told.into_iter().map(|(to, _)| to).collect();
        }
        let known = |to: &&usize| self.roster.is_present(**to) && self.scout.leg(**to).is_finite();
        let named = |to: &usize| (self.roster.name(*to).clone(), f64::from(self.scout.leg(*to)));
        self.told = self.telling.iter().filter(known).map(named).collect();
    }
}

/// Said legs by place in an order; where one was not said, its other way.
struct Ordered<'a> {
    word: &'a Word,
    order: &'a [usize],
}

impl Claims for Ordered<'_> {
    fn leg(&self, from: usize, to: usize) -> f32 {
        let (from, to) = (self.order[from], self.order[to]);
        let leg = self.word.said(from, to);
        if leg.is_finite() { leg } else { self.word.said(to, from) }
    }
}

/// The same at every node.
fn order_of(node: &NodeName) -> u64 {
    fnv::hash(node.as_str().as_bytes())
}
