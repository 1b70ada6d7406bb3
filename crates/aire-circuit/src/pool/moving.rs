use std::collections::BTreeSet;
use std::time::Duration;

use aire_types::Time;

use super::config::{LeftBecause, PoolEvent, PoolOutput};
use super::state::{Move, Pool};
use crate::health::CarrierId;

/// At most a tenth of the streams moves in one round trip.
const TENTHS: u32 = 10;
const STEP_UNKNOWN: Duration = Duration::from_millis(100);
const STEP_LEAST: Duration = Duration::from_millis(10);
/// How long the first better path is used at least.
const SETTLE_LEAST: Duration = Duration::from_secs(1);

impl Pool {
    pub(super) fn prefer(&mut self, carrier: CarrierId) {
        self.preferred = Some(carrier);
        if self.moving.as_ref().is_some_and(|moving| moving.to != carrier) {
            self.moving = None;
        }
        self.outputs.push_back(PoolOutput::Prefer { carrier });
    }

    /// Starts to move the streams to a better path: new ones at once, running ones a tenth at a time.
    pub(super) fn improve(&mut self, now: Time, to: CarrierId) {
        let (Some(path), Some(old)) = (self.path_of(to).cloned(), self.current().cloned()) else { return };
        let on_other = |(id, carrier): (&CarrierId, &super::state::Carrier)| {
            (carrier.usable() && carrier.path != path).then_some(*id)
        };
        let from: BTreeSet<CarrierId> = self.carriers.iter().filter_map(on_other).collect();
        // Paths answer one after the other at first: what was the best of the first second need not be that of the next.
        let known_for = now.since(self.found_at).max(SETTLE_LEAST);
        self.settled_at = now + known_for.min(self.config.settle);
        self.prefer(to);
        self.moving = Some(Move { from, to, tenths_left: TENTHS, next: now });
        self.outputs.push_back(PoolOutput::Event(PoolEvent::Left {
            path: old,
            because: LeftBecause::Better,
            to: Some(path),
        }));
        self.step_move(now);
    }

    /// Moves the next tenth when it is due.
    pub(super) fn step_move(&mut self, now: Time) {
        let Some(moving) = self.moving.as_mut().filter(|moving| moving.next <= now) else { return };
        let step = self.leave.smoothed(moving.to).unwrap_or(STEP_UNKNOWN).max(STEP_LEAST);
        moving.next = now + self.random.scale(step, 0.8, 1.2);
        let share = 1.0 / f64::from(moving.tenths_left);
        moving.tenths_left -= 1;
        let (to, over) = (moving.to, moving.tenths_left == 0);
        for from in moving.from.clone() {
            if self.carriers.contains_key(&from) && from != to {
                self.outputs.push_back(PoolOutput::MoveShare { from, to, share });
            }
        }
        if over {
            self.moving = None;
        }
    }
}
