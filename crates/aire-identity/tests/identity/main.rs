//! The crate from outside: an authority and nodes on temporary directories, and TLS between them in memory.

#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

mod enrolment;
mod files;
mod handshake;
mod issued;
mod mesh;
mod notices;
#[path = "../../../aire/tests/identity/pki.rs"]
mod pki;
mod rotation;
mod trust;
