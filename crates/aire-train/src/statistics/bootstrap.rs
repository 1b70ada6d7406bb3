//! Intervals by resampling nodes and blocks of time.
//!
//! Decisions of one node, towards one node, and at one time go wrong together; where both ways between two nodes are one
//! measurement they are even the same. So not decisions are drawn again but whole nodes and whole blocks, each independently,
//! and a cell counts as often as the node that it is from times the node that it is to times its block was drawn (the
//! pigeonhole bootstrap: Owen, "The pigeonhole bootstrap", Annals of Applied Statistics 2007; it errs on the wide side). A
//! node is drawn for both ends at once. All columns share the draws, so that differences are paired.

use aire_types::Random;
use rayon::prelude::*;

/// Of more nodes neighbouring numbers are drawn together, so that cells and draws stay bounded.
const MOST_UNITS: usize = 200;

/// Sums of several columns over the decisions between each two nodes in each block.
#[derive(Clone, Debug, PartialEq)]
pub struct Cells {
    nodes: usize,
    units: usize,
    blocks: usize,
    columns: usize,
    counts: Vec<u64>,
    sums: Vec<f64>,
}

/// Where a decision belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The node that it is from.
    pub from: usize,
    /// The node that it is to.
    pub to: usize,
    /// Its block of time.
    pub block: usize,
}

/// A lower and an upper end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// 2.5 % of the draws are below.
    pub low: f64,
    /// 2.5 % are above.
    pub high: f64,
}

/// The columns' means in each draw.
#[derive(Clone, Debug, PartialEq)]
pub struct Resample {
    columns: usize,
    means: Vec<f64>,
}

impl Cells {
    /// Empty cells.
    pub fn new(nodes: usize, blocks: usize, columns: usize) -> Self {
        let units = nodes.min(MOST_UNITS);
        let cells = units * units * blocks;
        Cells { nodes, units, blocks, columns, counts: vec![0; cells], sums: vec![0.0; cells * columns] }
    }

    fn cell(&self, place: Place) -> usize {
        let unit = |node: usize| node * self.units / self.nodes;
        (unit(place.from) * self.units + unit(place.to)) * self.blocks + place.block
    }

    /// Counts one more decision in a cell.
    ///
    /// # Panics
    /// Where there is no such cell.
    pub fn count(&mut self, place: Place) {
        let cell = self.cell(place);
        self.counts[cell] += 1;
    }

    /// Adds to the sum of one column in a cell.
    ///
    /// # Panics
    /// Where there is no such cell or column.
    pub fn add(&mut self, place: Place, column: usize, value: f64) {
        let cell = self.cell(place);
        self.sums[cell * self.columns + column] += value;
    }

    /// The columns' means over everything; NaN of nothing.
    pub fn means(&self) -> Vec<f64> {
        self.weighted(&vec![1; self.units], &vec![1; self.blocks])
    }

    fn weighted(&self, of_units: &[u32], of_blocks: &[u32]) -> Vec<f64> {
        let mut sums = vec![0.0; self.columns];
        let mut count = 0.0;
        for (from, to, block, cell) in self.live() {
            let weight = f64::from(of_units[from]) * f64::from(of_units[to]) * f64::from(of_blocks[block]);
            if weight == 0.0 {
                continue;
            }
            count += weight * self.counts[cell] as f64;
            let own = &self.sums[cell * self.columns..(cell + 1) * self.columns];
            for (sum, value) in sums.iter_mut().zip(own) {
                *sum += weight * value;
            }
        }
        sums.into_iter().map(|sum| sum / count).collect()
    }

    /// From, to, block and number of the cells with decisions.
    fn live(&self) -> impl Iterator<Item = (usize, usize, usize, usize)> {
        let cells = self.counts.iter().enumerate().filter(|(_, decisions)| **decisions > 0);
        cells.map(|(cell, _)| {
            let pair = cell / self.blocks;
            (pair / self.units, pair % self.units, cell % self.blocks, cell)
        })
    }

    /// Draws `draws` times.
    pub fn resample(&self, draws: usize, seed: u64) -> Resample {
        let mut random = Random::new(seed);
        // who is in no decision, and when nothing was decided, is not drawn
        let (mut units, mut blocks) = (vec![false; self.units], vec![false; self.blocks]);
        for (from, to, block, _) in self.live() {
            (units[from], units[to], blocks[block]) = (true, true, true);
        }
        let draws: Vec<_> =
            (0..draws).map(|_| (drawn(&units, &mut random), drawn(&blocks, &mut random))).collect();
        let means = draws.par_iter().map(|(units, blocks)| self.weighted(units, blocks));
        Resample { columns: self.columns, means: means.collect::<Vec<_>>().concat() }
    }
}

/// How often each was drawn, in as many draws as there are that are there.
fn drawn(there: &[bool], random: &mut Random) -> Vec<u32> {
    let live: Vec<usize> = (0..there.len()).filter(|at| there[*at]).collect();
    let mut weights = vec![0; there.len()];
    for _ in &live {
        weights[live[random.below(live.len())]] += 1;
    }
    weights
}

impl Resample {
    /// The interval that holds 95 % of `figure` over the draws; it gets the columns' means of one draw. Draws that give
    /// no number do not count.
    pub fn interval(&self, figure: impl Fn(&[f64]) -> f64) -> Interval {
        let draws = self.means.chunks_exact(self.columns.max(1));
        let mut figures: Vec<f64> = draws.map(figure).filter(|figure| figure.is_finite()).collect();
        figures.sort_by(f64::total_cmp);
        let at = |q: f64| {
            let place = (q * figures.len().saturating_sub(1) as f64).round() as usize;
            figures.get(place).copied().unwrap_or(f64::NAN)
        };
        Interval { low: at(0.025), high: at(0.975) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(from: usize, to: usize, block: usize) -> Place {
        Place { from, to, block }
    }

    #[test]
    fn means_are_over_decisions_and_not_over_cells() {
        let mut cells = Cells::new(2, 2, 2);
        for (node, block, values) in [(0, 0, [1.0, 10.0]), (0, 0, [3.0, 10.0]), (1, 1, [8.0, 40.0])] {
            let at = place(node, 1 - node, block);
            cells.count(at);
            values.iter().enumerate().for_each(|(column, value)| cells.add(at, column, *value));
        }
        assert_eq!(cells.means(), [4.0, 20.0]);
        assert!(Cells::new(1, 1, 1).means()[0].is_nan());
    }

    #[test]
    fn the_interval_is_that_of_the_hand_computed_two_nodes() {
        // two nodes, one block: both once (mean 2), or one of them twice (1 or 3), half of the draws and a quarter each
        let mut cells = Cells::new(3, 1, 1);
        for (node, value) in [(0, 1.0), (2, 3.0)] {
            cells.count(place(node, node, 0));
            cells.add(place(node, node, 0), 0, value);
        }
        let resample = cells.resample(4000, 7);
        assert_eq!(resample.interval(|means| means[0]), Interval { low: 1.0, high: 3.0 });
        let middle = resample.means.iter().filter(|mean| **mean == 2.0).count();
        assert!((1850..2150).contains(&middle), "{middle}");
    }

    #[test]
    fn what_a_destination_does_to_all_that_reach_it_makes_the_interval_wide() {
        let mut cells = Cells::new(20, 1, 1);
        for (from, to) in (0..20).flat_map(|from| (0..20).map(move |to| (from, to))) {
            if from != to {
                cells.count(place(from, to, 0));
                cells.add(place(from, to, 0), 0, if to < 2 { 100.0 } else { 0.0 });
            }
        }
        let interval = cells.resample(500, 1).interval(|means| means[0]);
        assert!(interval.low < 1.0 && interval.high > 20.0, "{interval:?} around 10");
    }

    #[test]
    fn many_nodes_are_drawn_in_bounded_groups() {
        let mut cells = Cells::new(5000, 10, 1);
        for node in 0..5000 {
            cells.count(place(node, 4999 - node, 9));
            cells.add(place(node, 4999 - node, 9), 0, 2.0);
        }
        assert_eq!((cells.means(), cells.counts.len()), (vec![2.0], MOST_UNITS * MOST_UNITS * 10));
    }

    #[test]
    fn paired_differences_are_narrow_where_both_columns_swing_alike() {
        let mut cells = Cells::new(30, 10, 2);
        let mut random = Random::new(3);
        for (node, block) in (0..30).flat_map(|node| (0..10).map(move |block| (node, block))) {
            let value = 100.0 * random.unit() + 50.0 * node as f64;
            let at = place(node, (node + 1) % 30, block);
            cells.count(at);
            cells.add(at, 0, value);
            cells.add(at, 1, value - 1.0);
        }
        let resample = cells.resample(500, 1);
        let (own, paired) = (resample.interval(|m| m[0]), resample.interval(|m| m[0] - m[1]));
        assert!(own.high - own.low > 100.0);
        assert!((paired.low - 1.0).abs() < 1e-9 && (paired.high - 1.0).abs() < 1e-9);
    }
}
