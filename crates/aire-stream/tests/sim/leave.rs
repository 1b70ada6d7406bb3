use std::collections::BTreeMap;
use std::time::Duration;

use aire_stream::{Association, CarrierId, CarrierState};
use aire_types::Time;
use aire_wire::ACK_DELAY;

/// A carrier of which nothing is known yet gets this long.
const UNKNOWN: Duration = Duration::from_millis(500);
/// So often an idle carrier is asked for a sign of life.
const PING: Duration = Duration::from_millis(200);
/// An abandoned carrier is closed after this time.
const LINGER: Duration = Duration::from_secs(2);

/// The leave loop at its simplest: late is hedged, three times as late is dead.
#[derive(Default)]
pub(crate) struct LeaveLoop {
    pinged: BTreeMap<CarrierId, Time>,
    abandoned: BTreeMap<CarrierId, Time>,
}

impl LeaveLoop {
    pub(crate) fn forget(&mut self, id: CarrierId) {
        self.pinged.remove(&id);
        self.abandoned.remove(&id);
    }

    /// Looks at every carrier; returns those that should be closed.
    pub(crate) fn run(&mut self, now: Time, association: &mut Association) -> Vec<CarrierId> {
        let carriers: Vec<_> = association.carriers().collect();
        let states: Vec<_> =
            carriers.iter().filter_map(|id| Some((*id, association.carrier(*id)?))).collect();
        let mut dead = Vec::new();
        for (id, state) in &states {
            if state.abandoned {
                let since = *self.abandoned.entry(*id).or_insert(now);
                if now.since(since) > LINGER {
                    dead.push(*id);
                }
                continue;
            }
            self.abandoned.remove(id);
            self.look(now, association, *id, *state, &states);
        }
        dead
    }

    fn look(
        &mut self,
        now: Time,
        association: &mut Association,
        id: CarrierId,
        state: CarrierState,
        all: &[(CarrierId, CarrierState)],
    ) {
        let Some(since) = state.outstanding_since else {
            let last = self.pinged.entry(id).or_insert(now);
            if now.since(*last) > PING {
                *last = now;
                association.ping(now, id);
            }
            return;
        };
        let timeout = state.srtt.map_or(UNKNOWN, |srtt| srtt + state.rtt_variation * 4 + ACK_DELAY);
        let silent = now.since(state.last_progress.map_or(since, |progress| progress.max(since)));
        let standby = all.iter().filter(|(other, state)| *other != id && !state.abandoned && !state.doubted);
        let standby = standby.min_by_key(|(other, state)| (state.srtt.unwrap_or(UNKNOWN), *other));
        if silent > timeout * 3 && (standby.is_some() || silent > timeout * 3 + UNKNOWN * 4) {
            association.abandon(now, id);
        } else if silent > timeout
            && !state.doubted
            && let Some((standby, _)) = standby
        {
            association.hedge(now, id, *standby);
            association.ping(now, *standby);
        }
    }
}
