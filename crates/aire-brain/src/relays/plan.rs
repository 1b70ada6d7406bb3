//! Whom a scout probes next.

use super::likeness::{Likeness, Sight};
use super::weigh::{MISSED, Outset, better};
use super::{Claims, Join, Promise, Scout};

/// A path in use is probed again after about so many rounds, however sure it seems.
const REFRESH: usize = 16;
/// Paths without own proof that are kept in view for each destination.
const OPEN: usize = 3;
/// With fewer legs known towards a destination nobody speaks of it.
const HEARD: usize = 4;

/// The best paths without own proof, and the best one with.
struct Outlook {
    open: [Option<Promise>; OPEN],
    proven: Option<Promise>,
    heard: bool,
}

impl Scout {
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
        self.reach(claims);
        let mut said = vec![f32::NAN; self.forecasts.len()];
        for (at, to) in destinations.iter().copied().enumerate() {
            let outset = Outset { to, direct: self.direct(to, claims), strength: self.strength() };
            claims.towards(to, &mut said);
            let outlook = self.outlook(outset, relays, &mut said, claims);
            self.vote(outset, &outlook);
            self.wish(to, &outlook, &mut wishes);
            let proven = outlook.proven.filter(|promise| promise.gain > 0.0);
            if let Some(relay) = current(at).or(proven.map(|promise| promise.relay)) {
                wishes.push((self.urgency(relay, to), relay, to));
            }
        }
        wishes.sort_by(|a, b| b.0.total_cmp(&a.0).then((a.2, a.1).cmp(&(b.2, b.1))));
        wishes.truncate(room);
        wishes.into_iter().map(|(_, relay, to)| (relay, to)).collect()
    }

    fn vote(&mut self, outset: Outset, outlook: &Outlook) {
        let open = outlook.open[0].filter(|_| outlook.heard);
        let best = [outlook.proven, open].into_iter().flatten().max_by(better);
        if let Some(best) = best.filter(|best| best.gain > 0.0) {
            self.votes[best.relay] += (best.path - outset.direct).abs();
        }
    }

    /// What is worth a first probe: all that promises more than what is known, then, by chance, what comes next; of a destination
    /// of which nobody speaks more, as there is nothing else to go by.
    fn wish(&mut self, to: usize, outlook: &Outlook, wishes: &mut Vec<(f32, usize, usize)>) {
        let known = outlook.proven.map_or(0.0, |promise| promise.gain.max(0.0));
        if !outlook.heard {
            for (promise, eager) in outlook.open.iter().flatten().zip([1.0, 0.9, 0.8]) {
                wishes.push((eager + promise.gain, promise.relay, to));
            }
            return;
        }
        if let Some(first) = outlook.open[0] {
            let eager = if first.gain > known.max(self.margin()) { 1.0 } else { 0.0 };
            wishes.push((eager + first.gain - known, first.relay, to));
        }
        if let Some(second) = outlook.open[1] {
            wishes.push((0.3 * self.random.unit() as f32 + second.gain - known, second.relay, to));
        }
    }

    /// How much what is in use should be probed again.
    fn urgency(&self, relay: usize, to: usize) -> f32 {
        match self.proofs.of(relay, to) {
            Some(_) if self.still => f32::NEG_INFINITY,
            Some(proof) => (self.round.saturating_sub(proof.round) + 1) as f32 / REFRESH as f32,
            None => 2.0,
        }
    }

    /// `said` is of the legs towards the destination; what was proven is taken out of it.
    fn outlook(
        &mut self,
        outset: Outset,
        relays: &[usize],
        said: &mut [f32],
        claims: &impl Claims,
    ) -> Outlook {
        let heard = said.iter().filter(|leg| leg.is_finite()).take(HEARD).count() == HEARD;
        let mut outlook = Outlook { open: [None; OPEN], proven: None, heard };
        let mut closed = Vec::new();
        for proof in self.proofs.towards(outset.to) {
            if proof.missed >= MISSED || proof.count > 0.0 {
                closed.push(proof.relay);
            }
            if proof.missed < MISSED && proof.count > 0.0 {
                let (first, said) = (self.first[proof.relay], said[proof.relay]);
                let promise = self.weigh(outset, proof.relay, Some(proof), first, said);
                outlook.proven = [outlook.proven, promise].into_iter().flatten().max_by(better);
            }
        }
        let open = |relay: &usize| *relay != outset.to && *relay != self.me && !closed.contains(relay);
        if heard {
            outlook.open = self.open(outset, relays.iter().copied().filter(open), said);
        } else {
            let relays: Vec<usize> = relays.iter().copied().filter(open).collect();
            outlook.open = self.guesses(outset, &relays, outlook.proven, claims);
        }
        outlook
    }

    /// The paths that promise most by what is said, else by the additive model.
    fn open(
        &self,
        outset: Outset,
        relays: impl Iterator<Item = usize>,
        said: &[f32],
    ) -> [Option<Promise>; OPEN] {
        let mut open = [None; OPEN];
        for relay in relays {
            if self.first[relay].is_finite()
                && let Some(promise) = self.weigh(outset, relay, None, self.first[relay], said[relay])
            {
                insert(&mut open, promise);
            }
        }
        open
    }

    /// Towards a destination of which nobody speaks: the relays that should improve most on what is known, averaged over nodes that
    /// it may be like (expected improvement: Mockus, 1975).
    fn guesses(
        &mut self,
        outset: Outset,
        relays: &[usize],
        proven: Option<Promise>,
        claims: &impl Claims,
    ) -> [Option<Promise>; OPEN] {
        let (likeness, known) = self.likeness(outset.to, claims);
        let mut open = [None; OPEN];
        let mut column = vec![f32::NAN; self.forecasts.len()];
        let mut sums = vec![(0.0f32, 0.0f32, 0.0f32); relays.len()];
        for (node, weight) in likeness.nodes {
            claims.towards(node, &mut column);
            let direct = if known { outset.direct } else { self.first[node] };
            let best = proven.map_or(direct, |proven| {
                if self.join.better(proven.path, direct) { proven.path } else { direct }
            });
            for (relay, sum) in relays.iter().zip(&mut sums).filter(|(relay, _)| **relay != node) {
                let path = self.join.path(self.first[*relay], column[*relay]);
                if path.is_finite() {
                    let more = if self.join == Join::Sum { best - path } else { path - best };
                    sum.0 += weight * more.max(0.0) / direct;
                    sum.1 += weight * path;
                    sum.2 += weight;
                }
            }
        }
        for (relay, (gain, path, weight)) in relays.iter().zip(sums).filter(|(_, sum)| sum.2 > 0.1) {
            let (relay, gain, path) = (*relay, gain / weight, path / weight);
            if gain.is_finite() {
                insert(&mut open, Promise { relay, path, gain, proven: false, known: false });
            }
        }
        open
    }

    /// Whom the destination may be like, and whether direct to it is known.
    fn likeness(&mut self, to: usize, claims: &impl Claims) -> (Likeness, bool) {
        let direct = self.forecasts[to];
        let mut sights: Vec<Sight> = Vec::new();
        if direct.is_finite() {
            sights.push(Sight { relay: None, value: direct });
        }
        let proven = self.proofs.towards(to).iter().filter(|proof| proof.count > 0.0);
        sights.extend(proven.map(|proof| Sight { relay: Some(proof.relay), value: proof.leg }));
        let ties: Vec<f32> = self.first.iter().map(|_| self.random.unit() as f32).collect();
        let others = |node: &usize| *node != to && *node != self.me && self.first[*node].is_finite();
        let known = (0..self.first.len()).filter(others).map(|node| (node, ties[node]));
        (Likeness::new(&sights, known, &self.first, self.join, claims), direct.is_finite())
    }

    /// The relays that served this node's destinations best lately, best first.
    pub fn favourites(&self, count: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.votes.len()).filter(|node| self.votes[*node] > 0.0).collect();
        order.sort_by(|a, b| self.votes[*b].total_cmp(&self.votes[*a]).then(a.cmp(b)));
        order.truncate(count);
        order
    }
}

/// Keeps the best ones in order.
fn insert(open: &mut [Option<Promise>; OPEN], promise: Promise) {
    let place = open.iter().position(|other| other.is_none_or(|other| promise.gain > other.gain));
    if let Some(place) = place {
        open[place..].rotate_right(1);
        open[place] = Some(promise);
    }
}

#[cfg(test)]
mod tests {
    use crate::relays::{Claims, Join, Legs, Scout, Settings};

    /// Three clusters of sixteen nodes; each has one relay, 45 to 47, with a wide way in, all else is narrow.
    fn truth(from: usize, to: usize) -> f32 {
        match from {
            45..48 if from - 45 == to % 3 => 900.0,
            0 if to >= 45 => 800.0,
            _ if from % 3 == to % 3 => 120.0 + (from % 5) as f32,
            _ => 20.0 + (from * 7 + to) as f32 % 10.0,
        }
    }

    #[test]
    fn towards_a_node_of_which_nobody_speaks_the_relay_of_those_like_it_is_found() {
        let (me, unheard) = (0, 43);
        let mut legs = Legs::unknown(48);
        for from in 0..48 {
            let known = (0..48).filter(|to| *to != from && *to != unheard && from != unheard);
            known.for_each(|to| legs.set(from, to, truth(from, to)));
        }
        let mut scout = Scout::new(me, 48, 0, Join::Least, Settings::default(), 5);
        let direct: Vec<f32> = (0..48).map(|to| if to == me { f32::NAN } else { truth(me, to) }).collect();
        scout.observe(0, &direct, &[], &legs);
        let relays: Vec<usize> = (1..48).filter(|relay| *relay != unheard).collect();
        for round in 1..6 {
            let plan = scout.plan(&[unheard], |_| None, &relays, 1, &legs);
            let value = |relay, to| Join::Least.path(truth(me, relay), truth(relay, to));
            let probes: Vec<_> = plan.iter().map(|(relay, to)| (*relay, *to, value(*relay, *to))).collect();
            scout.observe(round, &[], &probes, &legs);
        }
        assert!(legs.leg(46, unheard).is_nan());
        assert_eq!(scout.choose(unheard, None, &relays, &legs), Some(46));
    }
}
