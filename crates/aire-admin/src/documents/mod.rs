//! What the API and `--json` answer. Field names are a contract: fields are added, never renamed or removed.
//!
//! A number that was not measured is `null`. Times are seconds or, where the name says so, milliseconds; risk, loss and
//! load go from 0 to 1.

mod apps;
mod diagnosis;
mod event;
mod failure;
mod ping;
mod route;
mod status;
mod stream;

pub use apps::{AppRow, InstanceRow};
pub use diagnosis::{Diagnosis, Finding, Verdict};
pub use event::{Event, Severity};
pub use failure::Failure;
pub use ping::PingReport;
pub use route::{CandidateRow, Explanation, Route};
pub use status::{Bytes, Link, Model, ModelGuard, Peer, Reach, Status, Streams};
pub use stream::StreamRow;
