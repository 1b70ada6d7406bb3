use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use aire_types::{Path, Random, Time};
use aire_wire::CircuitId;

use super::config::{LeftBecause, PoolConfig, PoolOutput, Wants};
use crate::health::{CarrierId, Leave};

/// What is known of a path's circuit.
#[derive(Clone, Debug, Default)]
pub(super) struct Slot {
    pub(super) state: SlotState,
    /// In a row, refusals and failed dials together.
    pub(super) failures: u32,
    pub(super) retry_at: Time,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum SlotState {
    #[default]
    None,
    Asked,
    Granted(CircuitId),
}

#[derive(Clone, Debug)]
pub(super) struct Carrier {
    pub(super) path: Path,
    pub(super) circuit: CircuitId,
    /// `None`: still dialling.
    pub(super) up: Option<Time>,
    pub(super) dialled: Time,
    /// Its streams have moved; closed then.
    pub(super) retire_at: Option<Time>,
    /// When the first of its certificates runs out.
    pub(super) expires: Time,
    /// From then on another one is to take its place.
    pub(super) refresh_at: Time,
    /// It took the place of another one.
    pub(super) took_over: bool,
}

impl Carrier {
    pub(super) fn usable(&self) -> bool {
        self.up.is_some() && self.retire_at.is_none()
    }

    pub(super) fn is_stale(&self, now: Time) -> bool {
        self.refresh_at <= now
    }
}

/// A path that was left.
#[derive(Clone, Copy, Debug)]
pub(super) struct Left {
    pub(super) until: Time,
    pub(super) dwell: Duration,
}

/// A move to a better path under way.
#[derive(Clone, Debug)]
pub(super) struct Move {
    pub(super) from: BTreeSet<CarrierId>,
    pub(super) to: CarrierId,
    /// Tenths that are still to move.
    pub(super) tenths_left: u32,
    pub(super) next: Time,
}

/// Circuits and carriers to one destination, for one class or for all.
///
/// The preferred carrier is on the best path, a standby is open on a path that shares no relay with it. A path that
/// dies or degrades is left at once; one that merely is not the best any more is left a tenth of the streams at a time.
/// It contains the leave loop of its carriers.
#[derive(Clone, Debug)]
pub struct Pool {
    pub(super) config: PoolConfig,
    pub(super) leave: Leave,
    pub(super) ranking: Vec<Path>,
    /// Allowed, but without an answer lately.
    pub(super) silent: Vec<Path>,
    pub(super) slots: BTreeMap<Path, Slot>,
    pub(super) carriers: BTreeMap<CarrierId, Carrier>,
    pub(super) left: BTreeMap<Path, Left>,
    /// Paths with a symptom that could not be left yet, and until when that counts.
    pub(super) degraded: BTreeMap<Path, (LeftBecause, Time)>,
    pub(super) preferred: Option<CarrierId>,
    pub(super) moving: Option<Move>,
    pub(super) wants: Wants,
    /// Since when nobody wants anything.
    pub(super) idle_since: Option<Time>,
    /// Since when there are more carriers than busy streams need.
    pub(super) surplus_since: Option<Time>,
    pub(super) no_path_since: Option<Time>,
    /// Since when the last carrier that died of silence was silent.
    pub(super) silent_since: Option<Time>,
    /// A carrier was open since somebody wanted one.
    pub(super) had_path: bool,
    /// Since when there is a path again.
    pub(super) found_at: Time,
    /// No better path is taken before.
    pub(super) settled_at: Time,
    pub(super) draining: bool,
    pub(super) next_carrier: u64,
    pub(super) random: Random,
    pub(super) now: Time,
    pub(super) outputs: VecDeque<PoolOutput>,
}

impl Pool {
    /// Nothing open, nothing wanted.
    pub const fn new(config: PoolConfig) -> Self {
        Pool {
            config,
            leave: Leave::new(config.leave),
            ranking: Vec::new(),
            silent: Vec::new(),
            slots: BTreeMap::new(),
            carriers: BTreeMap::new(),
            left: BTreeMap::new(),
            degraded: BTreeMap::new(),
            preferred: None,
            moving: None,
            wants: Wants { streams: 0, busy: 0, warm: false },
            idle_since: Some(Time::ZERO),
            surplus_since: None,
            no_path_since: None,
            silent_since: None,
            had_path: false,
            found_at: Time::ZERO,
            settled_at: Time::ZERO,
            draining: false,
            next_carrier: config.first_carrier,
            random: Random::new(config.leave.seed ^ 0x706f_6f6c),
            now: Time::ZERO,
            outputs: VecDeque::new(),
        }
    }

    /// The next thing to do or to know.
    pub fn poll_output(&mut self) -> Option<PoolOutput> {
        self.outputs.pop_front()
    }

    /// When [`Pool::handle_timeout`] has something to do.
    pub fn poll_timeout(&self) -> Option<Time> {
        let idle = self.idle_since.map(|since| since + self.config.idle_timeout);
        let surplus = self.surplus_since.map(|since| since + super::reconcile::SURPLUS);
        let moving = self.moving.as_ref().map(|moving| moving.next);
        let dials = self.carriers.values().filter_map(|carrier| match (carrier.up, carrier.retire_at) {
            (_, Some(at)) => Some(at),
            (None, None) => Some(carrier.dialled + self.config.dial_timeout),
            (Some(_), None) => None,
        });
        let again = self.carriers.values().filter(|carrier| carrier.up.is_none());
        let again = again.map(|carrier| carrier.dialled + super::rescue::DIAL_AGAIN);
        let retries = self.slots.values().map(|slot| slot.retry_at);
        let dwells = self.left.values().map(|left| left.until);
        let own = [idle, surplus, moving, Some(self.settled_at)].into_iter().flatten();
        let ends = self.carriers.values().flat_map(|carrier| [carrier.expires, carrier.refresh_at]);
        let ends = ends.filter(|at| *at != Time::NEVER);
        let own = own
            .chain(dials)
            .chain(again)
            .chain(ends)
            .chain(retries)
            .chain(dwells)
            .filter(|at| *at > self.now)
            .min();
        [own, self.leave.poll_timeout()].into_iter().flatten().min()
    }

    /// The path of the preferred carrier.
    pub fn current(&self) -> Option<&Path> {
        self.path_of(self.preferred?)
    }

    /// The preferred carrier.
    pub const fn preferred(&self) -> Option<CarrierId> {
        self.preferred
    }

    /// Paths with an open carrier other than the current one, the best first.
    pub fn standbys(&self) -> Vec<&Path> {
        let open: BTreeSet<&Path> =
            self.carriers.values().filter(|carrier| carrier.usable()).map(|carrier| &carrier.path).collect();
        let current = self.current();
        let mut paths: Vec<&Path> = open.into_iter().filter(|path| Some(*path) != current).collect();
        paths.sort_by_key(|path| self.rank(path));
        paths
    }

    /// Until when a path that was left is not used again, if another can be.
    pub fn dwelling(&self, path: &Path) -> Option<Time> {
        self.left.get(path).map(|left| left.until).filter(|until| *until > self.now)
    }

    /// Does a carrier, or the next one, go over this circuit?
    pub fn uses(&self, circuit: CircuitId) -> bool {
        self.slots.values().any(|slot| slot.state == SlotState::Granted(circuit))
            || self.carriers.values().any(|carrier| carrier.circuit == circuit)
    }

    /// The path of a carrier.
    pub fn path_of(&self, carrier: CarrierId) -> Option<&Path> {
        self.carriers.get(&carrier).map(|carrier| &carrier.path)
    }

    /// The leave loop, to look at.
    pub const fn leave(&self) -> &Leave {
        &self.leave
    }

    /// Panics where the state contradicts itself. For tests.
    ///
    /// # Panics
    /// A bug here.
    pub fn check_invariants(&self) {
        self.leave.check_invariants();
        if let Some(preferred) = self.preferred {
            let carrier = self.carriers.get(&preferred).expect("the preferred carrier exists");
            assert!(carrier.usable(), "the preferred carrier is not usable");
        } else {
            let usable = self.carriers.values().any(Carrier::usable);
            assert!(!usable, "a usable carrier, and none is preferred");
        }
        let mut per_path: BTreeMap<&Path, usize> = BTreeMap::new();
        let lasting = |carrier: &&Carrier| carrier.retire_at.is_none() && !carrier.is_stale(self.now);
        for carrier in self.carriers.values().filter(lasting) {
            *per_path.entry(&carrier.path).or_insert(0) += 1;
        }
        assert!(
            per_path.values().all(|count| *count <= self.config.max_per_path),
            "too many carriers on a path"
        );
        if let Some(moving) = &self.moving {
            assert_eq!(Some(moving.to), self.preferred, "streams move to another than the preferred carrier");
            assert!(moving.tenths_left > 0, "a finished move is still under way");
        }
    }
}
