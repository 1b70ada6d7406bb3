//! Membership in virtual time: one [`Registry`] a node, links between them, and how long news takes.
//!
//! Most simulations do without (they take four seconds for the way of a load through the mesh, what the last of a hundred nodes
//! waits): each registry holds all records, so memory and work grow with the square of the mesh.

use std::time::Duration;

use aire_registry::{Config, Output, Rank, Registry, VerifiedRecord};
use aire_types::{Identity, Incarnation, NodeName, Random, Time};
use aire_wire::{Message, Record, RecordBody};

use crate::agent::{name, number};
use crate::clock::EventQueue;

/// Links of a node: two of a ring, the others by chance.
const DEGREE: usize = 8;
/// About what two certificates and a signature take, bytes.
const CERTIFICATES: usize = 540;
const SIGNATURE: usize = 72;

enum Event {
    Deliver { from: usize, to: usize, message: Message },
    Wake { node: usize },
}

struct Host {
    registry: Registry,
    identity: Identity,
    body: RecordBody,
    name: NodeName,
    wake: Time,
}

/// The registries of a mesh.
pub struct Gossip {
    hosts: Vec<Host>,
    queue: EventQueue<Event>,
    /// How long a message takes from one node to another.
    delay: Box<dyn Fn(usize, usize) -> Duration + Send>,
}

fn identity(node: usize) -> Identity {
    format!("spiffe://sim/app/app/n{node}").parse().expect("an identity made of letters and digits")
}

impl Gossip {
    /// All nodes at once, linked. `relays` are those that relay; `delay` is the time from one node to another.
    pub fn new(
        nodes: usize,
        relays: &[usize],
        seed: u64,
        delay: impl Fn(usize, usize) -> Duration + Send + 'static,
    ) -> Self {
        let mut random = Random::new(seed ^ 0x676f_7373);
        let host = |node: usize| {
            let config = Config::new(identity(node), Incarnation(1), random.next_u64());
            let mut body = RecordBody::default();
            body.node.relays = relays.contains(&node);
            let registry = Registry::new(Time::ZERO, config);
            Host { registry, identity: identity(node), body, name: name(node), wake: Time::NEVER }
        };
        let hosts = (0..nodes).map(host).collect();
        let mut gossip = Gossip { hosts, queue: EventQueue::default(), delay: Box::new(delay) };
        for node in 0..nodes {
            gossip.publish(Time::ZERO, node);
        }
        for (a, b) in links(nodes, &mut random) {
            for (here, there) in [(a, b), (b, a)] {
                let peer = gossip.hosts[there].name.clone();
                gossip.hosts[here].registry.handle_link_up(Time::ZERO, peer);
                gossip.settle(Time::ZERO, here);
            }
        }
        gossip
    }

    /// `node` is so busy now; whether others should know is for its registry to decide.
    pub fn set_load(&mut self, now: Time, node: usize, load: f64) {
        self.hosts[node].body.node.cpu_load = load;
        self.publish(now, node);
    }

    fn publish(&mut self, now: Time, node: usize) {
        let host = &mut self.hosts[node];
        host.registry.set_own(now, host.body.clone());
        self.settle(now, node);
    }

    /// How busy `of` is, as far as `by` has heard; `None` where it has not heard of it.
    pub fn load(&self, by: usize, of: usize) -> Option<f64> {
        let host = self.hosts.get(by)?;
        if by == of {
            return Some(host.body.node.load());
        }
        Some(host.registry.member(&self.hosts.get(of)?.name)?.body.node.load())
    }

    /// Which record of its own a node published last.
    pub fn rank(&self, node: usize) -> Rank {
        self.hosts[node].registry.own_rank()
    }

    /// Lets time pass until `end`.
    pub fn run_until(&mut self, end: Time) {
        while self.queue.next_at() <= end {
            let Some((now, event)) = self.queue.pop() else { return };
            match event {
                Event::Deliver { from, to, message } => self.deliver(now, from, to, message),
                Event::Wake { node } => self.wake(now, node),
            }
        }
    }

    fn wake(&mut self, now: Time, node: usize) {
        let host = &mut self.hosts[node];
        if host.wake == now {
            host.wake = Time::NEVER;
            host.registry.handle_timeout(now);
            self.settle(now, node);
        }
    }

    fn deliver(&mut self, now: Time, from: usize, to: usize, message: Message) {
        let sender = self.hosts[from].name.clone();
        let registry = &mut self.hosts[to].registry;
        match message {
            Message::Gossip(records) => {
                for record in records {
                    let Some(verified) = verified(record) else { continue };
                    if registry.is_news(&verified.signer.node, Rank::of(&verified.record)) {
                        registry.handle_record(now, Some(&sender), verified);
                    }
                }
            }
            message => registry.handle_message(now, &sender, &message),
        }
        self.settle(now, to);
    }

    /// Carries out what a registry wants.
    fn settle(&mut self, now: Time, node: usize) {
        while let Some(output) = self.hosts[node].registry.poll_output() {
            match output {
                Output::Send { to, message } => {
                    let Some(to) = number(&to).filter(|to| *to < self.hosts.len()) else { continue };
                    self.queue.set(now + (self.delay)(node, to), Event::Deliver { from: node, to, message });
                }
                Output::Sign(unsigned) => {
                    let host = &mut self.hosts[node];
                    let mut certificates = host.identity.to_string().into_bytes();
                    certificates.resize(CERTIFICATES, b' ');
                    let record = Record {
                        certificates,
                        incarnation: unsigned.rank.incarnation,
                        sequence: unsigned.rank.sequence,
                        ttl_s: unsigned.ttl_s,
                        body: serde_json::to_vec(&unsigned.body).unwrap_or_default(),
                        signature: vec![0; SIGNATURE],
                    };
                    let (signer, body) = (host.identity.clone(), unsigned.body);
                    host.registry.handle_signed(now, VerifiedRecord { signer, record, body });
                }
                _ => {}
            }
        }
        let host = &mut self.hosts[node];
        let wanted = host.registry.poll_timeout().unwrap_or(Time::NEVER).max(now);
        if wanted < host.wake {
            host.wake = wanted;
            self.queue.set(wanted, Event::Wake { node });
        }
    }
}

/// Nobody forges anything here: the signer is who the certificate names.
fn verified(record: Record) -> Option<VerifiedRecord> {
    let signer = std::str::from_utf8(&record.certificates).ok()?.trim().parse().ok()?;
    let body = record.parse_body().ok()?;
    Some(VerifiedRecord { signer, record, body })
}

/// A ring and chords, so that a node has about [`DEGREE`] links.
fn links(nodes: usize, random: &mut Random) -> Vec<(usize, usize)> {
    let mut found = std::collections::BTreeSet::new();
    for node in 0..nodes {
        let next = (node + 1) % nodes;
        if next != node {
            found.insert((node.min(next), node.max(next)));
        }
    }
    while nodes > DEGREE + 1 && found.len() < nodes * DEGREE / 2 {
        let (a, b) = (random.below(nodes), random.below(nodes));
        if a != b {
            found.insert((a.min(b), a.max(b)));
        }
    }
    found.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODES: usize = 100;
    const RELAYS: usize = 12;

    /// Seconds until each other node has heard of a relay's new load, since the relay published it.
    fn delays(seed: u64) -> Vec<f64> {
        let relays: Vec<usize> = (0..RELAYS).collect();
        let way = |from: usize, to: usize| Duration::from_millis(5 + (from * 37 + to * 61) as u64 % 90);
        let mut gossip = Gossip::new(NODES, &relays, seed, way);
        let mut now = Time::ZERO + Duration::from_secs(120);
        gossip.run_until(now);
        let mut found = Vec::new();
        for relay in relays {
            let mut published = false;
            while !published {
                // as the agent does, which looks at its load every five seconds
                now += Duration::from_secs(5);
                gossip.run_until(now);
                let before = gossip.rank(relay);
                gossip.set_load(now, relay, 0.8);
                published = gossip.rank(relay) != before;
            }
            let said = now;
            let mut left: Vec<usize> = (0..NODES).filter(|node| *node != relay).collect();
            while !left.is_empty() {
                now += Duration::from_millis(100);
                gossip.run_until(now);
                let heard = |node: &usize| gossip.load(*node, relay) == Some(0.8);
                let delay = now.since(said).as_secs_f64();
                found.extend(left.iter().filter(|node| heard(node)).map(|_| delay));
                left.retain(|node| !heard(node));
                assert!(delay < 60.0, "{} nodes have not heard of relay {relay}", left.len());
            }
        }
        found
    }

    #[test]
    fn a_hundred_registries_hear_of_a_load_in_about_the_time_that_the_simulation_takes_for_it() {
        let mut delays = delays(3);
        delays.sort_by(f64::total_cmp);
        let mean = delays.iter().sum::<f64>() / delays.len() as f64;
        let most = delays[delays.len() * 99 / 100];
        let assumed = crate::SimulationConfig::default().gossip.as_secs_f64();
        println!("mean {mean:.1} s, 99 % within {most:.1} s, assumed {assumed} s");
        assert!((0.3 * assumed..assumed).contains(&mean), "{mean} s");
        assert!((0.6 * assumed..1.5 * assumed).contains(&most), "{most} s");
    }

    #[test]
    fn every_node_hears_of_every_other() {
        let mut gossip = Gossip::new(40, &[0, 1], 1, |_, _| Duration::from_millis(20));
        gossip.run_until(Time::ZERO + Duration::from_secs(60));
        assert!((0..40).all(|by| (0..40).all(|of| gossip.load(by, of) == Some(0.0))));
        assert_eq!(gossip.load(0, 40), None);
    }
}
