//! The places in which herds form.
//!
//! All agents stand in one zone, all servers in another, and each relay in a zone of its own; so all agents agree on
//! which relay is best, up to a few milliseconds, which is the worst case. The relays together carry 1.6 times what all
//! agents want, one relay a small part of it.

use std::time::Duration;

use aire_types::{AppName, Class, Instance, Override, Random, Time};
use serde::{Deserialize, Serialize};

use crate::agent::{Agent, AgentConfig, name};
use crate::condition::{Condition, Effect, Target};
use crate::flow::Flow;
use crate::network::{Capacities, Network};
use crate::policy::Contender;
use crate::simulation::{Simulation, SimulationConfig};
use crate::underlay::Matrix;

/// What happens to all agents at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// One relay becomes 60 ms better than all others. It can carry a small part of the agents.
    RelayImproves,
    /// The three best relays fail, and return after 90 seconds.
    RelaysFail,
    /// The trunk of all direct paths, the best until then, loses four fifths of its capacity.
    TrunkShrinks,
}

impl Event {
    /// All of them.
    pub const ALL: [Event; 3] = [Event::RelayImproves, Event::RelaysFail, Event::TrunkShrinks];

    /// As tables call it.
    pub fn label(self) -> &'static str {
        match self {
            Event::RelayImproves => "relay improves",
            Event::RelaysFail => "relays fail",
            Event::TrunkShrinks => "trunk shrinks",
        }
    }
}

/// One run.
#[derive(Clone, Debug, PartialEq)]
pub struct Scene {
    /// What happens.
    pub event: Event,
    /// How many agents there are, each with one flow of about a megabit a second.
    pub agents: usize,
    /// How many relays there are.
    pub relays: usize,
    /// What the relays can carry together, as a share of what all agents want.
    pub slack: f64,
    /// Who decides.
    pub contender: Contender,
    /// News of load goes the way of the registries, and not the short one.
    pub registries: bool,
    /// Where all randomness comes from.
    pub seed: u64,
}

/// When it happens, after everything has settled.
pub const EVENT_AT: Duration = Duration::from_secs(60);
/// For how long it is observed.
pub const OBSERVED: Duration = Duration::from_secs(180);
/// How long failed relays stay away.
const AWAY: Duration = Duration::from_secs(90);
/// Starts are spread over this.
const STARTS_MS: usize = 15_000;
const FAILED: usize = 3;

impl Scene {
    /// The scene with the usual sizes: a relay for every sixteen agents, and 1.6 times the capacity that is wanted.
    pub fn new(event: Event, agents: usize, contender: Contender, seed: u64) -> Self {
        Scene {
            event,
            agents,
            relays: (agents / 16).clamp(6, 64),
            slack: 1.6,
            contender,
            registries: false,
            seed,
        }
    }

    fn servers(&self) -> usize {
        (self.agents / 25).max(4)
    }

    /// The nodes that relay.
    pub fn relay_nodes(&self) -> std::ops::Range<usize> {
        self.agents..self.agents + self.relays
    }

    /// Round trips. `None` never: the matrix is square by construction.
    fn matrix(&self, random: &mut Random) -> Option<Matrix> {
        let (servers, nodes) = (self.servers(), self.agents + self.relays + self.servers());
        let first_server = self.agents + self.relays;
        let (direct, least) = match self.event {
            Event::TrunkShrinks => (60.0, 90.0),
            Event::RelayImproves | Event::RelaysFail => (180.0, 110.0),
        };
        let own: Vec<f64> = (0..nodes).map(|_| 8.0 * random.unit()).collect();
        let mut frame = vec![40.0f32; nodes * nodes];
        let mut set = |a: usize, b: usize, ms: f64| {
            frame[a * nodes + b] = ms as f32;
            frame[b * nodes + a] = ms as f32;
        };
        (0..nodes).for_each(|node| set(node, node, 0.0));
        for server in first_server..first_server + servers {
            (0..self.agents).for_each(|agent| set(agent, server, direct + own[agent] + own[server]));
        }
        for (rank, relay) in self.relay_nodes().enumerate() {
            let legs = least + 40.0 * rank as f64 / self.relays as f64;
            let share = 0.3 + 0.4 * random.unit();
            for (agent, access) in own.iter().enumerate().take(self.agents) {
                set(agent, relay, share * legs + access + 6.0 * random.unit());
            }
            for (server, access) in own.iter().enumerate().skip(first_server) {
                set(relay, server, (1.0 - share) * legs + access);
            }
        }
        let zone = |node: usize| match node {
            _ if node < self.agents => 0,
            _ if node >= first_server => 1,
            _ => 2 + node - self.agents,
        };
        Matrix::new((0..nodes).map(zone).collect(), Duration::from_secs(3600), vec![frame])
    }

    fn conditions(&self) -> Vec<Condition> {
        let from = Time::ZERO + EVENT_AT;
        let rule = |until: Time, on: Target, effect: Effect| Condition { from, until, on, effect };
        match self.event {
            Event::RelayImproves => {
                let middle = self.agents + self.relays / 2;
                vec![rule(Time::NEVER, Target::Relay(middle), Effect::Shift(-60.0))]
            }
            Event::RelaysFail => (0..FAILED.min(self.relays - 1))
                .map(|rank| rule(from + AWAY, Target::Relay(self.agents + rank), Effect::Outage))
                .collect(),
            Event::TrunkShrinks => vec![rule(Time::NEVER, Target::Trunk(0, 1), Effect::Capacity(0.2))],
        }
    }

    /// The simulation at its start.
    pub fn build(&self) -> Option<Simulation> {
        let mut random = Random::new(self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x6865_7264);
        let matrix = self.matrix(&mut random)?;
        let wanted = self.agents as f64;
        let capacities = Capacities {
            access_mbps: 100.0,
            relay_mbps: self.slack * wanted / self.relays as f64,
            trunk_mbps: 1.5 * wanted,
            buffer_s: 0.2,
        };
        let mut network = Network::new(Box::new(matrix), capacities, self.conditions());
        let first_server = self.agents + self.relays;
        for server in first_server..first_server + self.servers() {
            network.set_capacity(Target::Access(server), wanted);
        }
        let agents = (0..self.agents).map(|node| self.agent(&network, node, &mut random)).collect();
        let config = SimulationConfig::default();
        let simulation = Simulation::new(config, network, agents, self.relay_nodes().collect());
        Some(if self.registries { simulation.with_registries(self.seed) } else { simulation })
    }

    fn agent(&self, network: &Network, node: usize, random: &mut Random) -> Agent {
        let app = AppName::new("app").expect("a name");
        let to = self.agents + self.relays + random.below(self.servers());
        let instance = Instance { app: app.clone(), node: name(to) };
        let mbps = 0.5 + random.unit();
        let flow = Flow::new(network, node, to, instance, Class::Interactive, mbps);
        let config = AgentConfig {
            node,
            seed: random.next_u64(),
            brain: self.contender.brain(name(node), random.next_u64()),
            policy: self.contender.policy(),
            relays: self.relay_nodes().collect(),
            links: self.relays,
            refresh: Duration::from_secs(5),
            start: Time::from_millis(random.below(STARTS_MS) as u64),
        };
        let mut agent = Agent::new(config, vec![flow]);
        if self.contender == Contender::Direct {
            let order = Override { direct_only: true, ..Override::default() };
            agent.brain().set_override(Time::ZERO, &app, order);
        }
        agent
    }
}
