use std::path::Path;
use std::str::FromStr;

use aire_brain::model::Artefact;
use aire_brain::{HerdTuning, Margin};

use super::Error;
use super::key::SigningKey;
use super::session::{name_of, write};

/// How agents behave as ones of many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Herd {
    /// As the rule does.
    Rule,
    /// As the simulator's learner found best; what trained models have.
    Learned,
    /// Each takes what is best for itself at once: for comparisons alone.
    Greedy,
}

impl FromStr for Herd {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "rule" => Ok(Herd::Rule),
            "learned" => Ok(Herd::Learned),
            "greedy" => Ok(Herd::Greedy),
            other => Err(format!("'{other}' is none of rule, learned, greedy")),
        }
    }
}

/// Writes a signed model that has learned nothing: the rule's figures, with this herd control.
///
/// # Errors
/// The key or the file cannot be read or written.
pub fn write_untrained(out: &Path, key: &Path, herd: Herd) -> Result<(), Error> {
    let mut artefact = Artefact::untrained(&name_of(out)?);
    artefact.herd = match herd {
        Herd::Rule => HerdTuning::default(),
        Herd::Learned => HerdTuning::LEARNED,
        Herd::Greedy => HerdTuning::SELFISH,
    };
    if herd == Herd::Greedy {
        artefact.margin = Margin { errors: 0.0, least: 0.0, share: 0.0, proof: 1, ..Margin::default() };
    }
    artefact.summary = format!("nothing; {herd:?} among many").to_lowercase();
    let (key, _) = SigningKey::load_or_create(key)?;
    write(out, &key.seal(&artefact.encode()))
}
