//! A trained model from its file, as the agent would follow it.

use std::path::Path;

use aire_brain::model::{Artefact, ArtefactError, Learned};

use super::{Driven, Entry};
use crate::learn::unseal;

/// Why a file is no model that can be compared.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The file cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(#[from] std::io::Error),
    /// The envelope is not right.
    #[error("is no signed model, or was changed since it was signed: make one with `aire train`")]
    Unsigned,
    /// What it holds is not right.
    #[error(transparent)]
    Artefact(#[from] ArtefactError),
}

/// The network in `file` on top of the rule and its choice of relays, called `model-network`, under the budget and without one.
/// It has its own rows: `model` stays what it is without a file until a network adds something to it.
///
/// # Errors
/// Where the file holds no model that this program understands.
pub fn models(file: &Path) -> Result<Vec<Entry>, ModelError> {
    let bytes = std::fs::read(file)?;
    let artefact = Artefact::decode(unseal(&bytes).ok_or(ModelError::Unsigned)?)?;
    let make = move || -> Box<dyn crate::replay::Policy> {
        let artefact = artefact.clone();
        Box::new(Driven::new("model-network", Box::new(move |_| Box::new(Learned::new(artefact.clone())))))
    };
    Ok(vec![Entry::kept(make.clone()), Entry::unlimited(make)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learn::SigningKey;

    #[test]
    fn a_signed_model_is_compared_and_anything_else_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (key, _) = SigningKey::load_or_create(&dir.path().join("key")).unwrap();
        let file = dir.path().join("m.model");
        let mut sealed = key.seal(&Artefact::untrained("m").encode());
        std::fs::write(&file, &sealed).unwrap();
        let names: Vec<String> = models(&file).unwrap().into_iter().map(|entry| entry.name).collect();
        assert_eq!(names, ["model-network", "model-network-unlimited"]);
        sealed[200] ^= 1;
        std::fs::write(&file, &sealed).unwrap();
        assert!(matches!(models(&file), Err(ModelError::Unsigned)));
        std::fs::write(&file, key.seal(b"nothing")).unwrap();
        assert!(matches!(models(&file), Err(ModelError::Artefact(_))));
        assert!(matches!(models(dir.path()), Err(ModelError::Unreadable(_))));
    }
}
