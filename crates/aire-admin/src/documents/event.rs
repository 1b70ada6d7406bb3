use std::fmt;

use aire_types::{AppName, NodeName};
use serde::{Deserialize, Serialize};

/// How much an event matters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know.
    #[default]
    Info,
    /// Somebody should look at it.
    Warning,
    /// Something that was promised does not hold.
    Error,
}

impl Severity {
    /// All severities, in a fixed order.
    pub const ALL: [Severity; 3] = [Severity::Info, Severity::Warning, Severity::Error];

    /// As it stands in documents.
    pub const fn as_str(self) -> &'static str {
        match self {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Error => "error",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One line of `events`: something that happened to this agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Rises by one with every event of this run; `since` takes it.
    pub cursor: u64,
    /// When, RFC 3339, UTC.
    pub at: String,
    /// What sort of thing it is, for scripts, such as `stream-denied` or `path-left`.
    pub kind: String,
    /// How much it matters.
    pub severity: Severity,
    /// Who did it or is to blame: an identity, a node, an address, `policy`, `configuration`, `machine`.
    pub who: String,
    /// What happened, for people.
    pub what: String,
    /// The agent that it is about.
    pub peer: Option<NodeName>,
    /// The app that it is about.
    pub app: Option<AppName>,
    /// More for people, such as what to do about it.
    pub detail: Option<String>,
    /// How many of the same kind from the same `who` were left out before this one, because they came too fast.
    #[serde(default)]
    pub suppressed: u64,
}
