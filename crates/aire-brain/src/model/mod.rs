//! The learned policy: features, network, artefact.

mod artefact;
mod features;
mod network;
#[cfg(test)]
mod samples;

pub use artefact::{Artefact, ArtefactError, Golden, Range};
pub use features::{Asker, COUNT, NAMES, Question, SCHEMA_HASH};
pub use network::{HIDDEN, NORMAL, Network, OUTPUTS, QUANTILES, WEIGHTS};
