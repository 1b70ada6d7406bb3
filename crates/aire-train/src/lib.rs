//! What a path policy is worth on recorded networks.
//!
//! [`data`] reads recorded measurements, [`replay`] lets a policy probe and decide on them round by round and scores
//! each decision exactly, as the recordings hold what every other decision would have given. [`evaluation`] does so for all
//! [`policies`] and sums up with the [`statistics`].
//!
//! [`learn`] trains the learned policy on what a prober would have seen there.
//!
//! A tool: it is never linked into the agent.

pub mod data;
pub mod evaluation;
pub mod learn;
pub mod policies;
pub mod replay;
pub mod report;
pub mod statistics;
pub mod survey;
