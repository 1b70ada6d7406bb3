//! All policies on all folds of a set, and what comes out.

mod tally;

use rayon::prelude::*;

use crate::data::{Frames, Quantity};
use crate::policies::Entry;
use crate::replay::{Bounds, Budget, Fold, Ledger, Outcome, Protocol, Unfit, replay};
use crate::statistics::Interval;

use tally::Tally;

/// The name of the direct path among the policies.
pub const DIRECT: &str = "direct";
/// The bound that knows each scored frame.
pub const CLAIRVOYANT: &str = "clairvoyant";
/// The bound that keeps one path per pair.
pub const FIXED: &str = "best-fixed";

/// What policies are worth on one set.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// The set's name.
    pub trace: String,
    /// What was measured.
    pub quantity: Quantity,
    /// Nodes and frames of the set.
    pub size: (usize, usize),
    /// Scored decisions of each policy, over all folds.
    pub decisions: u64,
    /// Decisions whose direct path is unknown in the scored frame; no policy is scored on them.
    pub excluded: u64,
    /// How the set was split.
    pub protocol: Protocol,
    /// What was left out to keep the time bounded, in words.
    pub thinned: Option<String>,
    /// All decisions rest on one frame.
    pub one_frame: bool,
    /// Direct first, the bounds last.
    pub policies: Vec<Figures>,
    /// Every policy against direct and against the rule.
    pub paired: Vec<Paired>,
}

/// What one policy did.
#[derive(Clone, Debug, PartialEq)]
pub struct Figures {
    /// Its name.
    pub policy: String,
    /// What it could spend; `None` for bounds, which measure nothing.
    pub budget: Option<Budget>,
    /// Mean over all decisions, milliseconds or Mbit/s.
    pub mean: f64,
    /// The value that one decision in twenty is worse than.
    pub bad: f64,
    /// The value that one decision in a hundred is worse than.
    pub worst: f64,
    /// Share of the way from direct to the clairvoyant choice of one relay.
    pub gap_closed: f64,
    /// 95 % interval of it.
    pub gap_closed_ci: Interval,
    /// Share of pairs that are more than 10 % worse than direct on average.
    pub harmed: f64,
    /// Share of decisions that are more than 10 % worse than direct at that moment.
    pub harmed_decisions: f64,
    /// Share of decisions for a path that is unknown in the scored frame; they count as direct.
    pub unknown: f64,
    /// Share of decisions that differ from the one before.
    pub switches_per_decision: f64,
    /// Paths used at once.
    pub paths_per_decision: f64,
    /// Probes per destination and round.
    pub probes_per_destination: f64,
    /// Probes and echoes of one node, bytes a second; `None` where all rounds are on one frame and take no time.
    pub probe_bytes_per_s: Option<f64>,
    /// Others' published legs that reach one node, bytes a second; `None` likewise.
    pub published_bytes_per_s: Option<f64>,
    /// Share of the gap closed by kinds of pairs: see [`Split`].
    pub splits: Vec<SplitFigures>,
    /// One entry a fold.
    pub folds: Vec<FoldFigures>,
}

/// Kinds of decisions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// Between known nodes.
    Known,
    /// From known nodes to newcomers.
    ToNewcomers,
    /// From newcomers in their first round, after their landmark probes alone.
    Landmarks,
    /// From newcomers later.
    Newcomers,
}

impl Split {
    /// All kinds.
    pub const ALL: [Split; 4] = [Split::Known, Split::ToNewcomers, Split::Landmarks, Split::Newcomers];

    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Split::Known => "known",
            Split::ToNewcomers => "to-newcomers",
            Split::Landmarks => "newcomers-landmarks",
            Split::Newcomers => "newcomers",
        }
    }
}

/// One policy on one kind of decisions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SplitFigures {
    /// Which kind.
    pub split: Split,
    /// How many.
    pub decisions: u64,
    /// Their mean.
    pub mean: f64,
    /// Share of their own gap.
    pub gap_closed: f64,
}

/// One policy in one fold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FoldFigures {
    /// Share of the fold's gap.
    pub gap_closed: f64,
    /// The value that one decision in a hundred is worse than.
    pub worst: f64,
}

/// One policy against another on the same decisions.
#[derive(Clone, Debug, PartialEq)]
pub struct Paired {
    /// The one.
    pub policy: String,
    /// The other.
    pub against: String,
    /// How much better the one is, as a share of the other's mean; negative where it is worse.
    pub gain: f64,
    /// 95 % interval of it.
    pub ci: Interval,
}

/// Replays `frames` under `protocol` for every one of `entries`. `progress` is told in words what was done.
///
/// # Errors
/// Where the set cannot be split.
pub fn evaluate(
    frames: &Frames,
    protocol: &Protocol,
    entries: &[Entry],
    progress: &(dyn Fn(&str) + Sync),
) -> Result<Evaluation, Unfit> {
    let mut tally = Tally::new(frames, entries);
    let mut thinned = None;
    let mut one_frame = false;
    for index in 0..protocol.seeds {
        let fold = Fold::plan(frames, protocol, index)?;
        thinned = fold.thinned();
        one_frame = fold.one_frame;
        let bounds = Bounds::new(frames, &fold);
        let run = |entry: &Entry| run(frames, &fold, protocol, entry, index, progress);
        let outcomes: Vec<Outcome> = entries.par_iter().with_max_len(1).map(run).collect();
        tally.add(frames, &fold, &bounds, &outcomes);
    }
    Ok(tally.finish(frames, protocol, thinned, one_frame))
}

fn run(
    frames: &Frames,
    fold: &Fold,
    protocol: &Protocol,
    entry: &Entry,
    index: usize,
    progress: &(dyn Fn(&str) + Sync),
) -> Outcome {
    let began = std::time::Instant::now();
    let mut policy = (entry.make)();
    let outcome = replay(frames, fold, protocol, entry.budget, policy.as_mut());
    progress(&format!(
        "{}: seed {} of {}: {} in {:.1} s",
        frames.name,
        index + 1,
        protocol.seeds,
        entry.name,
        began.elapsed().as_secs_f64()
    ));
    outcome
}

impl Figures {
    /// The cost columns from what was spent in rounds of `step_s` seconds; bounds and direct spend nothing.
    fn spend(&mut self, ledger: &Ledger, step_s: Option<f64>) {
        let share = |part: u64, whole: u64| if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
        let per_second = |bytes: f64, count: u64| {
            step_s.map(|step_s| share(count, ledger.node_rounds) * bytes / step_s.max(1e-9))
        };
        self.probe_bytes_per_s = per_second(crate::replay::PROBE_BYTES, ledger.probes);
        self.published_bytes_per_s = per_second(crate::replay::LEG_BYTES, ledger.legs_received);
        if self.budget.is_some() {
            self.switches_per_decision = share(ledger.switches, ledger.repeated);
            self.paths_per_decision = share(ledger.paths, ledger.decisions);
            self.probes_per_destination = share(ledger.probes, ledger.destination_rounds);
        }
    }
}

#[cfg(test)]
mod tests;
