//! Links with nodes that cannot be dialled: somebody who is linked with both tells each to dial the other now.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use aire_net::{Link, Transport};
use aire_types::{NodeName, Time};
use aire_wire::Message;

use super::{Control, Effect};
use crate::allowance::Allowance;

/// How long a node is dialled before somebody is asked to introduce us.
const PATIENCE: Duration = Duration::from_secs(2);
const FIRST_RETRY: Duration = Duration::from_secs(5);
const LAST_RETRY: Duration = Duration::from_secs(120);
/// How many are asked at a time.
const ASKED: usize = 2;
/// Nodes that we would like to meet; more have to wait.
const MAX_WANTED: usize = 256;
/// Introductions for one peer, and by one peer: at once, and then a second.
const BURST: f64 = 16.0;
const PER_SECOND: f64 = 0.2;
/// Addresses that are dialled at a time.
const MAX_ADDRESSES: usize = 6;

#[derive(Debug)]
struct Wanted {
    next: Time,
    asked: u32,
}

/// Whom we would like to meet, and what others may ask.
#[derive(Debug)]
pub(super) struct Introductions {
    wanted: BTreeMap<NodeName, Wanted>,
    /// The earliest of `wanted`.
    next: Option<Time>,
    made: Allowance,
    followed: Allowance,
}

impl Default for Introductions {
    fn default() -> Self {
        let allowance = || Allowance::new(BURST, PER_SECOND);
        Introductions { wanted: BTreeMap::new(), next: None, made: allowance(), followed: allowance() }
    }
}

impl Introductions {
    /// The node is being dialled.
    pub(super) fn want(&mut self, now: Time, node: &NodeName) {
        if self.wanted.len() >= MAX_WANTED || self.wanted.contains_key(node) {
            return;
        }
        let next = now + PATIENCE;
        self.wanted.insert(node.clone(), Wanted { next, asked: 0 });
        self.next = Some(self.next.map_or(next, |at| at.min(next)));
    }

    /// The node is linked, or gone.
    pub(super) fn forget(&mut self, now: Time, node: &NodeName) {
        self.wanted.remove(node);
        self.made.forget_idle(now);
        self.followed.forget_idle(now);
    }

    /// Nodes to ask for now, each with how often it was asked for before. Those that `wanted` denies are forgotten.
    fn due(&mut self, now: Time, wanted: impl Fn(&NodeName) -> bool) -> Vec<(NodeName, u32)> {
        if self.next.is_none_or(|next| now < next) {
            return Vec::new();
        }
        self.wanted.retain(|node, _| wanted(node));
        let mut due = Vec::new();
        for (node, wish) in self.wanted.iter_mut().filter(|(_, wish)| wish.next <= now) {
            due.push((node.clone(), wish.asked));
            wish.next = now + FIRST_RETRY.saturating_mul(1 << wish.asked.min(10)).min(LAST_RETRY);
            wish.asked += 1;
        }
        self.next = self.wanted.values().map(|wish| wish.next).min();
        due
    }

    pub(super) fn poll_timeout(&self) -> Option<Time> {
        self.next
    }
}

/// A few of `linked`, others each time.
fn introducers(linked: &[NodeName], asked: u32) -> impl Iterator<Item = &NodeName> {
    let first = asked as usize * ASKED;
    (0..ASKED.min(linked.len())).map(move |i| &linked[(first + i) % linked.len()])
}

/// The addresses to dial for an introduction: those named whose IP the node itself has signed, then those in its record.
fn worth_dialling(named: &[SocketAddr], recorded: &[SocketAddr]) -> Vec<SocketAddr> {
    let signed = |ip: IpAddr| recorded.iter().any(|address| address.ip() == ip);
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for address in named.iter().filter(|address| signed(address.ip())).chain(recorded) {
        if !addresses.contains(address) && addresses.len() < MAX_ADDRESSES {
            addresses.push(*address);
        }
    }
    addresses
}

impl Control {
    /// Asks for introductions that are due.
    pub(super) fn ask_introductions(&mut self, now: Time) {
        let (links, registry) = (&self.links, &self.registry);
        let due = self.introductions.due(now, |node| !links.has(node) && registry.member(node).is_some());
        if due.is_empty() {
            return;
        }
        let linked: Vec<NodeName> = self.links.iter().map(|(node, _)| node.clone()).collect();
        for (node, asked) in due {
            for introducer in introducers(&linked, asked) {
                self.send(introducer, &Message::Introduce(node.clone()));
            }
        }
    }

    /// `from` would like to be linked with `node`.
    pub(super) fn introduce(&mut self, now: Time, from: &NodeName, node: NodeName) {
        if *from == node || !self.introductions.made.take(now, from) {
            return;
        }
        let (Some(here), Some(there)) = (self.links.get(from), self.links.get(&node)) else { return };
        let (here, there) = (self.observed(from, here), self.observed(&node, there));
        self.send(&node, &Message::Introduced { node: from.clone(), addresses: here });
        self.send(from, &Message::Introduced { node, addresses: there });
    }

    /// Where packets of a linked node come from, and where it listens there.
    fn observed(&self, node: &NodeName, link: &Link) -> Vec<SocketAddr> {
        let listening = self.links.listening(node);
        let packets = (link.transport() == Transport::Quic).then(|| link.remote());
        let mut addresses: Vec<SocketAddr> = packets.into_iter().chain(listening).collect();
        addresses.dedup();
        addresses
    }

    /// `from` says that `node` dials us now, and that we should dial it.
    pub(super) fn handle_introduced(
        &mut self,
        now: Time,
        from: &NodeName,
        node: NodeName,
        named: &[SocketAddr],
    ) {
        if node == self.node || self.links.has(&node) || !self.introductions.followed.take(now, from) {
            return;
        }
        let Some(member) = self.registry.member(&node) else { return };
        let addresses = worth_dialling(named, &member.body.addresses);
        self.effects.push(Effect::Punch { node, addresses });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str) -> NodeName {
        name.parse().unwrap()
    }

    fn at(seconds: u64) -> Time {
        Time::ZERO + Duration::from_secs(seconds)
    }

    #[test]
    fn an_introduction_is_asked_for_after_a_while_and_ever_more_rarely() {
        let mut introductions = Introductions::default();
        introductions.want(at(0), &node("b"));
        assert_eq!(introductions.poll_timeout(), Some(at(2)));
        assert!(introductions.due(at(1), |_| true).is_empty());
        let mut asked = Vec::new();
        for second in 2..500 {
            asked.extend(
                introductions.due(at(second), |_| true).into_iter().map(|(_, times)| (second, times)),
            );
        }
        assert_eq!(asked[..4], [(2, 0), (7, 1), (17, 2), (37, 3)]);
        assert_eq!(asked.len(), 8, "{asked:?}");
        assert!(introductions.due(at(1000), |_| false).is_empty(), "it is linked or gone");
        assert_eq!(introductions.poll_timeout(), None);
    }

    #[test]
    fn others_are_asked_each_time() {
        let linked = ["r1", "r2", "r3"].map(node);
        let asked = |times| introducers(&linked, times).map(NodeName::as_str).collect::<Vec<_>>();
        assert_eq!([asked(0), asked(1), asked(2)], [["r1", "r2"], ["r3", "r1"], ["r2", "r3"]]);
        assert_eq!(introducers(&linked[..1], 7).count(), 1);
        assert_eq!(introducers(&[], 7).count(), 0);
    }

    #[test]
    fn only_addresses_that_the_node_signed_are_dialled_whatever_the_introducer_says() {
        let [victim, mapped, inside, outside] =
            ["198.51.100.1:53", "192.0.2.7:40000", "10.0.0.2:7117", "192.0.2.7:7117"]
                .map(|a| a.parse().unwrap());
        assert_eq!(worth_dialling(&[victim, mapped], &[inside, outside]), [mapped, inside, outside]);
        let many: Vec<SocketAddr> = (1..20).map(|port| SocketAddr::from(([192, 0, 2, 7], port))).collect();
        assert_eq!(worth_dialling(&many, &[outside]).len(), MAX_ADDRESSES);
    }
}
