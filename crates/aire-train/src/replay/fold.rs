//! How one seed splits a set: by time and by node.

use aire_types::Random;

use super::policy::{History, MOST_LEGS, Record};
use crate::data::{Frames, Quantity};

/// Rounds on the one frame of a set that has no time: at 1.5 probes, direct and eight relays.
const ROUNDS_OF_ONE_FRAME: usize = 6;
/// Where newcomers join, as a share of the frames; the origins roll from seed to seed.
const ORIGINS: [f64; 3] = [0.4, 0.5, 0.6];
/// Scored rounds are thinned to no fewer than these before destinations are.
const LEAST_ROUNDS: usize = 8;
/// The fewest destinations of a node that are kept.
const LEAST_DESTINATIONS: usize = 8;

/// How sets are split and what a policy may spend.
#[derive(Clone, Debug, PartialEq)]
pub struct Protocol {
    /// So many folds, each with its own seed and origin.
    pub seeds: usize,
    /// Probes per destination and round.
    pub probes: f64,
    /// Probes that a newcomer has in its first round, in all.
    pub landmarks: usize,
    /// Share of the nodes that are newcomers.
    pub newcomers: f64,
    /// Decisions that are scored in a fold at most; rounds first, then destinations are thinned evenly for that.
    pub most_decisions: usize,
}

impl Default for Protocol {
    fn default() -> Self {
        Protocol { seeds: 5, probes: 1.5, landmarks: 32, newcomers: 0.2, most_decisions: 1_000_000 }
    }
}

/// Why a set cannot be replayed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// Every frame is within the gap of the first.
    #[error("{frames} frames are too few where a scored frame lies {gap} after the last input: record more")]
    Short {
        /// Frames of the set.
        frames: usize,
        /// Its gap.
        gap: usize,
    },
    /// With fewer than five nodes a fifth of them new, there is hardly a relay to choose.
    #[error("{0} nodes are too few: there is something to choose from five on")]
    Small(usize),
}

/// One split of a set.
#[derive(Clone, Debug, PartialEq)]
pub struct Fold {
    /// From which all else was drawn.
    pub seed: u64,
    /// By node: nothing was known of it before it joined.
    pub newcomer: Vec<bool>,
    /// The first round in which known nodes live.
    pub begin: usize,
    /// The first round in which newcomers live, and the first that is scored.
    pub join: usize,
    /// The last round.
    pub last: usize,
    /// Every so many rounds decisions are asked for and scored.
    pub stride: usize,
    /// Where each node's traffic goes to.
    pub destinations: Vec<Vec<usize>>,
    /// The set has one frame: all rounds are on it, and only the last one is scored, on ways from and to newcomers.
    pub one_frame: bool,
    /// From a decision to the frame that scores it.
    pub gap: usize,
}

impl Fold {
    /// The `index`-th split of `frames`.
    ///
    /// # Errors
    /// Where the set is too short or too small to be split.
    pub fn plan(frames: &Frames, protocol: &Protocol, index: usize) -> Result<Self, Unfit> {
        let nodes = frames.nodes.len();
        let count = frames.frames.len();
        if nodes < 5 {
            return Err(Unfit::Small(nodes));
        }
        let one_frame = count == 1;
        let gap = if one_frame { 0 } else { frames.score_gap.max(1) };
        let last = match count.checked_sub(gap + 1) {
            Some(_) if one_frame => ROUNDS_OF_ONE_FRAME - 1,
            Some(last) => last,
            None => return Err(Unfit::Short { frames: count, gap }),
        };
        let origin = (count as f64 * ORIGINS[index % ORIGINS.len()]).round() as usize;
        let join = if one_frame { 0 } else { origin.min(last) };
        let mut random = Random::new(0x5eed_0000 + index as u64);
        let newcomers = ((nodes as f64 * protocol.newcomers).round() as usize).min(nodes - 3);
        let newcomer = draw(nodes, newcomers, &mut random);
        let rounds = if one_frame { 1 } else { last - join + 1 };
        let pairs = nodes * (nodes - 1);
        let stride = (rounds * pairs).div_ceil(protocol.most_decisions.max(1));
        let stride = stride.min(rounds / LEAST_ROUNDS.min(rounds)).max(1);
        let room = protocol.most_decisions / (nodes * rounds.div_ceil(stride)).max(1);
        let room = room.clamp(LEAST_DESTINATIONS, nodes.max(LEAST_DESTINATIONS));
        let destinations = (0..nodes).map(|node| destinations(node, nodes, room, &mut random)).collect();
        Ok(Fold {
            seed: random.next_u64(),
            newcomer,
            begin: join / 2,
            join,
            last,
            stride,
            destinations,
            one_frame,
            gap,
        })
    }

    /// The frame that is measured in `round`.
    pub fn frame(&self, round: usize) -> usize {
        if self.one_frame { 0 } else { round }
    }

    /// The frame that scores decisions of `round`; `None` where they are not scored.
    pub fn scored(&self, round: usize) -> Option<usize> {
        if self.one_frame {
            return (round == self.last).then_some(0);
        }
        (round >= self.join && (round - self.join).is_multiple_of(self.stride)).then_some(round + self.gap)
    }

    /// The rounds whose decisions are scored, ascending.
    pub fn scored_rounds(&self) -> impl Iterator<Item = usize> {
        (self.begin..=self.last).filter(|round| self.scored(*round).is_some())
    }

    /// Is the way between these nodes scored at all?
    pub fn counts(&self, from: usize, to: usize) -> bool {
        !self.one_frame || self.newcomer[from] || self.newcomer[to]
    }

    /// Do nodes publish what they measured? Only round trips, and not where the measured frame is the scored one.
    pub fn publishes(&self, quantity: Quantity) -> bool {
        !self.one_frame && quantity == Quantity::Rtt
    }

    /// Is part of the set left out to keep the time bounded? In words then.
    pub fn thinned(&self) -> Option<String> {
        let nodes = self.destinations.len();
        let kept = self.destinations.first().map_or(0, Vec::len);
        let mut words = Vec::new();
        if self.stride > 1 {
            words.push(format!("every {}. round is decided and scored", self.stride));
        }
        if kept + 1 < nodes {
            words.push(format!("{kept} of {} destinations of each node are used", nodes - 1));
        }
        (!words.is_empty()).then(|| words.join("; "))
    }

    /// What was recorded before: in each round every known node measured up to [`MOST_LEGS`] others, in a set of one frame
    /// all of them. Nothing of a newcomer, and in a symmetric set no mirror of it either.
    pub fn history(&self, frames: &Frames) -> History {
        let nodes = self.newcomer.len();
        let known: Vec<usize> = (0..nodes).filter(|node| !self.newcomer[*node]).collect();
        let mut random = Random::new(self.seed ^ 0x4157_0217);
        let mut records = Vec::new();
        let (rounds, most) = if self.one_frame { (1, nodes) } else { (self.begin, MOST_LEGS) };
        for round in 0..rounds {
            for &from in &known {
                let mut others: Vec<usize> = known.iter().copied().filter(|to| *to != from).collect();
                let take = most.min(others.len());
                for at in 0..take {
                    let other = at + random.below(others.len() - at);
                    others.swap(at, other);
                    let (to, frame) = (others[at], &frames.frames[round]);
                    records.push(Record { round, from, to, value: frame.get(from, to) });
                }
            }
        }
        let seed = random.next_u64();
        let (quantity, step_s, symmetric) = (frames.quantity, frames.step_s, frames.symmetric);
        History { nodes, known, quantity, step_s, symmetric, records, seed }
    }
}

/// `count` of `nodes`, evenly drawn.
fn draw(nodes: usize, count: usize, random: &mut Random) -> Vec<bool> {
    let mut order: Vec<usize> = (0..nodes).collect();
    let mut drawn = vec![false; nodes];
    for at in 0..count {
        let other = at + random.below(nodes - at);
        order.swap(at, other);
        drawn[order[at]] = true;
    }
    drawn
}

/// Up to `room` of the other nodes, evenly drawn.
fn destinations(node: usize, nodes: usize, room: usize, random: &mut Random) -> Vec<usize> {
    let others: Vec<usize> = (0..nodes).filter(|to| *to != node).collect();
    if others.len() <= room {
        return others;
    }
    let drawn = draw(others.len(), room, random);
    others.into_iter().zip(drawn).filter_map(|(to, drawn)| drawn.then_some(to)).collect()
}
