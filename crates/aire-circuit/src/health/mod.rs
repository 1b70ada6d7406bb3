//! The leave loop: is a carrier alive, and is its path what it used to be? No cost model; see `Leave`.

mod carrier;
mod change;
mod leave;
mod path;
mod rtt;

pub use carrier::{Progress, TcpFacts};
pub use leave::{Leave, LeaveConfig, LeaveOutput, Symptom};

use std::fmt;

/// Names a carrier on this machine. Its pool chooses it; the same number names it in the association.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CarrierId(pub u64);

impl fmt::Display for CarrierId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Debug for CarrierId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "carrier {}", self.0)
    }
}
