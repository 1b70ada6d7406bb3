//! What an agent knows of single legs: its own direct measurements, what others published, what history says.

use crate::data::{Matrix, Quantity};
use crate::replay::{History, Measurement, Seat, Via, View};

/// The newest of far-apart samples weighs so much in the slow average.
pub(super) const WEIGHT: f32 = 0.1;

/// Averages of history, both ways round.
#[derive(Clone, Debug)]
pub(super) struct Past {
    means: Matrix,
    turned: Matrix,
}

impl Past {
    /// Nothing is known.
    pub(super) fn nothing() -> Self {
        Past { means: Matrix::missing(0), turned: Matrix::missing(0) }
    }

    pub(super) fn of(history: &History) -> Self {
        let means = history.means();
        Past { turned: means.transposed(), means }
    }

    pub(super) fn means(&self) -> &Matrix {
        &self.means
    }
}

/// One agent's own direct measurements.
#[derive(Clone, Debug)]
pub(super) struct Own {
    quantity: Quantity,
    node: usize,
    weight: f32,
    values: Vec<f32>,
    counts: Vec<u32>,
}

impl Own {
    /// `weight` of the newest sample: 1 keeps the last one alone.
    pub(super) fn new(seat: &Seat, weight: f32) -> Self {
        let (quantity, node) = (seat.quantity, seat.node);
        Own { quantity, node, weight, values: vec![f32::NAN; seat.nodes], counts: vec![0; seat.nodes] }
    }

    pub(super) fn observe(&mut self, measured: &[Measurement]) {
        let direct = measured.iter().filter(|m| m.probe.via == Via::Direct && !m.value.is_nan());
        for measurement in direct {
            let to = measurement.probe.to;
            self.counts[to] += 1;
            let weight = self.weight.max(1.0 / self.counts[to] as f32);
            let before = if self.counts[to] == 1 { measurement.value } else { self.values[to] };
            self.values[to] = before + weight * (measurement.value - before);
        }
    }

    /// Direct to each node, as measured here; NaN where it never was.
    pub(super) fn values(&self) -> &[f32] {
        &self.values
    }

    /// Is a lower value better?
    pub(super) fn less_is_better(&self) -> bool {
        self.quantity == Quantity::Rtt
    }

    /// Direct to `to`: as measured here, else as history has it.
    pub(super) fn direct(&self, past: &Past, to: usize) -> f32 {
        let own = self.values[to];
        if own.is_nan() && past.means.size() > 0 { past.means.get(self.node, to) } else { own }
    }

    /// What each relay promises towards `to`, as far as both legs are known, into `promises`: the first leg as measured
    /// here, else of history; the second as published, else of history, else, for round trips, the other way round.
    pub(super) fn promises(&self, past: &Past, view: &View<'_>, to: usize, promises: &mut Vec<f32>) {
        let nodes = self.values.len();
        let (said, back) = (view.published.values_to(to), view.published.values(to));
        let (before, first) = match past.means.size() {
            0 => (None, None),
            _ => (Some(past.turned.row(to)), Some(past.means.row(self.node))),
        };
        promises.clear();
        promises.extend((0..nodes).map(|relay| {
            if relay == to || relay == self.node || !view.present[relay] {
                return f32::NAN;
            }
            let mut near = self.values[relay];
            if near.is_nan() {
                near = first.map_or(f32::NAN, |row| row[relay]);
            }
            let mut far = said[relay];
            if far.is_nan() {
                far = before.map_or(f32::NAN, |row| row[relay]);
            }
            if far.is_nan() && self.quantity == Quantity::Rtt {
                far = back[relay];
            }
            self.quantity.join(near, far)
        }));
    }
}

/// The index of the best number; `None` where all are missing.
pub(super) fn best(quantity: Quantity, values: &[f32]) -> Option<usize> {
    let mut best: Option<usize> = None;
    for (index, value) in values.iter().enumerate().filter(|(_, value)| !value.is_nan()) {
        if best.is_none_or(|best| quantity.better(*value, values[best])) {
            best = Some(index);
        }
    }
    best
}
