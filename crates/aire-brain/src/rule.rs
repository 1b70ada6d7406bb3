//! The built-in path choice without learning: the baseline and the fallback.

use aire_types::{Ranked, RouteId, Snapshot};

use crate::Policy;
use crate::contest::{Contest, Margin, Scored, ranking, scored};
use crate::cost::Scorer;
use crate::herd::HerdTuning;

/// Ranks by cost and changes only for a gain that is larger than the noise.
///
/// - What is in use stays (at the beginning: direct) unless another path is cheaper by the margin: a few
///   milliseconds, or [`Margin::errors`] standard errors of the difference where that is more.
/// - A challenger must have answered [`Margin::proof`] times, so that the minimum of many noisy numbers does not win.
/// - Nothing moves for improvement before the snapshot's `hold_until`.
/// - When what is in use cannot be used any more, the cheapest that is left is taken at once.
/// - When most paths miss answers at the same moment, the fault is near us: nothing moves.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rule {
    /// By how much a challenger must win.
    pub margin: Margin,
    /// How it behaves as one of many.
    pub herd: HerdTuning,
}

impl Policy for Rule {
    fn name(&self) -> &str {
        "rule"
    }

    fn rank(&self, snapshot: &Snapshot) -> Vec<Ranked> {
        let scorer = Scorer::new(snapshot).with_load(self.herd.load);
        let mut scored = scored(snapshot, &scorer);
        Contest::new(snapshot, &scorer, &self.margin).settle(&mut scored);
        ranking(snapshot, &scored)
    }

    fn reason(&self, snapshot: &Snapshot, ranking: &[Ranked]) -> String {
        let scorer = Scorer::new(snapshot).with_load(self.herd.load);
        let find = |route: &RouteId| {
            let found = snapshot.candidates.iter().find(|candidate| candidate.route == *route);
            let usable = found.filter(|candidate| candidate.ineligible.is_none())?;
            Some(Scored::new(usable, scorer.terms(usable)))
        };
        Contest::new(snapshot, &scorer, &self.margin).reason(find, ranking)
    }

    fn herd(&self) -> HerdTuning {
        self.herd
    }
}
