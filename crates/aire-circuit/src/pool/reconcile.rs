use std::collections::BTreeSet;
use std::time::Duration;

use aire_types::{Path, Time};
use aire_wire::CircuitId;

use super::config::{PoolEvent, PoolOutput};
use super::state::{Carrier, Pool, SlotState};
use crate::health::CarrierId;

/// How long more carriers than needed stay open.
pub(super) const SURPLUS: Duration = Duration::from_secs(30);

impl Pool {
    /// Brings what is open closer to what should be. Idempotent.
    pub(super) fn reconcile(&mut self, now: Time) {
        self.now = now;
        self.close_retired(now);
        self.end_expired(now);
        if self.is_idle(now) {
            return self.close_all();
        }
        if self.idle_since.is_none() || !self.carriers.is_empty() {
            self.open_wanted(now);
        }
        self.replace_stale(now);
        self.leave_degraded(now);
        self.choose_preferred(now);
        self.take_better(now);
        if !self.needs_rescue() {
            self.close_unwanted(now);
        }
        self.tell_no_path(now);
        self.left.retain(|_, left| now < left.until + super::leaving::FORGIVEN * left.dwell);
    }

    fn is_idle(&self, now: Time) -> bool {
        let patience = if self.draining { Duration::ZERO } else { self.config.idle_timeout };
        self.idle_since.is_some_and(|since| now >= since + patience)
    }

    /// The paths that should have a carrier, the best first.
    fn targets(&self, now: Time) -> Vec<Path> {
        let mut targets: Vec<Path> = Vec::with_capacity(3);
        let current = self.current();
        let best = self.best(now);
        let standby = current.or(best).and_then(|main| self.standby(now, main));
        for path in [best, current, standby].into_iter().flatten() {
            if !targets.contains(path) {
                targets.push(path.clone());
            }
        }
        targets
    }

    fn carriers_wanted(&self, path: &Path) -> usize {
        let main = self.current().is_none_or(|current| current == path);
        let busy = if main { self.wants.busy } else { 0 };
        (1 + busy).min(self.config.max_per_path)
    }

    fn open_wanted(&mut self, now: Time) {
        if self.draining {
            return;
        }
        if self.needs_rescue() {
            for path in self.rescues(now) {
                self.make_room(now, &path);
                self.open_on(now, path, 1);
            }
            return;
        }
        for path in self.targets(now) {
            let wanted = if self.current().is_some() { self.carriers_wanted(&path) } else { 1 };
            let open = self
                .carriers
                .values()
                .filter(|carrier| {
                    carrier.path == path && carrier.retire_at.is_none() && !carrier.is_stale(now)
                })
                .count();
            if open >= wanted {
                continue;
            }
            self.open_on(now, path, wanted - open);
        }
    }

    /// Opens `count` carriers on a path, after asking for its circuit where there is none.
    fn open_on(&mut self, now: Time, path: Path, count: usize) {
        let slot = self.slots.entry(path.clone()).or_default();
        if slot.retry_at > now {
            return;
        }
        match slot.state {
            SlotState::Asked => {}
            SlotState::None => {
                slot.state = SlotState::Asked;
                self.outputs.push_back(PoolOutput::Negotiate { path });
            }
            SlotState::Granted(circuit) => (0..count).for_each(|_| self.dial(now, &path, circuit)),
        }
    }

    fn dial(&mut self, now: Time, path: &Path, circuit: CircuitId) {
        let carrier = CarrierId(self.next_carrier);
        self.next_carrier += 1;
        let state = Carrier {
            path: path.clone(),
            circuit,
            up: None,
            dialled: now,
            retire_at: None,
            expires: Time::NEVER,
            refresh_at: Time::NEVER,
            took_over: false,
        };
        self.carriers.insert(carrier, state);
        let class = self.config.class;
        self.outputs.push_back(PoolOutput::Dial { carrier, circuit, path: path.clone(), class });
    }

    /// There must be a preferred carrier whenever one is open.
    fn choose_preferred(&mut self, now: Time) {
        if self.preferred.is_some() {
            return;
        }
        let first = self.ready_outside(now, &BTreeSet::new());
        let any = || self.carriers.iter().find(|(_, carrier)| carrier.usable()).map(|(id, _)| *id);
        let Some(carrier) = first.or_else(any) else { return };
        self.prefer(carrier);
        self.found_at = now;
        let again = std::mem::replace(&mut self.had_path, true);
        let after = self.no_path_since.take().map_or(Duration::ZERO, |since| now.since(since));
        if let Some(path) = self.path_of(carrier).cloned() {
            self.outputs.push_back(PoolOutput::Event(PoolEvent::Found { path, after, again }));
        }
    }

    /// Begins to move to a better path whose carrier is open.
    fn take_better(&mut self, now: Time) {
        let (Some(current), Some(best)) = (self.current(), self.best(now)) else { return };
        let excluded = !self.ranking.contains(current);
        if best == current || self.rank(best) >= self.rank(current) {
            return;
        }
        if !excluded && (now < self.settled_at || self.moving.is_some()) {
            return;
        }
        let ready = self
            .carriers
            .iter()
            .find(|(id, carrier)| carrier.usable() && carrier.path == *best && !self.leave.is_late(**id));
        if let Some(to) = ready.map(|(id, _)| *id) {
            self.improve(now, to);
        }
    }

    fn close_unwanted(&mut self, now: Time) {
        let targets = self.targets(now);
        let current = self.current().cloned();
        // The old standby stays until the new one is open.
        let has_standby = self.carriers.values().any(|carrier| {
            carrier.usable() && targets.contains(&carrier.path) && Some(&carrier.path) != current.as_ref()
        });
        let moving: BTreeSet<CarrierId> = self.moving.iter().flat_map(|moving| moving.from.clone()).collect();
        let unwanted: Vec<CarrierId> = self
            .carriers
            .iter()
            .filter(|(id, carrier)| {
                carrier.retire_at.is_none()
                    && !targets.contains(&carrier.path)
                    && !moving.contains(id)
                    && (has_standby || carrier.up.is_none())
            })
            .map(|(id, _)| *id)
            .filter(|id| self.preferred != Some(*id))
            .collect();
        // Until there is a ranking, nothing is known to be unwanted.
        if !self.ranking.is_empty() {
            unwanted.into_iter().for_each(|id| self.put_away(id));
        }
        self.close_surplus(now);
        self.release_idle_circuits(&targets);
    }

    /// Closes carriers that busy streams needed once.
    fn close_surplus(&mut self, now: Time) {
        let Some(current) = self.current().cloned() else { return };
        let wanted = self.carriers_wanted(&current);
        let mut on: Vec<CarrierId> = self
            .carriers
            .iter()
            .filter(|(_, carrier)| {
                carrier.retire_at.is_none() && !carrier.is_stale(now) && carrier.path == current
            })
            .map(|(id, _)| *id)
            .collect();
        if on.len() <= wanted {
            self.surplus_since = None;
            return;
        }
        let since = *self.surplus_since.get_or_insert(now);
        if now < since + SURPLUS {
            return;
        }
        self.surplus_since = None;
        on.retain(|id| self.preferred != Some(*id));
        let surplus = on.len() + 1 - wanted;
        on.into_iter().rev().take(surplus).for_each(|id| self.put_away(id));
    }

    /// Closes a carrier in order; whatever is on it moves first.
    fn put_away(&mut self, carrier: CarrierId) {
        let up = self.carriers.get(&carrier).is_some_and(|state| state.up.is_some());
        if let Some(to) = self.preferred.filter(|to| up && *to != carrier) {
            self.outputs.push_back(PoolOutput::MoveAll { from: carrier, to });
        }
        self.outputs.push_back(PoolOutput::Close { carrier, dead: false });
        self.forget(carrier);
    }

    fn close_retired(&mut self, now: Time) {
        let over: Vec<CarrierId> = self
            .carriers
            .iter()
            .filter(|(_, carrier)| carrier.retire_at.is_some_and(|at| at <= now))
            .map(|(id, _)| *id)
            .collect();
        for carrier in over {
            self.outputs.push_back(PoolOutput::Close { carrier, dead: false });
            self.forget(carrier);
        }
    }

    fn close_all(&mut self) {
        for carrier in self.carriers.keys().copied().collect::<Vec<_>>() {
            self.outputs.push_back(PoolOutput::Close { carrier, dead: false });
            self.forget(carrier);
        }
        self.release_idle_circuits(&[]);
        self.no_path_since = None;
        self.had_path = false;
    }

    /// Everything about a carrier is forgotten; the preferred one is chosen anew by `reconcile`.
    pub(super) fn forget(&mut self, carrier: CarrierId) {
        self.leave.handle_down(carrier);
        let Some(state) = self.carriers.remove(&carrier) else { return };
        if self.preferred == Some(carrier) {
            self.preferred = None;
        }
        if self.moving.as_ref().is_some_and(|moving| moving.to == carrier) {
            self.moving = None;
        }
        self.release_unused(state.circuit);
    }

    fn release_idle_circuits(&mut self, targets: &[Path]) {
        let carried: BTreeSet<CircuitId> = self.carriers.values().map(|carrier| carrier.circuit).collect();
        let mut released = Vec::new();
        for (_, slot) in self.slots.iter_mut().filter(|(path, _)| !targets.contains(path)) {
            if let SlotState::Granted(circuit) = slot.state
                && !carried.contains(&circuit)
            {
                slot.state = SlotState::None;
                released.push(circuit);
            }
        }
        released.into_iter().for_each(|circuit| self.outputs.push_back(PoolOutput::Release { circuit }));
        let now = self.now;
        let ranking = &self.ranking;
        self.slots.retain(|path, slot| {
            slot.state != SlotState::None || slot.retry_at > now || ranking.contains(path)
        });
    }

    fn tell_no_path(&mut self, now: Time) {
        let waiting = self.wants.streams > 0 && self.preferred.is_none();
        if waiting && self.no_path_since.is_none() {
            let since = self.silent_since.take().unwrap_or(now);
            self.no_path_since = Some(since);
            self.outputs.push_back(PoolOutput::NoPath { since });
        }
        if !waiting {
            self.silent_since = None;
            self.no_path_since = None;
        }
    }
}
