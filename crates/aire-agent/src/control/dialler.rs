//! Whom to dial next. No sockets: the caller dials and says how it went.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use aire_types::{NodeName, Time};

const FIRST_RETRY: Duration = Duration::from_millis(500);
const LAST_RETRY: Duration = Duration::from_secs(30);
/// Of two nodes that know each other the one with the smaller name dials; the other gives it this long.
const DEFERENCE: Duration = Duration::from_millis(1500);
/// An address that nobody vouches for is forgotten after this many failures in a row.
const STRANGER_FAILURES: u32 = 20;
const MAX_TARGETS: usize = 1024;

#[derive(Debug)]
struct Target {
    /// Who is said to be there.
    node: Option<NodeName>,
    next: Time,
    failures: u32,
    dialling: bool,
    /// Dial it although its node is linked: the link is from an address that we have lost.
    again: bool,
    /// Configured by the operator: never forgotten.
    seed: bool,
}

/// Addresses where agents may be, and when to try them.
#[derive(Debug)]
pub(crate) struct Dialler {
    own: NodeName,
    targets: BTreeMap<SocketAddr, Target>,
}

impl Dialler {
    pub(crate) fn new(own: NodeName) -> Self {
        Dialler { own, targets: BTreeMap::new() }
    }

    /// Somebody may be at `address`.
    pub(crate) fn offer(&mut self, now: Time, address: SocketAddr, node: Option<&NodeName>, seed: bool) {
        if self.targets.len() >= MAX_TARGETS && !self.targets.contains_key(&address) {
            return;
        }
        let defer = node.is_some_and(|node| *node < self.own);
        let next = if defer { now + DEFERENCE } else { now };
        let target = self.targets.entry(address).or_insert(Target {
            node: node.cloned(),
            next,
            failures: 0,
            dialling: false,
            again: false,
            seed,
        });
        target.seed |= seed;
        if node.is_some() && target.node.as_ref() != node {
            (target.node, target.failures, target.next) = (node.cloned(), 0, next);
        }
    }

    /// The addresses to dial now, with who is said to be there. `linked` says whether a node needs no dialling.
    pub(crate) fn due(
        &mut self,
        now: Time,
        linked: impl Fn(&NodeName) -> bool,
    ) -> Vec<(SocketAddr, Option<NodeName>)> {
        let mut due = Vec::new();
        for (address, target) in &mut self.targets {
            if target.dialling || target.next > now {
                continue;
            }
            let again = std::mem::take(&mut target.again);
            if target.node.as_ref().is_some_and(|node| *node == self.own || (linked(node) && !again)) {
                target.next = now + LAST_RETRY;
                continue;
            }
            target.dialling = true;
            due.push((*address, target.node.clone()));
        }
        due
    }

    /// The node at `address` turned out to be `node`.
    pub(crate) fn succeeded(&mut self, now: Time, address: SocketAddr, node: &NodeName) {
        if let Some(target) = self.targets.get_mut(&address) {
            target.dialling = false;
            target.failures = 0;
            target.node = Some(node.clone());
            target.next = now + FIRST_RETRY;
        }
    }

    /// Our address changed: the nodes that are linked are dialled again, from the new one.
    pub(crate) fn redial(&mut self, now: Time, linked: impl Fn(&NodeName) -> bool) {
        let known = |target: &&mut Target| target.node.as_ref().is_some_and(&linked);
        for target in self.targets.values_mut().filter(known) {
            (target.again, target.failures, target.next) = (true, 0, now);
        }
    }

    /// Nobody of the mesh answered.
    pub(crate) fn failed(&mut self, now: Time, address: SocketAddr) {
        let Some(target) = self.targets.get_mut(&address) else { return };
        target.dialling = false;
        target.next = now + FIRST_RETRY.saturating_mul(1 << target.failures.min(10)).min(LAST_RETRY);
        target.failures += 1;
        if !target.seed && target.failures > STRANGER_FAILURES {
            self.targets.remove(&address);
        }
    }

    /// The link to `node` is gone: its addresses are due again.
    pub(crate) fn lost(&mut self, now: Time, node: &NodeName) {
        let defer = if *node < self.own { DEFERENCE } else { FIRST_RETRY };
        for target in self.targets.values_mut().filter(|target| target.node.as_ref() == Some(node)) {
            target.failures = 0;
            target.next = target.next.min(now + defer);
        }
    }

    /// Nobody wants to be linked with `node` any more; seeds stay, as somebody else may be there one day.
    pub(crate) fn forget(&mut self, node: &NodeName) {
        self.targets.retain(|_, target| target.seed || target.node.as_ref() != Some(node));
    }

    /// When [`Dialler::due`] may have something.
    pub(crate) fn poll_timeout(&self) -> Option<Time> {
        self.targets.values().filter(|target| !target.dialling).map(|target| target.next).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str) -> NodeName {
        name.parse().unwrap()
    }

    fn address(port: u16) -> SocketAddr {
        ([127, 0, 0, 1], port).into()
    }

    fn due(dialler: &mut Dialler, now: Time) -> Vec<SocketAddr> {
        dialler.due(now, |_| false).into_iter().map(|(address, _)| address).collect()
    }

    #[test]
    fn the_smaller_name_dials_first() {
        let mut dialler = Dialler::new(node("m"));
        dialler.offer(Time::ZERO, address(1), Some(&node("z")), false);
        dialler.offer(Time::ZERO, address(2), Some(&node("a")), false);
        assert_eq!(due(&mut dialler, Time::ZERO), [address(1)]);
        assert_eq!(due(&mut dialler, Time::ZERO + DEFERENCE), [address(2)]);
        assert!(due(&mut dialler, Time::ZERO + DEFERENCE).is_empty());
    }

    #[test]
    fn retries_get_rarer_and_strangers_are_forgotten_but_seeds_are_not() {
        let mut dialler = Dialler::new(node("m"));
        dialler.offer(Time::ZERO, address(1), None, false);
        dialler.offer(Time::ZERO, address(2), None, true);
        let mut now = Time::ZERO;
        for _ in 0..100 {
            for address in due(&mut dialler, now) {
                dialler.failed(now, address);
            }
            now += LAST_RETRY;
        }
        assert_eq!(due(&mut dialler, now), [address(2)]);
    }

    #[test]
    fn our_own_address_is_not_dialled_again() {
        let mut dialler = Dialler::new(node("a"));
        dialler.offer(Time::ZERO, address(1), None, true);
        assert_eq!(due(&mut dialler, Time::ZERO), [address(1)]);
        dialler.succeeded(Time::ZERO, address(1), &node("a"));
        assert!(due(&mut dialler, Time::from_millis(60_000)).is_empty());
    }

    #[test]
    fn linked_nodes_are_dialled_again_from_another_address() {
        let mut dialler = Dialler::new(node("m"));
        dialler.offer(Time::ZERO, address(1), Some(&node("a")), false);
        dialler.offer(Time::ZERO, address(2), Some(&node("m")), false);
        dialler.offer(Time::ZERO, address(3), None, true);
        let later = Time::from_millis(60_000);
        assert_eq!(dialler.due(later, |_| true), [(address(3), None)]);
        dialler.redial(later, |_| true);
        assert_eq!(dialler.due(later, |_| true), [(address(1), Some(node("a")))]);
        dialler.succeeded(later, address(1), &node("a"));
        assert!(dialler.due(later + LAST_RETRY, |_| true).is_empty());
    }

    #[test]
    fn a_linked_node_is_not_dialled_until_its_link_is_lost() {
        let mut dialler = Dialler::new(node("a"));
        dialler.offer(Time::ZERO, address(1), Some(&node("b")), false);
        due(&mut dialler, Time::ZERO);
        dialler.succeeded(Time::ZERO, address(1), &node("b"));
        let later = Time::from_millis(60_000);
        assert!(dialler.due(later, |_| true).is_empty());
        dialler.lost(later, &node("b"));
        assert_eq!(due(&mut dialler, later + FIRST_RETRY), [address(1)]);
    }
}
