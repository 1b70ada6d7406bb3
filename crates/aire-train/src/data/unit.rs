use serde::Deserialize;

/// Units that recordings may be in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Unit {
    /// Microseconds.
    #[serde(rename = "us")]
    Microseconds,
    /// Milliseconds.
    #[serde(rename = "ms")]
    Milliseconds,
    /// Seconds.
    #[serde(rename = "s")]
    Seconds,
    /// Bits a second.
    #[serde(rename = "bit/s")]
    Bits,
    /// 10³ bits a second.
    #[serde(rename = "kbit/s")]
    Kilobits,
    /// 10⁶ bits a second.
    #[serde(rename = "Mbit/s")]
    Megabits,
    /// 10⁹ bits a second.
    #[serde(rename = "Gbit/s")]
    Gigabits,
}

/// A round trip that takes longer is none, milliseconds: one hour.
const LONGEST_MS: f64 = 3_600_000.0;
/// More than this is no throughput, Mbit/s: a petabit a second.
const FASTEST_MBPS: f64 = 1e9;

impl Unit {
    pub(super) fn is_time(self) -> bool {
        matches!(self, Unit::Microseconds | Unit::Milliseconds | Unit::Seconds)
    }

    /// What a number in this unit is multiplied with for milliseconds or Mbit/s.
    pub(super) fn scale(self) -> f64 {
        match self {
            Unit::Microseconds => 1e-3,
            Unit::Milliseconds | Unit::Megabits => 1.0,
            Unit::Seconds | Unit::Gigabits => 1e3,
            Unit::Bits => 1e-6,
            Unit::Kilobits => 1e-3,
        }
    }

    /// A number of a file as the house has it; NaN where it is one of `missing` or cannot be a measurement: less than
    /// nothing, a round trip of more than an hour, more than a petabit a second. Such numbers are marks that nobody declared.
    pub(super) fn read(self, number: f64, missing: &[f64]) -> f32 {
        let value = number * self.scale();
        let most = if self.is_time() { LONGEST_MS } else { FASTEST_MBPS };
        let sound = (0.0..=most).contains(&value) && !missing.contains(&number);
        if sound { value as f32 } else { f32::NAN }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_a_measurement_is_missing() {
        assert_eq!((Unit::Seconds.read(0.5, &[]), Unit::Bits.read(2e6, &[])), (500.0, 2.0));
        assert_eq!(Unit::Seconds.read(3600.0, &[]), 3_600_000.0);
        for mark in [1e30, f64::from(f32::MAX), 3601.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(Unit::Seconds.read(mark, &[]).is_nan(), "{mark}");
        }
        assert!(Unit::Gigabits.read(1e30, &[]).is_nan() && Unit::Megabits.read(7.0, &[7.0]).is_nan());
    }
}
