//! Cores, driven by what the input says: facts in any order, hostile peers, time that jumps.

pub(crate) mod association;
pub(crate) mod brain;
mod choices;
pub(crate) mod circuits;
pub(crate) mod datagrams;
mod fake;
pub(crate) mod notices;
mod policies;
pub(crate) mod policy;
pub(crate) mod pool;
pub(crate) mod registry;
pub(crate) mod streams;

/// Sequences of choices are found best from nothing.
pub(crate) fn no_seeds() -> Vec<Vec<u8>> {
    Vec::new()
}
