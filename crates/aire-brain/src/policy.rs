use aire_types::{Ranked, Snapshot};

use crate::herd::HerdTuning;

/// Something that ranks paths: the rule, or a learned model on top of it.
///
/// Both answer from the same immutable snapshot. Masks and pins are set before the snapshot is ranked and checked
/// after it, so that no policy can trade them for milliseconds.
pub trait Policy: Send {
    /// Who decides, for [`aire_types::Decision::by`].
    fn name(&self) -> &str;

    /// All candidates of `snapshot`, best first, ineligible ones last. Hysteresis is the policy's: the first is
    /// what should be used, even where another is cheaper by less than the margin.
    fn rank(&self, snapshot: &Snapshot) -> Vec<Ranked>;

    /// Why the first of `ranking` is first, for people.
    fn reason(&self, snapshot: &Snapshot, ranking: &[Ranked]) -> String;

    /// How an agent that follows this policy behaves as one of many.
    fn herd(&self) -> HerdTuning {
        HerdTuning::default()
    }
}
