/// Tells by repeated evidence that something changed: the cumulative sum of log-likelihood ratios between "changed" and
/// "as always", never below zero (Page, 1954). It alarms after few pieces of strong evidence or many of weak, and a
/// threshold of `h` keeps it silent for at least eʰ steps on average while nothing changed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cusum {
    sum: f64,
}

impl Cusum {
    /// Adds evidence; true when the sum passes `threshold`.
    pub(crate) fn add(&mut self, evidence: f64, threshold: f64) -> bool {
        self.sum = (self.sum + evidence).max(0.0);
        self.sum >= threshold
    }

    pub(crate) const fn reset(&mut self) {
        self.sum = 0.0;
    }
}

/// How often bad slots come in normal times, and what one says about the present.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BadShare {
    usual: f64,
    count: u32,
}

/// Slots that the first estimate counts as.
const PRIOR: f64 = 50.0;
/// Slots over which the usual share is learned: about two minutes of traffic.
const MEMORY: f64 = 2000.0;
/// A share below this is never held against a path.
const LEAST_USUAL: f64 = 0.02;
/// A share that is bad on any path.
const LEAST_CHANGED: f64 = 0.25;

impl Default for BadShare {
    fn default() -> Self {
        BadShare { usual: 0.01, count: 0 }
    }
}

impl BadShare {
    pub(crate) fn learn(&mut self, bad: bool) {
        self.count = self.count.saturating_add(1);
        let weight = (1.0 / (PRIOR + f64::from(self.count))).max(1.0 / MEMORY);
        self.usual += (f64::from(u8::from(bad)) - self.usual) * weight;
    }

    /// Log-likelihood ratio of one slot: changed against usual.
    pub(crate) fn evidence(&self, bad: bool) -> f64 {
        let usual = (1.5 * self.usual).clamp(LEAST_USUAL, 0.6);
        let changed = (4.0 * usual).clamp(LEAST_CHANGED, 0.9);
        if bad { (changed / usual).ln() } else { ((1.0 - changed) / (1.0 - usual)).ln() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seldom_bad_slots_never_alarm_and_frequent_ones_soon_do() {
        let (mut share, mut sum) = (BadShare::default(), Cusum::default());
        for slot in 0..200_000_u32 {
            let bad = slot % 25 == 0;
            assert!(!sum.add(share.evidence(bad), 9.0), "slot {slot}");
            share.learn(bad);
        }
        assert!((share.usual - 0.04).abs() < 0.01);
        let alarm = (0..100_u32).position(|slot| {
            let bad = slot % 2 == 0;
            share.learn(bad);
            sum.add(share.evidence(bad), 9.0)
        });
        assert!(alarm.is_some_and(|slots| slots < 25), "{alarm:?}");
    }
}
