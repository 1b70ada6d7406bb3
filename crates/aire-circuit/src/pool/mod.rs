//! The carrier pool: which circuits and carriers to one destination are open, and over which the streams go.

mod choose;
mod circuits;
mod config;
mod expiry;
mod inputs;
mod leaving;
mod moving;
mod reconcile;
mod rescue;
mod state;

pub use config::{LeftBecause, PoolConfig, PoolEvent, PoolOutput, Wants};
pub use state::Pool;
