//! What happens to connections when agents start, stop, fail and change.

#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

mod changes;
mod draining;
mod ends;
mod notices;
mod restarts;
mod stage;
mod wrong_use;
