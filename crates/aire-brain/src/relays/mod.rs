//! Which few relays are worth looking at, learned from history and from what nodes publish, and what a path over them should cost.
//!
//! - [`coverage`]: the relays that together cover most of what any relay could gain (greedy, submodular): landmarks for the
//!   whole mesh.
//! - [`Row`]: a forecast of a node's own direct legs: an additive prior ([`Effects`]), the own average shrunk towards it as far as
//!   past forecasts were better for it, and as much of the last value as the node's values persist.
//! - [`Transfer`]: what a new node may expect, from the nodes that see the landmarks as it does.
//! - [`Scout`]: all of it at one node: whom to probe, and what each path promises.
//!
//! Nodes have numbers here, given by the caller. Figures are relative, so that no distance is learned by heart. Claims of
//! others choose whom to look at; a path is proposed for use only after own probes, end to end, of it or of others over the same
//! relay. The replay measures it on recorded networks; the agent's [`Brain`](crate::Brain) translates names and irregular times for it.

pub mod coverage;
mod effects;
mod legs;
mod likeness;
mod plan;
mod proof;
mod row;
mod scout;
#[cfg(test)]
mod scout_tests;
mod telling;
mod transfer;
mod weigh;

pub use effects::Effects;
pub use legs::{Claims, Join, Legs};
pub use proof::{Proof, Proofs};
pub use row::{Row, Strength};
pub use scout::{Scout, Settings};
pub use transfer::Transfer;
pub use weigh::Promise;
