//! Negotiation: circuits as their source, a relay or their destination sees them.

mod circuits;
mod close;
mod config;
mod grant;
mod hop;
mod own;
mod pending;
mod probe;
mod refusal;
mod source;
mod verify;

pub use circuits::Circuits;
pub use config::{Config, Denial, Gate, Output, RequestError, Terms, Want};
pub use probe::Onward;
