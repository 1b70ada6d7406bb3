//! Decoders.

pub(crate) mod carrier;
pub(crate) mod datagrams;
pub(crate) mod documents;
pub(crate) mod enrolment;
pub(crate) mod files;
pub(crate) mod flows;
pub(crate) mod frames;
pub(crate) mod handshake;
pub(crate) mod history;
pub(crate) mod messages;
pub(crate) mod model;
pub(crate) mod policy;
pub(crate) mod tickets;

/// The first byte as a number, and the rest.
fn split(input: &[u8]) -> (usize, &[u8]) {
    input.split_first().map_or((0, input), |(first, rest)| (usize::from(*first), rest))
}
