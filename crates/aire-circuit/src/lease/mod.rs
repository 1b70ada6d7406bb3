//! Leases: what this agent granted to circuits of others, as a relay or as their destination.

mod held;
mod table;
mod window;

pub(crate) use held::Held;
pub use held::{Accepted, Asked, HeldView, PreambleError, Role};
pub(crate) use table::Leases;
