//! Rows to learn from, out of recorded and synthetic networks.

use aire_brain::cost::Scorer;
use aire_brain::model::{Asker, COUNT};
use aire_sim::synthetic::{Shape, record};
use aire_types::{Random, Snapshot, Time};

use super::cut::{Cut, cut, repeated};
use super::observe::{Observer, Seen};
use super::rows::{Row, Rows};
use crate::data::{Frames, Histories, Matrix, Quantity};
use crate::replay::{Budget, Fold, Protocol, Via, replay, value};

/// Probes per destination and round of the probers: that of the evaluation, and one that knows more.
const BUDGETS: [f64; 2] = [1.5, 4.0];
/// Frames further apart than this are repeated, seconds.
const SLOW_S: f64 = 600.0;
const TIMES: usize = 6;
/// Nodes whose traffic is watched in one pass at most; all others relay and publish.
const DESTINATIONS: usize = 64;

/// How much of what is looked at.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// From which all else is drawn.
    pub seed: u64,
    /// The share of each set's frames, from the first on, that training may see. The evaluation scores later ones.
    pub until: f64,
    /// Questions noted per set, at most about.
    pub questions: usize,
    /// Synthetic meshes of each shape.
    pub synthetic: usize,
    /// Nodes of each.
    pub nodes: usize,
}

impl Default for Plan {
    fn default() -> Self {
        Plan { seed: 1, until: 0.4, questions: 40_000, synthetic: 2, nodes: 48 }
    }
}

/// One question with what each way turned out to be, for the choice of the margin.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// What an agent would have known.
    pub snapshot: Snapshot,
    /// What direct was in the scored frame, milliseconds.
    pub direct: f32,
    /// What each of the candidates was, in their order; NaN where unknown.
    pub outcomes: Vec<f32>,
    /// The set it comes from.
    pub group: u16,
}

impl Case {
    /// What the candidate at this place came to; that of direct where it is unknown, as a path that is gone is left at once.
    pub fn outcome(&self, at: usize) -> f32 {
        let outcome = self.outcomes[at];
        if outcome.is_nan() { self.direct } else { outcome }
    }
}

/// What is told of one set in reports.
#[derive(Clone, Debug, PartialEq)]
pub struct Share {
    /// The set.
    pub name: String,
    /// Nodes of the set, those known to training, and those that weights are fitted on.
    pub nodes: [usize; 3],
    /// Frames of the set, those that training may see, and those that weights are fitted on.
    pub frames: [usize; 3],
    /// Rows for fitting and for validation.
    pub rows: [usize; 2],
    /// Not measured, but made from a seed.
    pub synthetic: bool,
}

/// One set, and what of it may be seen.
struct Material<'a> {
    frames: &'a Frames,
    /// What decisions are judged by, where that is not the same.
    measured: Option<&'a Frames>,
    until: f64,
    synthetic: bool,
}

/// All that a training run looks at.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    /// For the weights.
    pub training: Rows,
    /// For everything else that is chosen: when to stop, calibration, margin.
    pub validation: Rows,
    /// The questions of the validation part.
    pub cases: Vec<Case>,
    /// Where it comes from, by group.
    pub shares: Vec<Share>,
    /// Sets that gave nothing, and why.
    pub left_out: Vec<(String, &'static str)>,
}

impl Dataset {
    /// Rows from recorded sets, from a mesh's own history, and from synthetic meshes. `tell` hears which set is looked at.
    pub fn gather(
        recorded: &[Frames],
        history: Option<&Histories>,
        plan: &Plan,
        mut tell: impl FnMut(&str),
    ) -> Self {
        let (training, validation) = (Rows::new(COUNT), Rows::new(COUNT));
        let mut all =
            Dataset { training, validation, cases: Vec::new(), shares: Vec::new(), left_out: Vec::new() };
        for frames in recorded {
            tell(&frames.name);
            all.add(&Material { frames, measured: None, until: plan.until, synthetic: false }, plan);
        }
        if let Some(Histories { seen, measured }) = history {
            tell(&seen.name);
            // nothing of it is kept for an evaluation: the mesh goes on and will judge
            all.add(&Material { frames: seen, measured: Some(measured), until: 1.0, synthetic: false }, plan);
        }
        for (number, shape) in shapes(plan).enumerate() {
            let made = record(&shape, plan.seed.wrapping_mul(1000) + number as u64);
            let frames = Frames {
                name: format!("synthetic {}", shape.name),
                quantity: Quantity::Rtt,
                step_s: made.step_s,
                symmetric: made.symmetric,
                score_gap: made.score_gap,
                frames: made
                    .frames
                    .into_iter()
                    .filter_map(|rows| Matrix::from_rows(shape.nodes, rows))
                    .collect(),
                nodes: made.nodes,
            };
            tell(&frames.name);
            all.add(&Material { frames: &frames, measured: None, until: 1.0, synthetic: true }, plan);
        }
        all.training.balance();
        all.validation.balance();
        all
    }

    fn add(&mut self, material: &Material<'_>, plan: &Plan) {
        let &Material { frames, measured, until, synthetic } = material;
        if frames.quantity != Quantity::Rtt {
            self.left_out.push((frames.name.clone(), "it holds no round trips"));
            return;
        }
        let Some(parts) = Cut::plan(frames, until) else {
            self.left_out.push((frames.name.clone(), "it has too few frames or nodes"));
            return;
        };
        let known = self.shares.iter().position(|share| share.name == frames.name);
        let group = known.unwrap_or(self.shares.len());
        if known.is_none() {
            self.shares.push(Share {
                name: frames.name.clone(),
                nodes: [frames.nodes.len(), parts.known.len(), parts.fitted.len()],
                frames: [frames.frames.len(), parts.end, parts.split],
                rows: [0, 0],
                synthetic,
            });
        }
        let before = [self.training.len(), self.validation.len()];
        let label = u16::try_from(group).unwrap_or(u16::MAX);
        let times = if frames.step_s > SLOW_S { &[1, TIMES][..] } else { &[1][..] };
        let questions = plan.questions / (BUDGETS.len() * times.len());
        for (pass, (&times, &probes)) in
            times.iter().flat_map(|times| BUDGETS.iter().map(move |probes| (times, probes))).enumerate()
        {
            let pass = Pass { times, probes, seed: plan.seed ^ (pass as u64) << 8 ^ u64::from(label) << 16 };
            let part = |nodes: &[usize], end: usize| {
                (cut(frames, nodes, 0..end), measured.map(|measured| cut(measured, nodes, 0..end)))
            };
            let watched = pass.watch(part(&parts.fitted, parts.split), questions, 0);
            watched.iter().for_each(|seen| seen.rows(&watched.frames, label, &mut self.training));
            let mut watched = pass.watch(part(&parts.known, parts.end), questions / 3, parts.split);
            let fitted = |node: usize| parts.fitted.contains(&parts.known[node]);
            if parts.splits_nodes() {
                watched.seen.retain(|seen| !fitted(seen.from) || !fitted(seen.to));
            }
            for seen in watched.iter() {
                seen.rows(&watched.frames, label, &mut self.validation);
                self.cases.extend(seen.case(&watched.frames, label));
            }
        }
        let share = &mut self.shares[group];
        share.rows[0] += self.training.len() - before[0];
        share.rows[1] += self.validation.len() - before[1];
    }
}

/// Meshes of each shape that look as if they had been recorded.
fn shapes(plan: &Plan) -> impl Iterator<Item = Shape> {
    let &Plan { synthetic, nodes, .. } = plan;
    let all = [
        Shape::planetlab().with_frames(8),
        Shape::seattle().with_frames(120),
        Shape::cloud().with_frames(40),
    ];
    all.into_iter().flat_map(move |shape| std::iter::repeat_n(shape.with_nodes(nodes), synthetic))
}

/// How probers go through a set once.
struct Pass {
    times: usize,
    probes: f64,
    seed: u64,
}

struct Watched {
    /// What decisions are judged by.
    frames: Frames,
    seen: Vec<Seen>,
}

impl Watched {
    fn iter(&self) -> impl Iterator<Item = &Seen> {
        self.seen.iter()
    }
}

impl Pass {
    /// Notes about so many questions whose outcome lies in frame `first` or later.
    fn watch(&self, (frames, measured): (Frames, Option<Frames>), questions: usize, first: usize) -> Watched {
        let frames = repeated(&frames, self.times);
        let (first, gap) = (first * self.times, frames.score_gap.max(1));
        let (nodes, rounds) = (frames.nodes.len(), frames.frames.len());
        let mut random = Random::new(self.seed);
        let destinations: Vec<Vec<usize>> = (0..nodes).map(|node| some(node, nodes, &mut random)).collect();
        let Some(last) = rounds.checked_sub(gap + 1) else { return Watched { frames, seen: Vec::new() } };
        let noted = last + 1 - first.saturating_sub(gap).min(last);
        let all = noted * destinations.iter().map(Vec::len).sum::<usize>();
        let fold = Fold {
            seed: random.next_u64(),
            newcomer: vec![false; nodes],
            begin: 0,
            join: 0,
            last,
            stride: 1,
            destinations,
            one_frame: false,
            gap,
        };
        let (mut agents, observer) = Observer::new(&frames, questions as f64 / all.max(1) as f64);
        let protocol = Protocol { probes: self.probes, ..Protocol::default() };
        replay(&frames, &fold, &protocol, Budget::Kept, &mut agents);
        let mut seen = observer.seen();
        seen.retain(|seen| seen.round + gap >= first);
        let frames = measured.map_or(frames, |measured| repeated(&measured, self.times));
        Watched { frames, seen }
    }
}

/// Other nodes, all or as many as are watched.
fn some(node: usize, nodes: usize, random: &mut Random) -> Vec<usize> {
    let mut others: Vec<usize> = (0..nodes).filter(|other| *other != node).collect();
    for at in 0..others.len().min(DESTINATIONS) {
        let other = at + random.below(others.len() - at);
        others.swap(at, other);
    }
    others.truncate(DESTINATIONS);
    others.sort_unstable();
    others
}

impl Seen {
    fn outcomes<'a>(&'a self, frames: &'a Frames) -> impl Fn(Via) -> f32 + 'a {
        let scored = &frames.frames[self.round + frames.score_gap.max(1)];
        move |via| value(frames, scored, self.from, self.to, via)
    }

    /// A row for each candidate that the network would be asked about.
    fn rows(&self, frames: &Frames, group: u16, out: &mut Rows) {
        let scorer = Scorer::new(&self.snapshot);
        let Some(asker) = Asker::new(&self.snapshot, &scorer, &self.snapshot.candidates) else { return };
        let outcome = self.outcomes(frames);
        let direct = outcome(Via::Direct);
        for (candidate, &via) in self.snapshot.candidates.iter().zip(&self.ways) {
            let Some(question) = asker.ask(candidate, &scorer.terms(candidate)) else { continue };
            out.push(Row {
                features: &question.features,
                promise: question.gain,
                spread: question.spread,
                gain: (direct - outcome(via)) / asker.unit_ms() as f32,
                weight: 1.0,
                group,
            });
        }
    }

    fn case(&self, frames: &Frames, group: u16) -> Option<Case> {
        let outcome = self.outcomes(frames);
        let direct = outcome(Via::Direct);
        let outcomes = self.ways.iter().map(|via| outcome(*via)).collect();
        // whatever the noting agent used: the question is when to leave direct
        let mut snapshot = self.snapshot.clone();
        let at = self.ways.iter().position(|via| *via == Via::Direct)?;
        snapshot.current = Some((snapshot.candidates[at].route.clone(), Time::ZERO));
        (direct > 0.0).then_some(Case { snapshot, direct, outcomes, group })
    }
}

#[cfg(test)]
#[path = "dataset_tests.rs"]
mod tests;
