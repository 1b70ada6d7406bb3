use aire_brain::relays::{Claims, Effects, Join, Legs, Scout, Strength, coverage};
use aire_types::Random;

use crate::data::Quantity;
use crate::replay::{History, Published, Record};

/// Landmarks of a mesh.
const LANDMARKS: usize = 64;

/// What history taught, shared by all nodes: legs, landmarks, and how far to trust an average.
#[derive(Clone, Debug)]
pub(super) struct Lore {
    pub(super) legs: Legs,
    turned: Legs,
    /// Of each leg that was measured: how often, average, average of the logarithm.
    past: Vec<(f32, f32, f32)>,
    pub(super) known: Vec<usize>,
    pub(super) landmarks: Vec<usize>,
    pub(super) strength: Strength,
}

pub(super) fn join(quantity: Quantity) -> Join {
    match quantity {
        Quantity::Rtt => Join::Sum,
        Quantity::Throughput => Join::Least,
    }
}

impl Lore {
    /// Before anything was recorded.
    pub(super) fn none() -> Self {
        Lore {
            legs: Legs::unknown(0),
            turned: Legs::unknown(0),
            past: Vec::new(),
            known: Vec::new(),
            landmarks: Vec::new(),
            strength: Strength::default(),
        }
    }

    pub(super) fn learn(history: &History) -> Self {
        let past = past(history);
        let (mut legs, mut turned) = (Legs::unknown(history.nodes), Legs::unknown(history.nodes));
        for (at, (_, mean, _)) in past.iter().enumerate().filter(|(_, past)| past.0 > 0.0) {
            legs.set(at / history.nodes, at % history.nodes, *mean);
            turned.set(at % history.nodes, at / history.nodes, *mean);
        }
        let strength = strength(history);
        let join = join(history.quantity);
        let mut random = Random::new(history.seed);
        let known = history.known.clone();
        let landmarks = coverage::landmarks(&Either(&legs), join, &known, &known, LANDMARKS, &mut random);
        Lore { legs, turned, past, known, landmarks, strength }
    }
}

impl Lore {
    /// Hands the past of `node` over to its scout.
    pub(super) fn remind(&self, node: usize, scout: &mut Scout) {
        let nodes = self.legs.nodes();
        let row = self.past.get(node * nodes..(node + 1) * nodes).unwrap_or_default();
        row.iter().enumerate().for_each(|(to, (count, mean, level))| scout.recall(to, *count, *mean, *level));
    }
}

/// How often each leg was measured, its average and that of its logarithm; where the set is symmetric, of both ways.
fn past(history: &History) -> Vec<(f32, f32, f32)> {
    let mut sums = vec![(0.0f64, 0.0f64, 0.0f64); history.nodes * history.nodes];
    for record in history.records.iter().filter(|record| record.value.is_finite() && record.value > 0.0) {
        let ways = [(record.from, record.to), (record.to, record.from)];
        for (from, to) in ways.into_iter().take(1 + usize::from(history.symmetric)) {
            let (count, sum, logs) = &mut sums[from * history.nodes + to];
            *count += 1.0;
            *sum += f64::from(record.value);
            *logs += f64::from(record.value).ln();
        }
    }
    let mean =
        |(count, sum, logs): (f64, f64, f64)| (count as f32, (sum / count) as f32, (logs / count) as f32);
    sums.into_iter().map(mean).collect()
}

/// Known legs; where one was never recorded, its other way.
struct Either<'a>(&'a Legs);

impl Claims for Either<'_> {
    fn leg(&self, from: usize, to: usize) -> f32 {
        let leg = self.0.leg(from, to);
        if leg.is_finite() { leg } else { self.0.leg(to, from) }
    }
}

/// How far to shrink: what the first half of the history says of the second.
fn strength(history: &History) -> Strength {
    let mut strength = Strength::default();
    let rounds = history.records.last().map_or(0, |record| record.round + 1);
    let mut halves = vec![(0.0f64, 0u32); history.nodes * history.nodes];
    let (early, late): (Vec<&Record>, Vec<&Record>) = history
        .records
        .iter()
        .filter(|record| record.value.is_finite())
        .partition(|record| record.round < rounds / 2);
    for record in &early {
        let ways = [(record.from, record.to), (record.to, record.from)];
        for (from, to) in ways.into_iter().take(1 + usize::from(history.symmetric)) {
            let (sum, count) = &mut halves[from * history.nodes + to];
            *sum += f64::from(record.value);
            *count += 1;
        }
    }
    let mut effects = Effects::new(history.nodes);
    for _ in 0..6 {
        effects.sweep(|add| early.iter().for_each(|record| add(record.from, record.to, record.value)));
    }
    for record in late {
        let (sum, count) = halves[record.from * history.nodes + record.to];
        if count > 0 {
            let mean = (sum / f64::from(count)) as f32;
            strength.learn(effects.leg(record.from, record.to), mean, count as f32, record.value);
        }
    }
    strength
}

/// What is known of legs: what nodes published, else history.
pub(super) struct Word<'a> {
    pub(super) published: Option<&'a Published>,
    pub(super) lore: &'a Lore,
}

impl Claims for Word<'_> {
    fn leg(&self, from: usize, to: usize) -> f32 {
        let said = self.published.map_or(f32::NAN, |published| published.values(from)[to]);
        if said.is_finite() { said } else { self.lore.legs.leg(from, to) }
    }

    fn towards(&self, to: usize, legs: &mut [f32]) {
        // from the worst source to the best; each writes over the one before
        legs.fill(f32::NAN);
        overwrite(legs, self.lore.legs.row(to));
        if let Some(published) = self.published {
            overwrite(legs, published.values(to));
        }
        overwrite(legs, self.lore.turned.row(to));
        if let Some(published) = self.published {
            overwrite(legs, published.values_to(to));
        }
    }
}

fn overwrite(legs: &mut [f32], known: &[f32]) {
    for (leg, known) in legs.iter_mut().zip(known) {
        *leg = if known.is_nan() { *leg } else { *known };
    }
}
