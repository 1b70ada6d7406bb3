//! Learned models: whose are trusted, where they come from, and how they are replaced at run time.

mod built_in;
mod envelope;
mod source;

pub use envelope::ModelError;
pub(crate) use envelope::is_key;
pub(crate) use source::{ModelSource, check, first, watch};
