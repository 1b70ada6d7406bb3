//! How often the authority renews for one node.

use std::collections::BTreeMap;
use std::time::Duration;

use aire_types::{NodeName, Time};

/// Renewals that a node may ask for in a row.
const BURST: u32 = 4;
/// The longest time in which one more is earned.
const LONGEST: Duration = Duration::from_secs(15);
/// Nodes that are remembered; those that have asked for least recently are not worth it.
const MAX_NODES: usize = 4096;

/// What a node has left.
#[derive(Clone, Copy, Debug)]
struct Allowance {
    left: u32,
    since: Time,
    told: bool,
}

/// Limits renewals, so that a member's flood costs the authority neither signatures nor its disk.
#[derive(Debug)]
pub(crate) struct RenewalLimit {
    earn: Duration,
    nodes: BTreeMap<NodeName, Allowance>,
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
        RenewalLimit { earn: (lifetime / 8).min(LONGEST), nodes: BTreeMap::new() }
    }

    /// `node` asks for a renewal.
    pub(crate) fn ask(&mut self, now: Time, node: &NodeName) -> Decision {
        let earn = self.earn;
        if self.nodes.len() >= MAX_NODES {
            // Who earned everything back is as good as unknown.
            self.nodes.retain(|_, held| now.since(held.since) < earn * BURST);
        }
        let held =
            self.nodes.entry(node.clone()).or_insert(Allowance { left: BURST, since: now, told: false });
        let earned =
            (now.since(held.since).as_micros() / earn.as_micros().max(1)).min(u128::from(BURST)) as u32;
        if earned > 0 {
            held.left = (held.left + earned).min(BURST);
            held.since = now;
        }
        if held.left > 0 {
            (held.left, held.told) = (held.left - 1, false);
            return Decision::Answer;
        }
        let first = !std::mem::replace(&mut held.told, true);
        Decision::Ignore { first }
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
        assert!(limit.nodes.len() <= MAX_NODES);
    }
}
