use std::path::PathBuf;

use aire_identity::Files;
use serde::Serialize;

use super::{ConfigError, RawConfig, wrong};

/// A source of identities other than the mesh's own authority.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum IdentityFrom {
    /// Files that somebody else writes.
    Files(Files),
}

/// Which source a configuration names, if any.
pub(super) fn resolve(raw: &RawConfig) -> Result<Option<IdentityFrom>, ConfigError> {
    let given = &raw.identity;
    if given.certificate.is_none() && given.key.is_none() && given.ca.is_none() {
        return Ok(None);
    }
    if raw.join.is_some() || raw.authority.is_some() {
        return Err(wrong(
            "identity",
            "a node has one identity; leave out [identity], or join and authority",
        ));
    }
    Ok(Some(IdentityFrom::Files(Files {
        certificate: path("identity.certificate", given.certificate.as_ref())?,
        key: path("identity.key", given.key.as_ref())?,
        ca: path("identity.ca", given.ca.as_ref())?,
    })))
}

fn path(key: &'static str, given: Option<&PathBuf>) -> Result<PathBuf, ConfigError> {
    given.cloned().ok_or_else(|| wrong(key, "is missing; certificate, key and ca go together"))
}
