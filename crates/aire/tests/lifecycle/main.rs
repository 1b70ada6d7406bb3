//! What happens to connections when agents start, stop, fail and change.

#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

mod apps;
mod changes;
mod copies;
mod datagrams;
mod draining;
mod ends;
mod models;
mod notices;
mod operator;
mod ports;
mod restarts;
mod shortage;
mod stage;
mod state;
mod strangers;
mod time;
mod tokens;
mod wrong_use;

#[path = "../program/mod.rs"]
mod program;
