//! Circuits: negotiation, leases, preamble windows, the carrier pool and the leave loop.
//!
//! - [`Circuits`]: one for an agent. Negotiates circuits as source, relay and destination (`docs/wire.md`, Circuits),
//!   holds the leases, makes and checks preambles and probes.
//! - [`Pool`]: one for a destination (or for a class of streams to it). Says which circuits to negotiate, which carriers
//!   to dial and where the streams go; contains the leave loop.
//! - [`Leave`]: the leave loop by itself, for the side that accepts carriers.

mod crypto;
mod health;
mod lease;
mod negotiate;
mod pool;

pub use crypto::{Crypto, Digest, Key};
pub use health::{CarrierId, Leave, LeaveConfig, LeaveOutput, Progress, Symptom, TcpFacts};
pub use lease::{Accepted, Asked, HeldView, PreambleError, Role};
pub use negotiate::{Circuits, Config, Denial, Gate, Onward, Output, RequestError, Terms, Want};
pub use pool::{LeftBecause, Pool, PoolConfig, PoolEvent, PoolOutput, Wants};
