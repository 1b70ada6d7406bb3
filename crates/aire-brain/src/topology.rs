use std::collections::BTreeMap;

use aire_types::{Instance, NodeName};
use serde::{Deserialize, Serialize};

/// An instance as the registry knows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InstanceInfo {
    /// The app and the node it runs on.
    pub instance: Instance,
    /// Where it stands; empty where unknown.
    pub zone: String,
    /// Load of its node, 0 to 1.
    pub load: f64,
    /// It takes no new streams.
    pub draining: bool,
    /// Round trip from here over our link, milliseconds; `None` without a link.
    pub rtt_ms: Option<f64>,
}

/// A relay as the registry and our links know it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RelayInfo {
    /// Which node.
    pub node: NodeName,
    /// Where it stands; empty where unknown.
    pub zone: String,
    /// Load, 0 to 1.
    pub load: f64,
    /// Risk, 0 (none) to 1 (hostile). What is no number counts as hostile.
    pub risk: f64,
    /// Round trip from here over our link, milliseconds; `None` without a link.
    pub rtt_ms: Option<f64>,
    /// Round trips that the relay claims to other nodes, milliseconds. They only choose whom to look at.
    pub legs: BTreeMap<NodeName, f64>,
    /// It takes no new circuits.
    pub draining: bool,
    /// Policy lets us use it.
    pub allowed: bool,
    /// It has no capacity left.
    pub full: bool,
}

impl RelayInfo {
    /// A relay of which nothing is known but that it may be used.
    pub fn new(node: NodeName) -> Self {
        RelayInfo {
            node,
            zone: String::new(),
            load: 0.0,
            risk: 0.0,
            rtt_ms: None,
            legs: BTreeMap::new(),
            draining: false,
            allowed: true,
            full: false,
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.allowed && !self.draining
    }

    /// Expected round trip from here over this relay to `to`, milliseconds, where both legs are known.
    pub(crate) fn legs_to(&self, to: &NodeName) -> Option<f64> {
        let sum = self.rtt_ms? + *self.legs.get(to)?;
        (sum.is_finite() && sum >= 0.0).then_some(sum)
    }
}

/// Why a circuit was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// A hop has no capacity left: worth another try soon.
    Capacity,
    /// A hop has no link to the next one yet, or not any more; in words.
    Unlinked(String),
    /// Anything else, in words.
    Other(String),
}
