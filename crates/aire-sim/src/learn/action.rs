//! What is learned: a few parameters, each in its range.

use aire_brain::{HerdTuning, Margin, Rule};

/// How many parameters there are.
pub const DIMENSIONS: usize = 9;

/// What they are called, in their order.
pub const NAMES: [&str; DIMENSIONS] =
    ["pull", "wary", "push", "strain", "near_share", "load", "dwell", "errors", "least"];

/// Lowest and highest value, and whether steps are ratios. Among many, next to no pull would be best; but who is alone
/// shall not wait for long until it takes what is better, so a tenth is the least.
const RANGES: [(f64, f64, bool); DIMENSIONS] = [
    (0.1, 0.5, true),
    (0.001, 0.5, true),
    (0.02, 1.0, true),
    (0.05, 1.0, true),
    (0.0, 0.5, false),
    (0.0, 8.0, false),
    (0.05, 4.0, true),
    (0.5, 4.0, true),
    (0.3, 6.0, true),
];

/// Parameters of one policy, each scaled to 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Action(pub [f64; DIMENSIONS]);

fn value(scaled: f64, (low, high, ratio): (f64, f64, bool)) -> f64 {
    let scaled = scaled.clamp(0.0, 1.0);
    if ratio { low * (high / low).powf(scaled) } else { low + (high - low) * scaled }
}

fn scaled(value: f64, (low, high, ratio): (f64, f64, bool)) -> f64 {
    let share = if ratio { (value / low).ln() / (high / low).ln() } else { (value - low) / (high - low) };
    share.clamp(0.0, 1.0)
}

impl Action {
    /// The parameters that make `rule`.
    pub fn of(rule: &Rule) -> Self {
        let herd = &rule.herd;
        let values = [
            herd.pull,
            herd.wary,
            herd.push,
            herd.strain,
            herd.near_share,
            herd.load,
            herd.dwell,
            rule.margin.errors,
            rule.margin.least,
        ];
        let mut action = Action([0.0; DIMENSIONS]);
        for ((to, value), range) in action.0.iter_mut().zip(values).zip(RANGES) {
            *to = scaled(value, range);
        }
        action
    }

    /// The same with one parameter changed; `None` where there is none of that name.
    #[must_use]
    pub fn with(mut self, name: &str, to: f64) -> Option<Self> {
        let at = NAMES.iter().position(|known| *known == name)?;
        self.0[at] = scaled(to, RANGES[at]);
        Some(self)
    }

    /// The values themselves, in the order of [`NAMES`].
    pub fn values(&self) -> [f64; DIMENSIONS] {
        let mut values = [0.0; DIMENSIONS];
        for ((to, scaled), range) in values.iter_mut().zip(self.0).zip(RANGES) {
            *to = value(scaled, range);
        }
        values
    }

    /// The rule with these parameters.
    pub fn rule(&self) -> Rule {
        let [pull, wary, push, strain, near_share, load, dwell, errors, least] = self.values();
        Rule {
            margin: Margin { errors, least, ..Margin::default() },
            herd: HerdTuning { pull, wary, push, strain, near_share, load, dwell, ..HerdTuning::default() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_is_one_of_the_actions() {
        let (rule, back) = (Rule::default(), Action::of(&Rule::default()).rule());
        assert!((back.herd.pull - rule.herd.pull).abs() < 1e-9);
        assert!((back.margin.errors - rule.margin.errors).abs() < 1e-9);
        assert_eq!(back.herd.near_share, rule.herd.near_share);
    }
}
