//! What a node measured and decided, kept on its disk: the format of the history (`docs/traces.md`) and the store that
//! rotates it.
//!
//! A [`Store`] appends [`Record`]s to segments, each readable by itself, and drops the oldest ones. A [`Segment`] is read
//! whole; a torn or damaged end costs what lies behind it in that segment, and nothing else.

mod codec;
mod names;
mod record;
mod segment;
mod store;

pub use record::{Choice, Delays, Observation, Origin, Packets, Record, Transfer};
pub use segment::{FormatError, MAX_PAYLOAD, MAX_SEGMENT, Segment, VERSION, frame};
pub use store::{Limits, SUFFIX, Store, StoreError};
