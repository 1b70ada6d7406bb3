//! The operator's view: HTTP API, metrics and documents.
//!
//! The agent implements [`View`] (what can be read) and [`Control`] (what can be changed), keeps its [`Events`] and
//! [`Metrics`] here, and gives all four to a [`Server`]. The [`documents`] are what the API and the command line's `--json`
//! answer; their field names are a contract with users' scripts.

mod api;
mod desk;
pub mod documents;
mod events;
mod gate;
mod log;
mod metrics;
mod page;
mod problem;
mod server;

pub use desk::{Answer, Control, Desk, View, ready};
pub use events::{Events, EventsLimits, News, Notes, rfc3339};
pub use log::Log;
pub use metrics::{Metrics, Sent};
pub use problem::{Problem, ProblemKind};
pub use server::{BindError, Server, ServerLimits};
