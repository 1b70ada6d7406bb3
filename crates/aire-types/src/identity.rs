use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{AppName, MeshName, NameError, NodeName};

/// What a workload is in the mesh.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Role {
    /// Serves one instance of this app.
    App(AppName),
    /// Serves no app; relays for others and may hold the authority.
    Relay,
}

/// A workload identity: the content of an SVID, written as a SPIFFE id
/// (`spiffe://MESH/app/APP/NODE` or `spiffe://MESH/relay/NODE`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Identity {
    /// The trust domain.
    pub mesh: MeshName,
    /// What the workload is.
    pub role: Role,
    /// Which node it runs on.
    pub node: NodeName,
}

impl Identity {
    /// The app that the workload is an instance of; `None` for a relay.
    pub fn app(&self) -> Option<&AppName> {
        match &self.role {
            Role::App(app) => Some(app),
            Role::Relay => None,
        }
    }
}

/// Why a text is not an identity of a mesh.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// Not of either form.
    #[error("'{0}' is not spiffe://MESH/app/APP/NODE or spiffe://MESH/relay/NODE")]
    Form(String),
    /// A part of it is not a name.
    #[error("in '{id}': {source}")]
    Name {
        /// The whole text.
        id: String,
        /// What is wrong with the part.
        source: NameError,
    },
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.role {
            Role::App(app) => write!(f, "spiffe://{}/app/{}/{}", self.mesh, app, self.node),
            Role::Relay => write!(f, "spiffe://{}/relay/{}", self.mesh, self.node),
        }
    }
}

impl FromStr for Identity {
    type Err = IdentityError;
    fn from_str(text: &str) -> Result<Self, IdentityError> {
        let form = || IdentityError::Form(text.chars().take(200).collect());
        let name = |source| IdentityError::Name { id: text.to_owned(), source };
        let parts: Vec<&str> = text.strip_prefix("spiffe://").ok_or_else(form)?.split('/').collect();
        let (mesh, role, node) = match parts.as_slice() {
            [mesh, "app", app, node] => (mesh, Role::App(app.parse().map_err(name)?), node),
            [mesh, "relay", node] => (mesh, Role::Relay, node),
            _ => return Err(form()),
        };
        Ok(Identity { mesh: mesh.parse().map_err(name)?, role, node: node.parse().map_err(name)? })
    }
}

impl TryFrom<String> for Identity {
    type Error = IdentityError;
    fn try_from(text: String) -> Result<Self, IdentityError> {
        text.parse()
    }
}

impl From<Identity> for String {
    fn from(identity: Identity) -> String {
        identity.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_back() {
        for text in ["spiffe://prod/app/db/n-1", "spiffe://prod/relay/r2"] {
            assert_eq!(text.parse::<Identity>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn other_forms_are_refused() {
        for text in [
            "",
            "spiffe://prod",
            "spiffe://prod/app/db",
            "https://prod/relay/r",
            "spiffe://prod/relay/r/x",
            "spiffe:///relay/r",
            "spiffe://prod/app//n",
        ] {
            assert!(text.parse::<Identity>().is_err(), "{text}");
        }
    }
}
