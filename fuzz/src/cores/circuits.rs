//! Negotiation among honest nodes, with a member between them that says and repeats anything, under its own name.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use aire_circuit::{Asked, Circuits, Config, Crypto, Denial, Gate, Output, Role, Terms, Want};
use aire_types::{Incarnation, NodeName, Time};
use aire_wire::{
    CircuitClose, CircuitId, Grant, Message, Offer, Preamble, PreambleKind, Refusal, RefusalCode, Request,
    Subject,
};

use super::choices::{Choices, app, node};
use super::fake::Fake;

const MOST: usize = 6;
const PER_SOURCE: usize = 3;
const MOST_OWN: usize = 4;
const MOST_CARRIERS: u32 = 2;
/// What is under way between nodes.
const WIRE: usize = 100;
/// The member that may do anything.
const HOSTILE: &str = "b";
const UNIX_S: u64 = 1_800_000_000;

/// Lets everybody do everything, or nothing.
struct Door {
    open: bool,
    lease: Duration,
}

impl Door {
    fn answer(&self) -> Result<Terms, Denial> {
        let denial = Denial { code: RefusalCode::Policy, reason: "the policy says no".to_owned() };
        if self.open { Ok(Terms { lease: self.lease, rate: 0 }) } else { Err(denial) }
    }
}

impl Gate for Door {
    fn relay(&mut self, _: &Asked, _: &NodeName) -> Result<Terms, Denial> {
        self.answer()
    }

    fn connect(&mut self, _: &Asked) -> Result<Terms, Denial> {
        self.answer()
    }
}

struct World {
    now: Time,
    nodes: BTreeMap<NodeName, Circuits<Fake>>,
    door: Door,
    wire: VecDeque<(NodeName, NodeName, Message)>,
    datagrams: VecDeque<(NodeName, NodeName, Vec<u8>)>,
    /// What the honest source asked for, and what of it was granted.
    asked: BTreeSet<CircuitId>,
    granted: Vec<CircuitId>,
    /// Ids that the hostile member has seen or made up.
    seen: Vec<CircuitId>,
    /// Accepted carriers.
    carriers: Vec<(NodeName, CircuitId)>,
    preambles: Vec<Preamble>,
    hostile: Fake,
}

fn circuits(name: &str, role: &str) -> (NodeName, Circuits<Fake>) {
    let config = Config {
        max_circuits: MOST,
        max_per_source: PER_SOURCE,
        max_own: MOST_OWN,
        max_carriers: MOST_CARRIERS,
        ..Config::new(node(name), "m".parse().expect("invariant: a name"), Incarnation(1))
    };
    (node(name), Circuits::new(config, Fake::new(&format!("spiffe://m/{role}/{name}"))))
}

impl World {
    fn new() -> Self {
        let nodes = [("a", "app/a"), ("d", "app/d"), ("r1", "relay"), ("r2", "relay"), (HOSTILE, "app/b")];
        World {
            now: Time::from_millis(1),
            nodes: nodes.into_iter().map(|(name, role)| circuits(name, role)).collect(),
            door: Door { open: true, lease: Duration::from_secs(60) },
            wire: VecDeque::new(),
            datagrams: VecDeque::new(),
            asked: BTreeSet::new(),
            granted: Vec::new(),
            seen: vec![CircuitId([1; 16]), CircuitId([2; 16])],
            carriers: Vec::new(),
            preambles: Vec::new(),
            hostile: Fake::new("spiffe://m/app/b/b"),
        }
    }

    fn unix_s(&self) -> u64 {
        UNIX_S + self.now.as_micros() / 1_000_000
    }

    fn follow(&mut self) {
        for (name, circuits) in &mut self.nodes {
            while let Some(output) = circuits.poll_output() {
                match output {
                    Output::Send { to, message } if self.wire.len() < WIRE => {
                        self.wire.push_back((name.clone(), to, message));
                    }
                    Output::SendProbe { to, datagram } if self.datagrams.len() < WIRE => {
                        self.datagrams.push_back((name.clone(), to, datagram.to_vec()));
                    }
                    Output::Granted { circuit, .. } => {
                        assert!(
                            name.as_str() == HOSTILE || self.asked.contains(&circuit),
                            "granted, not asked for"
                        );
                        self.granted.push(circuit);
                    }
                    Output::Held { asked, role, .. } => {
                        let own = asked.source.node.as_str() == "a";
                        assert!(
                            !own || self.asked.contains(&asked.circuit),
                            "{name} holds what a did not sign"
                        );
                        assert!(role != Role::Source);
                    }
                    _ => {}
                }
            }
            circuits.check_invariants();
            assert!(circuits.load() <= 2 * MOST, "{name} holds {} circuits", circuits.load());
            for held in circuits.all_held() {
                assert!(held.carriers <= MOST_CARRIERS, "{name}: {} carriers", held.carriers);
            }
        }
        self.seen.truncate(12);
        self.granted.truncate(12);
    }

    fn message(&mut self, from: &NodeName, to: &NodeName, message: Message) {
        let (now, unix_s) = (self.now, self.unix_s());
        if let Some(circuits) = self.nodes.get_mut(to) {
            circuits.handle_message(now, unix_s, from, message, &mut self.door);
        }
    }

    fn request(&mut self, choices: &mut Choices<'_>) {
        let (now, unix_s) = (self.now, self.unix_s());
        let want =
            Want { app: app("d"), class: choices.class(), path: choices.path(), destination: node("d") };
        let source = node(if choices.byte() < 200 { "a" } else { HOSTILE });
        let Some(circuits) = self.nodes.get_mut(&source) else { return };
        if let Ok(circuit) = circuits.request(now, unix_s, want, None) {
            if source.as_str() == "a" {
                self.asked.insert(circuit);
            }
            self.seen.insert(0, circuit);
        }
    }

    /// What the hostile member says in its own name.
    fn forge(&mut self, choices: &mut Choices<'_>) -> Message {
        let circuit = choices.of(&self.seen);
        match choices.below(4) {
            0 => self.forged_request(choices, circuit),
            1 => {
                let offers = (0..choices.below(4)).map(|_| offer(choices)).collect();
                let request_hash = first_hash(choices);
                let grant = Grant {
                    circuit,
                    request_hash,
                    certificates: self.hostile.certificates(),
                    incarnation: Incarnation(1),
                    offers,
                };
                let grant = grant.encode();
                let signature = self.hostile.sign(&[Grant::SIGNED_PREFIX, &grant].concat());
                Message::CircuitGrant { grant, signature }
            }
            2 => {
                let codes = [RefusalCode::Policy, RefusalCode::NoRoute, RefusalCode::Capacity];
                let (by, code, reason) = (choices.node(), choices.of(&codes), "forged".to_owned());
                let certificates = self.hostile.certificates();
                let signature = self.hostile.sign(&Refusal::signed(code, &first_hash(choices)));
                Message::CircuitRefusal(Refusal { circuit, by, code, reason, certificates, signature })
            }
            _ => {
                let codes = [CircuitClose::Policy, CircuitClose::HopGone, CircuitClose::Unwanted];
                Message::CircuitClose { circuit, code: choices.of(&codes), reason: "forged".to_owned() }
            }
        }
    }

    fn forged_request(&mut self, choices: &mut Choices<'_>, circuit: CircuitId) -> Message {
        let certificates = match choices.byte() {
            0..200 => self.hostile.certificates(),
            200..240 => b"spiffe://m/app/a/a".to_vec(),
            _ => choices.bytes(40),
        };
        let request = Request {
            circuit,
            certificates,
            incarnation: Incarnation(choices.byte().into()),
            app: choices.app(),
            class: choices.class(),
            path: choices.path(),
            destination: choices.node(),
            expires_unix_s: self.unix_s().wrapping_add(choices.number()),
            public_key: first_hash(choices),
        };
        let request = request.encode();
        let signature = self.hostile.sign(&[Request::SIGNED_PREFIX, &request].concat());
        let offers = (0..choices.below(3)).map(|_| offer(choices)).collect();
        Message::CircuitRequest { request, signature, offers }
    }

    /// Carriers of the honest source, and what is made of their preambles by others.
    fn carrier(&mut self, choices: &mut Choices<'_>) {
        let Some(circuit) = self.granted.get(choices.below(self.granted.len())).copied() else { return };
        let now = self.now;
        let made = self.nodes.get_mut(&node("a")).and_then(|a| a.preambles(now, circuit, choices.class()));
        if let Some((_, preambles)) = made {
            self.preambles.splice(0..0, preambles);
            self.preambles.truncate(20);
        }
        let at = node(choices.of(&["r1", "r2", "d", HOSTILE]));
        let Some(preamble) = self.preambles.get(choices.below(self.preambles.len())).copied() else { return };
        let Some(circuits) = self.nodes.get_mut(&at) else { return };
        if choices.chance() {
            let mut forged = preamble;
            forged.counter = forged.counter.wrapping_add(choices.number().max(1));
            assert!(circuits.check_preamble(now, &forged).is_err(), "a forged preamble was accepted");
            forged.kind = PreambleKind::Link;
            assert!(circuits.check_preamble(now, &forged).is_err());
        }
        if circuits.check_preamble(now, &preamble).is_ok() {
            assert!(circuits.check_preamble(now, &preamble).is_err(), "a preamble was accepted twice");
            self.carriers.push((at, preamble.circuit));
        }
    }

    fn order(&mut self, choices: &mut Choices<'_>) {
        let (now, circuit, other) = (self.now, choices.of(&self.seen), choices.node());
        let Some(circuits) = self.nodes.get_mut(&choices.node()) else { return };
        match choices.below(8) {
            0 => circuits.close(circuit, CircuitClose::Unwanted, "no longer wanted"),
            1 => circuits.revoke(&[Subject::Node(other)].into()),
            2 => circuits.forgotten_by(&other),
            3 if choices.byte() < 10 => circuits.drain(),
            4 => circuits.handle_unreachable(&other),
            5 => circuits.next_hop_gone(circuit, "refused"),
            6 => circuits.reauthorize(|asked, _| match asked.source.node.as_str() {
                "a" => Ok(()),
                _ => Err("not any more".to_owned()),
            }),
            _ => drop(circuits.probe(now, circuit, Duration::from_secs(1))),
        }
    }

    fn act(&mut self, choices: &mut Choices<'_>) {
        match choices.below(16) {
            0 | 1 => self.request(choices),
            2..=6 => {
                if let Some((from, to, message)) = self.wire.pop_front() {
                    self.message(&from, &to, message);
                }
            }
            7 => drop(self.wire.pop_front()),
            8 => {
                // somebody repeats a message, damaged or not, perhaps to others
                let Some((_, _, message)) = self.wire.get(choices.below(self.wire.len())) else { return };
                let mut bytes = message.encode();
                let at = choices.below(bytes.len());
                bytes[at] ^= choices.byte();
                let Ok(message) = Message::decode(&bytes) else { return };
                let (from, to) = (choices.node(), choices.node());
                self.message(&from, &to, message);
            }
            9 | 10 => {
                let message = self.forge(choices);
                let to = choices.node();
                self.message(&node(HOSTILE), &to, message);
            }
            11 | 12 => self.carrier(choices),
            13 => match self.datagrams.pop_front() {
                Some((from, to, datagram)) => self.datagram(&from, &to, &datagram),
                None => {
                    let (from, to, bytes) = (choices.node(), choices.node(), choices.bytes(60));
                    self.datagram(&from, &to, &bytes);
                }
            },
            14 => self.order(choices),
            _ if choices.chance() => {
                self.door.open = choices.byte() < 200;
                self.door.lease = choices.duration();
            }
            _ => {
                if let Some((at, circuit)) = self.carriers.pop()
                    && let Some(circuits) = self.nodes.get_mut(&at)
                {
                    circuits.carrier_closed(circuit);
                }
            }
        }
    }

    fn datagram(&mut self, from: &NodeName, to: &NodeName, bytes: &[u8]) {
        let now = self.now;
        if let Some(circuits) = self.nodes.get_mut(to) {
            circuits.handle_datagram(now, from, bytes);
        }
    }

    fn timeouts(&mut self) {
        let (now, unix_s) = (self.now, self.unix_s());
        for circuits in self.nodes.values_mut() {
            if circuits.poll_timeout().is_some_and(|at| at <= now) {
                circuits.handle_timeout(now, unix_s);
            }
        }
    }

    /// Nobody wants anything any more: all is forgotten when the last lease has lapsed.
    fn settle(&mut self) {
        for (at, circuit) in std::mem::take(&mut self.carriers) {
            if let Some(circuits) = self.nodes.get_mut(&at) {
                circuits.carrier_closed(circuit);
            }
        }
        self.door.open = false;
        for _ in 0..200 {
            self.now += Duration::from_secs(60);
            self.timeouts();
            self.follow();
            self.wire.clear();
            self.datagrams.clear();
            if self.nodes.values().all(|circuits| circuits.load() == 0) {
                return;
            }
        }
        panic!("circuits are held for ever");
    }
}

fn offer(choices: &mut Choices<'_>) -> Offer {
    Offer {
        node: choices.node(),
        public_key: first_hash(choices),
        lease_s: choices.number() as u32,
        rate: choices.number(),
    }
}

fn first_hash(choices: &mut Choices<'_>) -> [u8; 32] {
    [choices.byte(); 32]
}

pub(crate) fn run(input: &[u8]) {
    let mut choices = Choices::new(input);
    let mut world = World::new();
    while !choices.is_empty() {
        world.now += choices.step();
        world.timeouts();
        world.act(&mut choices);
        world.follow();
    }
    world.settle();
}

#[cfg(test)]
mod tests {
    use aire_types::{Class, Path};

    use super::*;

    #[test]
    fn the_honest_source_gets_its_circuit() {
        let mut world = World::new();
        let want =
            Want { app: app("d"), class: Class::Bulk, path: Path::via(node("r1")), destination: node("d") };
        let (now, unix_s) = (world.now, world.unix_s());
        let source = world.nodes.get_mut(&node("a")).expect("the source");
        let circuit = source.request(now, unix_s, want, None).expect("a request");
        world.asked.insert(circuit);
        world.follow();
        while let Some((from, to, message)) = world.wire.pop_front() {
            world.message(&from, &to, message);
            world.follow();
        }
        assert_eq!(world.granted, [circuit]);
    }
}
