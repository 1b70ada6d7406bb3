//! Carriers end with their certificates; their streams move to fresh ones before.

use std::time::Duration;

use aire_types::Time;

use super::config::{LeftBecause, PoolOutput};
use super::state::{Carrier, Pool};
use crate::health::CarrierId;

/// A carrier is replaced at most so long before it ends.
const AHEAD: Duration = Duration::from_secs(600);
/// Where less than this is left, another carrier is not worth its handshake.
const LEAST: Duration = Duration::from_secs(1);
/// A replaced carrier stays open for what is under way on it.
const LINGER: Duration = Duration::from_secs(3);

impl Pool {
    /// Until when the certificates of an open carrier hold; told once, with or after [`Pool::handle_up`]. With a third of
    /// that time left (ten minutes at most) another carrier takes its place, in the hope of renewed certificates; where
    /// they were not renewed, again with a third of what is left then.
    pub fn handle_lifetime(&mut self, now: Time, carrier: CarrierId, expires: Time) {
        let left = expires.since(now);
        let ahead = self.random.scale(left / 3, 0.9, 1.1).min(AHEAD);
        let untold = |state: &&mut Carrier| state.up.is_some() && state.expires == Time::NEVER;
        let Some(state) = self.carriers.get_mut(&carrier).filter(untold) else { return };
        if expires == Time::NEVER {
            return;
        }
        state.expires = expires;
        state.refresh_at = if left < LEAST { Time::NEVER } else { now + (left - ahead) };
        self.reconcile(now);
    }

    /// Closes carriers whose certificates have run out.
    pub(super) fn end_expired(&mut self, now: Time) {
        let over = |(id, carrier): (&CarrierId, &Carrier)| {
            (carrier.up.is_some() && carrier.expires <= now).then_some(*id)
        };
        for carrier in self.carriers.iter().filter_map(over).collect::<Vec<_>>() {
            self.lose(now, carrier, LeftBecause::Expired);
            self.outputs.push_back(PoolOutput::Close { carrier, dead: false });
            self.forget(carrier);
        }
    }

    /// Moves the streams of carriers that are to be replaced to fresh ones of the same path, where one is open.
    pub(super) fn replace_stale(&mut self, now: Time) {
        let stale = self.carriers.iter().filter(|(_, carrier)| carrier.usable() && carrier.is_stale(now));
        for old in stale.map(|(id, _)| *id).collect::<Vec<_>>() {
            let Some(to) = self.successor(now, old) else { continue };
            self.outputs.push_back(PoolOutput::MoveShare { from: old, to, share: 1.0 });
            if self.preferred == Some(old) {
                self.prefer(to);
            }
            if let Some(moving) = self.moving.as_mut().filter(|moving| moving.from.contains(&old)) {
                moving.from.insert(to);
            }
            if let Some(state) = self.carriers.get_mut(&old) {
                state.retire_at = Some(state.expires.min(now + LINGER));
            }
            if let Some(state) = self.carriers.get_mut(&to) {
                state.took_over = true;
            }
        }
    }

    /// A fresh carrier of the same path; each takes over one, as far as there are enough.
    fn successor(&self, now: Time, old: CarrierId) -> Option<CarrierId> {
        let path = self.path_of(old)?;
        let on_path = || self.carriers.iter().rev().filter(|(_, carrier)| carrier.path == *path);
        let mut fresh = on_path()
            .filter(|(id, carrier)| carrier.usable() && !carrier.is_stale(now) && !self.leave.is_late(**id));
        let unused = fresh.clone().find(|(_, carrier)| !carrier.took_over);
        let more_to_come = on_path().any(|(_, carrier)| carrier.up.is_none());
        let any = || if more_to_come { None } else { fresh.next() };
        unused.or_else(any).map(|(id, _)| *id)
    }
}
