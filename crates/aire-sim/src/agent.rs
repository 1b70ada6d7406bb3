//! One agent: its brain, its event queue and its flows.

use std::time::Duration;

use aire_brain::{Brain, Config, InstanceInfo, Output, Policy, Refusal, RelayInfo, Sample};
use aire_types::{Class, Instance, NodeName, Path, Random, RouteId, Source, Time};

use crate::clock::EventQueue;
use crate::flow::{Flow, Leave};
use crate::meter::Meter;
use crate::network::Network;
use crate::simulation::Heard;

/// How often payload is reported to the brain and rates wander.
const REPORT: Duration = Duration::from_secs(1);
/// A flow that has no path yet is wanted for so long; one that has renews that by its payload.
const WANTED: Duration = Duration::from_secs(600);

/// What makes an agent.
pub struct AgentConfig {
    /// Which node it is.
    pub node: usize,
    /// Where its randomness comes from.
    pub seed: u64,
    /// What the brain is told once.
    pub brain: Config,
    /// Who ranks paths.
    pub policy: Box<dyn Policy>,
    /// The relays that it hears of.
    pub relays: Vec<usize>,
    /// How many relays it has links to, the first of `relays`.
    pub links: usize,
    /// Between two looks at the membership.
    pub refresh: Duration,
    /// When it starts.
    pub start: Time,
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Echo { id: u64, rtt: Duration },
    Membership,
    Report,
}

/// One simulated agent.
pub struct Agent {
    node: usize,
    brain: Brain,
    queue: EventQueue<Event>,
    random: Random,
    flows: Vec<Flow>,
    relays: Vec<(usize, NodeName)>,
    links: usize,
    refresh: Duration,
    start: Time,
    /// What it did and saw.
    pub meter: Meter,
}

/// The name of a simulated node.
pub fn name(node: usize) -> NodeName {
    NodeName::new(&format!("n{node}")).expect("a letter and digits are a name")
}

/// Which node has this name.
pub(crate) fn number(node: &NodeName) -> Option<usize> {
    node.as_str().strip_prefix('n')?.parse().ok()
}

impl Agent {
    /// An agent that sends `flows`.
    pub fn new(config: AgentConfig, flows: Vec<Flow>) -> Self {
        let mut queue = EventQueue::default();
        queue.set(config.start, Event::Membership);
        queue.set(config.start, Event::Report);
        Agent {
            node: config.node,
            brain: Brain::with_policy(config.brain, config.policy),
            queue,
            random: Random::new(config.seed),
            flows,
            relays: config.relays.into_iter().map(|node| (node, name(node))).collect(),
            links: config.links,
            refresh: config.refresh,
            start: config.start,
            meter: Meter::default(),
        }
    }

    /// Which node it is.
    pub fn node(&self) -> usize {
        self.node
    }

    /// What it sends.
    pub fn flows(&self) -> &[Flow] {
        &self.flows
    }

    /// What it publishes of its legs, milliseconds.
    pub(crate) fn publish_legs(&mut self, said: &mut Vec<(NodeName, f64)>) {
        self.brain.legs().clone_into(said);
        self.brain.handle_published(said.iter().map(|(node, ms)| (node, *ms)));
    }

    /// Its brain.
    pub fn brain(&mut self) -> &mut Brain {
        &mut self.brain
    }

    /// Lives from `now` for `step`, in which the network stays as it is. Requests are counted where `counts`.
    pub fn live(&mut self, now: Time, step: Duration, network: &Network, heard: &Heard, counts: bool) {
        let end = now + step;
        if self.start >= end {
            return;
        }
        self.carry(now, step, network, counts);
        loop {
            let event = self.queue.next_at();
            let timer = self.brain.poll_timeout().unwrap_or(Time::NEVER).max(now);
            let at = event.min(timer);
            if at >= end {
                break;
            }
            if event <= timer {
                self.happen(at, network, heard);
            } else {
                self.brain.handle_timeout(at);
            }
            self.act(at, network);
        }
    }

    fn happen(&mut self, at: Time, network: &Network, heard: &Heard) {
        let Some((_, event)) = self.queue.pop() else { return };
        match event {
            Event::Echo { id, rtt } => self.brain.handle_echo(at, id, rtt),
            Event::Membership => {
                self.hear(at, network, heard);
                self.queue.set(at + self.random.scale(self.refresh, 0.9, 1.1), Event::Membership);
            }
            Event::Report => {
                self.report(at);
                self.queue.set(at + self.random.scale(REPORT, 0.9, 1.1), Event::Report);
            }
        }
    }

    /// The registry's members and the links' round trips, as the agent reads them from time to time.
    fn hear(&mut self, at: Time, network: &Network, heard: &Heard) {
        let instance = |flow: &Flow| InstanceInfo {
            instance: flow.instance.clone(),
            zone: format!("z{}", network.zone(flow.to)),
            load: 0.0,
            draining: false,
            rtt_ms: network.link_ms(self.node, flow.to),
        };
        let relay = |(index, (node, name)): (usize, &(usize, NodeName))| {
            let mut relay = RelayInfo::new(name.clone());
            relay.zone = format!("z{}", network.zone(*node));
            relay.load = heard.load(self.node, *node)?;
            relay.rtt_ms = if index < self.links { network.link_ms(self.node, *node) } else { None };
            Some(relay)
        };
        let instances = self.flows.iter().map(instance).collect();
        let relays = self.relays.iter().enumerate().filter_map(relay).collect();
        self.brain.handle_topology(at, instances, relays);
        for node in self.brain.watched() {
            let Some(legs) = number(&node).and_then(|node| heard.legs.get(node)) else { continue };
            self.brain.handle_claims(&node, legs.iter().map(|(other, ms)| (other, *ms)));
        }
        for index in 0..self.flows.len() {
            if self.flows[index].path().is_none() {
                self.brain.handle_interest(at, &self.flows[index].instance.app, at + WANTED);
                self.steer(at, index, network);
            }
        }
    }

    fn report(&mut self, at: Time) {
        for flow in &mut self.flows {
            flow.wander(&mut self.random);
            let Some(route) = flow.route_id() else { continue };
            let Some((rtt, sent, lost)) = flow.payload(&mut self.random) else { continue };
            if let Some(rtt) = rtt {
                self.brain.handle_sample(at, &route, Sample::Rtt(rtt), Source::Payload);
            }
            self.brain.handle_sample(at, &route, Sample::Packets { sent, lost }, Source::Payload);
        }
    }

    /// What the flows got in this step, and what the leave loop makes of it.
    fn carry(&mut self, now: Time, step: Duration, network: &Network, counts: bool) {
        for index in 0..self.flows.len() {
            let flow = &mut self.flows[index];
            if flow.path().is_none() {
                continue;
            }
            let state = network.state(flow.route());
            let left = flow.live(&state, step, &mut self.random, &mut self.meter, counts);
            let Some((left, route)) = left.zip(flow.route_id()) else { continue };
            match left {
                Leave::Dead => self.brain.handle_dead(now, &route),
                Leave::Degraded(dwell) => self.brain.handle_left(now, &route, dwell),
            }
            self.steer(now, index, network);
        }
        self.act(now, network);
    }

    /// Puts the flow on the path that is best.
    fn steer(&mut self, now: Time, index: usize, network: &Network) {
        let flow = &self.flows[index];
        let ranked = self.brain.rank_paths(now, &flow.instance, flow.class);
        let Some(best) = ranked.paths.into_iter().next() else { return };
        if flow.path() == Some(&best) {
            return;
        }
        let Some(route) = way(network, self.node, &best, flow.to) else { return };
        self.meter.moves += u64::from(self.flows[index].take(now, best, route));
    }

    fn act(&mut self, now: Time, network: &Network) {
        while let Some(output) = self.brain.poll_output() {
            match output {
                Output::Probe { id, route } => self.probe(now, id, &route, network),
                Output::Measure { node } => self.measure(&node, network),
                Output::Rerank { instance, class } => self.rerank(now, &instance, class, network),
                Output::Event(_) => {}
            }
        }
    }

    fn rerank(&mut self, now: Time, instance: &Instance, class: Class, network: &Network) {
        let asked = |flow: &Flow| flow.instance == *instance && flow.class == class;
        if let Some(index) = self.flows.iter().position(asked) {
            self.steer(now, index, network);
        }
    }

    /// A landmark is measured as any path is; the answer is there at once, as nobody waits for it.
    fn measure(&mut self, node: &NodeName, network: &Network) {
        let Some(to) = number(node).filter(|to| *to < network.nodes()) else { return };
        self.meter.probes += 1;
        if let Some(rtt) = network.state(&network.route(self.node, &[], to)).draw(&mut self.random) {
            self.brain.handle_leg(node, rtt);
        }
    }

    fn probe(&mut self, now: Time, id: u64, route: &RouteId, network: &Network) {
        let to = number(&route.instance.node);
        let Some(way) = to.and_then(|to| way(network, self.node, &route.path, to)) else {
            return self.brain.handle_refused(now, route, Refusal::Unlinked("no such node".to_owned()));
        };
        self.brain.handle_sent(now, id);
        self.meter.probes += 1;
        match network.state(&way).draw(&mut self.random) {
            Some(rtt) => self.queue.set(now + rtt, Event::Echo { id, rtt }),
            None => self.meter.probes_lost += 1,
        }
    }
}

/// The way that a path takes through the network; `None` where it names a node that does not exist.
fn way(network: &Network, from: usize, path: &Path, to: usize) -> Option<crate::Route> {
    let known = |node: &NodeName| number(node).filter(|node| *node < network.nodes());
    let relays: Option<Vec<usize>> = path.relays().iter().map(known).collect();
    Some(network.route(from, &relays?, to))
}
