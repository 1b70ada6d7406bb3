//! The data plane: associations, the tasks of their carriers and streams.

mod association;
pub(crate) mod carrier;
mod cipher;
mod counts;
mod datagrams;
pub(crate) mod flow;
mod inner;
mod keeper;
mod network;
mod shortcut;
pub(crate) mod stream;

pub(crate) use association::{Association, OpenError, Report};
pub(crate) use cipher::datagram_key;
pub(crate) use counts::Counted;
pub(crate) use datagrams::{Along, Arrival};
pub(crate) use keeper::Keeper;
