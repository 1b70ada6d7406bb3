//! What is done when nothing that is open answers.

use std::collections::BTreeSet;
use std::time::Duration;

use aire_types::{Path, Time};

use super::config::PoolOutput;
use super::state::{Carrier, Pool, Slot, SlotState};
use crate::health::CarrierId;

/// So many circuits are asked for at once.
const PATHS: usize = 4;
/// A dial of this age may hang on a network that has come back since: another one is tried beside it.
pub(super) const DIAL_AGAIN: Duration = Duration::from_secs(1);

impl Pool {
    /// Are there streams, and no carrier that answers? Then whichever path comes up first is taken: the others may be as
    /// dead as the one in use, and a connection that was silent for long may stay so when its path is well again.
    pub(super) fn needs_rescue(&self) -> bool {
        let mut usable = self.carriers.iter().filter(|(_, carrier)| carrier.usable()).peekable();
        let silent = if usable.peek().is_some() {
            usable.all(|(id, _)| self.leave.is_late(*id))
        } else {
            self.had_path
        };
        silent && self.wants.streams > 0 && !self.draining
    }

    /// The paths on which another carrier is tried now: all that have a circuit, as they need nothing but the network; and
    /// of the others the best, whose circuits have to be asked for.
    pub(super) fn rescues(&self, now: Time) -> BTreeSet<Path> {
        let wanted = |path: &&Path| {
            let recent = self.dials_on(path).any(|(_, carrier)| now < carrier.dialled + DIAL_AGAIN);
            !recent && (!self.is_full(path) || self.dials_on(path).next().is_some())
        };
        let granted = |path: &&Path| {
            self.slots.get(*path).is_some_and(|slot| matches!(slot.state, SlotState::Granted(_)))
        };
        let all = || self.ranking.iter().chain(&self.silent);
        let asked = all().filter(|path| !granted(path)).take(PATHS);
        all().filter(granted).chain(asked).filter(wanted).cloned().collect()
    }

    /// Dials that may still serve: those along a circuit that was closed do not.
    fn dials_on<'a>(&'a self, path: &'a Path) -> impl Iterator<Item = (CarrierId, &'a Carrier)> {
        let serves = |carrier: &Carrier| carrier.up.is_none() && carrier.retire_at.is_none();
        let dials = self.carriers.iter().filter(move |(_, carrier)| serves(carrier) && carrier.path == *path);
        dials.map(|(id, carrier)| (*id, carrier))
    }

    fn is_full(&self, path: &Path) -> bool {
        let on = |carrier: &&Carrier| carrier.path == *path && carrier.retire_at.is_none();
        self.carriers.values().filter(on).count() >= self.config.max_per_path
    }

    /// Where as many carriers hang as a path may have, the oldest dial gives way to another one.
    pub(super) fn make_room(&mut self, now: Time, path: &Path) {
        let may_dial = |slot: &Slot| matches!(slot.state, SlotState::Granted(_)) && slot.retry_at <= now;
        if !self.is_full(path) || !self.slots.get(path).is_some_and(may_dial) {
            return;
        }
        let oldest = self.dials_on(path).min_by_key(|(_, carrier)| carrier.dialled).map(|(id, _)| id);
        if let Some(carrier) = oldest {
            self.outputs.push_back(PoolOutput::Close { carrier, dead: true });
            self.forget(carrier);
        }
    }

    /// Would the failure of this dial say nothing against its circuit? Who keeps circuits has to agree with the pool on it.
    pub fn spares(&self, now: Time, carrier: CarrierId) -> bool {
        self.carriers.get(&carrier).is_some_and(|state| self.spares_circuit(now, state.dialled))
    }

    /// Does the circuit of a dial that failed stay? Where nothing answers at all, silence says nothing against it, and
    /// another would need links, which come back later than the network; and no wait is due, as a dial every
    /// [`DIAL_AGAIN`] is slow enough. A hop that knows the circuit no more says so at once.
    pub(super) fn spares_circuit(&self, now: Time, dialled: Time) -> bool {
        now >= dialled + DIAL_AGAIN && self.needs_rescue()
    }

    /// What is unacknowledged on late carriers goes out on the one that has just come up.
    pub(super) fn help_late(&mut self, up: CarrierId) {
        let late: Vec<CarrierId> = self
            .carriers
            .iter()
            .filter(|(id, carrier)| **id != up && carrier.usable() && self.leave.is_late(**id))
            .map(|(id, _)| *id)
            .collect();
        late.into_iter().for_each(|from| self.outputs.push_back(PoolOutput::Hedge { from, onto: up }));
    }

    /// These carriers are lost, and dials to be begun again, through no fault of their paths: an end has another address.
    pub fn handle_network_changed(&mut self, now: Time, lost: &[CarrierId]) {
        let over: Vec<CarrierId> = self
            .carriers
            .iter()
            .filter(|(id, carrier)| carrier.up.is_none() || lost.contains(id))
            .map(|(id, _)| *id)
            .collect();
        let stays = self.carriers.iter().find(|(id, carrier)| carrier.usable() && !over.contains(id));
        if let Some(to) = stays.map(|(id, _)| *id) {
            over.iter().for_each(|from| self.outputs.push_back(PoolOutput::MoveAll { from: *from, to }));
        }
        for carrier in over {
            self.outputs.push_back(PoolOutput::Close { carrier, dead: true });
            self.leave.handle_down(carrier);
            self.carriers.remove(&carrier);
            if self.preferred == Some(carrier) {
                self.preferred = None;
                self.moving = None;
            }
        }
        for slot in self.slots.values_mut() {
            slot.failures = 0;
            slot.retry_at = Time::ZERO;
        }
        self.degraded.clear();
        self.reconcile(now);
    }
}
