//! Rows of features with what turned out to be right.

use super::fingerprint::Fingerprint;

/// One candidate as a prober saw it, with its gain in hindsight. Gains are relative to direct's estimate, positive
/// where the candidate is better.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row<'a> {
    /// In the order of the schema, not normalised.
    pub features: &'a [f32],
    /// The gain that the averages promise; what is learned is added to it.
    pub promise: f32,
    /// Standard error of that gain as the rule sees it.
    pub spread: f32,
    /// What the gain was.
    pub gain: f32,
    /// How much the row counts.
    pub weight: f32,
    /// The set it comes from.
    pub group: u16,
}

/// Features of candidates as a prober saw them, each with its gain in hindsight.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rows {
    width: usize,
    features: Vec<f32>,
    promises: Vec<f32>,
    spreads: Vec<f32>,
    gains: Vec<f32>,
    weights: Vec<f32>,
    groups: Vec<u16>,
}

impl Rows {
    /// No rows yet, of `width` features each.
    pub const fn new(width: usize) -> Self {
        Rows {
            width,
            features: Vec::new(),
            promises: Vec::new(),
            spreads: Vec::new(),
            gains: Vec::new(),
            weights: Vec::new(),
            groups: Vec::new(),
        }
    }

    /// Adds a row. One with a number that is not finite is left out.
    ///
    /// # Panics
    /// Where its features are not as many as the rows'.
    pub fn push(&mut self, row: Row<'_>) {
        assert_eq!(row.features.len(), self.width, "a row has one number for every feature of the schema");
        let numbers = [row.promise, row.spread, row.gain, row.weight];
        if !row.features.iter().chain(&numbers).all(|x| x.is_finite()) {
            return;
        }
        self.features.extend_from_slice(row.features);
        self.promises.push(row.promise);
        self.spreads.push(row.spread);
        self.gains.push(row.gain);
        self.weights.push(row.weight);
        self.groups.push(row.group);
    }

    /// How many.
    pub const fn len(&self) -> usize {
        self.gains.len()
    }

    /// None at all.
    pub const fn is_empty(&self) -> bool {
        self.gains.is_empty()
    }

    /// Features a row.
    pub const fn width(&self) -> usize {
        self.width
    }

    /// The features of row `i`.
    pub fn features(&self, i: usize) -> &[f32] {
        &self.features[i * self.width..(i + 1) * self.width]
    }

    /// Row `i`.
    pub fn row(&self, i: usize) -> Row<'_> {
        Row {
            features: self.features(i),
            promise: self.promises[i],
            spread: self.spreads[i],
            gain: self.gains[i],
            weight: self.weights[i],
            group: self.groups[i],
        }
    }

    /// The gain of row `i`.
    pub fn gain(&self, i: usize) -> f32 {
        self.gains[i]
    }

    /// How much row `i` counts.
    pub fn weight(&self, i: usize) -> f32 {
        self.weights[i]
    }

    /// The set that row `i` comes from.
    pub fn group(&self, i: usize) -> u16 {
        self.groups[i]
    }

    /// Gives every group the same total weight, and the rows a mean weight of 1.
    pub fn balance(&mut self) {
        let groups = self.groups.iter().copied().max().map_or(0, |most| usize::from(most) + 1);
        let mut totals = vec![0.0_f64; groups];
        for (group, weight) in self.groups.iter().zip(&self.weights) {
            totals[usize::from(*group)] += f64::from(*weight);
        }
        let present = totals.iter().filter(|&&total| total > 0.0).count();
        let share = self.len() as f64 / present.max(1) as f64;
        for (group, weight) in self.groups.iter().zip(&mut self.weights) {
            *weight =
                (f64::from(*weight) * share / totals[usize::from(*group)].max(f64::MIN_POSITIVE)) as f32;
        }
    }

    pub(super) fn fingerprint(&self) -> u64 {
        let mut print = Fingerprint::default();
        print.add(&(self.width as u64).to_le_bytes());
        for value in
            [&self.features, &self.promises, &self.spreads, &self.gains, &self.weights].into_iter().flatten()
        {
            print.add(&value.to_bits().to_le_bytes());
        }
        print.value()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(features: &[f32], group: u16) -> Row<'_> {
        Row { features, promise: 0.0, spread: 0.1, gain: 0.0, weight: 1.0, group }
    }

    #[test]
    fn groups_of_different_sizes_count_the_same() {
        let mut rows = Rows::new(1);
        (0..100).for_each(|i| rows.push(row(&[i as f32], u16::from(i < 10) * 2)));
        rows.balance();
        let total = |group| (0..100).filter(|&i| rows.group(i) == group).map(|i| rows.weight(i)).sum::<f32>();
        assert!((total(0) - 50.0).abs() < 1e-3 && (total(2) - 50.0).abs() < 1e-3);
    }

    #[test]
    fn what_is_not_a_number_is_left_out() {
        let mut rows = Rows::new(2);
        rows.push(row(&[1.0, f32::NAN], 0));
        rows.push(Row { gain: f32::INFINITY, ..row(&[1.0, 2.0], 0) });
        assert!(rows.is_empty());
    }
}
