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

    /// A number of a file as the house has it; NaN where it is one of `missing` or cannot be a measurement.
    pub(super) fn read(self, number: f64, missing: &[f64]) -> f32 {
        let gone = !number.is_finite() || number < 0.0 || missing.contains(&number);
        if gone { f32::NAN } else { (number * self.scale()) as f32 }
    }
}
