//! The data plane: associations, the tasks of their carriers and streams.

mod association;
pub(crate) mod carrier;
pub(crate) mod stream;

pub(crate) use association::{Association, Report};
