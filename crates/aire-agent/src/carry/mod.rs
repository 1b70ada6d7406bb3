//! The data plane: associations, the tasks of their carriers and streams.

mod association;
pub(crate) mod carrier;
mod inner;
mod keeper;
pub(crate) mod stream;

pub(crate) use association::{Association, OpenError, Report};
pub(crate) use keeper::Keeper;
