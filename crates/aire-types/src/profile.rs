use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{AppName, Class, SecurityLevel};

/// Which run of an agent this is: wall-clock microseconds at its start, only compared with others of the same node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Incarnation(pub u64);

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

/// How much an app's streams count against those of others, from 0 (least) to 7 (most).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Priority(u8);

impl Priority {
    /// The priority of an app that does not ask for one.
    pub const NORMAL: Priority = Priority(4);

    /// The number, 0 to 7.
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl Default for Priority {
    fn default() -> Self {
        Priority::NORMAL
    }
}

impl TryFrom<u8> for Priority {
    type Error = String;
    fn try_from(value: u8) -> Result<Self, String> {
        if value <= 7 { Ok(Priority(value)) } else { Err(format!("priority {value} is not within 0 to 7")) }
    }
}

impl From<Priority> for u8 {
    fn from(priority: Priority) -> u8 {
        priority.0
    }
}

/// What an app needs to work well. Zero means that it did not say.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Needs {
    /// Megabits a second.
    pub bandwidth_mbps: f64,
    /// Milliseconds of round trip that it still works well with.
    pub latency_ms: f64,
    /// Cores.
    pub cpu: f64,
    /// Mebibytes.
    pub memory_mib: u64,
}

/// What an app tells the mesh about itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AppProfile {
    /// What it needs.
    pub needs: Needs,
    /// How much it minds risk.
    pub security: SecurityLevel,
    /// How much its streams count.
    pub priority: Priority,
    /// The class of its streams where nothing else is said.
    pub class: Class,
    /// Usual destinations, and the volume to each in mebibytes a day.
    pub destinations: BTreeMap<AppName, f64>,
}

/// The security posture of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Posture {
    /// Whether a packet filter with rules is in force; `None` where it cannot be read.
    pub firewall: Option<bool>,
    /// Whether intrusion detection runs; `None` where it cannot be read.
    pub intrusion_detection: Option<bool>,
}

/// What a node tells the mesh about itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NodeProfile {
    /// Cores that this node has.
    pub cpus: f64,
    /// Share of the cores in use, 0 to 1.
    pub cpu_load: f64,
    /// Mebibytes that programs can still take.
    pub memory_free_mib: u64,
    /// Mebibytes in all.
    pub memory_mib: u64,
    /// Megabits a second that this agent carries now, both directions.
    pub bandwidth_used_mbps: f64,
    /// Megabits a second that it offers for relaying; zero means that it sets no limit.
    pub bandwidth_limit_mbps: f64,
    /// Where it stands; relays of one zone tend to fail together.
    pub zone: String,
    /// Its security posture.
    pub posture: Posture,
    /// Whether it relays for others.
    pub relays: bool,
}

impl AppProfile {
    /// What counts when an app with this profile calls one with the profile `called`: the stricter of each.
    #[must_use]
    pub fn calling(&self, called: &AppProfile) -> AppProfile {
        let least = |a: f64, b: f64| match (a > 0.0, b > 0.0) {
            (true, true) => a.min(b),
            (true, false) => a,
            _ => b,
        };
        let needs = Needs {
            bandwidth_mbps: self.needs.bandwidth_mbps.max(called.needs.bandwidth_mbps),
            latency_ms: least(self.needs.latency_ms, called.needs.latency_ms),
            ..called.needs
        };
        AppProfile {
            needs,
            security: self.security.max(called.security),
            priority: self.priority.max(called.priority),
            class: called.class,
            destinations: BTreeMap::new(),
        }
    }
}

impl NodeProfile {
    /// How busy it is, 0 to 1: its cores, what it offers for relaying or its memory, whichever is scarcer; memory counts only
    /// while the last tenth of it is in use.
    pub fn load(&self) -> f64 {
        let carried = match self.bandwidth_limit_mbps {
            limit if limit > 0.0 => self.bandwidth_used_mbps / limit,
            _ => 0.0,
        };
        let full = match self.memory_mib {
            0 => 0.0,
            all => ((1.0 - self.memory_free_mib as f64 / all as f64) - 0.9) * 10.0,
        };
        let finite = self.cpu_load.is_finite() && carried.is_finite();
        if finite { self.cpu_load.max(carried).max(full).clamp(0.0, 1.0) } else { 1.0 }
    }

    /// Risk of relaying over the node by what it says of itself, 0 to 1. It is asked to its disadvantage only: who lies
    /// gets what a node gets that says nothing.
    pub fn risk(&self) -> f64 {
        let lacks = |part: Option<bool>, risk: f64| if part == Some(false) { risk } else { 0.0 };
        lacks(self.posture.firewall, 0.02) + lacks(self.posture.intrusion_detection, 0.01)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_key_is_an_error_that_names_it() {
        let error = serde_json::from_str::<AppProfile>(r#"{"prioritee": 3}"#).unwrap_err();
        assert!(error.to_string().contains("prioritee"));
    }

    #[test]
    fn of_two_profiles_the_stricter_counts() {
        let needs = |bandwidth_mbps, latency_ms| Needs { bandwidth_mbps, latency_ms, ..Needs::default() };
        let own = AppProfile { needs: needs(10.0, 0.0), security: SecurityLevel::High, ..Default::default() };
        let called = AppProfile { needs: needs(5.0, 80.0), priority: Priority(6), ..Default::default() };
        let both = own.calling(&called);
        assert_eq!((both.needs, both.security), (needs(10.0, 80.0), SecurityLevel::High));
        assert_eq!(both.priority, Priority(6));
    }

    #[test]
    fn the_scarcest_resource_is_the_load() {
        let idle = NodeProfile { memory_mib: 1000, memory_free_mib: 500, ..NodeProfile::default() };
        assert_eq!(NodeProfile::default().load(), 0.0);
        assert_eq!(idle.load(), 0.0);
        let mut busy = NodeProfile { cpu_load: 0.3, ..idle };
        assert_eq!(busy.load(), 0.3);
        (busy.bandwidth_used_mbps, busy.bandwidth_limit_mbps) = (80.0, 100.0);
        assert_eq!(busy.load(), 0.8);
        busy.memory_free_mib = 10;
        assert!((busy.load() - 0.9).abs() < 1e-9);
        busy.bandwidth_used_mbps = f64::NAN;
        assert_eq!(busy.load(), 1.0);
    }

    #[test]
    fn a_missing_packet_filter_is_a_risk_and_an_unknown_one_is_none() {
        let mut node = NodeProfile::default();
        assert_eq!(node.risk(), 0.0);
        node.posture.firewall = Some(true);
        assert_eq!(node.risk(), 0.0);
        node.posture = Posture { firewall: Some(false), intrusion_detection: Some(false) };
        assert!((node.risk() - 0.03).abs() < 1e-12);
    }

    #[test]
    fn priority_has_a_range() {
        assert!(serde_json::from_str::<Priority>("7").is_ok());
        assert!(serde_json::from_str::<Priority>("8").is_err());
    }
}
