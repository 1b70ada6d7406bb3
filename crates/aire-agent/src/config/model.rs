use std::path::PathBuf;

use serde::Serialize;

use super::{ConfigError, RawModel, wrong};

/// Where the model comes from that chooses paths, and whom it may be from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ModelFrom {
    /// A signed model, in place of the built-in one; read again when it changes.
    pub file: Option<PathBuf>,
    /// Public keys of those whose models are taken, beside the project's: Ed25519, hexadecimal.
    pub trust: Vec<String>,
    /// Whether a model may choose paths at all.
    pub enabled: bool,
    /// Whether it has to prove itself in shadow first; `None` leaves it to where the model comes from.
    pub shadow: Option<bool>,
}

impl Default for ModelFrom {
    fn default() -> Self {
        ModelFrom { file: None, trust: Vec::new(), enabled: true, shadow: None }
    }
}

pub(super) fn resolve(raw: &RawModel) -> Result<ModelFrom, ConfigError> {
    if let Some(bad) = raw.trust.iter().find(|key| !crate::model::is_key(key)) {
        return Err(wrong("model.trust", format!("'{bad}' is not an Ed25519 key of 64 hexadecimal digits")));
    }
    Ok(ModelFrom {
        file: raw.file.clone(),
        trust: raw.trust.clone(),
        enabled: raw.enabled.unwrap_or(true),
        shadow: raw.shadow,
    })
}
