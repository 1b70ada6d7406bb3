//! The relays that are looked at for one destination, and which of them is probed next: as the agent's brain does it around
//! the rule, by node numbers and rounds.

use aire_brain::Evidence;
use aire_types::{Instance, Random, Time};

use super::portfolio::RELAYS;
use super::table::Own;
use crate::replay::Via;

/// A path gets so many probes before it is judged at all.
const FIRST: u32 = 3;
/// One that may win gets probes until it has answered so often …
pub(super) const PROOF: u32 = 8;
/// … or was asked so often.
const PATIENCE: u32 = 16;

/// One path to one destination.
pub(super) struct Way {
    pub(super) via: Via,
    /// Nothing before the first probe: most of a large mesh is never measured.
    pub(super) evidence: Option<Box<Evidence>>,
    /// What legs promise, milliseconds; NaN where they are unknown.
    pub(super) prior: f32,
    pub(super) sent: u32,
    /// Round of the last probe, plus one.
    pub(super) probed: usize,
    /// Average as the probing needs it, lower is better.
    pub(super) cost: f64,
}

impl Way {
    pub(super) fn new(via: Via) -> Self {
        Way { via, evidence: None, prior: f32::NAN, sent: 0, probed: 0, cost: f64::INFINITY }
    }

    pub(super) fn answers(&self) -> u32 {
        self.evidence.as_ref().map_or(0, |evidence| evidence.count())
    }
}

/// Where to, and the ways that are looked at.
pub(super) struct Destination {
    pub(super) instance: Instance,
    /// Direct first, then by relay.
    pub(super) ways: Vec<Way>,
    pub(super) current: Via,
    pub(super) since: Time,
    pub(super) hold: Time,
}

impl Destination {
    /// The way that a probe should take now; nothing where each one was looked at in this round. All probes of a round meet
    /// the same frame, so that a second one would be the first one's value counted twice.
    pub(super) fn next(&self, round: usize) -> Option<usize> {
        let rival =
            self.ways.iter().find(|way| way.via == self.current).map_or(f64::INFINITY, |way| way.cost);
        let ways = || self.ways.iter().enumerate().filter(|(_, way)| way.probed <= round);
        if let Some((direct, _)) = ways().find(|(at, way)| *at == 0 && way.sent < FIRST) {
            return Some(direct);
        }
        let unproven = |way: &Way| way.sent >= FIRST && way.sent < PATIENCE && way.answers() < PROOF;
        let may_win = |way: &Way| way.via == self.current || way.cost < rival;
        if let Some((at, _)) = ways().find(|(_, way)| unproven(way) && may_win(way) && way.answers() > 0) {
            return Some(at);
        }
        let promise = |way: &Way| if way.prior.is_nan() { f32::INFINITY } else { way.prior };
        let begun = |way: &Way| u32::from(way.sent == 0);
        let fresh = ways().filter(|(_, way)| way.sent < FIRST);
        let fresh =
            fresh.min_by(|(_, a), (_, b)| begun(a).cmp(&begun(b)).then(promise(a).total_cmp(&promise(b))));
        fresh.or_else(|| ways().min_by_key(|(_, way)| way.probed)).map(|(at, _)| at)
    }
}

/// Drops relays that are gone and, of a full portfolio in a larger mesh, the two worst.
pub(super) fn prune(destination: &mut Destination, relays: usize, present: &[bool]) {
    let current = destination.current;
    destination.ways.retain(|way| match way.via {
        Via::Direct => true,
        Via::Relay(relay) => present[relay],
    });
    if destination.ways.len() <= RELAYS || relays <= RELAYS {
        return;
    }
    for _ in 0..2 {
        let judged = destination.ways.iter().enumerate();
        let judged =
            judged.filter(|(_, way)| way.via != Via::Direct && way.via != current && way.sent >= FIRST);
        if let Some((worst, _)) = judged.max_by(|(_, a), (_, b)| a.cost.total_cmp(&b.cost)) {
            destination.ways.remove(worst);
        }
    }
}

/// Relays for the free places: half of a portfolio by what legs promise, a quarter close by, the rest by chance.
pub(super) fn pick(
    relays: &[usize],
    have: &[Way],
    promises: &[f32],
    own: &Own,
    random: &mut Random,
) -> Vec<usize> {
    let mut open: Vec<usize> =
        relays.iter().copied().filter(|relay| have.iter().all(|way| way.via != Via::Relay(*relay))).collect();
    let room = RELAYS.saturating_sub(have.len() - 1);
    let mut picked = Vec::new();
    let mut take = |open: &mut Vec<usize>, value: &dyn Fn(usize) -> f32, most: usize| {
        for _ in 0..most {
            let known = open.iter().enumerate().filter(|(_, relay)| !value(**relay).is_nan());
            let best = known.min_by(|(_, a), (_, b)| value(**a).total_cmp(&value(**b))).map(|(at, _)| at);
            picked.extend(best.map(|at| open.swap_remove(at)));
        }
    };
    let less = own.less_is_better();
    let cost = |value: f32| if less { value } else { -value };
    take(&mut open, &|relay| cost(promises[relay]), room.div_ceil(2));
    take(&mut open, &|relay| cost(own.values()[relay]), room / 4);
    while picked.len() < room && !open.is_empty() {
        picked.push(open.swap_remove(random.below(open.len())));
    }
    picked
}
