//! The learned policy: features → network → online head → the rule's contest, behind a guard.

mod artefact;
mod features;
mod guard;
mod head;
mod hint;
mod learned;
mod network;
#[cfg(test)]
pub(crate) mod samples;

pub use artefact::{Artefact, ArtefactError, Golden, Range};
pub use features::{Asker, COUNT, NAMES, Question, SCHEMA_HASH};
pub use guard::{Fallback, Guard, GuardFigures, Prices};
pub use head::{HEAD, Head, HeadInput};
pub use learned::{Learned, ModelFigures, Outcome, Prediction};
pub use network::{HIDDEN, NORMAL, Network, OUTPUTS, QUANTILES, WEIGHTS};
