use aire_types::Random;

use super::row::shrunk;
use super::{Claims, Effects, Join, Proof, Proofs, Row, Strength, Transfer};

/// Sweeps of the additive model when it is new.
const FIRST_SWEEPS: usize = 4;
/// It is fitted in each of so many rounds, then in one of as many as [`RARELY`]: averages move ever more slowly.
const OFTEN: usize = 3;
const RARELY: usize = 4;

/// Round trips are expected to take at least this share of the average one.
const LEAST: f32 = 0.05;

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
        self.effects.forget(node);
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
        let (me, join, effects) = (self.me, self.join, &self.effects);
        self.row.observe(direct, |to| expected(effects, join, me, to));
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
            if self.join == Join::Sum && first.is_nan() && value.is_finite() {
                // how much of it lies behind the relay is open
                self.proofs.answered(relay, to, self.round);
                continue;
            }
            let (leg, claimed) = match self.join {
                Join::Sum => ((value - first).max(value * 0.01), claims.leg(relay, to)),
                // the path is what is measured: which leg was the narrow one stays open
                Join::Least => (value, f32::NAN),
            };
            self.proofs.add(relay, to, leg, claimed, self.round);
        }
    }

    /// The additive model of all legs that somebody worth believing knows anything of; own measurements stand in for claims about us.
    fn fit(&mut self, sweeps: usize, claims: &impl Claims) {
        let (me, row, proofs, nodes) = (self.me, &self.row, &self.proofs, self.forecasts.len());
        let join = self.join;
        let mut known: Vec<(u32, u32, f32)> = Vec::new();
        let mut note = |from: usize, to: usize, leg: f32| {
            if leg.is_finite() {
                known.push((from as u32, to as u32, leg));
            }
        };
        for from in (0..nodes).filter(|from| proofs.believes(*from)) {
            for to in (0..nodes).filter(|to| *to != from) {
                note(from, to, if from == me { row.mean(to) } else { claims.leg(from, to) });
            }
        }
        if join == Join::Sum {
            for to in 0..nodes {
                let unsaid =
                    |proof: &&Proof| !proofs.believes(proof.relay) || claims.leg(proof.relay, to).is_nan();
                let own = proofs.towards(to).iter().filter(unsaid);
                own.for_each(|proof| note(proof.relay, to, proof.leg));
            }
        }
        for _ in 0..sweeps {
            self.effects.sweep(|add| {
                known.iter().for_each(|(from, to, leg)| add(*from as usize, *to as usize, *leg));
            });
        }
    }

    pub(super) fn forecast(&mut self) {
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
        let prior = expected(&self.effects, self.join, self.me, to);
        if self.settings.adapt {
            return self.row.forecast(to, prior);
        }
        shrunk(prior, self.row.mean(to), self.row.count(to), self.inherited.best())
    }

    /// What is expected of the own direct leg to `to` and worth telling others; NaN where it was never measured.
    pub fn leg(&self, to: usize) -> f32 {
        self.forecasts[to]
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
}

/// What the additive model expects of a leg; NaN before its first fit. Of two hubs among long legs it would make a round trip below
/// nothing, over which every path promises most that is longest.
pub(super) fn expected(effects: &Effects, join: Join, from: usize, to: usize) -> f32 {
    let (leg, least) = (effects.leg(from, to), LEAST * effects.mean());
    if join == Join::Sum && leg < least { least } else { leg }
}
