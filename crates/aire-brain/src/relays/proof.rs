/// Relays that are remembered for one destination.
const MOST: usize = 16;
/// So many probes have to confirm claims about a relay's legs.
const CONFIRMED: f32 = 2.0;
/// A claim is broken by a measurement beyond so many times of it.
const TOO_GOOD: f32 = 1.5;
/// Averages remember about so many probes.
const MEMORY: f32 = 64.0;

/// What own probes over one relay to one destination showed of the leg behind the relay.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Proof {
    /// The relay.
    pub relay: usize,
    /// Answered probes, as far as remembered.
    pub count: f32,
    /// The leg's average: the path's value without the own leg to the relay.
    pub leg: f32,
    /// Round of the last probe.
    pub round: usize,
    /// Probes in a row without an answer.
    pub missed: u32,
}

/// Own probes end to end: what no relay's word is needed for. Bounded: so many relays for each destination, the oldest go.
#[derive(Clone, Debug)]
pub struct Proofs {
    by_destination: Vec<Vec<Proof>>,
    word: Vec<(f32, f32)>,
}

impl Proofs {
    /// Nothing was probed.
    pub fn new(nodes: usize) -> Self {
        Proofs { by_destination: vec![Vec::new(); nodes], word: vec![(0.0, 0.0); nodes] }
    }

    /// Room for `nodes` nodes; fewer than there are change nothing.
    pub fn grow(&mut self, nodes: usize) {
        let nodes = nodes.max(self.word.len());
        self.by_destination.resize(nodes, Vec::new());
        self.word.resize(nodes, (0.0, 0.0));
    }

    /// The number stands for another node from now on.
    pub fn forget(&mut self, node: usize) {
        self.by_destination[node].clear();
        self.by_destination.iter_mut().for_each(|proofs| proofs.retain(|proof| proof.relay != node));
        self.word[node] = (0.0, 0.0);
    }

    /// The relays that were probed towards `to`.
    pub fn towards(&self, to: usize) -> &[Proof] {
        &self.by_destination[to]
    }

    /// The proof of one path.
    pub fn of(&self, relay: usize, to: usize) -> Option<&Proof> {
        self.by_destination[to].iter().find(|proof| proof.relay == relay)
    }

    /// A probe over `relay` to `to` showed that the leg behind the relay has the value `leg`; NaN for no answer. `claimed` is what was
    /// said of the leg, NaN where nothing was.
    pub fn add(&mut self, relay: usize, to: usize, leg: f32, claimed: f32, round: usize) {
        let proofs = &mut self.by_destination[to];
        let at = proofs.iter().position(|proof| proof.relay == relay).unwrap_or_else(|| {
            if proofs.len() >= MOST {
                let oldest = (0..proofs.len()).min_by_key(|at| proofs[*at].round).unwrap_or(0);
                proofs.swap_remove(oldest);
            }
            proofs.push(Proof { relay, count: 0.0, leg: f32::NAN, round, missed: 0 });
            proofs.len() - 1
        });
        let proof = &mut proofs[at];
        proof.round = round;
        if !leg.is_finite() {
            proof.missed += 1;
            return;
        }
        proof.missed = 0;
        proof.count = (proof.count + 1.0).min(MEMORY);
        proof.leg = if proof.count == 1.0 { leg } else { proof.leg + (leg - proof.leg) / proof.count };
        if claimed > 0.0 {
            let (broken, count) = &mut self.word[relay];
            *count = (*count + 1.0).min(MEMORY);
            // only how often, not by how much: honest averages of heavy tails are exceeded now and then, too
            *broken += (f32::from(u8::from(leg > TOO_GOOD * claimed)) - *broken) / *count;
        }
    }

    /// A probe was answered, but the leg behind the relay is not known from it.
    pub fn answered(&mut self, relay: usize, to: usize, round: usize) {
        if let Some(proof) = self.by_destination[to].iter_mut().find(|proof| proof.relay == relay) {
            (proof.round, proof.missed) = (round, 0);
        }
    }

    /// Claims about legs behind `relay` came true in own probes, to whichever destinations: its other claims are believed until
    /// they are probed.
    pub fn trusts(&self, relay: usize) -> bool {
        self.word[relay].1 >= CONFIRMED && self.believes(relay)
    }

    /// Own probes do not show that what is said of legs behind `relay` is mostly too good.
    pub fn believes(&self, relay: usize) -> bool {
        let (broken, count) = self.word[relay];
        // four imagined probes, one of them worse than claimed
        (1.0 + broken * count) / (4.0 + count) <= 0.5
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_bounded_and_the_oldest_go() {
        let mut proofs = Proofs::new(100);
        for relay in 1..60 {
            proofs.add(relay, 0, 10.0, f32::NAN, relay);
        }
        assert_eq!(proofs.towards(0).len(), MOST);
        assert!(proofs.of(59, 0).is_some() && proofs.of(1, 0).is_none());
    }

    #[test]
    fn who_claims_too_much_is_not_believed() {
        let mut proofs = Proofs::new(20);
        for to in 2..20 {
            proofs.add(0, to, 100.0, 5.0, to);
            proofs.add(1, to, 101.0, 100.0, to);
        }
        assert!(!proofs.believes(0) && proofs.believes(1) && proofs.believes(2));
        assert!(proofs.trusts(1) && !proofs.trusts(0) && !proofs.trusts(2));
    }
}
