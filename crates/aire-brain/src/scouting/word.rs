use crate::relays::Claims;

/// No leg takes longer, milliseconds.
const LONGEST_MS: f64 = 60_000.0;

/// What others say of their direct legs, and what legs to us should be that nobody measured. By number, milliseconds.
#[derive(Clone, Debug, Default)]
pub(super) struct Word {
    nodes: usize,
    said: Vec<f32>,
    guesses: Vec<f32>,
}

impl Word {
    /// Room for `nodes` nodes; fewer than there are change nothing.
    pub(super) fn grow(&mut self, nodes: usize) {
        if nodes <= self.nodes {
            return;
        }
        let mut said = vec![f32::NAN; nodes * nodes];
        for from in 0..self.nodes {
            let row = &self.said[from * self.nodes..(from + 1) * self.nodes];
            said[from * nodes..from * nodes + self.nodes].copy_from_slice(row);
        }
        (self.said, self.nodes) = (said, nodes);
        self.guesses.resize(nodes, f32::NAN);
    }

    /// The number stands for another node: what it said and what was said of it is void.
    pub(super) fn clear(&mut self, node: usize) {
        self.said[node * self.nodes..(node + 1) * self.nodes].fill(f32::NAN);
        (0..self.nodes).for_each(|other| self.said[other * self.nodes + node] = f32::NAN);
        self.guesses[node] = f32::NAN;
    }

    /// `from` says that its leg to `to` takes `ms`. What is no positive number, or absurd, is not said.
    pub(super) fn say(&mut self, from: usize, to: usize, ms: f64) {
        let ms = if ms > 0.0 && ms <= LONGEST_MS { ms as f32 } else { f32::NAN };
        self.said[from * self.nodes + to] = ms;
    }

    /// What `from` says, without guesses.
    pub(super) fn said(&self, from: usize, to: usize) -> f32 {
        self.said[from * self.nodes + to]
    }

    /// Does `from` say anything?
    pub(super) fn speaks(&self, from: usize) -> bool {
        self.said[from * self.nodes..(from + 1) * self.nodes].iter().any(|leg| leg.is_finite())
    }

    /// What the leg from us to `to` should be, where it was never measured.
    pub(super) fn guess(&mut self, to: usize, ms: f32) {
        self.guesses[to] = ms;
    }
}

impl Claims for Word {
    fn leg(&self, from: usize, to: usize) -> f32 {
        if from >= self.nodes || to >= self.nodes {
            return f32::NAN;
        }
        let said = self.said(from, to);
        if to == 0 && said.is_nan() { self.guesses[from] } else { said }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_survives_growth_and_goes_with_who_said_it() {
        let mut word = Word::default();
        word.grow(4);
        word.say(1, 2, 10.0);
        word.say(2, 1, 20.0);
        word.say(3, 2, f64::NAN);
        word.say(3, 1, 3e38);
        word.grow(9);
        assert_eq!((word.leg(1, 2), word.leg(2, 1)), (10.0, 20.0));
        assert!(
            word.leg(3, 2).is_nan()
                && word.leg(3, 1).is_nan()
                && word.leg(8, 1).is_nan()
                && word.leg(9, 1).is_nan()
        );
        word.guess(5, 7.0);
        assert_eq!(word.leg(5, 0), 7.0);
        word.clear(1);
        assert!(word.leg(1, 2).is_nan() && word.leg(2, 1).is_nan() && !word.speaks(1));
    }
}
