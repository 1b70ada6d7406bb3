use aire_types::{AppName, AppProfile, NodeName, Override, Path};
use serde::{Deserialize, Serialize};

/// One row of `apps`: a service that this agent knows of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AppRow {
    /// Its name.
    pub app: AppName,
    /// Its running copies.
    pub instances: Vec<InstanceRow>,
    /// What the operator of this agent ordered for it.
    #[serde(default, rename = "override", skip_serializing_if = "Option::is_none")]
    pub ordered: Option<Override>,
}

/// One running copy of an app.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InstanceRow {
    /// Where it runs.
    pub node: NodeName,
    /// The path in use, or the one that would be; `null` where none is known.
    pub path: Option<Path>,
    /// Round trip over that path, milliseconds.
    pub rtt_ms: Option<f64>,
    /// What it told the mesh about itself.
    pub profile: AppProfile,
}
