use std::time::Duration;

use aire_types::{Path, Time};
use aire_wire::{CircuitClose, CircuitId, RefusalCode};

use super::config::{LeftBecause, PoolOutput};
use super::state::{Pool, SlotState};

/// A refusal that will not change within seconds.
const FIRM_REFUSAL: Duration = Duration::from_secs(30);

impl Pool {
    /// The circuit along `path` was granted.
    pub fn handle_granted(&mut self, now: Time, path: &Path, circuit: CircuitId) {
        let Some(slot) = self.slots.get_mut(path).filter(|slot| slot.state == SlotState::Asked) else {
            self.outputs.push_back(PoolOutput::Release { circuit });
            return;
        };
        slot.state = SlotState::Granted(circuit);
        self.reconcile(now);
    }

    /// The circuit along `path` was refused, or nobody answered.
    pub fn handle_refused(&mut self, now: Time, path: &Path, code: RefusalCode) {
        let Some(slot) = self.slots.get_mut(path).filter(|slot| slot.state == SlotState::Asked) else {
            return;
        };
        slot.state = SlotState::None;
        let least = match code {
            RefusalCode::Policy | RefusalCode::NoSuchApp | RefusalCode::Draining => FIRM_REFUSAL,
            RefusalCode::BadRequest => Duration::from_secs(5),
            RefusalCode::Capacity | RefusalCode::NoRoute => Duration::ZERO,
        };
        self.back_off(now, path, least);
        self.reconcile(now);
    }

    /// A circuit of this pool was closed by a hop. Its carriers are left at once and closed after `grace`.
    pub fn handle_circuit_closed(
        &mut self,
        now: Time,
        circuit: CircuitId,
        code: CircuitClose,
        grace: Duration,
    ) {
        let mut path = None;
        for (at, slot) in &mut self.slots {
            if slot.state == SlotState::Granted(circuit) {
                slot.state = SlotState::None;
                path = Some(at.clone());
            }
        }
        let on: Vec<_> = self
            .carriers
            .iter()
            .filter(|(_, carrier)| carrier.circuit == circuit)
            .map(|(id, _)| *id)
            .collect();
        let path = path.or_else(|| on.first().and_then(|id| self.path_of(*id)).cloned());
        let Some(path) = path else { return };
        let least = if code == CircuitClose::HopGone { Duration::ZERO } else { FIRM_REFUSAL };
        self.back_off(now, &path, least);
        if on.is_empty() {
            return self.reconcile(now);
        }
        self.leave_path(now, &path, LeftBecause::CircuitClosed(code), grace);
        self.reconcile(now);
    }

    /// The lease of a circuit ended: its carriers go on, the next needs a new circuit.
    pub fn handle_lapsed(&mut self, now: Time, circuit: CircuitId) {
        for slot in self.slots.values_mut() {
            if slot.state == SlotState::Granted(circuit) {
                slot.state = SlotState::None;
            }
        }
        self.release_unused(circuit);
        self.reconcile(now);
    }

    /// Doubles the wait before the path is tried again.
    pub(super) fn back_off(&mut self, now: Time, path: &Path, least: Duration) {
        // Streams that wait for any path must not wait for the clock.
        let most = if self.needs_rescue() { super::rescue::DIAL_AGAIN } else { self.config.backoff_most };
        let slot = self.slots.entry(path.clone()).or_default();
        let doubled = self.config.backoff.saturating_mul(1 << slot.failures.min(16));
        slot.failures = slot.failures.saturating_add(1);
        let wait = doubled.min(most).max(least).min(self.config.backoff_most);
        slot.retry_at = now + self.random.scale(wait, 0.8, 1.2);
    }

    /// Gives a circuit back when no slot and no carrier uses it.
    pub(super) fn release_unused(&mut self, circuit: CircuitId) {
        if !self.uses(circuit) {
            self.outputs.push_back(PoolOutput::Release { circuit });
        }
    }
}
