//! How often the authority renews for one node.

use std::collections::BTreeSet;
use std::time::Duration;

use aire_types::{NodeName, Time};

use crate::allowance::Allowance;

/// Renewals that a node may ask for in a row.
const BURST: f64 = 4.0;
/// The longest and the shortest time in which one more is earned.
const LONGEST: Duration = Duration::from_secs(15);
const SHORTEST: Duration = Duration::from_millis(1);
/// Nodes that are remembered; those that have earned everything back are not worth it.
const MAX_NODES: usize = 4096;

/// Limits renewals, so that a member's flood costs the authority neither signatures nor its disk.
#[derive(Debug)]
pub(crate) struct RenewalLimit {
    allowance: Allowance,
    /// Nodes of which the operator knows that they ask too often.
    told: BTreeSet<NodeName>,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    Answer,
    /// `first`: the operator does not know yet that this node asks too often.
    Ignore {
        first: bool,
    },
}

impl RenewalLimit {
    /// For certificates that hold so long: eight renewals in that time are more than any node needs.
    pub(crate) fn new(lifetime: Duration) -> Self {
        let earn = (lifetime / 8).clamp(SHORTEST, LONGEST);
        RenewalLimit { allowance: Allowance::new(BURST, 1.0 / earn.as_secs_f64()), told: BTreeSet::new() }
    }

    /// `node` asks for a renewal.
    pub(crate) fn ask(&mut self, now: Time, node: &NodeName) -> Decision {
        if self.allowance.len() >= MAX_NODES {
            self.allowance.forget_idle(now);
            self.told.retain(|node| self.allowance.knows(node));
        }
        if self.allowance.take(now, node) {
            self.told.remove(node);
            return Decision::Answer;
        }
        Decision::Ignore { first: self.told.insert(node.clone()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_answered_a_few_times_a_minute_and_told_once_in_a_while() {
        let mut limit = RenewalLimit::new(Duration::from_secs(86_400));
        let (mut answered, mut told) = (0, 0);
        for millisecond in 0..60_000 {
            match limit.ask(Time::from_millis(millisecond), &"n1".parse().unwrap()) {
                Decision::Answer => answered += 1,
                Decision::Ignore { first } => told += u32::from(first),
            }
        }
        assert_eq!((answered, told), (7, 4));
        assert_eq!(limit.ask(Time::from_millis(60_000), &"n2".parse().unwrap()), Decision::Answer);
    }

    #[test]
    fn short_certificates_are_renewed_as_often_as_they_need() {
        let mut limit = RenewalLimit::new(Duration::from_secs(10));
        for round in 0..100 {
            let at = Time::from_millis(round * 2000);
            assert_eq!(limit.ask(at, &"n1".parse().unwrap()), Decision::Answer, "{round}");
        }
    }

    #[test]
    fn names_do_not_pile_up() {
        let mut limit = RenewalLimit::new(Duration::from_secs(86_400));
        for n in 0..3 * MAX_NODES as u64 {
            limit.ask(Time::from_millis(n * 100), &format!("n{n}").parse().unwrap());
        }
        assert!(limit.allowance.len() <= MAX_NODES);
    }
}
