//! What happens to the network: faults as rules, and series that a trace recorded.

use std::time::Duration;

use aire_types::Time;

/// What a condition is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// A node's access to the network.
    Access(usize),
    /// A node as a relay: what it forwards.
    Relay(usize),
    /// The trunk between two zones, in either order.
    Trunk(usize, usize),
}

/// What a condition does while it holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Nothing passes.
    Outage,
    /// The round trip is longer, or shorter, by so many milliseconds.
    Shift(f64),
    /// This share of round trips takes so many milliseconds more.
    Spikes {
        /// 0 to 1.
        share: f64,
        /// Milliseconds.
        ms: f64,
    },
    /// This share of packets vanishes, 0 to 1.
    Loss(f64),
    /// The capacity is this share of what it is otherwise.
    Capacity(f64),
    /// Milliseconds on top of the round trip, one value for each step; the last one stays.
    ShiftSeries {
        /// How long one value holds.
        step: Duration,
        /// Milliseconds.
        ms: Vec<f32>,
    },
    /// Share of the capacity, one value for each step; the last one stays.
    CapacitySeries {
        /// How long one value holds.
        step: Duration,
        /// Shares.
        share: Vec<f32>,
    },
}

/// A rule: from a moment until another, something is different.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// Since when.
    pub from: Time,
    /// Until when, [`Time::NEVER`] for good.
    pub until: Time,
    /// What.
    pub on: Target,
    /// How.
    pub effect: Effect,
}

/// The sum of what holds at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Strain {
    pub(crate) down: bool,
    pub(crate) shift_ms: f64,
    pub(crate) spike_share: f64,
    pub(crate) spike_ms: f64,
    pub(crate) loss: f64,
    pub(crate) capacity: f64,
}

impl Strain {
    pub(crate) const NONE: Strain =
        Strain { down: false, shift_ms: 0.0, spike_share: 0.0, spike_ms: 0.0, loss: 0.0, capacity: 1.0 };
}

fn value(series: &[f32], step: Duration, age: Duration) -> Option<f64> {
    let index = (age.as_secs_f64() / step.as_secs_f64().max(1e-6)) as usize;
    series.get(index).or(series.last()).map(|value| f64::from(*value)).filter(|value| value.is_finite())
}

impl Condition {
    /// Adds to `strain` what this condition does at `now`.
    pub(crate) fn apply(&self, now: Time, strain: &mut Strain) {
        if now < self.from || now >= self.until {
            return;
        }
        let age = now.since(self.from);
        match &self.effect {
            Effect::Outage => strain.down = true,
            Effect::Shift(ms) => strain.shift_ms += ms,
            Effect::Spikes { share, ms } => {
                strain.spike_share = strain.spike_share.max(*share);
                strain.spike_ms = strain.spike_ms.max(*ms);
            }
            Effect::Loss(share) => strain.loss = 1.0 - (1.0 - strain.loss) * (1.0 - share),
            Effect::Capacity(share) => strain.capacity *= share,
            Effect::ShiftSeries { step, ms } => strain.shift_ms += value(ms, *step, age).unwrap_or(0.0),
            Effect::CapacitySeries { step, share } => {
                strain.capacity *= value(share, *step, age).unwrap_or(1.0);
            }
        }
    }
}
