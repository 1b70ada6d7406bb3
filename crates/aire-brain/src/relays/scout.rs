use aire_types::Random;

use super::row::shrunk;
use super::{Claims, Effects, Join, Proof, Proofs, Row, Strength, Transfer};

/// A claim is an average itself: it counts for so many own probes more than the prior does.
const CLAIM: f32 = 64.0;
/// So many probes in a row without an answer, and a path is not proposed.
pub(super) const MISSED: u32 = 2;
/// For so many rounds a new node takes a path on the word of others, where it has measured the first leg itself.
const PROVISIONAL: usize = 3;
/// Sweeps of the additive model when it is new.
const FIRST_SWEEPS: usize = 4;
/// It is fitted in each of so many rounds, then in one of as many as [`RARELY`]: averages move ever more slowly.
const OFTEN: usize = 3;
const RARELY: usize = 4;

/// How a [`Scout`] decides.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// A path is better than direct from this relative gain on, where values hardly move.
    pub margin: f32,
    /// So much is added to the margin where single values say nothing.
    pub doubt: f32,
    /// The path in use stays down to this share of the margin, and until another is better by this share of it.
    pub keep: f32,
    /// Averages are shrunk to the prior; without it each average is believed.
    pub shrink: bool,
    /// How much to shrink, and how far the last value persists, are learned while running; else what history chose is kept.
    pub adapt: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { margin: 0.01, doubt: 0.04, keep: 0.4, shrink: true, adapt: true }
    }
}

/// What a path over one relay promises.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Promise {
    /// The relay.
    pub relay: usize,
    /// Expected value of the path, in the unit of the legs.
    pub path: f32,
    /// Gain over what is expected of direct, relative to direct.
    pub gain: f32,
    /// Own probes of it were answered.
    pub proven: bool,
    /// Somebody measured each of its legs; else one is guessed.
    pub known: bool,
}

/// Where all paths to one destination are weighed from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outset {
    pub(super) to: usize,
    pub(super) direct: f32,
    pub(super) strength: f32,
}

/// Everything about relays at one node: what it measured, what that and the claims of others promise, and whom to probe next.
#[derive(Clone, Debug)]
pub struct Scout {
    pub(super) me: usize,
    pub(super) join: Join,
    pub(super) settings: Settings,
    /// All rounds are at one moment: nothing has to be measured twice, and no average is in doubt.
    pub(super) still: bool,
    pub(super) row: Row,
    pub(super) effects: Effects,
    pub(super) proofs: Proofs,
    pub(super) inherited: Strength,
    pub(super) transfer: Option<Transfer>,
    pub(super) forecasts: Vec<f32>,
    pub(super) votes: Vec<f32>,
    pub(super) begun: Option<usize>,
    pub(super) round: usize,
    pub(super) random: Random,
    /// The legs to all nodes: the own forecast, else what was measured before, else what is said of the way back.
    pub(super) first: Vec<f32>,
    /// What others were told last, and when; NaN where nothing was.
    pub(super) told: Vec<(f32, usize)>,
    pub(super) turn: usize,
}

impl Scout {
    /// At node `me` of `nodes`; forecasts are for `horizon` rounds ahead, 0 where all rounds are at one moment.
    pub fn new(me: usize, nodes: usize, horizon: usize, join: Join, settings: Settings, seed: u64) -> Self {
        Scout {
            me,
            join,
            settings: Settings { shrink: settings.shrink && horizon > 0, ..settings },
            still: horizon == 0,
            row: Row::new(nodes, horizon),
            effects: Effects::new(nodes),
            proofs: Proofs::new(nodes),
            inherited: Strength::default(),
            transfer: None,
            forecasts: vec![f32::NAN; nodes],
            votes: vec![0.0; nodes],
            first: Vec::new(),
            told: Vec::new(),
            turn: me,
            begun: None,
            round: 0,
            random: Random::new(seed),
        }
    }

    /// Room for `nodes` nodes, where they come and go; fewer than there are change nothing.
    pub fn grow(&mut self, nodes: usize) {
        let nodes = nodes.max(self.forecasts.len());
        self.row.grow(nodes);
        self.effects.grow(nodes);
        self.proofs.grow(nodes);
        self.forecasts.resize(nodes, f32::NAN);
        self.votes.resize(nodes, 0.0);
    }

    /// The number stands for another node from now on: nothing is known of that one.
    pub fn forget(&mut self, node: usize) {
        self.row.forget(node);
        self.proofs.forget(node);
        self.forecasts[node] = f32::NAN;
        self.votes[node] = 0.0;
        if let Some(first) = self.first.get_mut(node) {
            *first = f32::NAN;
        }
        if let Some(told) = self.told.get_mut(node) {
            *told = (f32::NAN, 0);
        }
        self.transfer = None;
    }

    /// Begins with what history found of the prior's worth.
    pub fn inherit(&mut self, strength: &Strength) {
        self.inherited = *strength;
        self.row.inherit(strength);
    }

    /// What was measured in `round`: `direct` by node, NaN where nothing was, and `probes` over a relay to a destination, NaN without
    /// an answer.
    pub fn observe(
        &mut self,
        round: usize,
        direct: &[f32],
        probes: &[(usize, usize, f32)],
        claims: &impl Claims,
    ) {
        let first = self.begun.is_none();
        let age = round.saturating_sub(*self.begun.get_or_insert(round));
        self.round = round;
        self.prove(direct, probes, claims);
        let (me, effects) = (self.me, &self.effects);
        self.row.observe(direct, |to| effects.leg(me, to));
        if age < OFTEN || age.is_multiple_of(RARELY) {
            self.fit(if first { FIRST_SWEEPS } else { 1 }, claims);
        }
        self.forecast();
        self.reach(claims);
    }

    /// The leg to `to` was measured `count` times before this scout began, with this average and this average of the logarithm.
    pub fn recall(&mut self, to: usize, count: f32, mean: f32, level: f32) {
        self.row.recall(to, count, mean, level);
    }

    /// Fills in the legs to all relays.
    pub(super) fn reach(&mut self, claims: &impl Claims) {
        let nodes = self.forecasts.len();
        self.first.resize(nodes, f32::NAN);
        for relay in 0..nodes {
            self.first[relay] = self.first(relay, claims);
        }
    }

    /// A new node compares itself with `known` ones by the landmarks that it measured.
    pub fn compare(&mut self, known: impl Iterator<Item = usize>, claims: &impl Claims) {
        let nodes = self.forecasts.len();
        let seen: Vec<(usize, f32)> =
            (0..nodes).map(|node| (node, self.row.mean(node))).filter(|(_, value)| *value > 0.0).collect();
        self.transfer = Some(Transfer::new(&seen, known.filter(|node| *node != self.me), claims));
    }

    fn prove(&mut self, direct: &[f32], probes: &[(usize, usize, f32)], claims: &impl Claims) {
        for (relay, to, value) in probes.iter().copied() {
            let now = direct.get(relay).copied().filter(|leg| leg.is_finite());
            let first = now.unwrap_or(self.first(relay, claims));
            let (leg, claimed) = match self.join {
                Join::Sum => ((value - first).max(value * 0.01), claims.leg(relay, to)),
                // the path is what is measured: which leg was the narrow one stays open
                Join::Least => (value, f32::NAN),
            };
            self.proofs.add(relay, to, leg, claimed, self.round);
        }
    }

    /// The additive model of all legs that somebody knows anything of; own measurements stand in for claims about us.
    fn fit(&mut self, sweeps: usize, claims: &impl Claims) {
        let (me, row, proofs, nodes) = (self.me, &self.row, &self.proofs, self.forecasts.len());
        let join = self.join;
        let mut known: Vec<(u32, u32, f32)> = Vec::new();
        let mut note = |from: usize, to: usize, leg: f32| {
            if leg.is_finite() {
                known.push((from as u32, to as u32, leg));
            }
        };
        for from in 0..nodes {
            for to in (0..nodes).filter(|to| *to != from) {
                note(from, to, if from == me { row.mean(to) } else { claims.leg(from, to) });
            }
        }
        if join == Join::Sum {
            for to in 0..nodes {
                let own = proofs.towards(to).iter().filter(|proof| claims.leg(proof.relay, to).is_nan());
                own.for_each(|proof| note(proof.relay, to, proof.leg));
            }
        }
        for _ in 0..sweeps {
            self.effects.sweep(|add| {
                known.iter().for_each(|(from, to, leg)| add(*from as usize, *to as usize, *leg));
            });
        }
    }

    fn forecast(&mut self) {
        for to in 0..self.forecasts.len() {
            self.forecasts[to] = if self.row.count(to) == 0.0 {
                f32::NAN
            } else if self.settings.shrink {
                self.own_forecast(to)
            } else {
                self.row.mean(to)
            };
        }
    }

    fn own_forecast(&self, to: usize) -> f32 {
        let prior = self.effects.leg(self.me, to);
        if self.settings.adapt {
            return self.row.forecast(to, prior);
        }
        shrunk(prior, self.row.mean(to), self.row.count(to), self.inherited.best())
    }

    /// What is expected of the own direct leg to `to` and worth telling others; NaN where it was never measured.
    pub fn leg(&self, to: usize) -> f32 {
        self.forecasts[to]
    }

    /// How much of a deviation lasts until a decision counts, 0 to 1.
    pub fn persistence(&self) -> f32 {
        if self.settings.adapt { self.row.persistence() } else { 0.0 }
    }

    /// How many samples the prior counts for.
    pub fn strength(&self) -> f32 {
        match self.settings {
            Settings { shrink: false, .. } => 0.0,
            Settings { adapt: true, .. } => self.row.strength(),
            _ => self.inherited.best(),
        }
    }

    /// The relative gain from which on a path is better than direct: the more an average has to be shrunk, the larger.
    pub fn margin(&self) -> f32 {
        let strength = self.strength();
        self.settings.margin + self.settings.doubt * strength / (strength + 64.0)
    }

    /// What is expected of direct: the own forecast, at a new node what its neighbours see; NaN where neither is known.
    pub fn direct(&self, to: usize, claims: &impl Claims) -> f32 {
        let own = self.own(to);
        match &self.transfer {
            Some(transfer) if own.is_nan() => transfer.leg(to, claims),
            _ => own,
        }
    }

    /// What the path over `relay` to `to` promises; `None` where a leg is unknown.
    pub fn promise(&self, relay: usize, to: usize, claims: &impl Claims) -> Option<Promise> {
        let said = [claims.leg(relay, to), claims.leg(to, relay)].into_iter().find(|leg| leg.is_finite());
        let view = Outset { to, direct: self.direct(to, claims), strength: self.strength() };
        let (first, said) = (self.first(relay, claims), said.unwrap_or(f32::NAN));
        self.weigh(view, relay, self.proofs.of(relay, to), first, said)
    }

    pub(super) fn weigh(
        &self,
        Outset { to, direct, strength }: Outset,
        relay: usize,
        proof: Option<&Proof>,
        first: f32,
        said: f32,
    ) -> Option<Promise> {
        if relay == to || relay == self.me {
            return None;
        }
        let proof = proof.filter(|proof| proof.count > 0.0);
        let (second, said) = self.second(relay, to, strength, proof, said);
        let path = match (self.join, proof) {
            (Join::Least, Some(proof)) => proof.leg,
            _ => self.join.path(first, second),
        };
        let (gain, proven) = (self.join.gain(direct, path), proof.is_some());
        gain.is_finite().then_some(Promise { relay, path, gain, proven, known: said || proven })
    }

    fn first(&self, relay: usize, claims: &impl Claims) -> f32 {
        let own = self.own(relay);
        if own.is_nan() && self.proofs.believes(relay) { claims.leg(relay, self.me) } else { own }
    }

    /// The own forecast, before the first round what was measured earlier.
    fn own(&self, to: usize) -> f32 {
        let own = self.forecasts[to];
        if own.is_nan() { self.row.mean(to) } else { own }
    }

    /// The leg behind the relay: what is `said` of it, else the additive model with doubt; moved
    /// towards what own probes showed. And whether anybody said something.
    fn second(
        &self,
        relay: usize,
        to: usize,
        strength: f32,
        proof: Option<&Proof>,
        said: f32,
    ) -> (f32, bool) {
        let said = Some(said).filter(|said| said.is_finite() && self.proofs.believes(relay));
        let (prior, strength) = match said {
            Some(leg) => (leg, strength + CLAIM),
            // the best of many guesses is a lucky one: without proof a guess is held worse by its usual error
            None => match (proof, self.join) {
                (None, Join::Sum) => (self.effects.leg(relay, to) + self.effects.error(), strength),
                _ => (self.effects.leg(relay, to), strength),
            },
        };
        let leg = proof.map_or(prior, |proof| shrunk(prior, proof.leg, proof.count, strength));
        (leg, said.is_some())
    }

    /// Which relay to use towards `to`, `None` for direct; `current` is what is used now. A path that was not probed end to end is
    /// proposed where claims about its relay came true elsewhere, and by a node that is new.
    pub fn choose(
        &self,
        to: usize,
        current: Option<usize>,
        relays: &[usize],
        claims: &impl Claims,
    ) -> Option<usize> {
        let view = Outset { to, direct: self.direct(to, claims), strength: self.strength() };
        let mut said = vec![f32::NAN; self.forecasts.len()];
        claims.towards(to, &mut said);
        let weigh = |relay: usize| {
            self.weigh(view, relay, self.proofs.of(relay, to), *self.first.get(relay)?, said[relay])
        };
        let answers = |proof: &&Proof| proof.count > 0.0 && proof.missed < MISSED;
        let proven = self.proofs.towards(to).iter().filter(answers);
        let proven = proven.filter_map(|proof| weigh(proof.relay)).max_by(better);
        let current = current.and_then(weigh).filter(|promise| promise.known);
        let best = [proven, self.believed(view, relays, said)].into_iter().flatten().max_by(better);
        // where direct itself is a guess, the guess is as often too good as too bad
        let margin = if self.own(to).is_nan() { 0.0 } else { self.margin() };
        if let Some(current) = current {
            let held = current.gain > margin * self.settings.keep;
            let beaten = best.is_some_and(|best| best.gain > current.gain + margin * self.settings.keep);
            if held && !beaten {
                return Some(current.relay);
            }
        }
        best.filter(|best| best.gain > margin).map(|best| best.relay)
    }

    /// The best path without own proof that is taken on the word of others.
    fn believed(&self, view: Outset, relays: &[usize], mut said: Vec<f32>) -> Option<Promise> {
        for proof in self.proofs.towards(view.to).iter().filter(|proof| proof.count > 0.0) {
            said[proof.relay] = f32::NAN;
        }
        let new = self.is_new();
        let mut best: Option<(usize, f32)> = None;
        for relay in relays.iter().copied().filter(|relay| *relay != self.me && *relay != view.to) {
            let path = self.join.path(*self.first.get(relay)?, said[relay]);
            if path.is_finite()
                && best.is_none_or(|(_, other)| self.join.better(path, other))
                && (if new { self.proofs.believes(relay) } else { self.proofs.trusts(relay) })
            {
                best = Some((relay, path));
            }
        }
        let (relay, path) = best?;
        let gain = self.join.gain(view.direct, path);
        gain.is_finite().then_some(Promise { relay, path, gain, proven: false, known: true })
    }

    fn is_new(&self) -> bool {
        let rounds = self.begun.map_or(0, |begun| self.round.saturating_sub(begun));
        self.transfer.is_some() && rounds < PROVISIONAL
    }
}

pub(super) fn better(a: &Promise, b: &Promise) -> std::cmp::Ordering {
    a.gain.total_cmp(&b.gain).then(b.relay.cmp(&a.relay))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relays::Legs;

    /// Twenty nodes 100 to 200 ms apart, but 20 ms from node 1; node 2 claims to be as near.
    fn truth(from: usize, to: usize) -> f32 {
        match (from.min(to), from.max(to)) {
            (1, _) | (_, 1) => 20.0,
            (low, high) => 100.0 + ((high * 37 + low * 61) % 101) as f32,
        }
    }

    fn claims() -> Legs {
        let mut legs = Legs::unknown(20);
        for from in 0..20 {
            for to in (0..20).filter(|to| *to != from) {
                legs.set(from, to, if from == 2 || to == 2 { 5.0 } else { truth(from, to) });
            }
        }
        legs
    }

    #[test]
    fn the_hub_is_found_within_half_a_probe_and_a_liar_gains_nothing() {
        let (legs, destinations) = (claims(), (3..20).collect::<Vec<_>>());
        let relays: Vec<usize> = (1..20).collect();
        let mut scout = Scout::new(0, 20, 1, Join::Sum, Settings::default(), 7);
        let mut plan = Vec::new();
        for round in 0..12 {
            let direct: Vec<f32> = (0..20).map(|to| if to == 0 { f32::NAN } else { truth(0, to) }).collect();
            let value = |relay: usize, to: usize| truth(0, relay) + truth(relay, to);
            let probes: Vec<_> = plan.iter().map(|(relay, to)| (*relay, *to, value(*relay, *to))).collect();
            scout.observe(round, &direct, &probes, &legs);
            plan = scout.plan(&destinations, |_| None, &relays, 8, &legs);
            assert!(plan.len() <= 8);
        }
        let over = |to: &usize| scout.choose(*to, None, &relays, &legs);
        let hub = destinations.iter().filter(|to| over(to) == Some(1)).count();
        assert_eq!(hub, destinations.len());
    }

    #[test]
    fn without_any_word_or_probe_the_path_is_direct() {
        let mut scout = Scout::new(0, 20, 1, Join::Sum, Settings::default(), 7);
        let relays: Vec<usize> = (1..20).collect();
        let direct: Vec<f32> = (0..20).map(|to| if to == 0 { f32::NAN } else { truth(0, to) }).collect();
        scout.observe(0, &direct, &[], &Legs::unknown(20));
        assert!(relays.iter().all(|to| scout.choose(*to, None, &relays, &Legs::unknown(20)).is_none()));
    }
}
