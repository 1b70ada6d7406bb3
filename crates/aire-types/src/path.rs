use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{AppName, NodeName};

/// The most relays that a path may have.
pub const MAX_RELAYS: usize = 2;

/// An ordered list of relays between two agents; empty means direct. A copy is cheap.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Vec<NodeName>", into = "Vec<NodeName>")]
pub struct Path(Option<Arc<[NodeName]>>);

/// Why a list of relays is not a path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// More than [`MAX_RELAYS`] relays.
    #[error("a path has at most {MAX_RELAYS} relays, not {0}")]
    TooLong(usize),
    /// The same relay twice.
    #[error("the relay {0} stands twice in the path")]
    Loop(NodeName),
}

impl Path {
    /// The path without relays.
    pub const DIRECT: Path = Path(None);

    /// A path over `relays` in order.
    ///
    /// # Errors
    /// Too many relays, or one of them twice.
    pub fn new(relays: Vec<NodeName>) -> Result<Self, PathError> {
        if relays.len() > MAX_RELAYS {
            return Err(PathError::TooLong(relays.len()));
        }
        for (i, relay) in relays.iter().enumerate() {
            if relays[..i].contains(relay) {
                return Err(PathError::Loop(relay.clone()));
            }
        }
        Ok(Path((!relays.is_empty()).then(|| relays.into())))
    }

    /// A path over one relay.
    pub fn via(relay: NodeName) -> Self {
        Path(Some(Arc::from([relay])))
    }

    /// The relays in order from the source.
    pub fn relays(&self) -> &[NodeName] {
        self.0.as_deref().unwrap_or_default()
    }

    /// Without relays?
    pub fn is_direct(&self) -> bool {
        self.0.is_none()
    }

    /// No relay in common? A direct path is disjoint from every relayed one, but not from itself.
    pub fn is_disjoint(&self, other: &Path) -> bool {
        self != other && !self.relays().iter().any(|relay| other.relays().contains(relay))
    }
}

impl TryFrom<Vec<NodeName>> for Path {
    type Error = PathError;
    fn try_from(relays: Vec<NodeName>) -> Result<Self, PathError> {
        Path::new(relays)
    }
}

impl From<Path> for Vec<NodeName> {
    fn from(path: Path) -> Self {
        path.relays().to_vec()
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_direct() {
            return f.pad("direct");
        }
        let names: Vec<&str> = self.relays().iter().map(NodeName::as_str).collect();
        f.pad(&format!("via {}", names.join(",")))
    }
}

/// One running copy of an app: the app and the node it runs on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Instance {
    /// The service.
    pub app: AppName,
    /// Where this copy runs.
    pub node: NodeName,
}

impl fmt::Display for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}@{}", self.app, self.node))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str) -> NodeName {
        NodeName::new(name).unwrap()
    }

    #[test]
    fn loops_and_long_paths_are_refused() {
        assert!(Path::new(vec![node("a"), node("b")]).is_ok());
        assert_eq!(Path::new(vec![node("a"), node("a")]), Err(PathError::Loop(node("a"))));
        assert_eq!(Path::new(vec![node("a"), node("b"), node("c")]), Err(PathError::TooLong(3)));
    }

    #[test]
    fn disjoint_paths_share_no_relay() {
        let (a, b) = (Path::via(node("a")), Path::via(node("b")));
        let ab = Path::new(vec![node("a"), node("b")]).unwrap();
        assert!(a.is_disjoint(&b) && a.is_disjoint(&Path::DIRECT) && Path::DIRECT.is_disjoint(&a));
        assert!(!a.is_disjoint(&a) && !ab.is_disjoint(&b) && !Path::DIRECT.is_disjoint(&Path::DIRECT));
    }
}
