use std::fmt;
use std::time::Duration;

use aire_types::{AppName, Identity, Incarnation, NodeName, NodeProfile, Time};
use aire_wire::{Record, RecordBody};

/// The order of one node's records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rank {
    /// Which run of the node.
    pub incarnation: Incarnation,
    /// Which record of that run.
    pub sequence: u64,
}

impl Rank {
    /// The rank of a record.
    pub const fn of(record: &Record) -> Self {
        Rank { incarnation: record.incarnation, sequence: record.sequence }
    }
}

impl fmt::Display for Rank {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.incarnation, self.sequence)
    }
}

/// A record whose certificate and signature were verified.
#[derive(Clone, Debug, PartialEq)]
pub struct VerifiedRecord {
    /// The identity in the record's certificate, which leads to the mesh's CA and whose key signed the record.
    pub signer: Identity,
    /// The record as it came.
    pub record: Record,
    /// Its body.
    pub body: RecordBody,
}

/// What is known of another node.
#[derive(Clone, Debug)]
pub struct Member {
    /// Who it is.
    pub identity: Identity,
    /// What it says about itself.
    pub body: RecordBody,
    /// The record itself, to hand on or to store.
    pub record: Record,
    /// When this registry first accepted it.
    pub accepted: Time,
    /// When it will be removed.
    pub expires: Time,
    /// It missed its renewals: worth a probe.
    pub suspect: bool,
    /// From the cache of the run before and not yet heard of in this one: an address to try, no more.
    pub cached: bool,
}

impl Member {
    pub(crate) fn new(now: Time, verified: VerifiedRecord, ttl_max: Duration, cached: bool) -> Self {
        let life = Duration::from_secs(verified.record.ttl_s).min(ttl_max);
        Member {
            identity: verified.signer,
            body: verified.body,
            record: verified.record,
            accepted: now,
            expires: now + life,
            suspect: false,
            cached,
        }
    }

    /// Its node.
    pub const fn node(&self) -> &NodeName {
        &self.identity.node
    }

    /// The app that it serves, as its certificate says.
    pub fn app(&self) -> Option<&AppName> {
        self.identity.app()
    }

    /// The rank of its record.
    pub const fn rank(&self) -> Rank {
        Rank::of(&self.record)
    }

    /// From then on it should have been renewed twice.
    pub(crate) fn stale_at(&self) -> Time {
        self.expires - self.expires.since(self.accepted) / 3
    }

    /// Whether it is handed on to others.
    pub(crate) fn is_offered(&self, now: Time) -> bool {
        !self.cached && now < self.stale_at()
    }

    /// When something is to be done about it.
    pub(crate) fn deadline(&self) -> Time {
        if self.suspect || self.cached { self.expires } else { self.stale_at() }
    }
}

/// Do they say the same but for what changes all the time?
pub(crate) fn same_but_for_load(one: &RecordBody, other: &RecordBody) -> bool {
    steady(one) == steady(other)
}

fn steady(body: &RecordBody) -> RecordBody {
    let node =
        NodeProfile { cpu_load: 0.0, memory_free_mib: 0, bandwidth_used_mbps: 0.0, ..body.node.clone() };
    // what it measured goes along with the next record, and makes none by itself
    RecordBody { node, legs: Default::default(), ..body.clone() }
}
