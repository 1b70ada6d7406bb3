//! Datagrams of an association's flows: which key seals them, what a receiver takes, and how those that fit into no
//! link travel through their stream.
//!
//! A flow is a stream whose application speaks UDP. Its datagrams go along the circuits of the association, sealed end
//! to end with keys that both ends export from the TLS sessions of their carriers.

mod keyring;
mod record;
mod window;

pub use keyring::{COUNTER_LIMIT, Cipher, Datagrams, Key, Rejected, TAG, Unsent, Way};
pub use record::{RecordError, RecordReader, encode_record};
pub use window::ReplayWindow;
