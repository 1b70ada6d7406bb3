use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use aire_net::{Link, LinkStats, Ticket, Transport};
use aire_types::{NodeName, Time};
use aire_wire::{DatagramHead, Message};
use bytes::Bytes;

use super::link_ends::Ends;
use super::{Control, Effect};
use crate::happening::{Happening, Kind};
use crate::inspect::{Reading, Sight};

/// Highest version of the wire format that this agent speaks.
const VERSION: u64 = 1;

/// The open links, one for each peer.
#[derive(Default)]
pub(crate) struct Links {
    pub(super) open: BTreeMap<NodeName, Entry>,
    /// How others see us.
    observed: BTreeMap<NodeName, SocketAddr>,
    /// What they said of us when their link opened, for diagnosis.
    sights: BTreeMap<NodeName, Sight>,
    serial: u64,
}

pub(super) struct Entry {
    pub(super) link: Link,
    pub(super) serial: u64,
    /// Where the peer can be dialled: its address as we see it with the port that it listens on.
    pub(super) dial: SocketAddr,
    /// We dialled it.
    pub(super) ours: bool,
    /// Its address as we told it last.
    told: SocketAddr,
    /// It replaced one from another address.
    moved: bool,
    since: Time,
    /// The last reading.
    read: LinkStats,
    pub(super) ends: Ends,
}

/// Where a datagram of an application goes.
pub(crate) enum Onward {
    /// Out on this link: its circuit is relayed here.
    Link(Link),
    /// Nowhere else: its circuit ends here.
    Here,
}

/// Names one link for its whole life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LinkSerial(pub(super) u64);

impl Links {
    /// Is there a link to `node`?
    pub(crate) fn has(&self, node: &NodeName) -> bool {
        self.open.contains_key(node)
    }

    /// The link to `node`.
    pub(crate) fn get(&self, node: &NodeName) -> Option<&Link> {
        self.open.get(node).map(|entry| &entry.link)
    }

    /// The round trip of the link to `node`, where we opened it.
    pub(super) fn opened(&self, node: &NodeName) -> Option<Duration> {
        self.open.get(node).filter(|entry| entry.ours).map(|entry| entry.link.rtt())
    }

    /// Where the linked node `node` listens, as its link shows.
    pub(super) fn listening(&self, node: &NodeName) -> Option<SocketAddr> {
        self.open.get(node).map(|entry| entry.dial)
    }

    /// All links by the peer's name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&NodeName, &Link)> {
        self.open.iter().map(|(node, entry)| (node, &entry.link))
    }

    /// Peers saw us at addresses that we do not have any more.
    pub(super) fn forget_observed(&mut self) {
        self.observed.clear();
    }

    /// The links' round trips now, and what was sent, lost and received since the last call.
    pub(super) fn readings(&mut self) -> impl Iterator<Item = (&NodeName, LinkStats)> {
        self.open.iter_mut().map(|(node, entry)| {
            let stats = entry.link.stats();
            let before = std::mem::replace(&mut entry.read, stats);
            let since = |count: fn(&LinkStats) -> u64| count(&stats).saturating_sub(count(&before));
            let (sent, lost) = (since(|stats| stats.sent), since(|stats| stats.lost));
            (node, LinkStats { sent, lost, received: since(|stats| stats.received), ..stats })
        })
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }

    /// What linked peers said of this node.
    pub(crate) fn sights(&self) -> Vec<Sight> {
        self.sights.values().cloned().collect()
    }

    fn note_sight(&mut self, from: &NodeName, observed: &str, clock: u64) {
        let Some(link) = self.get(from) else { return };
        // Over TCP the port is another one for each link and tells nothing.
        let observed = observed.parse().ok().filter(|_| link.transport() == Transport::Quic);
        let reading = Reading::new(clock, crate::clock::unix_millis(), link.rtt());
        let sight = Sight { node: from.clone(), observed, reading: Some(reading) };
        self.sights.insert(from.clone(), sight);
    }

    /// Our own addresses as peers see them, each once.
    pub(crate) fn observed(&self) -> Vec<SocketAddr> {
        let mut addresses: Vec<SocketAddr> = self.observed.values().copied().collect();
        addresses.sort_unstable();
        addresses.dedup();
        addresses
    }
}

impl Control {
    /// A link is open. Of two links to one peer the one dialled by the smaller name stays; both ends decide alike.
    pub(crate) fn handle_link(
        &mut self,
        now: Time,
        link: Link,
        dialled: Option<SocketAddr>,
    ) -> Option<LinkSerial> {
        let node = link.peer().identity.node.clone();
        if node == self.node {
            if let Some(address) = dialled {
                // One of our own addresses: never dial it again.
                self.dialler.succeeded(now, address, &node);
            }
            link.close(0, "this is the same node");
            return None;
        }
        if let Some(address) = dialled {
            self.dialler.succeeded(now, address, &node);
        }
        if let Some(subject) = self.membership.trust().revoked(&link.peer().identity) {
            // Since its handshake.
            link.close(0, &format!("{subject} was revoked"));
            return None;
        }
        let ours_stays = self.node < node;
        let mut moved = false;
        if let Some(old) = self.links.open.get(&node) {
            let fresh = now.since(old.since).as_secs() < 2;
            if fresh && old.ours == ours_stays && dialled.is_some() != ours_stays {
                link.close(0, "another link to this node is open");
                return None;
            }
            moved = !fresh && dialled.is_none() && old.link.remote().ip() != link.remote().ip();
            // In a moment: what is on its way over it should arrive.
            let why = "replaced by another link".to_owned();
            self.effects.push(Effect::CloseLink { link: old.link.clone(), why });
        }
        self.links.serial += 1;
        let serial = self.links.serial;
        let remote = link.remote();
        let _ = link.send(self.hello(remote).encode());
        let dial = dialled.unwrap_or(remote);
        let own = self.membership.current().svid.not_after();
        let ends = Ends::new(now, crate::clock::until(own.min(link.peer().not_after)));
        let is_new = self.links.open.insert(
            node.clone(),
            Entry {
                link,
                serial,
                dial,
                ours: dialled.is_some(),
                moved,
                told: remote,
                since: now,
                read: LinkStats::default(),
                ends,
            },
        );
        self.introductions.forget(now, &node);
        if is_new.is_none() {
            self.tell(Happening::new(Kind::LinkUp, format!("link to {node} at {remote}")).peer(&node));
        }
        if moved {
            self.effects.push(Effect::Moved { node: node.clone() });
        }
        self.notices.handle_link_up(now, node.clone());
        self.registry.handle_link_up(now, node);
        self.topology_is_old = true;
        self.pump(now);
        Some(LinkSerial(serial))
    }

    fn hello(&self, observed: SocketAddr) -> Message {
        Message::Hello {
            version: VERSION,
            incarnation: self.incarnation,
            port: self.terms.port,
            observed: observed.to_string(),
            clock: crate::clock::unix_millis(),
        }
    }

    /// Peers whose address changed on the way (a NAT forgot them, or they moved) are told it anew.
    pub(super) fn follow_addresses(&mut self) {
        let moved: Vec<(NodeName, SocketAddr)> = self
            .links
            .open
            .iter_mut()
            .filter_map(|(node, entry)| {
                let remote = entry.link.remote();
                if std::mem::replace(&mut entry.told, remote) == remote {
                    return None;
                }
                if !entry.ours {
                    entry.dial.set_ip(remote.ip());
                }
                Some((node.clone(), remote))
            })
            .collect();
        for (node, remote) in moved {
            self.send(&node, &self.hello(remote));
        }
    }

    /// A link has ended; `why` is for people.
    pub(crate) fn handle_link_closed(&mut self, now: Time, node: &NodeName, serial: LinkSerial, why: &str) {
        if self.links.open.get(node).is_none_or(|entry| entry.serial != serial.0) {
            return;
        }
        self.links.open.remove(node);
        self.links.observed.remove(node);
        self.links.sights.remove(node);
        self.reach.forget(now, node);
        self.tell(Happening::new(Kind::LinkDown, format!("link to {node} closed: {why}")).peer(node));
        self.notices.handle_link_down(node);
        self.registry.handle_link_down(now, node);
        self.circuits.handle_unreachable(node);
        self.dialler.lost(now, node);
        self.topology_is_old = true;
        self.pump(now);
    }

    /// Nobody of the mesh answered at `address`.
    pub(crate) fn handle_dial_failed(&mut self, now: Time, address: SocketAddr) {
        self.dialler.failed(now, address);
    }

    /// Where to dial carriers towards `node`: where its link was dialled, or, where it dialled us, the address in its
    /// record that the link comes from.
    pub(crate) fn dial_address(&self, node: &NodeName) -> Option<SocketAddr> {
        let entry = self.links.open.get(node)?;
        if entry.ours {
            return Some(entry.dial);
        }
        let known = self.registry.member(node).map_or(&[][..], |member| &member.body.addresses);
        // A link over QUIC follows the peer to another address.
        let here = SocketAddr::new(entry.link.remote().ip(), entry.dial.port());
        let same_host = known.iter().find(|address| address.ip() == here.ip());
        // The record of one that moved may be on its way.
        let elsewhere = known.first().filter(|_| !entry.moved);
        same_host.or(elsewhere).copied().or(Some(here))
    }

    /// Somebody may be at `address`.
    pub(crate) fn offer_address(
        &mut self,
        now: Time,
        address: SocketAddr,
        node: Option<&NodeName>,
        seed: bool,
    ) {
        if node != Some(&self.node) {
            self.dialler.offer(now, address, node, seed);
            self.pump(now);
        }
    }

    /// A datagram arrived.
    pub(crate) fn handle_datagram(&mut self, now: Time, from: &NodeName, datagram: &[u8]) {
        self.circuits.handle_datagram(now, from, datagram);
        self.pump(now);
    }

    /// Where an application's datagram goes that came over the link from `from`.
    pub(crate) fn onward(&self, from: &NodeName, head: &DatagramHead) -> Option<Onward> {
        match self.circuits.onward(from, head.circuit, head.towards)? {
            aire_circuit::Onward::To(next) => self.links.get(next).cloned().map(Onward::Link),
            aire_circuit::Onward::Here => Some(Onward::Here),
        }
    }

    /// A message arrived; gossip comes by [`Control::handle_records`] instead.
    pub(crate) fn handle_message(&mut self, now: Time, from: &NodeName, message: Message) {
        match message {
            Message::Hello { incarnation, port, observed, clock, .. } => {
                self.note_run(from, incarnation);
                self.links.note_sight(from, &observed, clock);
                self.handle_hello(now, from, port, &observed);
            }
            Message::Renewal(request) => self.effects.push(Effect::Renewal { from: from.clone(), request }),
            Message::Renewed(answer) => self.effects.push(Effect::Renewed(answer)),
            Message::Held(versions) => self.notices.handle_held(now, from, versions),
            Message::DialBack { ticket, key } => {
                self.handle_dial_back(now, from, Ticket { id: ticket, key });
            }
            Message::Introduce(node) => self.introduce(now, from, node),
            Message::Introduced { node, addresses } => self.handle_introduced(now, from, node, &addresses),
            Message::CircuitRequest { .. }
            | Message::CircuitGrant { .. }
            | Message::CircuitRefusal(_)
            | Message::CircuitClose { .. } => self.handle_circuit_message(now, from, message),
            gossip => self.registry.handle_message(now, from, &gossip),
        }
        self.pump(now);
    }

    fn handle_hello(&mut self, now: Time, from: &NodeName, port: u16, observed: &str) {
        let Some(entry) = self.links.open.get_mut(from) else { return };
        if !entry.ours {
            entry.dial.set_port(port);
        }
        if let Ok(mut address) = observed.parse::<SocketAddr>() {
            address.set_port(self.terms.port);
            let known = self.links.observed.insert(from.clone(), address);
            if known != Some(address) {
                self.publish_with(now, |_| {});
            }
        }
    }

    /// Sends a message to a linked node; false where there is no link or it is full.
    pub(super) fn send(&self, to: &NodeName, message: &Message) -> bool {
        self.links.get(to).is_some_and(|link| link.send(message.encode()).is_ok())
    }

    pub(super) fn send_datagram(&self, to: &NodeName, datagram: &[u8]) {
        if let Some(link) = self.links.get(to) {
            let _ = link.datagram(Bytes::copy_from_slice(datagram));
        }
    }

    /// Sends the authority's answer to a renewal.
    pub(crate) fn answer_renewal(&self, to: &NodeName, answer: Vec<u8>) {
        self.send(to, &Message::Renewed(answer));
    }

    /// Asks an authority that we have a link to for a new certificate; false where there is none.
    pub(crate) fn ask_renewal(&self, request: Vec<u8>) -> bool {
        let authority = self.registry.members().find(|m| m.body.authority && self.links.has(m.node()));
        authority.is_some_and(|member| self.send(member.node(), &Message::Renewal(request)))
    }

    /// Closes all links, saying why.
    pub(crate) fn close_links(&mut self, why: &str) {
        for (_, entry) in std::mem::take(&mut self.links.open) {
            entry.link.close(0, why);
        }
    }
}
