//! Thousands of agents in virtual time, over a network that their own traffic loads.
//!
//! Each simulated agent is the agent's own [`aire_brain::Brain`], driven as the agent drives it: facts in, probes and
//! rankings out. Around it stands a model of the network: base round trips ([`Underlay`]), accesses, relays and trunks
//! as fluid queues ([`Network`]), conditions that change them ([`Condition`]), and flows that take the path that the
//! brain prefers ([`flow`]). Queues grow with what flows offer, loss follows, and probes and payload see both.
//!
//! Time advances in steps. Within a step the network stands still and every agent works through its own event queue;
//! between steps the flows' rates are added up and the queues move. So agents of one step do not depend on each other,
//! threads cannot change a result, and the same seed gives the same run.

pub mod agent;
pub mod clock;
pub mod compare;
pub mod condition;
pub mod flow;
pub mod gossip;
pub mod herd;
pub mod learn;
pub mod meter;
pub mod network;
pub mod policy;
pub mod replay;
pub mod scale;
pub mod simulation;
pub mod synthetic;
pub mod underlay;

pub use agent::{Agent, AgentConfig};
pub use condition::{Condition, Effect, Target};
pub use network::{Network, PathState, Route};
pub use policy::{Contender, Greedy};
pub use simulation::{Simulation, SimulationConfig};
pub use underlay::{Geometry, Matrix, Underlay};
