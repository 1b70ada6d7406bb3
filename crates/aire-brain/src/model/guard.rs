//! The model is in force only while what it costs more than the rule stays inside a small budget.
//!
//! Every settled decision is priced three times by what was measured afterwards: as direct, as the rule and as the model
//! would have gone, each from the path that it would be on by itself. The account gets a small allowance for every one and pays
//! the model's excess over the rule, also in shadow. So what is lost while the model is in force is at most the account as it was, the
//! allowances, and the one decision that emptied it. An account that was emptied has to be filled higher every time before the
//! model returns: one that behaves well only while nobody follows it loses more and more rarely.

use std::fmt;

use serde::Serialize;

/// What the account holds at most; in units of the rule's price of one decision.
const BUDGET: f64 = 4.0;
/// What it holds at the beginning, and what it must hold for the first return.
const TRUST: f64 = 1.0;
/// What every settled decision adds: the model may cost so much more than the rule without end.
const ALLOWANCE: f64 = 0.01;
/// One decision counts for at most so many times the rule's price, up or down.
const MOST: f64 = 3.0;
/// The account never falls below this, so that an honest model can return.
const FLOOR: f64 = -2.0;
/// Weight of the newest decision in the averages that are shown.
const SHOWN: f64 = 0.02;

/// Why the rule decided although there is a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fallback {
    /// Most paths miss answers, or what was in use is gone: no thinking.
    Outage,
    /// Direct was not measured for too long.
    Stale,
    /// A feature lies outside of what the model was trained on.
    OutOfRange(&'static str),
    /// The network answered with something that is no number.
    NotANumber,
    /// The model wants what the rule's figures make much worse.
    Implausible,
    /// What the model cost more than the rule exceeds its budget.
    OverBudget,
    /// It has to prove itself in shadow first.
    Unproven,
}

impl Fallback {
    /// All kinds, in a fixed order, as metrics and scripts know them.
    pub const KINDS: [&'static str; 7] =
        ["outage", "stale", "out-of-range", "not-a-number", "implausible", "over-budget", "unproven"];

    /// Its kind: one of [`Fallback::KINDS`].
    pub const fn kind(self) -> &'static str {
        Self::KINDS[self.index()]
    }

    pub(crate) const fn index(self) -> usize {
        match self {
            Fallback::Outage => 0,
            Fallback::Stale => 1,
            Fallback::OutOfRange(_) => 2,
            Fallback::NotANumber => 3,
            Fallback::Implausible => 4,
            Fallback::OverBudget => 5,
            Fallback::Unproven => 6,
        }
    }
}

impl fmt::Display for Fallback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fallback::Outage => f.write_str("an outage: most paths miss answers, or the one in use is gone"),
            Fallback::Stale => f.write_str("stale inputs: direct was not measured for too long"),
            Fallback::OutOfRange(feature) => {
                write!(f, "out of range: '{feature}' is outside of what the model was trained on")
            }
            Fallback::NotANumber => f.write_str("the model answered with something that is no number"),
            Fallback::Implausible => f.write_str("implausible: the measurements speak clearly against it"),
            Fallback::OverBudget => f.write_str("over budget: it cost more than the rule"),
            Fallback::Unproven => {
                f.write_str("unproven: it has to show in shadow that it costs no more than the rule")
            }
        }
    }
}

/// What one decision would have cost on three ways, milliseconds, by what was measured afterwards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Prices {
    /// Straight to the destination.
    pub direct: f64,
    /// As the rule would have gone.
    pub rule: f64,
    /// As the model would have gone.
    pub model: f64,
}

/// Keeps the account.
#[derive(Clone, Debug, PartialEq)]
pub struct Guard {
    account: f64,
    in_force: bool,
    falls: u32,
    settled: u64,
    differed: u64,
    /// Averages of the last prices.
    prices: Prices,
    /// The model's price minus the rule's, summed while the model was in force.
    regret_ms: f64,
}

impl Default for Guard {
    fn default() -> Self {
        Guard {
            account: TRUST,
            in_force: true,
            falls: 0,
            settled: 0,
            differed: 0,
            prices: Prices::default(),
            regret_ms: 0.0,
        }
    }
}

impl Guard {
    /// A guard that wants proof before the model is in force for the first time.
    pub fn distrustful() -> Self {
        Guard { account: 0.0, in_force: false, ..Guard::default() }
    }

    /// May the model decide?
    pub fn in_force(&self) -> bool {
        self.in_force
    }

    /// Why it may not; `None` where it may.
    pub fn objection(&self) -> Option<Fallback> {
        let why = if self.falls == 0 { Fallback::Unproven } else { Fallback::OverBudget };
        (!self.in_force).then_some(why)
    }

    /// A decision has its price. `expected` is the rule's price as it was expected then, milliseconds, which the excess is measured
    /// against: a measured one would let a single outlier of the rule's count for less than one of the model's.
    pub fn settle(&mut self, prices: Prices, expected: f64) {
        if ![prices.direct, prices.rule, prices.model, expected].iter().all(|price| price.is_finite()) {
            return;
        }
        let excess_ms = prices.model - prices.rule;
        let excess = (excess_ms / expected.max(1.0)).clamp(-MOST, MOST);
        if self.in_force {
            self.regret_ms += excess_ms;
        }
        let weight = SHOWN.max(1.0 / (self.settled + 1) as f64);
        for (shown, price) in [
            (&mut self.prices.direct, prices.direct),
            (&mut self.prices.rule, prices.rule),
            (&mut self.prices.model, prices.model),
        ] {
            *shown += weight * (price - *shown);
        }
        self.settled += 1;
        self.differed += u64::from(excess_ms != 0.0);
        self.account = (self.account + ALLOWANCE - excess).clamp(FLOOR, self.most());
        if self.in_force && self.account <= 0.0 {
            self.in_force = false;
            self.falls = (self.falls + 1).min(16);
        } else if !self.in_force && self.account >= self.needed() {
            self.in_force = true;
            // what was shown in shadow is proof, not money to be lost
            self.account = TRUST;
        }
    }

    /// What the account must hold before the model returns.
    fn needed(&self) -> f64 {
        TRUST * f64::from(1u32 << self.falls.saturating_sub(1).min(16))
    }

    fn most(&self) -> f64 {
        if self.in_force { BUDGET } else { BUDGET.max(self.needed()) }
    }

    /// What people see of it.
    pub fn figures(&self) -> GuardFigures {
        GuardFigures {
            account: self.account,
            needed: if self.in_force { 0.0 } else { self.needed() },
            falls: self.falls,
            settled: self.settled,
            differed: self.differed,
            prices: self.prices,
            regret_ms: self.regret_ms,
        }
    }
}

/// What people see of the guard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct GuardFigures {
    /// What is left, in units of the rule's price of one decision.
    pub account: f64,
    /// What it must hold before the model decides again; 0 while it does.
    pub needed: f64,
    /// How often it was emptied.
    pub falls: u32,
    /// Decisions that were priced.
    pub settled: u64,
    /// Those in which rule and model went different ways.
    pub differed: u64,
    /// Averages of the last prices.
    pub prices: Prices,
    /// The model's price minus the rule's, milliseconds, summed over the decisions that the model made.
    pub regret_ms: f64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use aire_types::Random;

    fn prices(model: f64) -> Prices {
        Prices { direct: 120.0, rule: 100.0, model }
    }

    #[test]
    fn a_model_that_costs_more_is_dropped_and_one_that_costs_less_is_kept() {
        let (mut worse, mut better) = (Guard::default(), Guard::default());
        for _ in 0..40 {
            worse.settle(prices(110.0), 100.0);
            better.settle(prices(90.0), 100.0);
        }
        assert!(!worse.in_force() && better.in_force());
        assert_eq!(worse.figures().falls, 1);
    }

    #[test]
    fn it_returns_after_it_proved_itself_in_shadow_and_needs_more_every_time() {
        let mut guard = Guard::default();
        let mut needed = Vec::new();
        for _ in 0..4 {
            while guard.in_force() {
                guard.settle(prices(150.0), 100.0);
            }
            let mut proof = 0;
            while !guard.in_force() {
                guard.settle(prices(90.0), 100.0);
                proof += 1;
            }
            needed.push(proof);
        }
        assert!(needed.windows(2).all(|pair| pair[1] > pair[0]), "{needed:?}");
    }

    #[test]
    fn noise_alone_rarely_drops_a_model_that_is_better() {
        let mut dropped = 0;
        for seed in 0..256 {
            let (mut guard, mut random) = (Guard::default(), Random::new(seed));
            for _ in 0..2000 {
                // one of two probes in a window is an outlier, cut at twice the average
                let spike = |random: &mut Random| if random.chance(0.06) { 50.0 } else { 0.0 };
                let rule = 100.0 + spike(&mut random);
                let model = 88.0 + spike(&mut random);
                guard.settle(Prices { direct: rule, rule, model }, 100.0);
            }
            dropped += u32::from(guard.figures().falls > 0);
        }
        assert!(dropped <= 26, "{dropped} of 256");
    }

    /// Whatever a model does, knowing all of it: what it loses while it is in force is bounded.
    #[test]
    fn no_adversary_loses_more_than_the_budget() {
        for seed in 0..256 {
            let (mut guard, mut random) = (Guard::default(), Random::new(seed));
            let (mut lost, steps) = (0.0, 4000);
            // good in shadow by as much as can be, as bad as it likes in force
            let (good, bad) = (0.02 + 0.5 * random.unit(), 0.05 + 2.0 * random.unit());
            for _ in 0..steps {
                let excess = if guard.in_force() { bad * random.unit() } else { -good };
                if guard.in_force() {
                    lost += excess;
                }
                guard.settle(prices(100.0 * (1.0 + excess)), 100.0);
            }
            let falls = f64::from(guard.figures().falls);
            assert!(
                lost <= (falls + 1.0) * (TRUST + MOST) + ALLOWANCE * f64::from(steps),
                "seed {seed}: {lost}"
            );
            assert!(lost / f64::from(steps) <= 0.02, "seed {seed}: {lost} of {steps}, {falls} falls");
        }
    }

    #[test]
    fn prices_that_are_no_numbers_are_not_counted() {
        let mut guard = Guard::default();
        guard.settle(prices(f64::NAN), 100.0);
        guard.settle(prices(100.0), f64::INFINITY);
        assert_eq!(guard, Guard::default());
    }
}
