use std::collections::BTreeMap;
use std::time::Duration;

use aire_types::{Identity, Incarnation, NodeName, Time};
use aire_wire::Request;

use super::config::Want;
use crate::crypto::Key;

/// What a grant brought.
#[derive(Clone, Debug)]
pub(crate) struct Granted {
    /// The hops' public keys in order; a renewal must bring the same.
    pub(crate) publics: Vec<Key>,
    pub(crate) hop_keys: Vec<Key>,
    pub(crate) probe_key: Key,
    pub(crate) destination: Identity,
    pub(crate) incarnation: Incarnation,
    pub(crate) lease_until: Time,
    pub(crate) lapsed: bool,
    /// Of the newest preamble.
    pub(crate) counter: u64,
}

/// A request that waits for its answer.
#[derive(Clone, Debug)]
pub(crate) struct Asking {
    pub(crate) request_hash: [u8; 32],
    pub(crate) sent: Time,
    pub(crate) deadline: Time,
}

/// A circuit that this agent asked for.
#[derive(Debug)]
pub(crate) struct Own<S> {
    pub(crate) want: Want,
    /// As sent last.
    pub(crate) request: Request,
    /// Until the first grant.
    pub(crate) secret: Option<S>,
    pub(crate) timeout: Duration,
    pub(crate) asking: Option<Asking>,
    pub(crate) granted: Option<Granted>,
    /// When to renew the lease.
    pub(crate) renew_at: Option<Time>,
    pub(crate) probes: Probes,
}

/// Probes of one circuit that are under way.
#[derive(Debug, Default)]
pub(crate) struct Probes {
    pub(crate) sequence: u32,
    /// When each is given up.
    pub(crate) waiting: BTreeMap<u32, Time>,
}

/// A circuit has at most this many probes under way.
pub(crate) const MAX_PROBES: usize = 64;

impl<S> Own<S> {
    pub(crate) fn first_hop(&self) -> &NodeName {
        self.want.path.relays().first().unwrap_or(&self.want.destination)
    }

    pub(crate) fn next_timeout(&self) -> Option<Time> {
        let deadline = self.asking.as_ref().map(|asking| asking.deadline);
        let lapse =
            self.granted.as_ref().filter(|granted| !granted.lapsed).map(|granted| granted.lease_until);
        // Probes have one patience, so they time out in the order of their sequence (but for its wrap-around).
        let probe = self.probes.waiting.values().min().copied();
        [deadline, lapse, self.renew_at, probe].into_iter().flatten().min()
    }
}
