use std::path::PathBuf;

use aire_identity::{Files, WorkloadApi};
use serde::Serialize;

use super::{ConfigError, RawConfig, wrong};

const ENDPOINT_VARIABLE: &str = "SPIFFE_ENDPOINT_SOCKET";

/// A source of identities other than the mesh's own authority.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum IdentityFrom {
    /// Files that somebody else writes.
    Files(Files),
    /// A SPIFFE Workload API.
    WorkloadApi(WorkloadApi),
}

/// Which source a configuration names, if any.
pub(super) fn resolve(raw: &RawConfig) -> Result<Option<IdentityFrom>, ConfigError> {
    let given = &raw.identity;
    let files = given.certificate.is_some() || given.key.is_some() || given.ca.is_some();
    if !files && given.spiffe.is_none() {
        return Ok(None);
    }
    if raw.join.is_some() || raw.authority.is_some() {
        return Err(wrong(
            "identity",
            "a node has one identity; leave out [identity], or join and authority",
        ));
    }
    if let Some(endpoint) = &given.spiffe {
        if files {
            return Err(wrong("identity.spiffe", "leave out either the files or the Workload API"));
        }
        let endpoint = if endpoint == "env" { endpoint_from_environment()? } else { endpoint.clone() };
        let api = WorkloadApi::new(&endpoint).map_err(|error| wrong("identity.spiffe", error.to_string()))?;
        return Ok(Some(IdentityFrom::WorkloadApi(api)));
    }
    Ok(Some(IdentityFrom::Files(Files {
        certificate: path("identity.certificate", given.certificate.as_ref())?,
        key: path("identity.key", given.key.as_ref())?,
        ca: path("identity.ca", given.ca.as_ref())?,
    })))
}

/// The SPIFFE Workload Endpoint specification, section 4.
fn endpoint_from_environment() -> Result<String, ConfigError> {
    std::env::var(ENDPOINT_VARIABLE).map_err(|_| {
        let text =
            format!("is 'env', but {ENDPOINT_VARIABLE} is not set; set it, or give the socket's address");
        wrong("identity.spiffe", text)
    })
}

fn path(key: &'static str, given: Option<&PathBuf>) -> Result<PathBuf, ConfigError> {
    given.cloned().ok_or_else(|| wrong(key, "is missing; certificate, key and ca go together"))
}
