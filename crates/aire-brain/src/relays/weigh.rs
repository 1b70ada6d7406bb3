//! What paths promise a scout, and which one it takes.

use super::row::shrunk;
use super::scout::expected;
use super::{Claims, Join, Proof, Scout};

/// A claim is an average itself: it counts for so many own probes more than the prior does.
const CLAIM: f32 = 64.0;
/// So many probes in a row without an answer, and a path is not proposed.
pub(super) const MISSED: u32 = 2;
/// For so many rounds a new node takes a path on the word of others, where it has measured the first leg itself.
const PROVISIONAL: usize = 3;

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

impl Scout {
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
        self.promised(relay, to, self.proofs.of(relay, to), claims)
    }

    /// What the path over `relay` to `to` promises without own probes of it.
    pub fn by_word(&self, relay: usize, to: usize, claims: &impl Claims) -> Option<Promise> {
        self.promised(relay, to, None, claims)
    }

    fn promised(
        &self,
        relay: usize,
        to: usize,
        proof: Option<&Proof>,
        claims: &impl Claims,
    ) -> Option<Promise> {
        let said = [claims.leg(relay, to), claims.leg(to, relay)].into_iter().find(|leg| leg.is_finite());
        let view = Outset { to, direct: self.direct(to, claims), strength: self.strength() };
        let (first, said) = (self.first(relay, claims), said.unwrap_or(f32::NAN));
        self.weigh(view, relay, proof, first, said)
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

    pub(super) fn first(&self, relay: usize, claims: &impl Claims) -> f32 {
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
        let expected = || expected(&self.effects, self.join, relay, to);
        let (prior, strength) = match said {
            Some(leg) => (leg, strength + CLAIM),
            // the best of many guesses is a lucky one: without proof a guess is held worse by its usual error
            None => match (proof, self.join) {
                (None, Join::Sum) => (expected() + self.effects.error(), strength),
                _ => (expected(), strength),
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
