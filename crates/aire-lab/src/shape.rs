use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How one direction of the way between two places behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LinkShape {
    /// Delay of this direction, milliseconds.
    pub one_way_ms: f64,
    /// Added to the delay of each packet, uniform between zero and this, milliseconds.
    pub jitter_ms: f64,
    /// Let jitter overtake; otherwise packets leave in the order they came.
    pub reorder: bool,
    /// Share of packets that vanish, 0 to 1.
    pub loss: f64,
    /// Rate, megabits a second; 0 sets no limit.
    pub mbps: f64,
    /// Bytes that wait for the rate before the tail is dropped; 0 means as much as 250 ms of the rate.
    pub queue_bytes: u64,
    /// Everything vanishes, what is under way included; nobody is told.
    pub down: bool,
    /// UDP vanishes.
    pub drop_udp: bool,
    /// TCP vanishes.
    pub drop_tcp: bool,
}

/// A value of a shape that makes no sense.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{key} = {value} is not {range}")]
pub struct ShapeError {
    /// Which field.
    pub key: &'static str,
    /// What it holds.
    pub value: f64,
    /// What it may hold.
    pub range: &'static str,
}

impl LinkShape {
    /// A way with this delay and no other fault.
    pub fn delay(one_way_ms: f64) -> Self {
        LinkShape { one_way_ms, ..LinkShape::default() }
    }

    /// The same with this rate, megabits a second.
    #[must_use]
    pub fn mbps(self, mbps: f64) -> Self {
        LinkShape { mbps, ..self }
    }

    /// The same with this share of packets lost, 0 to 1.
    #[must_use]
    pub fn loss(self, loss: f64) -> Self {
        LinkShape { loss, ..self }
    }

    /// The same with this jitter, milliseconds.
    #[must_use]
    pub fn jitter(self, jitter_ms: f64) -> Self {
        LinkShape { jitter_ms, ..self }
    }

    /// The same, cut or mended.
    #[must_use]
    pub fn down(self, down: bool) -> Self {
        LinkShape { down, ..self }
    }

    /// Refuses negative and endless values and a loss above one.
    ///
    /// # Errors
    /// The first field out of range.
    pub fn check(&self) -> Result<(), ShapeError> {
        const WAIT: &str = "within 0 to 60000 milliseconds";
        let fields = [
            ("one_way_ms", self.one_way_ms, 60_000.0, WAIT),
            ("jitter_ms", self.jitter_ms, 60_000.0, WAIT),
            ("loss", self.loss, 1.0, "within 0 to 1"),
            ("mbps", self.mbps, 1_000_000.0, "within 0 to 1000000 megabits a second"),
        ];
        for (key, value, most, range) in fields {
            if !(0.0..=most).contains(&value) {
                return Err(ShapeError { key, value, range });
            }
        }
        Ok(())
    }

    /// The delay of this direction; nonsense counts as none.
    pub(crate) fn one_way(&self) -> Duration {
        Duration::try_from_secs_f64(self.one_way_ms / 1000.0).unwrap_or_default()
    }

    /// Bytes a second; `None` without a limit.
    pub(crate) fn bytes_per_second(&self) -> Option<f64> {
        (self.mbps > 0.0).then_some(self.mbps * 125_000.0)
    }

    /// Bytes that may wait, given the rate.
    pub(crate) fn queue_limit(&self, bytes_per_second: f64) -> f64 {
        const LEAST: f64 = 10.0 * 1500.0;
        if self.queue_bytes > 0 { self.queue_bytes as f64 } else { (bytes_per_second * 0.25).max(LEAST) }
    }
}

/// What to change of a shape; the rest stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ShapeChange {
    /// See [`LinkShape::one_way_ms`].
    pub one_way_ms: Option<f64>,
    /// See [`LinkShape::jitter_ms`].
    pub jitter_ms: Option<f64>,
    /// See [`LinkShape::reorder`].
    pub reorder: Option<bool>,
    /// See [`LinkShape::loss`].
    pub loss: Option<f64>,
    /// See [`LinkShape::mbps`].
    pub mbps: Option<f64>,
    /// See [`LinkShape::queue_bytes`].
    pub queue_bytes: Option<u64>,
    /// See [`LinkShape::down`].
    pub down: Option<bool>,
    /// See [`LinkShape::drop_udp`].
    pub drop_udp: Option<bool>,
    /// See [`LinkShape::drop_tcp`].
    pub drop_tcp: Option<bool>,
}

impl ShapeChange {
    /// `shape` with the change made.
    pub fn apply(&self, shape: LinkShape) -> LinkShape {
        LinkShape {
            one_way_ms: self.one_way_ms.unwrap_or(shape.one_way_ms),
            jitter_ms: self.jitter_ms.unwrap_or(shape.jitter_ms),
            reorder: self.reorder.unwrap_or(shape.reorder),
            loss: self.loss.unwrap_or(shape.loss),
            mbps: self.mbps.unwrap_or(shape.mbps),
            queue_bytes: self.queue_bytes.unwrap_or(shape.queue_bytes),
            down: self.down.unwrap_or(shape.down),
            drop_udp: self.drop_udp.unwrap_or(shape.drop_udp),
            drop_tcp: self.drop_tcp.unwrap_or(shape.drop_tcp),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_keeps_what_it_does_not_name() {
        let shape = LinkShape::delay(30.0).loss(0.1);
        let change = ShapeChange { down: Some(true), ..ShapeChange::default() };
        assert_eq!(change.apply(shape), shape.down(true));
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        assert_eq!(LinkShape::default().check(), Ok(()));
        assert_eq!(LinkShape::delay(-1.0).check().unwrap_err().key, "one_way_ms");
        assert_eq!(LinkShape::default().loss(1.5).check().unwrap_err().key, "loss");
        assert_eq!(LinkShape::default().mbps(f64::NAN).check().unwrap_err().key, "mbps");
    }
}
