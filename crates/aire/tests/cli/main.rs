//! The program as its users run it.

#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

mod breaches;
mod callers;
mod commands;
mod evaluation;
mod false_relay;
mod hostile;
mod intruders;
mod programs;
mod rogue;
mod stage;
mod theft;
mod two_agents;

#[path = "../program/mod.rs"]
mod program;
