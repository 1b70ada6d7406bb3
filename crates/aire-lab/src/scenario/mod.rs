//! Scenario files: hosts, agents, workloads, events and expectations, run on the packet-level WAN.
//!
//! ```toml
//! hosts = ["auth", "a", "b", "r1"]
//! seconds = 10
//! policy = 'permit(principal == App::"client", action == Action::"connect", resource == App::"echo");'
//!
//! [shape]                              # every way between two hosts …
//! one_way_ms = 10
//! [[link]]                             # … but for these
//! between = ["a", "b"]
//! set = { one_way_ms = 120 }
//!
//! [[agent]]
//! host = "auth"
//! role = "authority"
//! [[agent]]
//! host = "r1"
//! role = "relay"
//! [[agent]]
//! host = "b"
//! role = "app"
//! app = "echo=127.0.0.1:7000"
//! [[agent]]
//! host = "a"
//! role = "app"
//! app = "client=127.0.0.1:9"
//! flags = ["--to", "echo=127.0.0.1:8000"]
//!
//! # [[prepare]]                        # run before the agents start; what it prints is {key} in configurations, flags and
//! # name = "key"                       # commands, as {folder} is the run's folder and {aire} the binary
//! # command = ["{aire}", "model", "key", "{folder}/ours.key"]
//! # [[group]]                          # c stands for c1 to c24, each with c's agent, workloads and ways
//! # host = "c"
//! # copies = 24
//! # [[watch]]                          # how traffic spreads over ways; judged like a workload
//! # name = "relays"
//! # ways = ["r1->b", "r2->b"]
//! # nat = "cone"                       # its host is behind a NAT ("symmetric": one that nobody can foretell)
//! # inbound = "blocked"                # its host lets only answers in
//!
//! [[workload]]
//! name = "server"
//! host = "b"
//! kind = "server"
//! at = "127.0.0.1:7000"
//! [[workload]]
//! name = "messages"
//! host = "a"
//! kind = "messages"
//! to = "127.0.0.1:8000"
//!
//! [[before]]                           # time zero is when these hold
//! that = "the relay is taken"
//! ask = { host = "a", command = "routes" }
//! field = "app=echo.path"
//! equals = ["r1"]
//! within = 20
//!
//! [[event]]
//! at = 5.0
//! isolate = "r1"                       # also: mend, kill, terminate, stop, continue, start, or link and set
//!
//! [[expect]]
//! that = "no message is lost"
//! workload = "messages"
//! field = "lost"
//! equals = 0
//! ```

mod actions;
mod agents;
mod expect;
pub mod faults;
mod field;
mod file;
mod group;
mod prepare;
mod run;
mod watch;
mod workloads;

use std::io;
use std::path::PathBuf;

pub use expect::{Expect, Verdict};
pub use file::{
    Agent, AgentRole, Ask, Event, Inbound, Link, Preparation, Reach, Scenario, Workload, WorkloadKind,
};
pub use group::Group;
pub use run::{Happened, Options, Outcome, run};
pub use watch::Watch;

use crate::TopologyError;
use crate::wan::WanError;

/// Why a scenario did not run to its end.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is not a scenario; the message names line and key.
    #[error("{}: {message}", path.display())]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// What is wrong where.
        message: String,
    },
    /// The network failed.
    #[error(transparent)]
    Wan(#[from] WanError),
    /// A wrong host or shape.
    #[error("configuration: {0}")]
    Topology(#[from] TopologyError),
    /// What a scenario needs before its agents could not be made.
    #[error("preparing '{name}' failed: {message}")]
    Preparation {
        /// Which step.
        name: String,
        /// What its program said.
        message: String,
    },
    /// An agent did not do what the scenario needs to begin.
    #[error("agent {node}: {message}")]
    Agent {
        /// Which node.
        node: String,
        /// What it did, with the end of its log.
        message: String,
    },
    /// A condition did not come about before time zero.
    #[error("'{that}' did not come about within {within} s before time zero: {got}")]
    NotBefore {
        /// The condition.
        that: String,
        /// How long it had, seconds.
        within: f64,
        /// What there was instead.
        got: String,
    },
    /// This machine refused.
    #[error("this machine: {what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// What the system says.
        source: io::Error,
    },
}

impl ScenarioError {
    fn io(what: impl Into<String>, source: io::Error) -> Self {
        ScenarioError::Io { what: what.into(), source }
    }
}
