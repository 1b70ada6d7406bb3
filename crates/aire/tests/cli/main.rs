//! The program as its users run it.

#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

mod callers;
mod commands;
mod hostile;
mod intruders;
mod programs;
mod stage;
mod two_agents;

#[path = "../program/mod.rs"]
mod program;
