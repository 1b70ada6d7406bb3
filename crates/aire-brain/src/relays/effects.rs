/// Additive model of legs: what the way out of a node adds, and the way into another.
///
/// Fitted by alternating least squares. Under heavy tails it forecasts a leg better than the leg's own average does until that
/// has some hundred samples, and it fills in legs that were never measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Effects {
    from: Vec<f32>,
    to: Vec<f32>,
    sums: Vec<(f64, u32)>,
    error: f32,
    mean: f32,
}

/// A leg beyond so many times the usual error of what is expected of it counts as if it were there: whoever claims the most absurd
/// must not move everybody's forecasts.
const CUT: f32 = 6.0;

impl Effects {
    /// Knows nothing: every leg is NaN until the first fit.
    pub fn new(nodes: usize) -> Self {
        Effects {
            from: vec![f32::NAN; nodes],
            to: vec![f32::NAN; nodes],
            sums: vec![(0.0, 0); nodes],
            error: 0.0,
            mean: 0.0,
        }
    }

    /// Room for `nodes` nodes; fewer than there are change nothing.
    pub fn grow(&mut self, nodes: usize) {
        let nodes = nodes.max(self.from.len());
        self.from.resize(nodes, f32::NAN);
        self.to.resize(nodes, f32::NAN);
        self.sums.resize(nodes, (0.0, 0));
    }

    /// The number stands for another node: nothing is known of its legs until the next fit.
    pub fn forget(&mut self, node: usize) {
        (self.from[node], self.to[node]) = (f32::NAN, f32::NAN);
    }

    /// One more sweep over all known legs; `visit` calls back with (from, to, value) for each.
    pub fn sweep(&mut self, visit: impl Fn(&mut dyn FnMut(usize, usize, f32))) {
        let blank = |effects: &[f32]| effects.iter().all(|effect| effect.is_nan());
        if blank(&self.from) {
            self.begin(&visit);
        }
        if blank(&self.from) {
            return;
        }
        let Effects { from, to, sums, error, mean } = self;
        // before there is an error nothing is beyond it
        let most = if *error > 0.0 { CUT * *error } else { f32::INFINITY };
        sums.fill((0.0, 0));
        visit(&mut |i, j, value| add(&mut sums[i], cut(value, from[i] + to[j], most) - to[j]));
        settle(from, sums);
        sums.fill((0.0, 0));
        visit(&mut |i, j, value| add(&mut sums[j], cut(value, from[i] + to[j], most) - from[i]));
        settle(to, sums);
        let (mut off, mut all) = ((0.0, 0), (0.0, 0));
        visit(&mut |i, j, value| {
            let value = cut(value, from[i] + to[j], most);
            add(&mut off, (value - from[i] - to[j]).abs());
            add(&mut all, value);
        });
        *error = (off.0 / f64::from(off.1.max(1))) as f32;
        *mean = (all.0 / f64::from(all.1.max(1))) as f32;
    }

    /// Mean absolute error of the model on the legs that it was fitted to.
    pub fn error(&self) -> f32 {
        self.error
    }

    /// Mean of the legs that it was fitted to.
    pub fn mean(&self) -> f32 {
        self.mean
    }

    fn begin(&mut self, visit: &impl Fn(&mut dyn FnMut(usize, usize, f32))) {
        let mut all = (0.0, 0);
        visit(&mut |_, _, value| add(&mut all, value));
        if all.1 > 0 {
            let half = (all.0 / f64::from(all.1) / 2.0) as f32;
            self.from.fill(half);
            self.to.fill(half);
        }
    }

    /// What the leg should be; NaN before the first fit.
    pub fn leg(&self, from: usize, to: usize) -> f32 {
        self.from[from] + self.to[to]
    }
}

fn cut(value: f32, expected: f32, most: f32) -> f32 {
    if expected.is_finite() { value.clamp(expected - most, expected + most) } else { value }
}

fn add(sum: &mut (f64, u32), value: f32) {
    if value.is_finite() {
        sum.0 += f64::from(value);
        sum.1 += 1;
    }
}

/// Nodes of which nothing is known get the average of the others.
fn settle(effects: &mut [f32], sums: &[(f64, u32)]) {
    let mut all = (0.0, 0);
    for (effect, sum) in effects.iter_mut().zip(sums).filter(|(_, sum)| sum.1 > 0) {
        *effect = (sum.0 / f64::from(sum.1)) as f32;
        add(&mut all, *effect);
    }
    let average = (all.0 / f64::from(all.1.max(1))) as f32;
    effects.iter_mut().zip(sums).filter(|(_, sum)| sum.1 == 0).for_each(|(effect, _)| *effect = average);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unmeasured_legs_of_an_additive_mesh_are_filled_in() {
        let truth = |i: usize, j: usize| 10.0 + i as f32 + 3.0 * j as f32;
        let mut effects = Effects::new(20);
        for _ in 0..12 {
            effects.sweep(|add| {
                for i in 0..20 {
                    for j in (0..20).filter(|j| *j != i && (i * 7 + j) % 3 != 0) {
                        add(i, j, truth(i, j));
                    }
                }
            });
        }
        assert!((effects.leg(0, 15) - truth(0, 15)).abs() < 0.5, "{}", effects.leg(0, 15));
    }

    #[test]
    fn nothing_known_gives_no_number() {
        let mut effects = Effects::new(3);
        effects.sweep(|_| {});
        assert!(effects.leg(0, 1).is_nan());
    }
}
