//! Matrix factorisation: legs that nobody measured are guessed from a low-rank fit of the logarithms of those that were
//! (alternating least squares, as Liao et al., "DMFSGD: a decentralized matrix factorization algorithm for network distance
//! prediction", ToN 2013, do by gradient). A newcomer's own row is fitted to its landmark probes.

use aire_types::Random;

use super::bench::{Bench, Calendar};
use super::portfolio::{lowest, most_promising};
use super::table::{Own, Past, WEIGHT};
use crate::data::Matrix;
use crate::replay::{Agent, Choice, History, Measurement, Outbox, Policy, Seat, View};

const RANK: usize = 6;
const RIDGE: f64 = 0.5;
const SWEEPS: usize = 12;
/// Rounds between two fits of an agent's own row.
const REVIEW: usize = 4;
/// Guessed relays that are measured.
const CHECKED: usize = 3;

type Row = [f64; RANK];

/// `matrix-factorisation`.
pub(super) struct Factorisation {
    past: Past,
    level: f64,
    out: Vec<Row>,
    into: Vec<Row>,
    known: Vec<bool>,
}

impl Factorisation {
    pub(super) fn new() -> Self {
        Factorisation {
            past: Past::nothing(),
            level: 0.0,
            out: Vec::new(),
            into: Vec::new(),
            known: Vec::new(),
        }
    }

    /// The guess of a leg; NaN for one to a newcomer, of which history knows nothing.
    fn leg(&self, row: &Row, to: usize) -> f32 {
        if self.known[to] { (self.level + dot(row, &self.into[to])).exp() as f32 } else { f32::NAN }
    }
}

fn dot(a: &Row, b: &Row) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The row that fits `targets` best with the rows of the other side (ridge regression).
fn solve(others: &[Row], targets: impl Iterator<Item = (usize, f64)>) -> Row {
    let mut left = [[0.0; RANK]; RANK];
    let mut right = [0.0; RANK];
    for (other, target) in targets {
        let row = &others[other];
        for a in 0..RANK {
            right[a] += row[a] * target;
            for b in 0..RANK {
                left[a][b] += row[a] * row[b];
            }
        }
    }
    for (a, row) in left.iter_mut().enumerate() {
        row[a] += RIDGE;
    }
    // Gauss without pivots: the matrix is positive definite
    for a in 0..RANK {
        for b in a + 1..RANK {
            let factor = left[b][a] / left[a][a];
            let upper = left[a];
            left[b].iter_mut().zip(&upper).for_each(|(value, above)| *value -= factor * above);
            right[b] -= factor * right[a];
        }
    }
    let mut row = [0.0; RANK];
    for a in (0..RANK).rev() {
        let rest: f64 = (a + 1..RANK).map(|b| left[a][b] * row[b]).sum();
        row[a] = (right[a] - rest) / left[a][a];
    }
    row
}

/// The logarithms of a matrix's known values in one row, less the level.
fn logs(matrix: &Matrix, row: usize, level: f64) -> impl Iterator<Item = (usize, f64)> {
    let values = matrix.row(row).iter().enumerate().filter(move |(to, value)| *to != row && **value > 0.0);
    values.map(move |(to, value)| (to, f64::from(*value).ln() - level))
}

impl Policy for Factorisation {
    fn name(&self) -> &str {
        "matrix-factorisation"
    }

    fn learn(&mut self, history: &History) {
        self.past = Past::of(history);
        let means = self.past.means();
        let turned = means.transposed();
        let (mut sum, mut count) = (0.0, 0u32);
        for node in 0..history.nodes {
            for (_, value) in logs(means, node, 0.0) {
                sum += value;
                count += 1;
            }
        }
        self.level = if count == 0 { 0.0 } else { sum / f64::from(count) };
        let mut random = Random::new(history.seed);
        let mut start = || std::array::from_fn(|_| random.unit() - 0.5);
        self.out = (0..history.nodes).map(|_| start()).collect();
        self.into = (0..history.nodes).map(|_| start()).collect();
        self.known = vec![false; history.nodes];
        history.known.iter().for_each(|node| self.known[*node] = count > 0);
        for _ in 0..SWEEPS {
            for &node in &history.known {
                self.out[node] = solve(&self.into, logs(means, node, self.level));
            }
            for &node in &history.known {
                self.into[node] = solve(&self.out, logs(&turned, node, self.level));
            }
        }
    }

    fn agent<'a>(&'a self, seat: &Seat) -> Box<dyn Agent + 'a> {
        Box::new(Guesser {
            factors: self,
            row: self.out[seat.node],
            own: Own::new(seat, WEIGHT),
            bench: Bench::new(seat, WEIGHT),
            promises: Vec::new(),
            calendar: Calendar::new(REVIEW),
            seat: seat.clone(),
        })
    }
}

struct Guesser<'a> {
    factors: &'a Factorisation,
    seat: Seat,
    row: Row,
    own: Own,
    bench: Bench,
    promises: Vec<f32>,
    calendar: Calendar,
}

impl Guesser<'_> {
    fn review(&mut self, view: &View<'_>) {
        if !self.calendar.due(view) {
            return;
        }
        let factors = self.factors;
        if self.seat.newcomer {
            let measured = self.own.values().iter().enumerate();
            let measured = measured.filter(|(to, value)| factors.known[*to] && **value > 0.0);
            self.row = solve(&factors.into, measured.map(|(to, v)| (to, f64::from(*v).ln() - factors.level)));
        }
        for (at, &to) in self.seat.destinations.iter().enumerate() {
            self.own.promises(&factors.past, view, to, &mut self.promises);
            let guessed = factors.known[to];
            for relay in (0..self.seat.nodes).filter(|relay| *relay != to && *relay != self.seat.node) {
                let useful = guessed && factors.known[relay] && view.present[relay];
                if self.promises[relay].is_nan() && useful {
                    let near = factors.leg(&self.row, relay);
                    let far = factors.leg(&factors.out[relay], to);
                    self.promises[relay] = self.seat.quantity.join(near, far);
                }
            }
            let found = most_promising(&self.promises, &self.bench, at, CHECKED);
            self.bench.set_relays(at, found.into_iter());
        }
    }
}

impl Agent for Guesser<'_> {
    fn probe(&mut self, view: &View<'_>, outbox: &mut Outbox) {
        self.review(view);
        self.bench.take_turns(&self.seat, view, outbox);
    }

    fn observe(&mut self, view: &View<'_>, measured: &[Measurement]) {
        self.own.observe(measured);
        self.bench.observe(view, measured);
    }

    fn decide(&mut self, _view: &View<'_>, choices: &mut [Choice]) {
        for (at, choice) in choices.iter_mut().enumerate() {
            *choice = Choice::Path(lowest(&self.bench, at));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_fitted_to_what_it_gave() {
        let mut random = Random::new(2);
        let others: Vec<Row> = (0..40).map(|_| std::array::from_fn(|_| 10.0 * random.unit())).collect();
        let row: Row = [1.0, -2.0, 0.5, 0.0, 3.0, 1.0];
        let found = solve(&others, others.iter().map(|other| dot(other, &row)).enumerate());
        assert!(found.iter().zip(&row).all(|(a, b)| (a - b).abs() < 0.05), "{found:?}");
    }
}
