use aire_types::Random;

use super::row::shrunk;
use super::{Claims, Effects, Join, Proof, Proofs, Row, Strength, Transfer};

/// A claim is an average itself: it counts for so many own probes more than the prior does.
const CLAIM: f32 = 64.0;
/// A path in use is probed again after about so many rounds, however sure it seems.
const REFRESH: usize = 16;
/// So many probes in a row without an answer, and a path is not proposed.
const MISSED: u32 = 2;
/// For so many rounds a new node takes a path on the word of others, where it has measured the first leg itself.
const PROVISIONAL: usize = 3;
/// Sweeps of the additive model when it is new.
const FIRST_SWEEPS: usize = 4;

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

/// Everything about relays at one node: what it measured, what that and the claims of others promise, and whom to probe next.
#[derive(Clone, Debug)]
pub struct Scout {
    me: usize,
    join: Join,
    settings: Settings,
    /// All rounds are at one moment: nothing has to be measured twice, and no average is in doubt.
    still: bool,
    row: Row,
    effects: Effects,
    proofs: Proofs,
    inherited: Strength,
    transfer: Option<Transfer>,
    forecasts: Vec<f32>,
    votes: Vec<f32>,
    begun: Option<usize>,
    round: usize,
    random: Random,
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
        self.begun.get_or_insert(round);
        self.round = round;
        self.prove(direct, probes, claims);
        let (me, effects) = (self.me, &self.effects);
        self.row.observe(direct, |to| effects.leg(me, to));
        self.fit(if first { FIRST_SWEEPS } else { 1 }, claims);
        self.forecast();
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
        for _ in 0..sweeps {
            self.effects.sweep(|add| {
                for from in 0..nodes {
                    for to in (0..nodes).filter(|to| *to != from) {
                        let value = if from == me { row.mean(to) } else { claims.leg(from, to) };
                        if value.is_finite() {
                            add(from, to, value);
                        }
                    }
                }
                if join == Join::Sum {
                    for to in 0..nodes {
                        let own =
                            proofs.towards(to).iter().filter(|proof| claims.leg(proof.relay, to).is_nan());
                        own.for_each(|proof| add(proof.relay, to, proof.leg));
                    }
                }
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
        let own = self.forecasts[to];
        match &self.transfer {
            Some(transfer) if own.is_nan() => transfer.leg(to, claims),
            _ => own,
        }
    }

    /// What the path over `relay` to `to` promises; `None` where a leg is unknown.
    pub fn promise(&self, relay: usize, to: usize, claims: &impl Claims) -> Option<Promise> {
        let direct = self.direct(to, claims);
        self.weigh(relay, to, direct, self.strength(), self.proofs.of(relay, to), claims)
    }

    fn weigh(
        &self,
        relay: usize,
        to: usize,
        direct: f32,
        strength: f32,
        proof: Option<&Proof>,
        claims: &impl Claims,
    ) -> Option<Promise> {
        if relay == to || relay == self.me {
            return None;
        }
        let proof = proof.filter(|proof| proof.count > 0.0);
        let (second, said) = self.second(relay, to, strength, proof, claims);
        let path = match (self.join, proof) {
            (Join::Least, Some(proof)) => proof.leg,
            _ => self.join.path(self.first(relay, claims), second),
        };
        let (gain, proven) = (self.join.gain(direct, path), proof.is_some());
        gain.is_finite().then_some(Promise { relay, path, gain, proven, known: said || proven })
    }

    /// The leg to the relay: the own forecast, else what the relay says of the way back.
    fn first(&self, relay: usize, claims: &impl Claims) -> f32 {
        let own = self.forecasts[relay];
        if own.is_nan() && self.proofs.believes(relay) { claims.leg(relay, self.me) } else { own }
    }

    /// The leg behind the relay: what the relay says, else what the destination says, else the additive model with doubt; moved
    /// towards what own probes showed. And whether anybody said something.
    fn second(
        &self,
        relay: usize,
        to: usize,
        strength: f32,
        proof: Option<&Proof>,
        claims: &impl Claims,
    ) -> (f32, bool) {
        let said = [claims.leg(relay, to), claims.leg(to, relay)].into_iter().find(|leg| leg.is_finite());
        let said = said.filter(|_| self.proofs.believes(relay));
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
        let (direct, strength) = (self.direct(to, claims), self.strength());
        let answers = |proof: &&Proof| proof.count > 0.0 && proof.missed < MISSED;
        let proven = self.proofs.towards(to).iter().filter(answers);
        let weigh = |relay: usize| self.weigh(relay, to, direct, strength, self.proofs.of(relay, to), claims);
        let mut best = proven.filter_map(|proof| weigh(proof.relay)).max_by(better);
        let new = self.is_new();
        let believed = relays.iter().filter(|relay| new || self.proofs.trusts(**relay));
        let believed = believed.filter_map(|relay| weigh(*relay));
        best = best.into_iter().chain(believed.filter(|p| p.known && !p.proven)).max_by(better);
        let margin = self.margin();
        if let Some(current) = current.and_then(weigh).filter(|promise| promise.known) {
            let held = current.gain > margin * self.settings.keep;
            let beaten = best.is_some_and(|best| best.gain > current.gain + margin * self.settings.keep);
            if held && !beaten {
                return Some(current.relay);
            }
        }
        best.filter(|best| best.gain > margin).map(|best| best.relay)
    }

    fn is_new(&self) -> bool {
        let rounds = self.begun.map_or(0, |begun| self.round.saturating_sub(begun));
        self.transfer.is_some() && rounds < PROVISIONAL
    }

    /// Up to `room` probes over relays: (relay, destination), the most promising first. `current` gives what is in use towards the
    /// destination at an index.
    pub fn plan(
        &mut self,
        destinations: &[usize],
        current: impl Fn(usize) -> Option<usize>,
        relays: &[usize],
        room: usize,
        claims: &impl Claims,
    ) -> Vec<(usize, usize)> {
        let mut wishes: Vec<(f32, usize, usize)> = Vec::new();
        self.votes.iter_mut().for_each(|votes| *votes *= 0.9);
        let mut slots: Vec<Option<usize>> = vec![None; self.forecasts.len()];
        for (at, to) in destinations.iter().copied().enumerate() {
            let direct = self.direct(to, claims);
            let Outlook { unproven, proven } = self.outlook(to, direct, relays, &mut slots, claims);
            let known = proven.map_or(0.0, |promise| promise.gain.max(0.0));
            if let Some(best) = [proven, unproven[0]].into_iter().flatten().max_by(better)
                && best.gain > 0.0
            {
                self.votes[best.relay] += (best.path - direct).abs();
            }
            if let Some(first) = unproven[0] {
                let eager = if first.gain > known.max(self.margin()) { 1.0 } else { 0.0 };
                wishes.push((eager + first.gain - known, first.relay, to));
            }
            if let Some(second) = unproven[1] {
                wishes.push((0.3 * self.random.unit() as f32 + second.gain - known, second.relay, to));
            }
            let used = current(at).or_else(|| proven.filter(|promise| promise.gain > 0.0).map(|p| p.relay));
            if let Some(relay) = used {
                let age = |proof: &Proof| (self.round.saturating_sub(proof.round) + 1) as f32;
                let urgency = match self.proofs.of(relay, to) {
                    Some(_) if self.still => f32::NEG_INFINITY,
                    Some(proof) => age(proof) / REFRESH as f32,
                    None => 2.0,
                };
                wishes.push((urgency, relay, to));
            }
        }
        wishes.sort_by(|a, b| b.0.total_cmp(&a.0).then((a.2, a.1).cmp(&(b.2, b.1))));
        wishes.truncate(room);
        wishes.into_iter().map(|(_, relay, to)| (relay, to)).collect()
    }

    /// `slots` is room for a mark per node, all `None` before and after.
    fn outlook(
        &self,
        to: usize,
        direct: f32,
        relays: &[usize],
        slots: &mut [Option<usize>],
        claims: &impl Claims,
    ) -> Outlook {
        let strength = self.strength();
        let mut outlook = Outlook { unproven: [None, None], proven: None };
        let proofs = self.proofs.towards(to);
        proofs.iter().enumerate().for_each(|(slot, proof)| slots[proof.relay] = Some(slot));
        for relay in relays.iter().copied() {
            let proof = slots[relay].map(|slot| &proofs[slot]);
            if proof.is_some_and(|proof| proof.missed >= MISSED) {
                continue;
            }
            let Some(promise) = self.weigh(relay, to, direct, strength, proof, claims) else { continue };
            let [first, second] = outlook.unproven;
            if promise.proven {
                outlook.proven = [outlook.proven, Some(promise)].into_iter().flatten().max_by(better);
            } else if first.is_none_or(|best| promise.gain > best.gain) {
                outlook.unproven = [Some(promise), first];
            } else if second.is_none_or(|best| promise.gain > best.gain) {
                outlook.unproven[1] = Some(promise);
            }
        }
        proofs.iter().for_each(|proof| slots[proof.relay] = None);
        outlook
    }

    /// The relays that served this node's destinations best lately, best first.
    pub fn favourites(&self, count: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.votes.len()).filter(|node| self.votes[*node] > 0.0).collect();
        order.sort_by(|a, b| self.votes[*b].total_cmp(&self.votes[*a]).then(a.cmp(b)));
        order.truncate(count);
        order
    }
}

/// The two best paths without own proof, and the best one with.
struct Outlook {
    unproven: [Option<Promise>; 2],
    proven: Option<Promise>,
}

fn better(a: &Promise, b: &Promise) -> std::cmp::Ordering {
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
