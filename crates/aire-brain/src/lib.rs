//! Path choice: estimators, cost, the rule, the learned policy, probe budget and portfolio.
//!
//! A core: no sockets, no clock, no threads. Facts go in through `handle_*`, [`Brain::place`] and [`Brain::steer`]
//! answer questions, [`Brain::poll_output`] gives what is to be done, [`Brain::poll_timeout`] says when to call
//! [`Brain::handle_timeout`]. The same inputs and the same seed give the same answers.
//!
//! This is the slow loop: it ranks paths and picks the standby. Leaving a path that fails is not its business; it is
//! told (`handle_left`, `handle_dead`) and answers with the next best at once.

mod brain;
mod config;
mod contest;
pub mod cost;
mod destination;
mod estimate;
mod herd;
pub mod model;
mod outcome;
mod output;
mod policy;
mod portfolio;
mod probe;
pub mod relays;
mod rule;
mod scouting;
mod snapshot;
mod topology;

pub use brain::{Brain, Explanation};
pub use config::Config;
pub use contest::Margin;
pub use estimate::{Evidence, Measured, Sample};
pub use herd::HerdTuning;
pub use output::{Event, Output, RankedPaths};
pub use policy::{Opinion, Policy};
pub use rule::Rule;
pub use snapshot::snapshot_hash;
pub use topology::{InstanceInfo, Refusal, RelayInfo};
