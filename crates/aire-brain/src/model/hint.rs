//! What the scouts' forecasts add to a measurement.

use aire_types::Candidate;

use super::features::Question;

/// A forecast that is off by more than so many standard deviations is of another time.
const OF_ANOTHER_TIME: f64 = 3.0;
/// However sure the scouts are, so much of the measurement's doubt is left.
const LEFT: f64 = 0.5;

/// What the scouts' forecasts make of what was measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Hint {
    /// Added to the gain, a share of direct's round trip.
    pub(super) moves: f64,
    /// Share of its standard error that is left.
    pub(super) leaves: f64,
}

impl Hint {
    pub(super) const NONE: Hint = Hint { moves: 0.0, leaves: 1.0 };

    /// Two normal estimates of one gain, weighed by their precision.
    pub(super) fn of(direct: &Candidate, candidate: &Candidate, question: &Question) -> Self {
        let Some((of_direct, of_path)) = direct.prior_ms.zip(candidate.prior_ms) else { return Hint::NONE };
        let unit_ms = direct.rtt_ms.value;
        let forecast = (of_direct.value - of_path.value) / unit_ms;
        let error = of_direct.deviation.hypot(of_path.deviation) / unit_ms;
        let spread = f64::from(question.spread);
        let off = forecast - f64::from(question.gain);
        let both = spread.hypot(error);
        if !off.is_finite() || both.is_nan() || both <= 0.0 || off.abs() > OF_ANOTHER_TIME * both {
            return Hint::NONE;
        }
        let weight = (spread / both) * (spread / both);
        Hint { moves: weight * off, leaves: (1.0 - weight).sqrt().max(LEFT) }
    }
}
