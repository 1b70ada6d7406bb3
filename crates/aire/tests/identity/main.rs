//! Agents whose identities come from elsewhere: files of another authority, and a SPIFFE Workload API.

#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

mod api;
mod files;
mod pki;
mod stage;
mod workload;
