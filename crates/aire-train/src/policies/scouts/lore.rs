use aire_brain::relays::{Claims, Effects, Join, Legs, Strength, coverage};
use aire_types::Random;

use crate::data::Quantity;
use crate::replay::{History, Published, Record};

/// Landmarks of a mesh.
const LANDMARKS: usize = 64;

/// What history taught, shared by all nodes: legs, landmarks, and how far to trust an average.
#[derive(Clone, Debug)]
pub(super) struct Lore {
    pub(super) legs: Legs,
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
            known: Vec::new(),
            landmarks: Vec::new(),
            strength: Strength::default(),
        }
    }

    pub(super) fn learn(history: &History) -> Self {
        let means = history.means();
        let mut legs = Legs::unknown(history.nodes);
        for &from in &history.known {
            history.known.iter().for_each(|to| legs.set(from, *to, means.get(from, *to)));
        }
        let strength = strength(history);
        let join = join(history.quantity);
        let mut random = Random::new(history.seed);
        let known = history.known.clone();
        let landmarks = coverage::landmarks(&Either(&legs), join, &known, &known, LANDMARKS, &mut random);
        Lore { legs, known, landmarks, strength }
    }
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
    pub(super) legs: &'a Legs,
}

impl Claims for Word<'_> {
    fn leg(&self, from: usize, to: usize) -> f32 {
        let said = self.published.map_or(f32::NAN, |published| published.values(from)[to]);
        if said.is_finite() { said } else { self.legs.leg(from, to) }
    }
}
