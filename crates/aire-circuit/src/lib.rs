//! Circuits: negotiation, leases, preamble windows, the carrier pool and the leave loop.
//!
//! - [`Circuits`]: one for an agent. Negotiates circuits as source, relay and destination (`docs/wire.md`, Circuits),
//!   holds the leases, makes and checks preambles and probes.

mod crypto;
mod lease;
mod negotiate;

pub use crypto::{Crypto, Digest, Key};
pub use lease::{Accepted, Asked, HeldView, PreambleError, Role};
pub use negotiate::{Circuits, Config, Denial, Gate, Output, RequestError, Terms, Want};
