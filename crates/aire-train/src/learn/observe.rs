//! What an agent would have known: the agent's own way of probing goes through the recorded rounds, and what it would have been
//! asked to decide on is noted.

use std::cell::RefCell;
use std::sync::{Arc, Mutex, PoisonError};

use aire_brain::{Margin, Policy, Rule};
use aire_types::{Class, NodeName, Random, Ranked, Snapshot, Time};

use crate::data::Frames;
use crate::policies::{Driven, round_s};
use crate::replay::{Seat, Via};

/// One question that an agent could have asked.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Seen {
    pub(super) round: usize,
    pub(super) from: usize,
    pub(super) to: usize,
    /// Beside the snapshot's candidates, in their order.
    pub(super) ways: Vec<Via>,
    pub(super) snapshot: Snapshot,
}

type Notebook = Arc<Mutex<Vec<Seen>>>;

/// Notes a part of the questions that agents ask in a replay.
pub(super) struct Observer(Notebook);

impl Observer {
    /// The agents that ask, and who notes this share of their questions.
    pub(super) fn new(frames: &Frames, share: f64) -> (Driven, Self) {
        let notes: Notebook = Arc::default();
        let (book, step_s) = (Arc::clone(&notes), frames.step_s);
        let agents = Driven::new(
            "observer",
            Box::new(move |seat: &Seat| {
                let notebook = Arc::clone(&book);
                let random = RefCell::new(Random::new(seat.seed ^ 0x0b5e));
                Box::new(Noting { notebook, share, step_s, from: seat.node, random, rule: habit(seat.node) })
            }),
        );
        (agents, Observer(notes))
    }

    /// What was noted, in the order of rounds and nodes.
    pub(super) fn seen(self) -> Vec<Seen> {
        let mut seen = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        seen.sort_by_key(|seen| (seen.round, seen.from, seen.to));
        seen
    }
}

/// Every third agent decides by the rule, the others take relays sooner, so that paths in use are seen, too.
fn habit(node: usize) -> Rule {
    let margin = match node % 3 {
        0 => Margin::default(),
        1 => Margin { errors: 1.0, least: 0.5, proof: 3, ..Margin::default() },
        _ => Margin { errors: 0.0, least: 0.5, proof: 1, ..Margin::default() },
    };
    Rule { margin, ..Rule::default() }
}

/// The rule, with a notebook.
struct Noting {
    notebook: Notebook,
    share: f64,
    step_s: f64,
    from: usize,
    random: RefCell<Random>,
    rule: Rule,
}

impl Noting {
    fn note(&self, snapshot: &Snapshot) -> Option<Seen> {
        let mut random = self.random.borrow_mut();
        if snapshot.candidates.len() < 2 || !random.chance(self.share) {
            return None;
        }
        let mut snapshot = snapshot.clone();
        snapshot.class = match random.below(6) {
            0 => Class::Bulk,
            1 => Class::Critical,
            _ => Class::Interactive,
        };
        let ways = snapshot.candidates.iter().map(|candidate| match candidate.route.path.relays() {
            [] => Some(Via::Direct),
            [relay] => Some(Via::Relay(number(relay)?)),
            _ => None,
        });
        let ways = ways.collect::<Option<_>>()?;
        let to = number(&snapshot.candidates.first()?.route.instance.node)?;
        let round = (snapshot.at.since(Time::ZERO).as_secs_f64() / round_s(self.step_s)).round() as usize;
        Some(Seen { round: round.checked_sub(1)?, from: self.from, to, ways, snapshot })
    }
}

/// The node's number in the replay, which is in its name.
fn number(name: &NodeName) -> Option<usize> {
    name.as_str().trim_start_matches(|c: char| !c.is_ascii_digit()).parse().ok()
}

impl Policy for Noting {
    fn name(&self) -> &str {
        "observer"
    }

    fn rank(&self, snapshot: &Snapshot) -> Vec<Ranked> {
        if let Some(seen) = self.note(snapshot) {
            self.notebook.lock().unwrap_or_else(PoisonError::into_inner).push(seen);
        }
        self.rule.rank(snapshot)
    }

    fn reason(&self, snapshot: &Snapshot, ranking: &[Ranked]) -> String {
        self.rule.reason(snapshot, ranking)
    }
}
