use aire_types::{AppName, Class, NodeName, Path};

/// Where the values of an observation come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// Measured on application bytes.
    Payload,
    /// Measured by end-to-end probes.
    Probe,
    /// Measured on the link to a neighbour.
    Link,
    /// Said by somebody else.
    Claimed,
}

/// What a record says.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// What was measured on one path within a span of time.
    Observation(Observation),
    /// A path was chosen.
    Choice(Choice),
}

/// What was measured on one path within a span of time.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    /// End of the span, milliseconds since 1970 by the recording node's clock.
    pub at_ms: u64,
    /// Length of the span, milliseconds.
    pub span_ms: u32,
    /// The node at the path's beginning.
    pub from: NodeName,
    /// The node at its end.
    pub to: NodeName,
    /// The relays on the way.
    pub path: Path,
    /// Where the values come from.
    pub origin: Origin,
    /// Round trips; `None` where nothing was answered.
    pub delays: Option<Delays>,
    /// Answers that never came.
    pub missed: u32,
    /// The round trip of a missing answer was at least this, microseconds, the largest of the span; 0 where none is
    /// missing. A censored value.
    pub missed_us: u32,
    /// Packets; zero where nobody counted.
    pub packets: Packets,
    /// What went through while the path set the pace; zero where nothing did.
    pub transfer: Transfer,
    /// Load of the busiest node on the way, 0 to 1, kept to a thousandth; `None` where not known.
    pub load: Option<f32>,
}

/// Round trips of one span, microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delays {
    /// How many; at least one.
    pub count: u32,
    /// Their mean.
    pub mean_us: u32,
    /// The least.
    pub min_us: u32,
    /// The median.
    pub median_us: u32,
    /// The 90th percentile.
    pub p90_us: u32,
    /// The largest.
    pub max_us: u32,
}

/// Packets of one span.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Packets {
    /// Packets sent.
    pub sent: u64,
    /// Of these, sent again.
    pub lost: u64,
}

/// Bytes that went through while the path, and not the application, set the pace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Transfer {
    /// How many.
    pub bytes: u64,
    /// How long that took, microseconds.
    pub elapsed_us: u64,
}

/// A path was chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// When, milliseconds since 1970 by the recording node's clock.
    pub at_ms: u64,
    /// The app that streams go to.
    pub app: AppName,
    /// The node that they go to.
    pub to: NodeName,
    /// Their class.
    pub class: Class,
    /// The path that was chosen.
    pub path: Path,
    /// Who chose: `rule`, a model's name, or `override`.
    pub by: String,
    /// Probability of this choice.
    pub propensity: f32,
    /// Predicted cost of the choice, millisecond equivalents.
    pub cost: f32,
    /// Predicted cost of direct; infinite where it could not be used.
    pub direct_cost: f32,
    /// How many paths were considered.
    pub candidates: u32,
    /// Hash of what was known.
    pub snapshot_hash: u64,
}

impl Transfer {
    /// Megabits a second; `None` where nothing went through.
    pub fn mbps(self) -> Option<f64> {
        (self.bytes > 0 && self.elapsed_us > 0).then(|| self.bytes as f64 * 8.0 / self.elapsed_us as f64)
    }
}

impl Record {
    /// When it was made, milliseconds since 1970.
    pub fn at_ms(&self) -> u64 {
        match self {
            Record::Observation(observation) => observation.at_ms,
            Record::Choice(choice) => choice.at_ms,
        }
    }
}
