//! The scouts in the brain: a mesh whose nodes publish their legs, seen from one of them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aire_brain::{Brain, Config, InstanceInfo, Output, RelayInfo};
use aire_types::{AppName, Class, Instance, NodeName, Override, Path, RouteId, Time};

use crate::world::node;

/// All legs are 100 to 200 ms long, but those of the hub.
const HUB: usize = 37;
/// It says that all its legs are short; they are the longest of all.
const LIAR: usize = 11;
const DESTINATIONS: std::ops::Range<usize> = 50..55;

fn name(i: usize) -> NodeName {
    node(&format!("n{i}"))
}

fn number(node: &NodeName) -> usize {
    node.as_str()[1..].parse().expect("a number")
}

fn truth(from: usize, to: usize) -> f64 {
    match (from.min(to), from.max(to)) {
        (HUB, _) | (_, HUB) => 20.0,
        (0, LIAR) => 30.0,
        (LIAR, _) | (_, LIAR) => 300.0,
        (low, high) => 100.0 + ((high * 37 + low * 61) % 101) as f64,
    }
}

fn app(i: usize) -> AppName {
    AppName::new(&format!("app{i}")).expect("a name")
}

fn instance(i: usize) -> Instance {
    Instance { app: app(i), node: name(i) }
}

struct Mesh {
    brain: Brain,
    now: Time,
    /// Who is there; each relays.
    members: BTreeSet<usize>,
    /// Those that this node has a link to.
    linked: BTreeSet<usize>,
    lies: bool,
    probes: u64,
    measured: Vec<(Time, usize)>,
    echoes: BTreeMap<(Time, u64), Duration>,
}

impl Mesh {
    fn new(me: usize, nodes: usize, seed: u64) -> Self {
        let mut mesh = Mesh {
            brain: Brain::new(Config { scouts: true, ..Config::new(name(me), seed) }),
            now: Time::from_millis(1000),
            members: (0..nodes).filter(|i| *i != me).collect(),
            linked: (1..9).collect(),
            lies: false,
            probes: 0,
            measured: Vec::new(),
            echoes: BTreeMap::new(),
        };
        mesh.publish();
        mesh
    }

    fn want(&mut self) {
        for i in DESTINATIONS {
            self.brain.handle_interest(self.now, &app(i), Time::NEVER);
        }
    }

    fn said(&self, from: usize, to: usize) -> f64 {
        if self.lies && from == LIAR { 2.0 } else { truth(from, to) }
    }

    fn publish(&mut self) {
        let relay = |i: &usize| {
            let mut relay = RelayInfo::new(name(*i));
            relay.zone = format!("z{}", i % 7);
            relay.rtt_ms = self.linked.contains(i).then(|| truth(0, *i));
            relay
        };
        let relays = self.members.iter().map(relay).collect();
        let towards = |i: usize| InstanceInfo {
            instance: instance(i),
            zone: String::new(),
            load: 0.0,
            draining: false,
            rtt_ms: None,
        };
        let instances = DESTINATIONS.filter(|i| self.members.contains(i)).map(towards).collect();
        self.brain.handle_topology(self.now, instances, relays);
        for from in self.brain.watched() {
            let others = self.members.iter().filter(|to| **to != number(&from) && **to < 64);
            let legs: Vec<(NodeName, f64)> =
                others.map(|to| (name(*to), self.said(number(&from), *to))).collect();
            self.brain.handle_claims(&from, legs.iter().map(|(to, ms)| (to, *ms)));
        }
    }

    fn rtt(&self, route: &RouteId) -> Option<Duration> {
        let mut stops = vec![0];
        stops.extend(route.path.relays().iter().map(number));
        stops.push(number(&route.instance.node));
        let there = stops[1..].iter().all(|stop| self.members.contains(stop));
        let ms: f64 = stops.windows(2).map(|leg| truth(leg[0], leg[1])).sum();
        there.then(|| Duration::from_secs_f64(ms / 1000.0))
    }

    fn act(&mut self) {
        while let Some(output) = self.brain.poll_output() {
            match output {
                Output::Probe { id, route } => {
                    self.probes += 1;
                    if let Some(rtt) = self.rtt(&route) {
                        self.echoes.insert((self.now + rtt, id), rtt);
                    }
                }
                Output::Measure { node } => {
                    let to = number(&node);
                    self.measured.push((self.now, to));
                    self.brain.handle_leg(&node, Duration::from_secs_f64(truth(0, to) / 1000.0));
                }
                Output::Rerank { .. } | Output::Event(_) => {}
            }
        }
    }

    /// Lives on; the membership is read every five seconds.
    fn seconds(&mut self, seconds: u64) {
        let end = self.now + Duration::from_secs(seconds);
        let mut read = self.now + Duration::from_secs(5);
        loop {
            self.act();
            self.brain.check_invariants();
            let echo = self.echoes.first_key_value().map_or(Time::NEVER, |((at, _), _)| *at);
            let timer = self.brain.poll_timeout().unwrap_or(Time::NEVER).max(self.now);
            let next = echo.min(timer).min(read);
            if next > end {
                break;
            }
            self.now = next;
            if next == echo {
                if let Some(((_, id), rtt)) = self.echoes.pop_first() {
                    self.brain.handle_echo(self.now, id, rtt);
                }
            } else if next == read {
                self.publish();
                read = self.now + Duration::from_secs(5);
            } else {
                self.brain.handle_timeout(self.now);
            }
        }
        self.now = end;
    }

    fn relays(&mut self, to: usize) -> BTreeSet<usize> {
        let decision = self.brain.steer(self.now, &instance(to), Class::Interactive);
        self.act();
        decision.ranking.iter().flat_map(|ranked| ranked.route.path.relays()).map(number).collect()
    }

    fn path(&mut self, to: usize) -> Path {
        let decision = self.brain.steer(self.now, &instance(to), Class::Interactive);
        self.act();
        decision.choice().expect("a usable path").path.clone()
    }
}

#[test]
fn the_hub_of_a_mesh_is_looked_at_within_three_rounds_and_taken() {
    for seed in 0..16 {
        let mut mesh = Mesh::new(0, 60, seed);
        mesh.seconds(5);
        mesh.want();
        mesh.seconds(20);
        for to in DESTINATIONS {
            let relays = mesh.relays(to);
            assert!(relays.contains(&HUB) && relays.len() <= 8, "seed {seed}, to {to}: {relays:?}");
        }
        // five destinations share the budget
        mesh.seconds(60);
        for to in DESTINATIONS {
            assert_eq!(mesh.path(to), Path::via(name(HUB)), "seed {seed}, to {to}");
        }
    }
}

#[test]
fn probes_stay_within_the_budget_and_chance_keeps_looking() {
    let mut mesh = Mesh::new(0, 60, 1);
    mesh.want();
    let mut seen: BTreeSet<usize> = BTreeSet::new();
    for _ in 0..120 {
        mesh.seconds(30);
        seen.extend(mesh.relays(50));
    }
    // 4 kbit/s at 220 bytes a round, and the burst of the start
    let cost = mesh.probes + mesh.measured.len() as u64;
    assert!(cost <= 3600 * 4000 / 8 / 220 + 97, "{cost} probes");
    assert!(seen.len() >= 25, "only {} relays were looked at in an hour", seen.len());
}

#[test]
fn who_claims_too_much_is_not_proposed_for_long() {
    for seed in 0..8 {
        let mut mesh = Mesh::new(0, 60, seed);
        mesh.lies = true;
        mesh.want();
        mesh.seconds(600);
        // of the five portfolios chance alone may still look at it
        let mut looked = 0;
        for _ in 0..20 {
            mesh.seconds(60);
            looked += DESTINATIONS.filter(|to| mesh.relays(*to).contains(&LIAR)).count();
        }
        assert!(looked <= 16, "seed {seed}: {looked} of 100");
        for to in DESTINATIONS {
            assert_eq!(mesh.path(to), Path::via(name(HUB)), "seed {seed}, to {to}");
        }
    }
}

#[test]
fn nodes_come_and_go() {
    let mut mesh = Mesh::new(0, 60, 3);
    mesh.want();
    mesh.seconds(60);
    let mut next = 60;
    for minute in 0..120 {
        // four of the others go, and four that nobody knows come
        let gone: Vec<usize> = mesh.members.iter().copied().filter(|i| *i >= 60 || i % 7 == 3).collect();
        for i in gone.into_iter().filter(|i| *i != HUB && !DESTINATIONS.contains(i)).take(4) {
            mesh.members.remove(&i);
        }
        mesh.members.extend(next..next + 4);
        next += 4;
        if minute % 40 == 20 {
            mesh.members.remove(&HUB);
        }
        if minute % 40 == 30 {
            mesh.members.insert(HUB);
        }
        mesh.publish();
        mesh.seconds(60);
        let members: BTreeSet<NodeName> = mesh.members.iter().map(|i| name(*i)).collect();
        assert!(mesh.brain.watched().iter().all(|node| members.contains(node)));
        assert!(mesh.brain.legs().iter().all(|(node, _)| members.contains(node)));
        let there = mesh.members.contains(&HUB);
        let path = mesh.path(51);
        // one that returns waits for the next renewal of the portfolio
        let returned = minute % 40 == 30;
        assert!(returned || (path == Path::via(name(HUB))) == there, "minute {minute}: {path}");
    }
}

#[test]
fn a_mesh_of_ten_thousand_costs_no_more_than_a_small_one() {
    let mut mesh = Mesh::new(0, 10_000, 5);
    mesh.want();
    mesh.seconds(900);
    assert!(mesh.brain.watched().len() <= 192, "{}", mesh.brain.watched().len());
    assert!(mesh.brain.watched().len() >= 128);
    assert!(mesh.brain.legs().len() <= 64);
    let cost = mesh.probes + mesh.measured.len() as u64;
    assert!(cost <= 900 * 4000 / 8 / 220 + 97, "{cost} probes");
}

#[test]
fn a_new_node_measures_landmarks_in_its_first_minute_and_then_none() {
    for nodes in [20, 60, 1000] {
        let mut mesh = Mesh::new(0, nodes, 2);
        mesh.seconds(60);
        let measured: BTreeSet<usize> = mesh.measured.iter().map(|(_, to)| *to).collect();
        assert_eq!(measured.len(), mesh.measured.len(), "each once");
        assert!(measured.len() <= 32 && measured.len() + 8 >= nodes.min(32) - 1, "{}", measured.len());
        let before = mesh.measured.len();
        mesh.seconds(3600);
        assert_eq!(mesh.measured.len(), before, "{nodes} nodes");
    }
}

#[test]
fn published_legs_are_own_forecasts_with_landmarks_that_all_agree_on() {
    let (mut one, mut other) = (Mesh::new(0, 200, 2), Mesh::new(0, 200, 77));
    for mesh in [&mut one, &mut other] {
        mesh.seconds(120);
        assert!(mesh.brain.legs().len() >= 30 && mesh.brain.legs().len() <= 64);
        for (node, ms) in mesh.brain.legs() {
            let real = truth(0, number(node));
            assert!((ms / real - 1.0).abs() < 0.3, "{node}: {ms} instead of {real}");
        }
    }
    let told = |mesh: &Mesh| -> BTreeSet<NodeName> {
        mesh.brain.legs().iter().map(|(node, _)| node.clone()).collect()
    };
    let both = told(&one).intersection(&told(&other)).count();
    assert!(both >= 24, "{both}");
    // what was told is kept until it is published, and then it is the turn of others
    let before = told(&one);
    one.seconds(120);
    assert_eq!(told(&one), before);
    for i in 1..200 {
        one.brain.handle_leg(&name(i), Duration::from_secs_f64(truth(0, i) / 1000.0));
    }
    one.seconds(60);
    let legs = one.brain.legs().to_vec();
    one.brain.handle_published(legs.iter().map(|(node, ms)| (node, *ms)));
    one.seconds(60);
    assert!(told(&one).difference(&before).count() >= 32, "{:?}", told(&one));
}

#[test]
fn the_same_inputs_give_the_same_portfolios() {
    let run = || {
        let mut mesh = Mesh::new(0, 300, 9);
        mesh.want();
        mesh.seconds(600);
        let relays: Vec<BTreeSet<usize>> = DESTINATIONS.map(|to| mesh.relays(to)).collect();
        (relays, mesh.probes, mesh.measured.clone(), mesh.brain.legs().to_vec())
    };
    assert_eq!(run(), run());
}

#[test]
fn without_scouts_nobody_is_listened_to() {
    let mut mesh = Mesh::new(0, 60, 1);
    mesh.brain = Brain::new(Config::new(name(0), 1));
    mesh.publish();
    mesh.want();
    mesh.seconds(120);
    assert!(mesh.brain.watched().is_empty() && mesh.brain.legs().is_empty() && mesh.measured.is_empty());
}

#[test]
fn a_relay_that_may_not_be_used_drives_out_nobody() {
    let changes = |avoid: Vec<NodeName>| {
        let mut mesh = Mesh::new(0, 60, 4);
        mesh.brain.set_override(mesh.now, &app(50), Override { avoid, ..Override::default() });
        mesh.want();
        mesh.seconds(120);
        let (mut before, mut changes) = (mesh.relays(50), 0);
        for _ in 0..1200 {
            mesh.seconds(1);
            let now = mesh.relays(50);
            changes += now.difference(&before).count();
            before = now;
        }
        changes
    };
    let (free, avoiding) = (changes(Vec::new()), changes(vec![name(HUB)]));
    assert!(avoiding <= free + free / 4, "{avoiding} exchanged instead of {free}");
}
