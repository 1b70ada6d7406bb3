//! How often each peer may ask for something.

use std::collections::BTreeMap;

use aire_types::{NodeName, Time};

/// A token bucket for each peer. Those that have earned everything back are as good as unknown, and forgotten by
/// [`Allowance::forget_idle`].
#[derive(Debug)]
pub(crate) struct Allowance {
    burst: f64,
    per_second: f64,
    peers: BTreeMap<NodeName, (f64, Time)>,
}

impl Allowance {
    /// So many at once, and then so many a second.
    pub(crate) const fn new(burst: f64, per_second: f64) -> Self {
        Allowance { burst, per_second, peers: BTreeMap::new() }
    }

    /// May the peer ask once more?
    pub(crate) fn take(&mut self, now: Time, peer: &NodeName) -> bool {
        let (tokens, at) = self.peers.entry(peer.clone()).or_insert((self.burst, now));
        let earned = now.since(*at).as_secs_f64() * self.per_second;
        (*tokens, *at) = ((*tokens + earned).min(self.burst), now);
        let may = *tokens >= 1.0;
        if may {
            *tokens -= 1.0;
        }
        may
    }

    /// Forgets who has not asked for as long as it takes to earn everything back.
    pub(crate) fn forget_idle(&mut self, now: Time) {
        let full = self.burst / self.per_second;
        self.peers.retain(|_, (_, at)| now.since(*at).as_secs_f64() < full);
    }

    /// Is the peer remembered?
    pub(crate) fn knows(&self, peer: &NodeName) -> bool {
        self.peers.contains_key(peer)
    }

    /// How many peers are remembered.
    pub(crate) fn len(&self) -> usize {
        self.peers.len()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_peer_has_its_own_bucket_which_fills_again() {
        let (a, b): (NodeName, NodeName) = ("a".parse().unwrap(), "b".parse().unwrap());
        let mut allowance = Allowance::new(4.0, 2.0);
        let taken =
            |allowance: &mut Allowance, now, peer| (0..10).filter(|_| allowance.take(now, peer)).count();
        assert_eq!(taken(&mut allowance, Time::ZERO, &a), 4);
        assert_eq!(taken(&mut allowance, Time::ZERO, &b), 4);
        let later = Time::ZERO + Duration::from_secs(1);
        assert_eq!(taken(&mut allowance, later, &a), 2);
        allowance.forget_idle(later + Duration::from_secs(1));
        assert_eq!(allowance.peers.len(), 1, "b has earned everything back");
    }
}
