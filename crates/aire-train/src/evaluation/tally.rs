//! Sums over decisions, and the figures from them.

use super::{CLAIRVOYANT, DIRECT, Evaluation, FIXED, Figures, FoldFigures, Paired, Split, SplitFigures};
use crate::data::{Frames, Quantity};
use crate::policies::Entry;
use crate::replay::{Bounds, Budget, Fold, Ledger, Outcome, Protocol, pairs};
use crate::statistics::{Cells, Histogram, Interval, Place};

/// Blocks of time for the bootstrap.
const BLOCKS: usize = 10;
const DRAWS: usize = 1000;
/// A pair is harmed where it is more than this share of direct worse than direct.
const HARM: f64 = 0.1;

/// One policy or bound.
#[derive(Clone)]
struct Column {
    name: String,
    budget: Option<Budget>,
    histogram: Histogram,
    ledger: Ledger,
    harmed: u64,
    harmed_decisions: u64,
    /// Decisions for a path whose value is unknown.
    unknown: u64,
    /// Sums by kind.
    splits: [f64; Split::ALL.len()],
    folds: Vec<FoldFigures>,
}

/// Everything that is counted over the folds of a set.
pub(super) struct Tally {
    columns: Vec<Column>,
    cells: Cells,
    decisions: u64,
    excluded: u64,
    pairs: u64,
    split_counts: [u64; Split::ALL.len()],
}

impl Tally {
    /// The columns are direct, the entries, and the two bounds.
    pub(super) fn new(frames: &Frames, entries: &[Entry]) -> Self {
        let column = |name: &str, budget| Column {
            name: name.to_owned(),
            budget,
            histogram: Histogram::default(),
            ledger: Ledger::default(),
            harmed: 0,
            harmed_decisions: 0,
            unknown: 0,
            splits: [0.0; Split::ALL.len()],
            folds: Vec::new(),
        };
        let mut columns = vec![column(DIRECT, None)];
        columns.extend(entries.iter().map(|entry| column(&entry.name, Some(entry.budget))));
        columns.extend([column(FIXED, None), column(CLAIRVOYANT, None)]);
        let cells = Cells::new(frames.nodes.len(), BLOCKS, columns.len());
        let split_counts = [0; Split::ALL.len()];
        Tally { columns, cells, decisions: 0, excluded: 0, pairs: 0, split_counts }
    }

    /// Counts one fold.
    pub(super) fn add(&mut self, frames: &Frames, fold: &Fold, bounds: &Bounds, outcomes: &[Outcome]) {
        let mut values: Vec<&[f32]> = vec![&bounds.direct];
        values.extend(outcomes.iter().map(|outcome| outcome.values.as_slice()));
        values.extend([bounds.fixed.as_slice(), &bounds.clairvoyant]);
        let values: Vec<Told<'_>> =
            values.into_iter().map(|values| Told { values, direct: &bounds.direct }).collect();
        let scored = Scored::of(frames, fold, &bounds.direct);
        self.decisions += scored.decisions.len() as u64;
        self.excluded += scored.excluded;
        for decision in &scored.decisions {
            self.cells.count(decision.place);
            self.split_counts[decision.split] += 1;
        }
        let mean = |values: &Told<'_>| {
            let sum: f64 = scored.decisions.iter().map(|d| f64::from(values.at(d.at))).sum();
            sum / scored.decisions.len().max(1) as f64
        };
        let (direct, best) = (mean(&values[0]), mean(&values[values.len() - 1]));
        self.pairs += scored.touched();
        for (index, (column, values)) in self.columns.iter_mut().zip(&values).enumerate() {
            let mut histogram = Histogram::default();
            for decision in &scored.decisions {
                let value = f64::from(values.at(decision.at));
                histogram.add(value);
                self.cells.add(decision.place, index, value);
                column.unknown += u64::from(values.values[decision.at].is_nan());
                column.splits[decision.split] += value;
                let harmed = worse(frames.quantity, value, f64::from(bounds.direct[decision.at]));
                column.harmed_decisions += u64::from(harmed);
            }
            column.harmed += scored.harmed(frames.quantity, values);
            column.folds.push(FoldFigures {
                gap_closed: (direct - mean(values)) / (direct - best) + 0.0,
                worst: histogram.quantile(tail(frames.quantity, 0.99)),
            });
            column.histogram.merge(&histogram);
        }
        for (column, outcome) in self.columns[1..].iter_mut().zip(outcomes) {
            column.ledger.add(&outcome.ledger);
        }
    }

    /// The figures of all folds.
    pub(super) fn finish(
        self,
        frames: &Frames,
        protocol: &Protocol,
        thinned: Option<String>,
        one_frame: bool,
    ) -> Evaluation {
        let means = self.cells.means();
        let resample = self.cells.resample(DRAWS, 1);
        let last = means.len() - 1;
        // the sum turns −0 into 0
        let gap = |means: &[f64], index: usize| (means[0] - means[index]) / (means[0] - means[last]) + 0.0;
        let figures = |(index, column): (usize, &Column)| {
            let interval = resample.interval(|means| gap(means, index));
            let gap = gap(&means, index);
            let mut figures = self.figures(frames.quantity, column, means[index], gap, interval);
            figures.spend(&column.ledger, (!one_frame).then_some(frames.step_s));
            figures
        };
        let policies = self.columns.iter().enumerate().map(figures).collect();
        let sign = if frames.quantity == Quantity::Rtt { 1.0 } else { -1.0 };
        let mut paired = Vec::new();
        for against in ["rule", DIRECT] {
            let Some(other) = self.columns.iter().position(|column| column.name == against) else { continue };
            for (one, column) in self.columns.iter().enumerate().filter(|(one, _)| *one != other) {
                let gain = |means: &[f64]| sign * (means[other] - means[one]) / means[other];
                paired.push(Paired {
                    policy: column.name.clone(),
                    against: against.to_owned(),
                    gain: gain(&means),
                    ci: resample.interval(gain),
                });
            }
        }
        Evaluation {
            trace: frames.name.clone(),
            quantity: frames.quantity,
            size: (frames.nodes.len(), frames.frames.len()),
            decisions: self.decisions,
            excluded: self.excluded,
            protocol: protocol.clone(),
            thinned,
            one_frame,
            policies,
            paired,
        }
    }

    fn figures(&self, quantity: Quantity, column: &Column, mean: f64, gap: f64, ci: Interval) -> Figures {
        let share = |part: u64, whole: u64| if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
        let splits = Split::ALL.iter().enumerate().filter(|(at, _)| self.split_counts[*at] > 0);
        let split = |(at, split): (usize, &Split)| {
            let of = |column: &Column| column.splits[at] / self.split_counts[at] as f64;
            let (direct, best) = (of(&self.columns[0]), of(&self.columns[self.columns.len() - 1]));
            SplitFigures {
                split: *split,
                decisions: self.split_counts[at],
                mean: of(column),
                gap_closed: (direct - of(column)) / (direct - best) + 0.0,
            }
        };
        Figures {
            policy: column.name.clone(),
            budget: column.budget,
            mean,
            bad: column.histogram.quantile(tail(quantity, 0.95)),
            worst: column.histogram.quantile(tail(quantity, 0.99)),
            gap_closed: gap,
            gap_closed_ci: ci,
            harmed: share(column.harmed, self.pairs),
            harmed_decisions: share(column.harmed_decisions, self.decisions),
            unknown: share(column.unknown, self.decisions),
            switches_per_decision: 0.0,
            paths_per_decision: 1.0,
            probes_per_destination: 0.0,
            probe_bytes_per_s: None,
            published_bytes_per_s: None,
            splits: splits.map(split).collect(),
            folds: column.folds.clone(),
        }
    }
}

/// The bad end of a quantity: round trips are bad where they are high, throughput where it is low.
fn tail(quantity: Quantity, q: f64) -> f64 {
    if quantity == Quantity::Rtt { q } else { 1.0 - q }
}

fn worse(quantity: Quantity, value: f64, direct: f64) -> bool {
    match quantity {
        Quantity::Rtt => value > direct * (1.0 + HARM),
        Quantity::Throughput => value < direct * (1.0 - HARM),
    }
}

/// What one policy's choices gave, by decision. In use a path that is gone is left for another within round trips, so that one
/// whose value is unknown counts as direct: what is unknown of one policy's paths changes no other policy's figures.
struct Told<'a> {
    values: &'a [f32],
    direct: &'a [f32],
}

impl Told<'_> {
    fn at(&self, decision: usize) -> f32 {
        let value = self.values[decision];
        if value.is_nan() { self.direct[decision] } else { value }
    }
}

/// The decisions of one fold that are scored: the same for every policy.
struct Scored {
    decisions: Vec<Decision>,
    pairs: usize,
    excluded: u64,
}

struct Decision {
    at: usize,
    pair: usize,
    place: Place,
    split: usize,
}

impl Scored {
    fn of(frames: &Frames, fold: &Fold, direct: &[f32]) -> Self {
        let pairs = pairs(fold);
        let mut scored = Scored { decisions: Vec::new(), pairs: pairs.len(), excluded: 0 };
        for (place, round) in fold.scored_rounds().enumerate() {
            let frame = fold.scored(round).unwrap_or(round);
            let block = frame * BLOCKS / frames.frames.len().max(1);
            for (pair, &(from, to)) in
                pairs.iter().enumerate().filter(|(_, (from, to))| fold.counts(*from, *to))
            {
                let at = place * pairs.len() + pair;
                if direct[at].is_nan() {
                    scored.excluded += 1;
                    continue;
                }
                let split = match (fold.newcomer[from], fold.newcomer[to]) {
                    (true, _) if round == fold.join && !fold.one_frame => 2,
                    (true, _) => 3,
                    (false, true) => 1,
                    (false, false) => 0,
                };
                let place = Place { from, to, block: block.min(BLOCKS - 1) };
                scored.decisions.push(Decision { at, pair, place, split });
            }
        }
        scored
    }

    /// Pairs that were scored at all.
    fn touched(&self) -> u64 {
        let mut seen = vec![false; self.pairs];
        self.decisions.iter().for_each(|decision| seen[decision.pair] = true);
        seen.into_iter().filter(|seen| *seen).count() as u64
    }

    /// Pairs whose average is more than a tenth worse than direct's.
    fn harmed(&self, quantity: Quantity, values: &Told<'_>) -> u64 {
        let mut sums = vec![(0.0, 0.0); self.pairs];
        for decision in &self.decisions {
            let (own, other) = &mut sums[decision.pair];
            *own += f64::from(values.at(decision.at));
            *other += f64::from(values.direct[decision.at]);
        }
        sums.into_iter().filter(|(own, other)| *other > 0.0 && worse(quantity, *own, *other)).count() as u64
    }
}
