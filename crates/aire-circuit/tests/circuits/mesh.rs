//! Several nodes on a virtual clock, with links that delay, reorder and lose.

use std::collections::BTreeMap;
use std::time::Duration;

use aire_circuit::{Circuits, Config, Output, Want};
use aire_types::{AppName, Class, Incarnation, MeshName, NodeName, Path, Time};
use aire_wire::{CircuitId, Message};

use crate::fake::{Doorkeeper, Fake, Random, node};

pub(crate) const UNIX: u64 = 1_800_000_000;

pub(crate) enum Parcel {
    Message(Message),
    Datagram(Vec<u8>),
}

pub(crate) struct Mesh {
    pub(crate) now: Time,
    pub(crate) nodes: BTreeMap<NodeName, Circuits<Fake>>,
    pub(crate) gates: BTreeMap<NodeName, Doorkeeper>,
    pub(crate) told: Vec<(NodeName, Output)>,
    /// By arrival and number: from, to, what.
    pub(crate) wire: BTreeMap<(Time, u64), (NodeName, NodeName, Parcel)>,
    pub(crate) random: Random,
    pub(crate) loss: f64,
    pub(crate) delay_ms: (u64, u64),
    /// Changes what one node sends.
    pub(crate) tamper: Option<fn(&NodeName, &NodeName, &mut Message)>,
    sent: u64,
}

impl Mesh {
    pub(crate) fn new(seed: u64, names: &[&str]) -> Self {
        let mut mesh = Mesh {
            now: Time::from_millis(1000),
            nodes: BTreeMap::new(),
            gates: BTreeMap::new(),
            told: Vec::new(),
            wire: BTreeMap::new(),
            random: Random(seed),
            loss: 0.0,
            delay_ms: (10, 10),
            tamper: None,
            sent: 0,
        };
        for (i, name) in names.iter().enumerate() {
            let app = if name.starts_with('r') { "relay".to_owned() } else { format!("app/app-{name}") };
            let fake = Fake::new(&format!("spiffe://m/{app}/{name}"), seed ^ (i as u64 + 1) << 40);
            let config = Config::new(node(name), MeshName::new("m").unwrap(), Incarnation(7 + i as u64));
            mesh.nodes.insert(node(name), Circuits::new(config, fake));
            mesh.gates.insert(node(name), Doorkeeper::default());
        }
        mesh
    }

    pub(crate) fn unix(&self) -> u64 {
        UNIX + self.now.as_micros() / 1_000_000
    }

    pub(crate) fn at(&mut self, name: &str) -> &mut Circuits<Fake> {
        self.nodes.get_mut(&node(name)).unwrap()
    }

    pub(crate) fn want(path: &[&str], to: &str) -> Want {
        Want {
            app: AppName::new(&format!("app-{to}")).unwrap(),
            class: Class::Interactive,
            path: Path::new(path.iter().map(|name| node(name)).collect()).unwrap(),
            destination: node(to),
        }
    }

    pub(crate) fn request(&mut self, from: &str, path: &[&str], to: &str) -> CircuitId {
        let (now, unix) = (self.now, self.unix());
        let circuit = self.at(from).request(now, unix, Self::want(path, to), None).unwrap();
        self.flush();
        circuit
    }

    /// Puts all outputs on the wire or into `told`.
    pub(crate) fn flush(&mut self) {
        let names: Vec<NodeName> = self.nodes.keys().cloned().collect();
        for name in names {
            while let Some(output) = self.nodes.get_mut(&name).unwrap().poll_output() {
                match output {
                    Output::Send { to, mut message } => {
                        if let Some(tamper) = self.tamper {
                            tamper(&name, &to, &mut message);
                        }
                        // What a link carries was encoded and decoded.
                        let message = Message::decode(&message.encode()).unwrap();
                        self.post(&name, to, Parcel::Message(message));
                    }
                    Output::SendProbe { to, datagram } => {
                        self.post(&name, to, Parcel::Datagram(datagram.to_vec()));
                    }
                    other => self.told.push((name.clone(), other)),
                }
            }
            self.nodes[&name].check_invariants();
        }
    }

    fn post(&mut self, from: &NodeName, to: NodeName, parcel: Parcel) {
        if self.random.chance(self.loss) {
            return;
        }
        let (least, most) = self.delay_ms;
        let delay = Duration::from_millis(least + self.random.below(most - least + 1));
        self.sent += 1;
        self.wire.insert((self.now + delay, self.sent), (from.clone(), to, parcel));
    }

    fn next_event(&self) -> Option<Time> {
        let wire = self.wire.keys().next().map(|(at, _)| *at);
        let timers = self.nodes.values().filter_map(Circuits::poll_timeout).min();
        [wire, timers].into_iter().flatten().min()
    }

    pub(crate) fn run_until(&mut self, end: Time) {
        self.flush();
        while let Some(at) = self.next_event().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.deliver();
            let (now, unix) = (self.now, self.unix());
            for circuits in self.nodes.values_mut() {
                if circuits.poll_timeout().is_some_and(|at| at <= now) {
                    circuits.handle_timeout(now, unix);
                    assert!(
                        circuits.poll_timeout().is_none_or(|at| at > now),
                        "a timer that does not move on"
                    );
                }
            }
            self.flush();
        }
        self.now = self.now.max(end);
    }

    fn deliver(&mut self) {
        let (now, unix) = (self.now, self.unix());
        while let Some(entry) = self.wire.first_entry().filter(|entry| entry.key().0 <= now) {
            let (from, to, parcel) = entry.remove();
            let (Some(circuits), Some(gate)) = (self.nodes.get_mut(&to), self.gates.get_mut(&to)) else {
                continue;
            };
            match parcel {
                Parcel::Message(message) => circuits.handle_message(now, unix, &from, message, gate),
                Parcel::Datagram(bytes) => circuits.handle_datagram(now, &from, &bytes),
            }
        }
    }

    pub(crate) fn run_for(&mut self, span: Duration) {
        self.run_until(self.now + span);
    }

    pub(crate) fn granted(&self, circuit: CircuitId) -> bool {
        self.told
            .iter()
            .any(|(_, output)| matches!(output, Output::Granted { circuit: c, .. } if *c == circuit))
    }

    pub(crate) fn held_anywhere(&self) -> usize {
        self.nodes.values().map(Circuits::load).sum()
    }
}
