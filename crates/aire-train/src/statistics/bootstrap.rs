//! Intervals by resampling nodes and blocks of time.
//!
//! Decisions of one node, and decisions at one time, go wrong together. So not decisions are drawn again but whole nodes
//! and whole blocks, each independently, and a cell counts as often as its node times its block was drawn (the
//! pigeonhole bootstrap: Owen, "The pigeonhole bootstrap", Annals of Applied Statistics 2007; it errs on the wide
//! side). All columns share the draws, so that differences are paired.

use aire_types::Random;

/// Sums of several columns over the decisions of each node in each block.
#[derive(Clone, Debug, PartialEq)]
pub struct Cells {
    blocks: usize,
    columns: usize,
    counts: Vec<u64>,
    sums: Vec<f64>,
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
        let cells = nodes * blocks;
        Cells { blocks, columns, counts: vec![0; cells], sums: vec![0.0; cells * columns] }
    }

    /// Counts one more decision in a cell.
    ///
    /// # Panics
    /// Where there is no such cell.
    pub fn count(&mut self, node: usize, block: usize) {
        self.counts[node * self.blocks + block] += 1;
    }

    /// Adds to the sum of one column in a cell.
    ///
    /// # Panics
    /// Where there is no such cell or column.
    pub fn add(&mut self, node: usize, block: usize, column: usize, value: f64) {
        self.sums[(node * self.blocks + block) * self.columns + column] += value;
    }

    /// The columns' means over everything; NaN of nothing.
    pub fn means(&self) -> Vec<f64> {
        let nodes = self.counts.len() / self.blocks.max(1);
        self.weighted(&vec![1; nodes], &vec![1; self.blocks])
    }

    fn weighted(&self, of_nodes: &[u32], of_blocks: &[u32]) -> Vec<f64> {
        let mut sums = vec![0.0; self.columns];
        let mut count = 0.0;
        for (cell, decisions) in self.counts.iter().enumerate().filter(|(_, decisions)| **decisions > 0) {
            let weight = f64::from(of_nodes[cell / self.blocks]) * f64::from(of_blocks[cell % self.blocks]);
            if weight == 0.0 {
                continue;
            }
            count += weight * *decisions as f64;
            let own = &self.sums[cell * self.columns..(cell + 1) * self.columns];
            for (sum, value) in sums.iter_mut().zip(own) {
                *sum += weight * value;
            }
        }
        sums.into_iter().map(|sum| sum / count).collect()
    }

    /// Draws `draws` times.
    pub fn resample(&self, draws: usize, seed: u64) -> Resample {
        let mut random = Random::new(seed);
        let live = |cell: usize| self.counts[cell] > 0;
        let count = self.counts.len() / self.blocks.max(1);
        // who never decided, and when nothing was decided, is not drawn
        let nodes: Vec<usize> =
            (0..count).filter(|n| (n * self.blocks..(n + 1) * self.blocks).any(live)).collect();
        let blocks: Vec<usize> =
            (0..self.blocks).filter(|b| (0..count).any(|n| live(n * self.blocks + b))).collect();
        let mut means = Vec::with_capacity(draws * self.columns);
        for _ in 0..draws {
            let of_nodes = drawn(&nodes, count, &mut random);
            let of_blocks = drawn(&blocks, self.blocks, &mut random);
            means.extend(self.weighted(&of_nodes, &of_blocks));
        }
        Resample { columns: self.columns, means }
    }
}

/// How often each of `all` was drawn, in as many draws as there are of `live`.
fn drawn(live: &[usize], all: usize, random: &mut Random) -> Vec<u32> {
    let mut weights = vec![0; all];
    for _ in live {
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

    #[test]
    fn means_are_over_decisions_and_not_over_cells() {
        let mut cells = Cells::new(2, 2, 2);
        for (node, block, values) in [(0, 0, [1.0, 10.0]), (0, 0, [3.0, 10.0]), (1, 1, [8.0, 40.0])] {
            cells.count(node, block);
            values.iter().enumerate().for_each(|(column, value)| cells.add(node, block, column, *value));
        }
        assert_eq!(cells.means(), [4.0, 20.0]);
        assert!(Cells::new(1, 1, 1).means()[0].is_nan());
    }

    #[test]
    fn the_interval_is_that_of_the_hand_computed_two_nodes() {
        // two nodes, one block: both once (mean 2), or one of them twice (1 or 3), half of the draws and a quarter each
        let mut cells = Cells::new(3, 1, 1);
        for (node, value) in [(0, 1.0), (2, 3.0)] {
            cells.count(node, 0);
            cells.add(node, 0, 0, value);
        }
        let resample = cells.resample(4000, 7);
        assert_eq!(resample.interval(|means| means[0]), Interval { low: 1.0, high: 3.0 });
        let middle = resample.means.iter().filter(|mean| **mean == 2.0).count();
        assert!((1850..2150).contains(&middle), "{middle}");
    }

    #[test]
    fn paired_differences_are_narrow_where_both_columns_swing_alike() {
        let mut cells = Cells::new(30, 10, 2);
        let mut random = Random::new(3);
        for (node, block) in (0..30).flat_map(|node| (0..10).map(move |block| (node, block))) {
            let value = 100.0 * random.unit() + 50.0 * node as f64;
            cells.count(node, block);
            cells.add(node, block, 0, value);
            cells.add(node, block, 1, value - 1.0);
        }
        let resample = cells.resample(500, 1);
        let (own, paired) = (resample.interval(|m| m[0]), resample.interval(|m| m[0] - m[1]));
        assert!(own.high - own.low > 100.0);
        assert!((paired.low - 1.0).abs() < 1e-9 && (paired.high - 1.0).abs() < 1e-9);
    }
}
