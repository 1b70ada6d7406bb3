use std::collections::BTreeSet;
use std::time::Duration;

use aire_types::{Path, Time};

use super::config::{LeftBecause, PoolEvent, PoolOutput};
use super::state::{Left, Pool};
use crate::health::{CarrierId, Symptom};

/// Carriers of a path that degraded stay open for what is under way on them.
const RETIRE_AFTER: Duration = Duration::from_secs(3);
/// After an outage the next best path may be taken soon: the standby was only the nearest.
const SETTLE_AFTER_LOSS: Duration = Duration::from_secs(2);
/// How long a symptom counts while there is no other path.
const SYMPTOM_COUNTS: Duration = Duration::from_secs(10);
/// A path that was good for so many dwells starts again with the shortest.
pub(super) const FORGIVEN: u32 = 10;

impl Pool {
    /// The leave loop gave a carrier up.
    pub(super) fn dead(&mut self, now: Time, carrier: CarrierId, silent: Duration) {
        if !self.carriers.contains_key(&carrier) {
            return;
        }
        self.silent_since = Some(now - silent);
        self.lose(now, carrier, LeftBecause::Dead(silent));
        self.outputs.push_back(PoolOutput::Close { carrier, dead: true });
        self.forget(carrier);
    }

    /// A carrier is lost: its streams go to another of its path if one lives, else the path is left.
    pub(super) fn lose(&mut self, now: Time, carrier: CarrierId, because: LeftBecause) {
        let Some(state) = self.carriers.get(&carrier).filter(|state| state.retire_at.is_none()) else {
            return;
        };
        let path = state.path.clone();
        if let Some(to) = self.sibling(carrier) {
            self.outputs.push_back(PoolOutput::MoveAll { from: carrier, to });
            if self.preferred == Some(carrier) {
                self.prefer(to);
            }
            return;
        }
        self.leave_path(now, &path, because, RETIRE_AFTER);
    }

    /// The leave loop found that a path is not what it was.
    pub(super) fn degrade(&mut self, now: Time, path: Path, symptom: Symptom) {
        let because = LeftBecause::Degraded(symptom);
        self.outputs.push_back(PoolOutput::Rerank { path: path.clone(), because });
        // It is left below if another is ready, and else as soon as one is.
        self.degraded.insert(path, (because, now + SYMPTOM_COUNTS));
    }

    /// Leaves the current path where it has a symptom and another one is ready.
    pub(super) fn leave_degraded(&mut self, now: Time) {
        self.degraded.retain(|_, (_, until)| *until > now);
        let Some(current) = self.current().cloned() else { return };
        let Some((because, _)) = self.degraded.get(&current).copied() else { return };
        let avoid: BTreeSet<&Path> = self.degraded.keys().collect();
        let Some(to) = self.ready_outside(now, &avoid) else { return };
        if !self.is_worth(&current, because, to) {
            return;
        }
        self.leave_path(now, &current, because, RETIRE_AFTER);
    }

    /// Going to a path that is far slower than the present one, symptom included, helps nobody.
    fn is_worth(&self, current: &Path, because: LeftBecause, to: CarrierId) -> bool {
        let times = match because {
            LeftBecause::Degraded(Symptom::Slow { times }) => times,
            LeftBecause::Degraded(Symptom::Lossy) => 8.0,
            _ => return true,
        };
        let (Some(usual), Some(other)) = (self.leave.usual(current), self.leave.smoothed(to)) else {
            return true;
        };
        other < usual.mul_f64(times.max(2.0)) + Duration::from_millis(20)
    }

    /// Moves everything off a path at once. Its carriers are closed after `grace`.
    pub(super) fn leave_path(&mut self, now: Time, path: &Path, because: LeftBecause, grace: Duration) {
        self.start_dwell(now, path);
        self.degraded.remove(path);
        let was_current = self.current() == Some(path);
        let stays = self.preferred.filter(|_| !was_current);
        let target = stays.or_else(|| self.ready_outside(now, &BTreeSet::from([path]))).or_else(|| {
            // A late carrier of another path is better than none.
            let other = |carrier: &super::state::Carrier| carrier.usable() && carrier.path != *path;
            self.carriers.iter().find(|(_, carrier)| other(carrier)).map(|(id, _)| *id)
        });
        let on: Vec<CarrierId> = self
            .carriers
            .iter()
            .filter(|(_, carrier)| carrier.path == *path && carrier.retire_at.is_none())
            .map(|(id, _)| *id)
            .collect();
        for id in &on {
            if let Some(carrier) = self.carriers.get_mut(id) {
                carrier.retire_at = Some(now + grace);
            }
        }
        if !was_current
            && !self.moving.as_ref().is_some_and(|moving| on.iter().any(|id| moving.from.contains(id)))
        {
            return;
        }
        if was_current {
            self.preferred = None;
            self.moving = None;
            self.settled_at = now + SETTLE_AFTER_LOSS;
        }
        if let Some(to) = target {
            for from in on.iter().filter(|from| **from != to) {
                self.outputs.push_back(PoolOutput::MoveAll { from: *from, to });
            }
            if was_current {
                self.prefer(to);
            }
        }
        let to = target.and_then(|to| self.path_of(to)).cloned();
        self.outputs.push_back(PoolOutput::Event(PoolEvent::Left { path: path.clone(), because, to }));
        if !matches!(because, LeftBecause::Degraded(_)) {
            self.outputs.push_back(PoolOutput::Rerank { path: path.clone(), because });
        }
    }

    fn start_dwell(&mut self, now: Time, path: &Path) {
        let dwell = match self.left.get(path) {
            Some(left) if now < left.until + FORGIVEN * left.dwell => {
                (2 * left.dwell).min(self.config.dwell_most)
            }
            _ => self.config.dwell,
        };
        self.left.insert(path.clone(), Left { until: now + dwell, dwell });
    }
}
