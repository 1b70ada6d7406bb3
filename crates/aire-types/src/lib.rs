//! The words of AIRE: names, identities, profiles, time, paths and decisions.
//!
//! Everything here is a value: no sockets, no clock, no randomness. All other crates may depend on this one.

mod class;
mod decision;
pub mod fnv;
mod identity;
mod name;
mod path;
mod profile;
mod protocol;
mod random;
mod time;

pub use class::{Class, SecurityLevel};
pub use decision::{
    Candidate, Decision, Estimate, Gains, Ineligible, Override, Ranked, RouteId, Snapshot, Source,
};
pub use identity::{Identity, IdentityError, Role};
pub use name::{AppName, MeshName, NameError, NodeName};
pub use path::{Instance, MAX_RELAYS, Path, PathError};
pub use profile::{AppProfile, Incarnation, Needs, NodeProfile, Posture, Priority};
pub use protocol::Protocol;
pub use random::Random;
pub use time::Time;
