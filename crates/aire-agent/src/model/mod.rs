//! Learned models: whose are trusted, where they come from, and how they are replaced at run time.

mod built_in;
mod envelope;
mod source;

pub(crate) use envelope::is_key;
pub use envelope::{ModelError, open_model};
pub(crate) use source::{ModelSource, check, first, watch};
