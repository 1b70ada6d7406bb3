//! Exact counterfactual replay by rounds: one frame is one round.
//!
//! ```text
//! rounds  0 ………… begin ……………… join ………………………………………………… last
//!         history   known nodes live   all nodes live, decisions count
//! ```
//! Before `begin` each known node measured some others directly ([`History`]); a policy may learn from that offline. From
//! `begin` the known nodes are live, from `join` also the newcomers, a fifth of the nodes, of which nothing was known
//! before. In its first round a newcomer has 32 probes in all, after it the budget of everybody.
//!
//! In each round, for every live node at once: [`Agent::probe`] asks for measurements within the budget,
//! [`Agent::observe`] gets their values *of this round's frame*, [`Agent::decide`] chooses a path to every
//! destination, [`Agent::publish`] tells others some of the node's own direct measurements, which they see one round
//! later. The decision is scored on a frame that is at least `score_gap` rounds later. An agent never holds a frame: all it
//! can know is what these calls hand it.

mod bounds;
mod fold;
mod policy;
mod run;

pub use bounds::Bounds;
pub use fold::{Fold, Protocol, Unfit};
pub use policy::{
    Agent, Choice, History, Leg, MOST_LEGS, Measurement, Outbox, Policy, Probe, Publication, Published,
    Record, Seat, Via, View,
};
pub use run::{Budget, LEG_BYTES, Ledger, Outcome, PROBE_BYTES, outcome, pairs, replay, value};

#[cfg(test)]
mod tests;
