//! Which part of a set training may see, and on which part it is validated.

use std::ops::Range;

use aire_types::Random;

use crate::data::{Frames, Matrix};
use crate::replay::{Fold, Protocol};

/// Of the frames that training may see, the share that weights are fitted on; the rest validates.
const FITTED: f64 = 0.7;
/// Of the nodes that training may see, the share that only validates.
const VALIDATING: f64 = 0.25;
/// With fewer nodes than this left, all are used; known ones, too, are then told apart by time alone.
const FEWEST: usize = 16;
/// From, to and a relay.
const LEAST: usize = 3;
/// Folds of the evaluation whose newcomers are never seen.
const FOLDS: usize = 5;

/// The parts of one set, by time and by node.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cut {
    /// Nodes that weights are fitted on.
    pub(super) fitted: Vec<usize>,
    /// Those and the nodes that only validate.
    pub(super) known: Vec<usize>,
    /// Frames that weights are fitted on come before this one, outcomes included.
    pub(super) split: usize,
    /// What comes from this frame on is not looked at.
    pub(super) end: usize,
}

impl Cut {
    /// The parts of `frames`, of which the first `until` (a share) may be seen; `None` where that is too short to learn
    /// from. Where that leaves something to be scored, the newcomers of the evaluation are left out, too.
    pub(super) fn plan(frames: &Frames, until: f64) -> Option<Self> {
        let (count, gap) = (frames.frames.len(), frames.score_gap.max(1));
        let end = ((count as f64 * until).round() as usize).min(count);
        let split = ((end as f64 * FITTED).round() as usize).max(gap + 1);
        // not a frame more than the share, even where that leaves nothing: what comes behind it is scored
        if split >= end || frames.nodes.len() < LEAST {
            return None;
        }
        let mut known = strangers_left_out(frames);
        if until >= 1.0 || known.len() < FEWEST {
            known = (0..frames.nodes.len()).collect();
        }
        let mut random = Random::new(0x7a11);
        let few = known.len() < FEWEST;
        let fitted = known.iter().copied().filter(|_| few || !random.chance(VALIDATING)).collect();
        Some(Cut { fitted, known, split, end })
    }

    /// Some of the known nodes validate alone.
    pub(super) fn splits_nodes(&self) -> bool {
        self.fitted.len() < self.known.len()
    }
}

/// The nodes that are newcomers in no fold of the evaluation.
fn strangers_left_out(frames: &Frames) -> Vec<usize> {
    let folds: Vec<Fold> =
        (0..FOLDS).filter_map(|index| Fold::plan(frames, &Protocol::default(), index).ok()).collect();
    (0..frames.nodes.len()).filter(|&node| folds.iter().all(|fold| !fold.newcomer[node])).collect()
}

/// These nodes in these frames.
pub(super) fn cut(frames: &Frames, nodes: &[usize], range: Range<usize>) -> Frames {
    let matrix = |whole: &Matrix| {
        let rows = nodes.iter().flat_map(|&from| nodes.iter().map(move |&to| whole.get(from, to))).collect();
        Matrix::from_rows(nodes.len(), rows).unwrap_or_else(|| Matrix::missing(nodes.len()))
    };
    Frames {
        nodes: nodes.iter().map(|&node| frames.nodes[node].clone()).collect(),
        frames: frames.frames[range].iter().map(matrix).collect(),
        name: frames.name.clone(),
        ..*frames
    }
}

/// Each frame `times` times, for sets whose frames are hours apart: agents measure more often than that.
pub(super) fn repeated(frames: &Frames, times: usize) -> Frames {
    let all = frames.frames.iter().flat_map(|frame| std::iter::repeat_n(frame.clone(), times));
    Frames {
        frames: all.collect(),
        step_s: frames.step_s / times as f64,
        score_gap: frames.score_gap.max(1) * times,
        name: frames.name.clone(),
        nodes: frames.nodes.clone(),
        ..*frames
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Quantity;

    fn frames(count: usize) -> Frames {
        Frames {
            name: "few".into(),
            quantity: Quantity::Rtt,
            nodes: (0..6).map(|node| node.to_string()).collect(),
            step_s: 10.0,
            symmetric: false,
            score_gap: 1,
            frames: vec![Matrix::missing(6); count],
        }
    }

    #[test]
    fn few_frames_are_no_reason_to_look_at_those_that_are_scored() {
        assert_eq!(Cut::plan(&frames(5), 0.4), None);
        let cut = Cut::plan(&frames(10), 0.4).unwrap();
        assert_eq!((cut.split, cut.end), (3, 4));
        assert_eq!(Cut::plan(&frames(3), 1.0).map(|cut| cut.end), Some(3));
    }
}
