use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{Class, Instance, Needs, NodeName, Path, Priority, SecurityLevel, Time};

/// Where a measured value comes from, from the most to the least trusted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// Measured on application bytes.
    Payload,
    /// Measured by an end-to-end probe.
    Probe,
    /// Said by somebody else.
    #[default]
    Claimed,
}

/// A value with what is needed to know how far to trust it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The value, in the unit of the field that holds it.
    pub value: f64,
    /// Mean deviation, same unit.
    pub deviation: f64,
    /// When it was last measured.
    pub at: Time,
    /// How many measurements went into it.
    pub count: u32,
    /// The truth is at least the value: an answer is still missing.
    pub censored: bool,
    /// Where it comes from.
    pub source: Source,
}

/// One way to one instance.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RouteId {
    /// The destination.
    pub instance: Instance,
    /// The relays on the way.
    pub path: Path,
}

impl fmt::Display for RouteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.instance, self.path)
    }
}

/// What a user of the mesh orders for an app, before any cost is computed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Override {
    /// Use exactly this path, and nothing else (empty list: direct).
    pub pin: Option<Path>,
    /// Never use these relays.
    pub avoid: Vec<NodeName>,
    /// Use these relays where they cost little more.
    pub prefer: Vec<NodeName>,
    /// Never use a relay.
    pub direct_only: bool,
}

/// Why a candidate cannot be used, whatever its cost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ineligible {
    /// Nothing was measured on it yet.
    Unmeasured,
    /// It does not answer.
    Dead,
    /// It was left a moment ago and has not served its dwell.
    Dwelling,
    /// A hop refused the circuit.
    Refused(String),
    /// A relay of it is riskier than the app's security level allows.
    TooRisky,
    /// A relay of it has no capacity left.
    Full,
    /// The user's override excludes it.
    Excluded,
}

impl fmt::Display for Ineligible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ineligible::Unmeasured => f.write_str("not measured yet"),
            Ineligible::Dead => f.write_str("does not answer"),
            Ineligible::Dwelling => f.write_str("left a moment ago"),
            Ineligible::Refused(why) => write!(f, "refused: {why}"),
            Ineligible::TooRisky => f.write_str("riskier than the app allows"),
            Ineligible::Full => f.write_str("no capacity left"),
            Ineligible::Excluded => f.write_str("excluded by an override"),
        }
    }
}

/// One candidate with all that is known of it at the moment of a decision.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// Which way to which instance.
    pub route: RouteId,
    /// Round trip, milliseconds.
    pub rtt_ms: Estimate,
    /// Mean of the worst tenth of recent round trips (CVaR at 0.9), milliseconds.
    pub tail_ms: f64,
    /// Lowest of recent round trips, milliseconds.
    pub base_ms: f64,
    /// Round trip that others' published measurements add up to, milliseconds. A claim: it chooses whom to look at, and a
    /// measurement outweighs it.
    #[serde(default)]
    pub prior_ms: Option<Estimate>,
    /// Share of packets or probes that vanish, 0 to 1.
    pub loss: Estimate,
    /// Bandwidth that one connection gets, megabits a second; count 0 where never measured.
    pub bandwidth_mbps: Estimate,
    /// Load of the busiest node on the way, destination included, 0 to 1.
    pub load: f64,
    /// Risk of the riskiest relay, 0 (none) to 1 (hostile).
    pub risk: f64,
    /// A hop granted a lease that still runs.
    pub leased: bool,
    /// Cannot be used, and why.
    pub ineligible: Option<Ineligible>,
}

/// All that a policy may look at to answer one question. Immutable, the same for the rule and the model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// When it was taken.
    pub at: Time,
    /// The class that asks.
    pub class: Class,
    /// The app's security level.
    pub security: SecurityLevel,
    /// What the app needs of its path; zero where it did not say.
    #[serde(default)]
    pub needs: Needs,
    /// How much the app's streams count against those of others.
    #[serde(default)]
    pub priority: Priority,
    /// What the user ordered.
    pub overrides: Override,
    /// The route in use and since when.
    pub current: Option<(RouteId, Time)>,
    /// Until then the route in use is not left for a better one.
    pub hold_until: Time,
    /// The candidates, ordered by route.
    pub candidates: Vec<Candidate>,
}

/// The gain that a learned policy predicts over direct, milliseconds (positive is better).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gains {
    /// Lower end of the interval.
    pub low: f64,
    /// Middle.
    pub mid: f64,
    /// Upper end of the interval.
    pub high: f64,
}

/// One candidate in a ranking.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ranked {
    /// The candidate's route.
    pub route: RouteId,
    /// Predicted cost, millisecond equivalents; infinite where ineligible.
    pub cost: f64,
    /// Predicted gain over direct, where a model was asked.
    pub gain: Option<Gains>,
    /// Why it cannot be used.
    pub ineligible: Option<Ineligible>,
}

/// The answer to one question, with what is needed to explain and to learn from it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// When.
    pub at: Time,
    /// For which class.
    pub class: Class,
    /// Who decided: `rule`, a model's name, or `override`.
    pub by: Arc<str>,
    /// Hash of the snapshot it was made on.
    pub snapshot_hash: u64,
    /// Probability with which this choice was made (1 where nothing was random).
    pub propensity: f64,
    /// Best first; ineligible ones last.
    pub ranking: Vec<Ranked>,
    /// Why the first one is first, for people.
    pub reason: String,
}

impl Decision {
    /// The best route that can be used. `None` means: keep what is in use.
    pub fn choice(&self) -> Option<&RouteId> {
        self.ranking.first().filter(|ranked| ranked.ineligible.is_none()).map(|ranked| &ranked.route)
    }
}
