//! Who finds the better path: the same mesh, traffic and seed for each contender.

use std::time::Duration;

use aire_types::{AppName, Class, Instance, Override, Random, Time};
use serde::Serialize;

use crate::agent::{Agent, AgentConfig, name};
use crate::flow::Flow;
use crate::network::{Capacities, Network};
use crate::policy::Contender;
use crate::simulation::{Simulation, SimulationConfig};
use crate::underlay::Geometry;

/// One mesh in which every node is an agent, reaches some others, and relays. Nothing is scarce: what is compared is whether good
/// relays are found, not who shares them.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// Nodes.
    pub nodes: usize,
    /// Destinations that each has in use.
    pub destinations: usize,
    /// Links that each has; other legs are measured only as landmarks or on the way.
    pub links: usize,
    /// When counting begins.
    pub warm: Duration,
    /// For how long it is counted.
    pub counted: Duration,
    /// Where all randomness comes from.
    pub seed: u64,
    /// Threads.
    pub threads: usize,
}

/// What one contender got.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Found {
    /// Mean latency of requests, milliseconds.
    pub mean_ms: f64,
    /// 99th percentile of requests, milliseconds.
    pub p99_ms: f64,
    /// Probes of one node in a second.
    pub probes_per_node_s: f64,
    /// Changes of path per destination and hour.
    pub moves_per_hour: f64,
}

impl Comparison {
    /// Runs it with `contender` at every node.
    pub fn run(&self, contender: &Contender) -> Found {
        let mut simulation = self.build(contender);
        simulation.run(self.warm, false);
        simulation.take_meter();
        simulation.run(self.counted, true);
        let meter = simulation.take_meter();
        let per_node = 1.0 / (self.nodes as f64 * self.counted.as_secs_f64());
        Found {
            mean_ms: meter.latency.mean(),
            p99_ms: meter.latency.quantile(0.99),
            probes_per_node_s: meter.probes as f64 * per_node,
            moves_per_hour: meter.moves as f64 * per_node / self.destinations as f64 * 3600.0,
        }
    }

    fn build(&self, contender: &Contender) -> Simulation {
        let zones = (self.nodes / 6).clamp(6, 48);
        let capacities =
            Capacities { access_mbps: 1000.0, relay_mbps: 1000.0, trunk_mbps: 10_000.0, buffer_s: 0.2 };
        let underlay = Geometry::new(self.nodes, zones, self.seed);
        let network = Network::new(Box::new(underlay), capacities, Vec::new());
        let app = AppName::new("app").expect("a name");
        let mut random = Random::new(self.seed);
        let agents = (0..self.nodes)
            .map(|node| {
                let mut others: Vec<usize> = (0..self.nodes).filter(|other| *other != node).collect();
                for at in (1..others.len()).rev() {
                    others.swap(at, random.below(at + 1));
                }
                let flow = |to: &usize| {
                    let instance = Instance { app: app.clone(), node: name(*to) };
                    Flow::new(&network, node, *to, instance, Class::Interactive, 0.5)
                };
                let flows = others.iter().rev().take(self.destinations).map(flow).collect();
                let config = AgentConfig {
                    node,
                    seed: random.next_u64(),
                    brain: contender.brain(name(node), random.next_u64()),
                    policy: contender.policy(),
                    relays: others,
                    links: self.links,
                    refresh: Duration::from_secs(5),
                    start: Time::from_millis(random.below(20_000) as u64),
                };
                let mut agent = Agent::new(config, flows);
                if *contender == Contender::Direct {
                    let order = Override { direct_only: true, ..Override::default() };
                    agent.brain().set_override(Time::ZERO, &app, order);
                }
                agent
            })
            .collect();
        let config =
            SimulationConfig { step: Duration::from_secs(1), threads: self.threads, ..Default::default() };
        Simulation::new(config, network, agents, (0..self.nodes).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scouts_find_better_relays_than_chance_with_no_more_probes() {
        let seconds = Duration::from_secs;
        let mesh = Comparison {
            nodes: 60,
            destinations: 2,
            links: 8,
            warm: seconds(180),
            counted: seconds(240),
            seed: 3,
            threads: 2,
        };
        let of = |contender| mesh.run(&contender);
        let (direct, rule, scouts) = (of(Contender::Direct), of(Contender::Rule), of(Contender::Proposed));
        assert!(
            rule.mean_ms < direct.mean_ms && scouts.mean_ms < rule.mean_ms,
            "{direct:?} {rule:?} {scouts:?}"
        );
        assert!(scouts.probes_per_node_s < 2.5 && rule.probes_per_node_s < 2.5, "{rule:?} {scouts:?}");
    }
}
