//! Associations and streams: application bytes that survive the death of a path.
//!
//! An [`Association`] is one end of what two application instances share while they talk. It has streams, which are application
//! connections, and carriers, which are TCP connections with TLS inside along one path each. Every byte of a stream may
//! travel on any carrier, so that a stream outlives all of them. Neither sockets nor a clock nor randomness are in here:
//! the driver says what happens and when, and gets to know what to do.
//!
//! The invariant: each end sees every byte exactly once and in order, or a reset; nothing is lost in silence.

mod application;
mod arrivals;
mod arrive;
mod association;
mod budget;
mod carrier;
mod carriers;
mod config;
mod control;
pub mod datagram;
mod departures;
mod ended;
mod error;
mod flight;
mod moves;
mod output;
mod receive;
mod rtt;
mod schedule;
mod send;
mod stream;
mod transmit;
mod window;

pub use association::Association;
pub use budget::Budget;
pub use config::{Config, GUARANTEE, Side};
pub use error::{OpenRefused, StreamError, Violation};
pub use output::{CarrierId, CarrierState, Output, Read, StreamState};
