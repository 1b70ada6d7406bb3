//! An evaluation as text, as JSON and as a page.

mod json;
mod page;
mod plot;
mod text;

pub use json::json;
pub use page::page;
pub use text::text;

use crate::data::{Error, Source};
use crate::evaluation::Evaluation;
use crate::replay::Unfit;

/// What came out for one folder.
#[derive(Clone, Debug, PartialEq)]
pub enum Finding {
    /// Policies were compared.
    Evaluated(Evaluation),
    /// There is nothing to compare, and why.
    Nothing {
        /// The set's name.
        trace: String,
        /// Why, in words.
        why: String,
    },
}

impl Finding {
    /// For a set of measurements between all pairs.
    pub fn of_pairs(trace: &str, evaluated: Result<Evaluation, Unfit>) -> Self {
        let nothing = |why: String| Finding::Nothing { trace: trace.to_owned(), why };
        match evaluated {
            Ok(found) if found.decisions == 0 => nothing(
                "no decision can be scored, as direct is missing in every frame that would score it: check `missing`, `unit` \
                 and `step_s` in its trace.toml"
                    .to_owned(),
            ),
            Ok(found) => Finding::Evaluated(found),
            Err(unfit) => nothing(unfit.to_string()),
        }
    }

    /// For a set that cannot be read, for this reason. The others are worth their figures.
    pub fn of_unreadable(trace: &str, why: &Error) -> Self {
        Finding::Nothing { trace: trace.to_owned(), why: format!("cannot be read: {why}") }
    }

    /// For a folder of single links.
    pub fn of_single_links(source: &Source) -> Self {
        let why = format!(
            "a set of kind `{}` has single links and no second way between two nodes: there is no path to choose, and no \
             policy is scored",
            source.description.kind()
        );
        Finding::Nothing { trace: source.name.clone(), why }
    }
}

#[cfg(test)]
mod tests;
