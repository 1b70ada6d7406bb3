//! Agents whose identities come from elsewhere: files of another authority.

#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

mod files;
mod pki;
mod stage;
