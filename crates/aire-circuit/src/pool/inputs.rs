use std::time::Duration;

use aire_types::{Path, Time};

use super::config::{LeftBecause, PoolOutput, Wants};
use super::state::{Pool, SlotState};
use crate::health::{CarrierId, LeaveOutput, Progress, TcpFacts};

/// Dials that fail before the circuit is asked for anew.
const DIALS_PER_CIRCUIT: u32 = 2;

impl Pool {
    /// The paths that may be used, best first; with the best and one that shares no relay with it where that exists.
    /// An empty ranking keeps what is in use. `silent` are paths that seem dead or were left lately, and that nothing else
    /// speaks against: they are tried when everything is silent.
    pub fn handle_ranking(&mut self, now: Time, ranking: Vec<Path>, silent: Vec<Path>) {
        self.ranking = ranking;
        self.silent = silent;
        self.reconcile(now);
    }

    /// What the streams need.
    pub fn handle_wants(&mut self, now: Time, wants: Wants) {
        self.wants = wants;
        let idle = wants.streams == 0 && !wants.warm;
        self.idle_since = idle.then(|| self.idle_since.unwrap_or(now));
        self.reconcile(now);
    }

    /// A dialled carrier is open: its TLS session stands and it has joined the association.
    /// `hint`: what its round trip is thought to be.
    pub fn handle_up(&mut self, now: Time, carrier: CarrierId, hint: Option<Duration>) {
        let Some(state) = self.carriers.get_mut(&carrier).filter(|state| state.up.is_none()) else { return };
        state.up = Some(now);
        let path = state.path.clone();
        if let Some(slot) = self.slots.get_mut(&path) {
            slot.failures = 0;
            slot.retry_at = Time::ZERO;
        }
        self.leave.handle_up(now, carrier, path, hint);
        self.help_late(carrier);
        self.reconcile(now);
    }

    /// A dial failed.
    pub fn handle_failed(&mut self, now: Time, carrier: CarrierId) {
        if self.carriers.get(&carrier).is_none_or(|state| state.up.is_some()) {
            return;
        }
        let Some(state) = self.carriers.remove(&carrier) else { return };
        if !self.spares_circuit(now, state.dialled) {
            self.back_off(now, &state.path, Duration::ZERO);
            if let Some(slot) = self.slots.get_mut(&state.path)
                && slot.failures >= DIALS_PER_CIRCUIT
                && slot.state == SlotState::Granted(state.circuit)
            {
                slot.state = SlotState::None;
            }
        }
        self.release_unused(state.circuit);
        self.reconcile(now);
    }

    /// An open carrier was closed by somebody else: an event of its path.
    pub fn handle_down(&mut self, now: Time, carrier: CarrierId) {
        let Some(state) = self.carriers.get(&carrier) else { return };
        if state.up.is_none() {
            return self.handle_failed(now, carrier);
        }
        let retiring = state.retire_at.is_some();
        if !retiring {
            self.lose(now, carrier, LeftBecause::Closed);
        }
        self.forget(carrier);
        self.reconcile(now);
    }

    /// The carrier owes an acknowledgement since `since`, and did not before.
    pub fn handle_outstanding(&mut self, now: Time, carrier: CarrierId, since: Time) {
        self.leave.handle_outstanding(carrier, since);
        self.follow(now);
    }

    /// More of the carrier was acknowledged.
    pub fn handle_progress(&mut self, now: Time, carrier: CarrierId, progress: Progress) {
        self.leave.handle_progress(now, carrier, progress);
        self.follow(now);
    }

    /// The kernel's view of the carrier; every 100 ms or so while it is in use.
    pub fn handle_tcp_info(&mut self, now: Time, carrier: CarrierId, facts: TcpFacts) {
        self.leave.handle_tcp_info(now, carrier, facts);
        self.follow(now);
    }

    /// A probe along the path's circuit was answered or lost.
    pub fn handle_probe(&mut self, now: Time, path: &Path, rtt: Option<Duration>) {
        self.leave.handle_probe(now, path, rtt);
        self.follow(now);
    }

    /// Shutting down: nothing new is opened. What is open stays until its streams have ended.
    pub fn drain(&mut self, now: Time) {
        self.draining = true;
        self.reconcile(now);
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Time) {
        self.leave.handle_timeout(now);
        self.time_out_dials(now);
        self.step_move(now);
        self.follow(now);
        self.reconcile(now);
    }

    fn time_out_dials(&mut self, now: Time) {
        let patience = self.config.dial_timeout;
        let late: Vec<CarrierId> = self
            .carriers
            .iter()
            .filter(|(_, state)| state.up.is_none() && state.dialled + patience <= now)
            .map(|(id, _)| *id)
            .collect();
        for carrier in late {
            if !self.carriers.contains_key(&carrier) {
                continue; // it gave way to another dial meanwhile
            }
            self.outputs.push_back(PoolOutput::Close { carrier, dead: true });
            self.handle_failed(now, carrier);
        }
    }

    /// Acts on what the leave loop found.
    fn follow(&mut self, now: Time) {
        self.now = now;
        let mut changed = false;
        while let Some(found) = self.leave.poll_output() {
            match found {
                LeaveOutput::Hedge { carrier } => {
                    if let Some(onto) = self.helper(now, carrier) {
                        self.outputs.push_back(PoolOutput::Hedge { from: carrier, onto });
                    }
                    changed |= self.needs_rescue();
                }
                LeaveOutput::Ping { carrier } => self.outputs.push_back(PoolOutput::Ping { carrier }),
                LeaveOutput::Recovered { .. } => {}
                LeaveOutput::Dead { carrier, silent } => {
                    self.dead(now, carrier, silent);
                    changed = true;
                }
                LeaveOutput::Degraded { path, symptom } => {
                    self.degrade(now, path, symptom);
                    changed = true;
                }
            }
        }
        if changed {
            self.reconcile(now);
        }
    }
}
