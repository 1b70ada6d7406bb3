use std::collections::BTreeMap;
use std::net::SocketAddr;

use aire_types::{AppName, Incarnation, MeshName, NodeName};
use aire_wire::NoticeVersions;
use serde::{Deserialize, Serialize};

/// `status`: this agent at a glance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The mesh it is a member of.
    pub mesh: MeshName,
    /// Its name.
    pub node: NodeName,
    /// Its SPIFFE id; empty before it has an identity.
    pub id: String,
    /// `app` or `relay`.
    pub role: String,
    /// The app that it serves an instance of.
    pub app: Option<AppName>,
    /// Whether it can carry streams.
    pub ready: bool,
    /// Why it is not ready; empty when it is.
    #[serde(default)]
    pub not_ready: Vec<String>,
    /// How many other agents it has a link with.
    pub peers: u64,
    /// Its streams.
    pub streams: Streams,
    /// Application bytes that it carried for its own app.
    pub bytes: Bytes,
    /// Who chooses paths.
    pub model: Model,
    /// Version of the program.
    pub version: String,
    /// Seconds since it started.
    pub uptime_s: u64,
    /// Seconds until its SVID expires; negative when it has, `null` before it has one.
    pub svid_expires_s: Option<i64>,
    /// Where its SVID comes from: `authority`, `files` or `workload-api`.
    #[serde(default)]
    pub identity_source: String,
    /// Why it has no newer SVID, where it should have one.
    #[serde(default)]
    pub identity_trouble: Option<String>,
    /// It takes no new streams, because it is about to stop.
    pub draining: bool,
    /// Why it is out of the mesh, if it was revoked.
    #[serde(default)]
    pub revoked: Option<String>,
    /// Which versions of the authority's notices are in force here.
    #[serde(default)]
    pub notices: NoticeVersions,
    /// Where it takes links and carriers.
    pub listen: Vec<SocketAddr>,
}

/// Counts of streams.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Streams {
    /// Open now.
    pub open: u64,
    /// Opened since the start.
    pub total: u64,
    /// Moves from one path to another since the start.
    pub moved: u64,
    /// Ended by a reset since the start.
    pub reset: u64,
}

/// Counts of bytes since the start, seen from this agent's application.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bytes {
    /// To the application.
    #[serde(rename = "in")]
    pub inward: u64,
    /// From the application.
    #[serde(rename = "out")]
    pub outward: u64,
}

/// Who chooses paths.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// Name of the model, `rule` where there is none.
    pub name: String,
    /// Whether a learned model decides now.
    pub active: bool,
    /// Why the rule decides although there is a model.
    pub fallback_reason: Option<String>,
    /// How it was trained.
    #[serde(default)]
    pub summary: String,
    /// Why the last model that was offered is not in force.
    #[serde(default)]
    pub refused: Option<String>,
    /// How often a model was replaced at run time.
    #[serde(default)]
    pub swaps: u64,
    /// Decisions that the model made.
    #[serde(default)]
    pub decisions: u64,
    /// Decisions that were the rule's although there is a model, by kind of reason.
    #[serde(default)]
    pub fallbacks: BTreeMap<String, u64>,
    /// What keeps it from being worse than the rule.
    #[serde(default)]
    pub guard: Option<ModelGuard>,
}

/// What decisions would have cost as direct, rule and model would have gone, and what is left of the model's budget.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ModelGuard {
    /// What is left, in units of the rule's price of one decision.
    pub account: f64,
    /// What it must hold before the model decides again; 0 while it does.
    pub needed: f64,
    /// How often it was emptied.
    pub falls: u32,
    /// Decisions that were priced by what was measured after them.
    pub settled: u64,
    /// Those in which rule and model went different ways.
    pub differed: u64,
    /// Standard errors that a predicted gain must exceed now.
    pub margin_errors: f64,
    /// Average price of direct, milliseconds.
    pub direct_ms: f64,
    /// Of the rule.
    pub rule_ms: f64,
    /// Of the model.
    pub model_ms: f64,
    /// The model's price minus the rule's, milliseconds, summed over the decisions that the model made.
    pub regret_ms: f64,
}

/// The state of the link with a peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Link {
    /// Over QUIC.
    Quic,
    /// Over TCP, as UDP does not pass.
    Tcp,
    /// There is none now.
    #[default]
    None,
}

impl Link {
    /// As it stands in documents.
    pub const fn as_str(self) -> &'static str {
        match self {
            Link::Quic => "quic",
            Link::Tcp => "tcp",
            Link::None => "none",
        }
    }
}

/// How a peer is reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reach {
    /// This agent opened the link, and dials it for carriers.
    Dialled,
    /// It opened the link; whether it can be dialled for carriers is not known, or it can.
    DialsUs,
    /// It cannot be dialled: on our word it opens the connections of carriers itself.
    DialsBack,
    /// There is no link.
    #[default]
    None,
}

impl Reach {
    /// As it stands in documents.
    pub const fn as_str(self) -> &'static str {
        match self {
            Reach::Dialled => "dialled",
            Reach::DialsUs => "dials-us",
            Reach::DialsBack => "dials-back",
            Reach::None => "none",
        }
    }
}

/// One row of `peers`: another agent that this one knows of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Peer {
    /// Its name.
    pub node: NodeName,
    /// `app` or `relay`.
    pub role: String,
    /// The app that it serves.
    pub app: Option<AppName>,
    /// The link with it.
    pub link: Link,
    /// Who dials whom.
    #[serde(default)]
    pub reach: Reach,
    /// Round trip on the link, milliseconds.
    pub rtt_ms: Option<f64>,
    /// Where it can be reached.
    pub addresses: Vec<SocketAddr>,
    /// Where it stands.
    pub zone: String,
    /// Which run of it this is.
    pub incarnation: Incarnation,
    /// Seconds since it was last heard of, directly or by gossip.
    pub age_s: f64,
    /// It takes no new streams.
    pub draining: bool,
}
