//! A brain in virtual time over a network of paths with given delays and losses.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aire_brain::{Brain, Config, Event, InstanceInfo, Output, RelayInfo};
use aire_types::{AppName, Class, Instance, NodeName, Path, RouteId, Time};

pub(crate) fn node(name: &str) -> NodeName {
    NodeName::new(name).expect("a name")
}

pub(crate) fn via(name: &str) -> Path {
    Path::via(node(name))
}

pub(crate) fn app() -> AppName {
    AppName::new("db").expect("a name")
}

pub(crate) fn at(name: &str) -> Instance {
    Instance { app: app(), node: node(name) }
}

pub(crate) fn route(path: Path) -> RouteId {
    RouteId { instance: at("d"), path }
}

pub(crate) fn instance_info(name: &str) -> InstanceInfo {
    InstanceInfo { instance: at(name), zone: String::new(), load: 0.0, draining: false, rtt_ms: None }
}

/// How a path treats a probe.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    pub(crate) rtt_ms: f64,
    /// Share of probes that vanish.
    pub(crate) loss: f64,
    /// Exponential noise on top, mean in milliseconds.
    pub(crate) jitter_ms: f64,
    /// Share of samples that take a second or more.
    pub(crate) heavy: f64,
}

pub(crate) fn link(rtt_ms: f64) -> Link {
    Link { rtt_ms, loss: 0.0, jitter_ms: rtt_ms * 0.02, heavy: 0.0 }
}

/// Heavy tails: 3 % of the answers take a second or more.
pub(crate) fn noisy(rtt_ms: f64) -> Link {
    Link { rtt_ms, loss: 0.002, jitter_ms: 0.3 * rtt_ms, heavy: 0.03 }
}

pub(crate) struct World {
    pub(crate) brain: Brain,
    pub(crate) now: Time,
    pub(crate) links: BTreeMap<Path, Link>,
    /// Milliseconds that a destination adds to every path to it.
    pub(crate) extra_ms: BTreeMap<NodeName, f64>,
    pub(crate) relays: Vec<RelayInfo>,
    pub(crate) instances: Vec<InstanceInfo>,
    pub(crate) probes: u64,
    pub(crate) moves: Vec<(Time, RouteId)>,
    pub(crate) events: Vec<Event>,
    pub(crate) reranked: BTreeSet<Instance>,
    echoes: BTreeMap<(Time, u64), Duration>,
    random: u64,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        World {
            brain: Brain::new(Config::new(node("s"), seed)),
            now: Time::from_millis(1000),
            links: BTreeMap::new(),
            extra_ms: BTreeMap::new(),
            relays: Vec::new(),
            instances: vec![instance_info("d")],
            probes: 0,
            moves: Vec::new(),
            events: Vec::new(),
            reranked: BTreeSet::new(),
            echoes: BTreeMap::new(),
            random: seed.wrapping_mul(77).wrapping_add(5),
        }
    }

    /// Direct and one relay per entry.
    pub(crate) fn star(seed: u64, direct: Link, relays: &[(&str, Link)]) -> Self {
        let mut world = World::new(seed);
        world.links.insert(Path::DIRECT, direct);
        for (name, link) in relays {
            world.links.insert(via(name), *link);
            world.relays.push(RelayInfo::new(node(name)));
        }
        world.publish();
        world
    }

    pub(crate) fn publish(&mut self) {
        self.brain.handle_topology(self.now, self.instances.clone(), self.relays.clone());
    }

    pub(crate) fn want(&mut self) {
        self.brain.handle_interest(self.now, &app(), Time::NEVER);
    }

    pub(crate) fn unit(&mut self) -> f64 {
        self.random =
            self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.random >> 33) as f64 + 0.5) / (1u64 << 31) as f64
    }

    /// One round trip over `path` now; `None` is lost.
    pub(crate) fn draw(&mut self, path: &Path) -> Option<Duration> {
        let link = *self.links.get(path)?;
        if self.unit() < link.loss {
            return None;
        }
        let mut ms = link.rtt_ms - link.jitter_ms * self.unit().ln();
        if self.unit() < link.heavy {
            ms += 1000.0 / self.unit().max(0.2);
        }
        Some(Duration::from_secs_f64(ms / 1000.0))
    }

    fn draw_to(&mut self, route: &RouteId) -> Option<Duration> {
        let extra = self.extra_ms.get(&route.instance.node).copied().unwrap_or(0.0);
        Some(self.draw(&route.path)? + Duration::from_secs_f64(extra / 1000.0))
    }

    fn act(&mut self) {
        while let Some(output) = self.brain.poll_output() {
            match output {
                Output::Probe { id, route } => {
                    self.probes += 1;
                    if let Some(rtt) = self.draw_to(&route) {
                        self.echoes.insert((self.now + rtt, id), rtt);
                    }
                }
                Output::Measure { .. } => {}
                Output::Rerank { instance, .. } => drop(self.reranked.insert(instance)),
                Output::Event(event) => {
                    if let Event::Preferred { to, .. } = &event {
                        self.moves.push((self.now, to.clone()));
                    }
                    self.events.push(event);
                }
            }
        }
    }

    pub(crate) fn run(&mut self, duration: Duration) {
        let end = self.now + duration;
        loop {
            self.act();
            self.brain.check_invariants();
            let echo = self.echoes.first_key_value().map_or(Time::NEVER, |((at, _), _)| *at);
            let timer = self.brain.poll_timeout().unwrap_or(Time::NEVER).max(self.now);
            let next = echo.min(timer);
            if next > end {
                break;
            }
            self.now = next;
            if echo <= timer {
                if let Some(((_, id), rtt)) = self.echoes.pop_first() {
                    self.brain.handle_echo(self.now, id, rtt);
                }
            } else {
                self.brain.handle_timeout(self.now);
            }
        }
        self.now = end;
    }

    pub(crate) fn seconds(&mut self, seconds: u64) {
        self.run(Duration::from_secs(seconds));
    }

    pub(crate) fn path(&mut self, class: Class) -> Path {
        let decision = self.brain.steer(self.now, &at("d"), class);
        self.act();
        decision.choice().expect("a usable path").path.clone()
    }

    pub(crate) fn reason(&mut self) -> String {
        self.brain.steer(self.now, &at("d"), Class::Interactive).reason.clone()
    }
}
