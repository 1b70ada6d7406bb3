use std::collections::BTreeSet;

use aire_types::{Path, Time};

use super::state::{Pool, SlotState};
use crate::health::CarrierId;

impl Pool {
    /// Place in the ranking; last where it has none.
    pub(super) fn rank(&self, path: &Path) -> usize {
        self.ranking.iter().position(|ranked| ranked == path).unwrap_or(usize::MAX)
    }

    /// Can a carrier be had on the path now or soon?
    fn reachable(&self, now: Time, path: &Path) -> bool {
        self.slots.get(path).is_none_or(|slot| slot.retry_at <= now || slot.state == SlotState::Asked)
            || self.carriers.values().any(|carrier| carrier.path == *path && carrier.usable())
    }

    fn in_favour(&self, now: Time, path: &Path) -> bool {
        self.left.get(path).is_none_or(|left| left.until <= now) && !self.degraded.contains_key(path)
    }

    /// The path that the streams should be on. Dwell yields where there is nothing else.
    pub(super) fn best(&self, now: Time) -> Option<&Path> {
        let mut reachable = self.ranking.iter().filter(|path| self.reachable(now, path));
        let favoured = reachable.clone().find(|path| self.in_favour(now, path));
        favoured.or_else(|| reachable.find(|path| Some(*path) == self.current())).or_else(|| {
            // All were left: the one whose dwell ends first.
            let reachable = self.ranking.iter().filter(|path| self.reachable(now, path));
            reachable.min_by_key(|path| self.left.get(*path).map_or(Time::ZERO, |left| left.until))
        })
    }

    /// A path to keep a carrier ready on while `main` is in use: the best that shares no relay with it. The ranking
    /// sees to it that this does not change for little.
    pub(super) fn standby(&self, now: Time, main: &Path) -> Option<&Path> {
        let open = |path: &Path| {
            self.carriers.values().any(|carrier| carrier.path == *path && carrier.retire_at.is_none())
        };
        let fits = |path: &&Path| *path != main && self.reachable(now, path) && self.in_favour(now, path);
        let candidates: Vec<&Path> = self.ranking.iter().filter(fits).collect();
        let disjoint = || candidates.iter().copied().filter(|path| path.is_disjoint(main));
        disjoint()
            .next()
            .or_else(|| candidates.iter().copied().find(|path| open(path)))
            .or_else(|| candidates.first().copied())
            .or_else(|| self.ranking.iter().find(|path| *path != main && self.reachable(now, path)))
    }

    /// The best open carrier outside `paths` that is not late itself.
    pub(super) fn ready_outside(&self, now: Time, paths: &BTreeSet<&Path>) -> Option<CarrierId> {
        let ready = self
            .carriers
            .iter()
            .filter(|(id, carrier)| {
                carrier.usable() && !paths.contains(&carrier.path) && !self.leave.is_late(**id)
            })
            .min_by_key(|(id, carrier)| {
                (!self.in_favour(now, &carrier.path), self.rank(&carrier.path), **id)
            });
        ready.map(|(id, _)| *id)
    }

    /// Who can help a late carrier: another path if possible.
    pub(super) fn helper(&self, now: Time, late: CarrierId) -> Option<CarrierId> {
        let path = self.path_of(late)?;
        self.ready_outside(now, &BTreeSet::from([path])).or_else(|| self.sibling(late))
    }

    /// Another open carrier of the same path that is not late.
    pub(super) fn sibling(&self, of: CarrierId) -> Option<CarrierId> {
        let path = self.path_of(of)?;
        self.carriers
            .iter()
            .find(|(id, carrier)| {
                **id != of && carrier.usable() && carrier.path == *path && !self.leave.is_late(**id)
            })
            .map(|(id, _)| *id)
    }
}
