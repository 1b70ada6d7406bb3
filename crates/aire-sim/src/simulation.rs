//! Steps of virtual time.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use aire_types::{NodeName, Time};

use crate::agent::Agent;
use crate::condition::Target;
use crate::gossip::Gossip;
use crate::meter::Meter;
use crate::network::Network;

// As `aire_registry::Config` has them.
const LOAD_CHANGE: f64 = 0.15;
const LOAD_INTERVAL: Duration = Duration::from_secs(5);
const LOADS_PER_SECOND: f64 = 4.0;
const RENEWAL: Duration = Duration::from_secs(100);

/// How often agents read what their registries heard.
const HEARD: Duration = Duration::from_secs(1);
/// How often what nodes publish of their legs is read.
const LEGS: Duration = Duration::from_secs(30);

/// What nodes publish, as it is heard at this moment, by node.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Heard {
    /// How busy it is, for all alike; `None` where it is no relay.
    pub load: Vec<Option<f64>>,
    /// The same where registries run: what each agent's node has heard, by relay.
    pub by_node: BTreeMap<usize, BTreeMap<usize, f64>>,
    /// Round trips of its own direct legs, milliseconds: what its scouts tell.
    pub legs: Vec<Vec<(NodeName, f64)>>,
}

impl Heard {
    /// How busy `relay` is, as far as `node` has heard; `None` where it has not heard of it, or it is no relay.
    pub fn load(&self, node: usize, relay: usize) -> Option<f64> {
        match self.by_node.get(&node) {
            Some(heard) => heard.get(&relay).copied(),
            None => self.load.get(relay).copied().flatten(),
        }
    }
}

/// How a run goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SimulationConfig {
    /// In which the network stands still.
    pub step: Duration,
    /// How often relays look at their load, which is what they forwarded since, rounded to a twentieth. They publish it
    /// when it differs by a seventh from what they said last, and with each
    /// renewal; the more relays there are, the rarer, as the registry has it.
    pub measure: Duration,
    /// How long news takes through the mesh.
    pub gossip: Duration,
    /// Threads that agents live on; the result does not depend on it.
    pub threads: usize,
}

impl Default for SimulationConfig {
    /// Steps of 100 ms, a look every 5 s as the agent takes it, four seconds of gossip (announcements are gathered for
    /// one second at each of three or four hops), one thread.
    fn default() -> Self {
        SimulationConfig {
            step: Duration::from_millis(100),
            measure: Duration::from_secs(5),
            gossip: Duration::from_secs(4),
            threads: 1,
        }
    }
}

/// The network, the agents and the clock.
pub struct Simulation {
    config: SimulationConfig,
    /// What carries the traffic.
    pub network: Network,
    agents: Vec<Agent>,
    relays: Vec<usize>,
    now: Time,
    offered: Vec<f64>,
    /// Sum and number of the loads since the last publication, by place in `relays`.
    loads: Vec<f64>,
    steps: u32,
    measure_at: Time,
    /// What each relay said last, and when.
    said: Vec<(f64, Time)>,
    underway: VecDeque<(Time, usize, f64)>,
    heard: Heard,
    legs_at: Time,
    registries: Option<Gossip>,
    heard_at: Time,
}

impl Simulation {
    /// Agents at their start. `relays` are the nodes that relay.
    pub fn new(config: SimulationConfig, network: Network, agents: Vec<Agent>, relays: Vec<usize>) -> Self {
        let nodes = network.nodes();
        let (load, legs) = (vec![None; nodes], vec![Vec::new(); nodes]);
        let mut heard = Heard { load, legs, by_node: BTreeMap::new() };
        relays.iter().for_each(|node| heard.load[*node] = Some(0.0));
        Simulation {
            offered: vec![0.0; network.resources()],
            loads: vec![0.0; relays.len()],
            steps: 0,
            measure_at: Time::ZERO + config.measure,
            said: vec![(0.0, Time::ZERO); relays.len()],
            underway: VecDeque::new(),
            now: Time::ZERO,
            config,
            network,
            agents,
            relays,
            heard,
            legs_at: Time::ZERO + LEGS,
            registries: None,
            heard_at: Time::ZERO,
        }
    }

    /// Loads go the way of the registries, one a node, and not the short one. For up to some hundred nodes.
    #[must_use]
    pub fn with_registries(mut self, seed: u64) -> Self {
        let nodes = self.network.nodes();
        let way = |from: usize, to: usize| self.network.link_ms(from, to).unwrap_or(100.0) / 2000.0;
        let ways: Vec<Duration> = (0..nodes * nodes)
            .map(|at| Duration::from_secs_f64(way(at / nodes, at % nodes).clamp(0.0, 10.0)))
            .collect();
        let delay = move |from: usize, to: usize| ways[from * nodes + to];
        self.registries = Some(Gossip::new(nodes, &self.relays, seed, delay));
        self
    }

    /// The moment that the run has reached.
    pub fn now(&self) -> Time {
        self.now
    }

    /// The agents.
    pub fn agents(&self) -> &[Agent] {
        &self.agents
    }

    /// The agents, to change them between steps.
    pub fn agents_mut(&mut self) -> &mut [Agent] {
        &mut self.agents
    }

    /// The nodes that relay.
    pub fn relays(&self) -> &[usize] {
        &self.relays
    }

    /// The sum of all meters, which begin anew.
    pub fn take_meter(&mut self) -> Meter {
        let mut sum = Meter::default();
        for agent in &mut self.agents {
            sum.merge(&std::mem::take(&mut agent.meter));
        }
        sum
    }

    /// Lives through one step. Requests are counted where `counts`.
    pub fn step(&mut self, counts: bool) {
        self.publish();
        let (now, step, network, heard) = (self.now, self.config.step, &self.network, &self.heard);
        let live = |agents: &mut [Agent]| {
            agents.iter_mut().for_each(|agent| agent.live(now, step, network, heard, counts));
        };
        let threads = self.config.threads.clamp(1, 64);
        if threads == 1 || self.agents.len() < 2 * threads {
            live(&mut self.agents);
        } else {
            let share = self.agents.len().div_ceil(threads);
            std::thread::scope(|scope| {
                for chunk in self.agents.chunks_mut(share) {
                    scope.spawn(|| live(chunk));
                }
            });
        }
        self.offered.fill(0.0);
        for flow in self.agents.iter().flat_map(Agent::flows) {
            let mbps = flow.offered();
            for resource in flow.route().resources() {
                self.offered[*resource as usize] += mbps;
            }
        }
        self.network.advance(step, &self.offered);
        self.now += step;
        for (sum, relay) in self.loads.iter_mut().zip(&self.relays) {
            *sum += self.network.load(Target::Relay(*relay));
        }
        self.steps += 1;
    }

    /// Lives through `duration`.
    pub fn run(&mut self, duration: Duration, counts: bool) {
        let end = self.now + duration;
        while self.now < end {
            self.step(counts);
        }
    }

    /// Relays publish how busy they are, and the mesh hears it later.
    fn publish(&mut self) {
        if let Some(registries) = &mut self.registries {
            registries.run_until(self.now);
            if self.now >= self.heard_at {
                self.heard_at = self.now + HEARD;
                for agent in &self.agents {
                    let load = |relay: &usize| Some((*relay, registries.load(agent.node(), *relay)?));
                    let heard = self.relays.iter().filter_map(load).collect();
                    self.heard.by_node.insert(agent.node(), heard);
                }
            }
        }
        if self.now >= self.measure_at {
            let steps = f64::from(self.steps.max(1));
            let pause = self.relays.len() as f64 / LOADS_PER_SECOND;
            let pause = Duration::from_secs_f64(pause).max(LOAD_INTERVAL);
            for (index, (sum, said)) in self.loads.iter().zip(&mut self.said).enumerate() {
                let load = ((sum / steps).min(1.0) * 20.0).round() / 20.0;
                if let Some(registries) = &mut self.registries {
                    registries.set_load(self.now, self.relays[index], load);
                    continue;
                }
                let age = self.now.since(said.1);
                let news = (load - said.0).abs() >= LOAD_CHANGE && age >= pause;
                if news || age >= RENEWAL {
                    *said = (load, self.now);
                    self.underway.push_back((self.now + self.config.gossip, index, load));
                }
            }
            self.loads.fill(0.0);
            self.steps = 0;
            self.measure_at = self.now + self.config.measure;
        }
        while self.underway.front().is_some_and(|(at, ..)| *at <= self.now) {
            let Some((_, index, load)) = self.underway.pop_front() else { break };
            self.heard.load[self.relays[index]] = Some(load);
        }
        if self.now >= self.legs_at {
            self.legs_at += LEGS;
            for agent in &mut self.agents {
                let node = agent.node();
                agent.publish_legs(&mut self.heard.legs[node]);
            }
        }
    }
}
