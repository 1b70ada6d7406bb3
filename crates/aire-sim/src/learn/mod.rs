//! Learning where the network answers: the environment, and the search.
//!
//! In a recorded network a choice changes nothing. Here all agents follow the same parameters, and their choices move the
//! queues that they then measure; so what is learned is how to behave as one of many.

mod action;
mod environment;
mod search;

pub use action::{Action, DIMENSIONS, NAMES};
pub use environment::{Environment, Stage, cost};
pub use search::{Generation, Search, SearchConfig};
