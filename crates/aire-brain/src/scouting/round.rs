use std::collections::BTreeMap;
use std::time::Duration;

use aire_types::Time;

/// A round of a new node, and one of others.
const FIRST: Duration = Duration::from_secs(5);
const LATER: Duration = Duration::from_secs(30);
/// A node is new for so long.
pub(super) const NEW: Duration = Duration::from_secs(60);
/// Paths that are remembered in one round.
const PATHS: usize = 1024;

#[derive(Clone, Copy, Debug, Default)]
struct Mean {
    sum: f64,
    count: u32,
}

impl Mean {
    fn add(&mut self, ms: f64) {
        self.sum += ms;
        self.count = self.count.saturating_add(1);
    }

    /// NaN where there was no answer.
    fn value(self) -> f32 {
        if self.count > 0 { (self.sum / f64::from(self.count)) as f32 } else { f32::NAN }
    }
}

/// Measurements at irregular times, gathered into rounds: each path counts once in each.
#[derive(Clone, Debug, Default)]
pub(super) struct Round {
    begun: Option<Time>,
    ends: Time,
    number: usize,
    direct: Vec<Mean>,
    paths: BTreeMap<(usize, usize), Mean>,
}

impl Round {
    /// The first round begins; later calls change nothing.
    pub(super) fn begin(&mut self, now: Time) {
        if self.begun.is_none() {
            (self.begun, self.ends) = (Some(now), now + FIRST);
        }
    }

    /// There is somebody new: the round ends soon.
    pub(super) fn hasten(&mut self, now: Time) {
        self.ends = self.ends.min(now + FIRST);
    }

    /// When the round ends.
    pub(super) fn ends(&self) -> Time {
        if self.begun.is_some() { self.ends } else { Time::NEVER }
    }

    /// The node began less than a minute ago.
    pub(super) fn is_new(&self, now: Time) -> bool {
        self.begun.is_some_and(|begun| now.since(begun) < NEW)
    }

    pub(super) fn number(&self) -> usize {
        self.number
    }

    pub(super) fn grow(&mut self, nodes: usize) {
        self.direct.resize(nodes.max(self.direct.len()), Mean::default());
    }

    pub(super) fn forget(&mut self, node: usize) {
        self.direct[node] = Mean::default();
        self.paths.retain(|(relay, to), _| *relay != node && *to != node);
    }

    pub(super) fn add_direct(&mut self, to: usize, ms: f64) {
        if ms.is_finite() && ms > 0.0 {
            self.direct[to].add(ms);
        }
    }

    /// `None`: there was no answer.
    pub(super) fn add_path(&mut self, relay: usize, to: usize, ms: Option<f64>) {
        if self.paths.len() >= PATHS && !self.paths.contains_key(&(relay, to)) {
            return;
        }
        let mean = self.paths.entry((relay, to)).or_default();
        if let Some(ms) = ms.filter(|ms| ms.is_finite() && *ms > 0.0) {
            mean.add(ms);
        }
    }

    /// Was the leg to the node measured in this round?
    pub(super) fn has_direct(&self, to: usize) -> bool {
        self.direct[to].count > 0
    }

    /// All of the round, and the next one begins: direct legs by node, and paths with relay and destination.
    pub(super) fn close(&mut self, now: Time) -> (Vec<f32>, Vec<(usize, usize, f32)>) {
        let direct = self.direct.iter().map(|mean| mean.value()).collect();
        self.direct.fill(Mean::default());
        let paths = std::mem::take(&mut self.paths);
        self.number += 1;
        self.ends = now + if self.is_new(now) { FIRST } else { LATER };
        (direct, paths.into_iter().map(|((relay, to), mean)| (relay, to, mean.value())).collect())
    }
}
