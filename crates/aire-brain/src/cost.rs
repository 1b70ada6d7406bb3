//! The one cost of a path, in millisecond equivalents.
//!
//! ```text
//! cost = latency            average round trip
//!      + tail               w × (mean of the worst tenth − average)
//!      + loss               f × p/(1−p)² × max(round trip, 200 ms): a lost packet waits for a timer,
//!                           and so does every further loss of its repetition
//!      + transfer           time for the class's usual amount at the bandwidth that one connection gets
//!      + load               w × min(ρ/(1−ρ), 4)/4: grows like a queue and saturates
//!      + needs              what is missing of the bandwidth and the latency that the app says it needs
//!      + risk               w(security level) × risk of the riskiest relay
//!      + hops               per relay: something that can fail and must be paid for
//!      + switching          for every path but the one in use
//!      − preference         where the user prefers a relay of it
//! ```
//! `error` and `loss_error` are standard errors: of the loss term, and of all others together. Masks are no cost: an ineligible candidate is never scored.

use std::time::Duration;

use aire_types::{Candidate, Class, Estimate, Priority, SecurityLevel, Snapshot};
use serde::Serialize;

/// What each part of the cost weighs for one class.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Weights {
    /// Share of the distance from average to tail that is paid.
    pub tail: f64,
    /// Packets of one exchange that can be lost, each at the cost of a retransmission.
    pub loss: f64,
    /// The amount whose transfer time is paid, mebibytes.
    pub amount_mib: f64,
    /// Milliseconds at full load.
    pub load: f64,
    /// Factor on the risk term.
    pub risk: f64,
    /// Milliseconds for changing the path.
    pub switching: f64,
    /// Milliseconds per relay.
    pub hop: f64,
    /// Milliseconds that a preferred relay is worth.
    pub preference: f64,
    /// The least gain that a change must bring, milliseconds.
    pub margin: f64,
}

impl Weights {
    /// The weights of `class`.
    pub const fn of(class: Class) -> Self {
        let base = Weights {
            tail: 0.3,
            loss: 10.0,
            amount_mib: 0.016,
            load: 20.0,
            risk: 1.0,
            switching: 1.0,
            hop: 1.0,
            preference: 20.0,
            margin: 3.0,
        };
        match class {
            Class::Interactive => base,
            Class::Bulk => Weights { tail: 0.05, amount_mib: 4.0, load: 40.0, margin: 5.0, ..base },
            Class::Critical => {
                Weights { tail: 0.5, loss: 15.0, risk: 1.5, switching: 2.0, margin: 5.0, ..base }
            }
        }
    }
}

/// The parts of one candidate's cost, milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Terms {
    /// Average round trip.
    pub latency: f64,
    /// Tail beyond the average.
    pub tail: f64,
    /// Retransmissions.
    pub loss: f64,
    /// Transfer time.
    pub transfer: f64,
    /// Load on the way.
    pub load: f64,
    /// What is missing of the app's needs.
    pub needs: f64,
    /// Risk on the way.
    pub risk: f64,
    /// Relays on the way.
    pub hops: f64,
    /// Change of path.
    pub switching: f64,
    /// Preference of the user, negative or zero.
    pub preference: f64,
    /// Standard error of the sum without the loss term.
    pub error: f64,
    /// Standard error of the loss term.
    pub loss_error: f64,
}

impl Terms {
    /// The expected cost.
    pub fn total(&self) -> f64 {
        self.latency
            + self.tail
            + self.loss
            + self.transfer
            + self.load
            + self.needs
            + self.risk
            + self.hops
            + self.switching
            + self.preference
    }
}

/// TCP's least retransmission timer (RFC 6298 allows 1 s, kernels use 200 ms).
const LEAST_TIMER_MS: f64 = 200.0;
/// The slow average never rests on more independent samples than this (2/w − 1 at w = 0.1).
const MOST_SAMPLES: f64 = 19.0;
/// Standard error of the tail in units of its excess over the average, where one sample of the window is in it:
/// whether it was there at all is chance.
const TAIL_ERROR: f64 = 1.5;
/// Bandwidth of a path that nothing is known of, megabits a second.
const UNKNOWN_MBPS: f64 = 50.0;
/// Confidence halves (in variance) when the last sample is this old.
const FADES: Duration = Duration::from_secs(60);

/// Cost of having half of the bandwidth that the app needs, milliseconds.
const SHORT_MS: f64 = 50.0;
/// Shares that are missing count for at most so much.
const MOST_SHORT: f64 = 10.0;

/// Milliseconds that a mebibyte takes at one megabit a second.
const MEBIBYTE_MS: f64 = 8.0 * 1.048_576 * 1000.0;

/// What all candidates of a snapshot share while they are scored.
#[derive(Clone, Copy, Debug)]
pub struct Scorer<'a> {
    snapshot: &'a Snapshot,
    weights: Weights,
    risk_weight: f64,
    assumed_mbps: f64,
}

impl<'a> Scorer<'a> {
    /// A scorer for the candidates of `snapshot`.
    pub fn new(snapshot: &'a Snapshot) -> Self {
        let mut weights = Weights::of(snapshot.class);
        // where relays are scarce, apps of low priority make room for those of high priority
        let priority = f64::from(snapshot.priority.get()) - f64::from(Priority::NORMAL.get());
        weights.load *= (-0.5 * priority).exp2();
        let level = match snapshot.security {
            SecurityLevel::Low => 40.0,
            SecurityLevel::Normal => 200.0,
            SecurityLevel::High => 800.0,
        };
        // A path whose bandwidth is unknown is taken for no better than the worst that is known: only what was
        // measured may attract traffic.
        let assumed_mbps = snapshot
            .candidates
            .iter()
            .filter(|candidate| candidate.bandwidth_mbps.count > 0)
            .map(|candidate| candidate.bandwidth_mbps.value)
            .reduce(f64::min)
            .unwrap_or(UNKNOWN_MBPS);
        Scorer { snapshot, weights, risk_weight: level * weights.risk, assumed_mbps }
    }

    /// The same with load weighed `factor` times as much.
    #[must_use]
    pub fn with_load(mut self, factor: f64) -> Self {
        self.weights.load *= factor;
        self
    }

    /// The weights of the snapshot's class.
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// The cost of `candidate`. Allocates nothing.
    pub fn terms(&self, candidate: &Candidate) -> Terms {
        let weights = &self.weights;
        let relays = candidate.route.path.relays();
        let rtt = finite(candidate.rtt_ms.value);
        let excess = (finite(candidate.tail_ms) - rtt).max(0.0);
        let lost = finite(candidate.loss.value).clamp(0.0, 0.95);
        let timer = weights.loss * rtt.max(LEAST_TIMER_MS);
        let known = candidate.bandwidth_mbps.count > 0;
        let mbps = if known { candidate.bandwidth_mbps.value } else { self.assumed_mbps };
        let transfer = (weights.amount_mib * MEBIBYTE_MS / rate(mbps)).min(60_000.0);
        let load = finite(candidate.load).clamp(0.0, 0.99);
        let in_use = self.snapshot.current.as_ref().is_none_or(|(route, _)| *route == candidate.route);
        let preferred = relays.iter().any(|relay| self.snapshot.overrides.prefer.contains(relay));
        Terms {
            latency: rtt,
            tail: weights.tail * excess,
            loss: timer * lost / ((1.0 - lost) * (1.0 - lost)),
            transfer,
            load: weights.load * (load / (1.0 - load)).min(4.0) / 4.0,
            needs: self.missing(candidate, rtt),
            risk: self.risk_weight * finite(candidate.risk).clamp(0.0, 1.0),
            hops: weights.hop * relays.len() as f64,
            switching: if in_use { 0.0 } else { weights.switching },
            preference: if preferred { -weights.preference } else { 0.0 },
            error: self.error(candidate, excess, transfer),
            loss_error: timer * finite(candidate.loss.deviation)
                / f64::from(candidate.loss.count).max(1.0).sqrt(),
        }
    }

    /// What is missing of the app's needs: every millisecond beyond the latency that it works well with counts twice, and half
    /// of the bandwidth costs as much as [`SHORT_MS`]. What was never measured is not missing.
    fn missing(&self, candidate: &Candidate, rtt: f64) -> f64 {
        let needs = &self.snapshot.needs;
        let late = if needs.latency_ms > 0.0 { (rtt - needs.latency_ms).max(0.0) } else { 0.0 };
        let bandwidth = &candidate.bandwidth_mbps;
        if bandwidth.count == 0 || needs.bandwidth_mbps.is_nan() {
            return late;
        }
        let short = needs.bandwidth_mbps / rate(bandwidth.value) - 1.0;
        late + SHORT_MS * short.clamp(0.0, MOST_SHORT)
    }

    fn error(&self, candidate: &Candidate, excess: f64, transfer: f64) -> f64 {
        let weights = &self.weights;
        let rtt = &candidate.rtt_ms;
        let samples = f64::from(rtt.count).clamp(1.0, MOST_SAMPLES);
        // three equal samples do not prove a path without jitter; 1.25 turns a mean deviation into a standard one
        let deviation = 1.25 * finite(rtt.deviation).max(0.5 + 0.02 * finite(rtt.value));
        let latency = (1.0 - weights.tail) * deviation / samples.sqrt();
        let tail = TAIL_ERROR * weights.tail * excess / (samples / 10.0).max(1.0).sqrt();
        let bandwidth = &candidate.bandwidth_mbps;
        let transfer = if bandwidth.count > 0 {
            let share = finite(bandwidth.deviation) / rate(bandwidth.value);
            transfer * share.min(1.0) / f64::from(bandwidth.count).min(MOST_SAMPLES).sqrt()
        } else {
            0.0
        };
        let age = age_seconds(self.snapshot, rtt) / FADES.as_secs_f64();
        let squares = (latency * latency + tail * tail) * (1.0 + age) + transfer * transfer;
        squares.sqrt()
    }
}

fn age_seconds(snapshot: &Snapshot, estimate: &Estimate) -> f64 {
    if estimate.count == 0 { 0.0 } else { snapshot.at.since(estimate.at).as_secs_f64() }
}

/// A value from outside may be anything; what is no number must not become a low cost.
fn finite(value: f64) -> f64 {
    if value.is_finite() { value.max(0.0) } else { 1e6 }
}

/// The same for megabits a second, of which many are cheap.
fn rate(mbps: f64) -> f64 {
    if mbps.is_finite() { mbps.max(0.01) } else { 0.01 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::samples;

    #[test]
    fn a_bandwidth_that_is_no_number_is_not_cheap() {
        let transfer = |value: f64| {
            let mut snapshot = samples::snapshot(100.0, &[60.0]);
            snapshot.candidates[1].bandwidth_mbps = Estimate { value, count: 9, ..Estimate::default() };
            Scorer::new(&snapshot).terms(&snapshot.candidates[1]).transfer
        };
        assert!(transfer(f64::NAN) >= transfer(0.1) && transfer(f64::INFINITY) >= transfer(0.1));
    }
}
