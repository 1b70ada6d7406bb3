use std::sync::Arc;

use aire_types::{Ranked, Snapshot};

use crate::herd::HerdTuning;
use crate::model::{Fallback, Learned};

/// A ranking, and who made it.
#[derive(Clone, Debug, PartialEq)]
pub struct Opinion {
    /// Who decides, for [`aire_types::Decision::by`].
    pub by: Arc<str>,
    /// As [`Policy::rank`] gives it.
    pub ranking: Vec<Ranked>,
    /// Why the rule decided although there is a model.
    pub fallback: Option<Fallback>,
}

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

    /// The ranking with who made it, where that is not always the same.
    fn opinion(&self, snapshot: &Snapshot) -> Opinion {
        Opinion { by: Arc::from(self.name()), ranking: self.rank(snapshot), fallback: None }
    }

    /// The policy as one that learns from what comes of its decisions, where it is one.
    fn learned(&mut self) -> Option<&mut Learned> {
        None
    }

    /// Why the first of `ranking` is first, for people.
    fn reason(&self, snapshot: &Snapshot, ranking: &[Ranked]) -> String;

    /// How an agent that follows this policy behaves as one of many.
    fn herd(&self) -> HerdTuning {
        HerdTuning::default()
    }
}
