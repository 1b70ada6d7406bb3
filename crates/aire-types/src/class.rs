use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What a stream wants from its path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// Short answers soon: latency and its tail count.
    #[default]
    Interactive,
    /// Much data: bandwidth counts.
    Bulk,
    /// Must not stall: as interactive, with outages and risk weighed more.
    Critical,
}

impl Class {
    /// All classes, in a fixed order.
    pub const ALL: [Class; 3] = [Class::Interactive, Class::Bulk, Class::Critical];

    /// The class as users write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Class::Interactive => "interactive",
            Class::Bulk => "bulk",
            Class::Critical => "critical",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Class {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Class::ALL
            .into_iter()
            .find(|c| c.as_str() == text)
            .ok_or_else(|| format!("'{text}' is not a class (interactive, bulk or critical)"))
    }
}

/// How much an app minds risk on its path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SecurityLevel {
    /// Risk is a small cost.
    Low,
    /// Risk is a cost.
    #[default]
    Normal,
    /// Relays above a low risk are not used at all.
    High,
}

impl SecurityLevel {
    /// The highest risk, from 0 (none) to 1 (hostile), that a relay of this app's paths may have.
    pub const fn risk_ceiling(self) -> f32 {
        match self {
            SecurityLevel::Low => 0.9,
            SecurityLevel::Normal => 0.6,
            SecurityLevel::High => 0.25,
        }
    }
}
