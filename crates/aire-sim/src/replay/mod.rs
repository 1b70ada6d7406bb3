//! Agents on a recorded network, with the queues that their own traffic makes on top.
//!
//! The recorded round trips (and loss, where it was recorded) are the network at rest. Nodes forward for each other, each
//! so much and no more, so that a relay that everybody takes is one no longer. What recordings alone cannot show is what
//! this adds: load that the decisions themselves cause.

mod command;
mod recorded;

pub use command::{ReplayArgs, RunArgs, execute};
pub use recorded::Recorded;

use std::sync::Arc;
use std::time::Duration;

use aire_types::{AppName, Class, Instance, Override, Random, Time};
use serde::Serialize;

use crate::agent::{Agent, AgentConfig, name};
use crate::flow::Flow;
use crate::network::{Capacities, Network};
use crate::policy::Contender;
use crate::scale::PROBE_BYTES;
use crate::simulation::{Simulation, SimulationConfig};
use recorded::Base;

/// Before anything is counted.
const WARM: Duration = Duration::from_secs(60);
/// Starts are spread over this.
const STARTS_MS: usize = 15_000;
/// Links that a node has; of them it knows the round trip for nothing.
const LINKS: usize = 16;
const REFRESH: Duration = Duration::from_secs(15);

/// One run over a recorded network.
#[derive(Clone, Debug, PartialEq)]
pub struct Replay {
    /// Who decides.
    pub contender: Contender,
    /// How many of the nodes send, at most.
    pub agents: usize,
    /// To how many others each of them sends, about a megabit a second to each.
    pub destinations: usize,
    /// What each node forwards, megabits a second.
    pub relay_mbps: f64,
    /// How long, the first minute included.
    pub duration: Duration,
    /// Where all randomness comes from.
    pub seed: u64,
    /// Threads.
    pub threads: usize,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Seen {
    /// Mean latency of requests, milliseconds.
    pub mean_ms: f64,
    /// 95th percentile.
    pub p95_ms: f64,
    /// 99th percentile.
    pub p99_ms: f64,
    /// Share of what applications wanted that arrived.
    pub goodput: f64,
    /// Changes of path per destination and hour.
    pub switches_per_hour: f64,
    /// Bytes of probes per agent and second, both ways.
    pub probe_bytes_per_s: f64,
}

impl Replay {
    /// Runs it. `None` where no node has a way to another.
    pub fn run(&self, recorded: &Arc<Recorded>) -> Option<Seen> {
        let mut simulation = self.build(recorded)?;
        let warm = WARM.min(self.duration / 2);
        simulation.run(warm, false);
        simulation.take_meter();
        let rest = self.duration - warm;
        simulation.run(rest, true);
        let meter = simulation.take_meter();
        let flows: usize = simulation.agents().iter().map(|agent| agent.flows().len()).sum();
        let seconds = rest.as_secs_f64().max(1e-9);
        let probes = meter.probes as f64 / simulation.agents().len().max(1) as f64 / seconds;
        Some(Seen {
            mean_ms: meter.latency.mean(),
            p95_ms: meter.latency.quantile(0.95),
            p99_ms: meter.latency.quantile(0.99),
            goodput: meter.goodput(),
            switches_per_hour: meter.moves as f64 / flows.max(1) as f64 / seconds * 3600.0,
            probe_bytes_per_s: probes * PROBE_BYTES,
        })
    }

    fn build(&self, recorded: &Arc<Recorded>) -> Option<Simulation> {
        let capacities =
            Capacities { access_mbps: 1000.0, relay_mbps: self.relay_mbps, trunk_mbps: 1e6, buffer_s: 0.2 };
        let network = Network::new(Box::new(Base(recorded.clone())), capacities, Vec::new());
        let mut random = Random::new(self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x7265_706c);
        let mut senders: Vec<usize> = (0..recorded.nodes()).collect();
        shuffle(&mut random, &mut senders);
        senders.retain(|from| (0..recorded.nodes()).any(|to| recorded.reaches(*from, to)));
        senders.truncate(self.agents.max(1));
        if senders.is_empty() {
            return None;
        }
        let agents = senders.iter().map(|node| self.agent(&network, recorded, *node, &mut random)).collect();
        let config = SimulationConfig { threads: self.threads, ..SimulationConfig::default() };
        Some(Simulation::new(config, network, agents, (0..recorded.nodes()).collect()))
    }

    fn agent(&self, network: &Network, recorded: &Recorded, node: usize, random: &mut Random) -> Agent {
        let app = AppName::new("app").expect("a name");
        let mut to: Vec<usize> = (0..recorded.nodes()).filter(|to| recorded.reaches(node, *to)).collect();
        shuffle(random, &mut to);
        let mut relays = to.clone();
        to.truncate(self.destinations.max(1));
        // who is not reached at all is no neighbour to have a link to, but may be heard of
        relays
            .extend((0..recorded.nodes()).filter(|other| *other != node && !recorded.reaches(node, *other)));
        let mut flow = |to: &usize| {
            let instance = Instance { app: app.clone(), node: name(*to) };
            Flow::new(network, node, *to, instance, Class::Interactive, 0.5 + random.unit())
        };
        let flows = to.iter().map(&mut flow).collect();
        let config = AgentConfig {
            node,
            seed: random.next_u64(),
            brain: self.contender.brain(name(node), random.next_u64()),
            policy: self.contender.policy(),
            relays,
            links: LINKS,
            refresh: REFRESH,
            start: Time::from_millis(random.below(STARTS_MS) as u64),
        };
        let mut agent = Agent::new(config, flows);
        if self.contender == Contender::Direct {
            let order = Override { direct_only: true, ..Override::default() };
            agent.brain().set_override(Time::ZERO, &app, order);
        }
        agent
    }
}

fn shuffle(random: &mut Random, list: &mut [usize]) {
    for at in (1..list.len()).rev() {
        list.swap(at, random.below(at + 1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic::Shape;

    fn run(contender: Contender, relay_mbps: f64, threads: usize) -> Seen {
        let shape = Shape::planetlab().with_nodes(40).with_frames(4);
        let recorded = Recorded::synthetic(&shape, 7).unwrap().hurried(Duration::from_secs(60));
        let duration = Duration::from_secs(240);
        let replay =
            Replay { contender, agents: 30, destinations: 2, relay_mbps, duration, seed: 3, threads };
        replay.run(&Arc::new(recorded)).unwrap()
    }

    #[test]
    fn relays_carry_what_direct_paths_lose_and_threads_change_nothing() {
        let direct = run(Contender::Direct, 50.0, 1);
        let rule = run(Contender::Rule, 50.0, 1);
        assert!(rule.goodput > direct.goodput, "{rule:?} against {direct:?}");
        assert!(rule.mean_ms < 1.05 * direct.mean_ms, "{rule:?} against {direct:?}");
        assert_eq!(direct.switches_per_hour, 0.0);
        assert!(rule.goodput > 0.98 && rule.probe_bytes_per_s < 1000.0, "{rule:?}");
        assert_eq!(rule, run(Contender::Rule, 50.0, 2));
    }

    #[test]
    fn who_minds_nobody_pays_for_it_where_relays_are_scarce() {
        let (greedy, learned) = (run(Contender::Greedy, 2.0, 2), run(Contender::Learned, 2.0, 2));
        assert!(greedy.switches_per_hour > 3.0 * learned.switches_per_hour, "{greedy:?} {learned:?}");
        assert!(greedy.p99_ms > learned.p99_ms, "{greedy:?} {learned:?}");
    }

    #[test]
    fn recorded_loss_reaches_the_agents() {
        let frame = |ms: f32| vec![vec![0.0, ms, ms, 0.0]];
        let seen = |share: f32| {
            let recorded = Recorded::new("r", 2, Duration::from_secs(60), frame(50.0), frame(share)).unwrap();
            let duration = Duration::from_secs(120);
            let (contender, relay_mbps) = (Contender::Rule, 10.0);
            let replay =
                Replay { contender, agents: 2, destinations: 1, relay_mbps, duration, seed: 1, threads: 1 };
            replay.run(&Arc::new(recorded)).unwrap()
        };
        let (clean, lossy) = (seen(0.0), seen(0.05));
        assert!(clean.goodput > 0.99 && lossy.goodput < 0.96, "{clean:?} {lossy:?}");
        assert!(lossy.mean_ms > clean.mean_ms + 5.0, "{clean:?} {lossy:?}");
    }
}
