//! What one node costs, from ten nodes to ten thousand.

use std::time::{Duration, Instant};

use aire_brain::{Config, Rule};
use aire_types::{AppName, Class, Instance, Random, Time};
use serde::Serialize;

use crate::agent::{Agent, AgentConfig, name};
use crate::flow::Flow;
use crate::network::{Capacities, Network};
use crate::simulation::{Simulation, SimulationConfig};
use crate::underlay::Geometry;

/// A probe and its echo on the wire with all headers, bytes.
pub(crate) const PROBE_BYTES: f64 = 220.0;

/// One size of mesh.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    /// Nodes, each an agent.
    pub nodes: usize,
    /// Destinations that each has in use.
    pub destinations: usize,
    /// Relays that each hears of, at most. The agent hears of all; ten thousand lists of ten thousand relays are too
    /// much for one machine, and which few are looked at is chosen from as many as this.
    pub view: usize,
    /// Virtual time.
    pub duration: Duration,
    /// Where all randomness comes from.
    pub seed: u64,
    /// Threads.
    pub threads: usize,
}

/// What a node of a mesh of one size cost.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ScaleReport {
    /// Nodes.
    pub nodes: usize,
    /// Virtual seconds.
    pub seconds: f64,
    /// Probes of one node in a second.
    pub probes_per_node_s: f64,
    /// Exploration of one node, bits a second, both ways.
    pub probe_bits_per_node_s: f64,
    /// Probes of one node for one destination in a second.
    pub probes_per_destination_s: f64,
    /// Share of requests' mean latency against direct, 1 where relays bring nothing.
    pub mean_ms: f64,
    /// 99th percentile of requests, milliseconds.
    pub p99_ms: f64,
    /// Changes of path per destination and hour.
    pub moves_per_hour: f64,
    /// Real seconds that the run took.
    pub wall_s: f64,
}

impl Scale {
    /// Runs it.
    pub fn run(&self) -> ScaleReport {
        let began = Instant::now();
        let mut simulation = self.build();
        let warm = Duration::from_secs(60).min(self.duration / 2);
        simulation.run(warm, false);
        simulation.take_meter();
        simulation.run(self.duration - warm, true);
        let seconds = (self.duration - warm).as_secs_f64();
        let meter = simulation.take_meter();
        let per_node = 1.0 / (self.nodes as f64 * seconds);
        let probes = meter.probes as f64 * per_node;
        let destinations = self.destinations.min(self.nodes - 1) as f64;
        ScaleReport {
            nodes: self.nodes,
            seconds: self.duration.as_secs_f64(),
            probes_per_node_s: probes,
            probe_bits_per_node_s: probes * PROBE_BYTES * 8.0,
            probes_per_destination_s: probes / destinations,
            mean_ms: meter.latency.mean(),
            p99_ms: meter.latency.quantile(0.99),
            moves_per_hour: meter.moves as f64 * per_node / destinations * 3600.0,
            wall_s: began.elapsed().as_secs_f64(),
        }
    }

    fn build(&self) -> Simulation {
        let zones = (self.nodes / 8).clamp(3, 48);
        let underlay = Geometry::new(self.nodes, zones, self.seed);
        let capacities = Capacities {
            access_mbps: 1000.0,
            relay_mbps: 200.0,
            trunk_mbps: 20.0 * (self.nodes * self.destinations) as f64 / zones as f64,
            buffer_s: 0.2,
        };
        let network = Network::new(Box::new(underlay), capacities, Vec::new());
        let app = AppName::new("app").expect("a name");
        let mut random = Random::new(self.seed);
        let agents = (0..self.nodes)
            .map(|node| {
                let to = draw(&mut random, self.nodes, node, self.destinations);
                let flow = |to: &usize| {
                    let instance = Instance { app: app.clone(), node: name(*to) };
                    Flow::new(&network, node, *to, instance, Class::Interactive, 0.5)
                };
                let config = AgentConfig {
                    node,
                    seed: random.next_u64(),
                    brain: Config::new(name(node), random.next_u64()),
                    policy: Box::new(Rule::default()),
                    relays: draw(&mut random, self.nodes, node, self.view),
                    links: 8,
                    refresh: Duration::from_secs(30),
                    start: Time::from_millis(random.below(20_000) as u64),
                };
                Agent::new(config, to.iter().map(flow).collect())
            })
            .collect();
        let config =
            SimulationConfig { step: Duration::from_secs(1), threads: self.threads, ..Default::default() };
        Simulation::new(config, network, agents, (0..self.nodes).collect())
    }
}

/// Up to `count` different nodes other than `node`.
fn draw(random: &mut Random, nodes: usize, node: usize, count: usize) -> Vec<usize> {
    let count = count.min(nodes.saturating_sub(1));
    let mut drawn = Vec::with_capacity(count);
    while drawn.len() < count {
        let other = random.below(nodes);
        if other != node && !drawn.contains(&other) {
            drawn.push(other);
        }
    }
    drawn
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scale(nodes: usize, threads: usize) -> ScaleReport {
        let duration = Duration::from_secs(300);
        Scale { nodes, destinations: 3, view: 32, duration, seed: 5, threads }.run()
    }

    #[test]
    fn a_node_of_a_large_mesh_probes_no_more_than_one_of_a_small_mesh() {
        let (small, large) = (scale(10, 1), scale(200, 1));
        assert!(large.probe_bits_per_node_s < 4000.0, "{large:?}");
        assert!(large.probes_per_node_s < 1.6 * small.probes_per_node_s, "{small:?} {large:?}");
        assert!(large.moves_per_hour < 20.0 && large.p99_ms < 1000.0, "{large:?}");
    }

    #[test]
    fn threads_do_not_change_the_result() {
        let (one, two) = (scale(40, 1), scale(40, 2));
        assert_eq!(
            (one.probes_per_node_s, one.mean_ms, one.moves_per_hour),
            (two.probes_per_node_s, two.mean_ms, two.moves_per_hour)
        );
    }
}
