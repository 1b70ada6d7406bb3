use aire_types::{AppName, Class, NodeName, Path, Protocol};
use serde::{Deserialize, Serialize};

/// One row of `streams`: an open connection, or flow of datagrams, of an application.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StreamRow {
    /// Unique on this agent.
    pub id: String,
    /// The destination.
    pub app: AppName,
    /// The agent at the other end.
    pub peer: NodeName,
    /// What it wants.
    pub class: Class,
    /// What the application speaks.
    #[serde(default)]
    pub protocol: Protocol,
    /// The relays that it goes over now; empty for direct.
    pub path: Path,
    /// To this agent's application.
    pub bytes_in: u64,
    /// From this agent's application.
    pub bytes_out: u64,
    /// How often it changed its path.
    pub moves: u64,
    /// Seconds since it was opened.
    pub age_s: f64,
}
