use std::time::Duration;

use aire_types::{Identity, Incarnation};

/// What a [`crate::Registry`] needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// Who we are.
    pub identity: Identity,
    /// Which run of this node.
    pub incarnation: Incarnation,
    /// For all jitter and choices of peers.
    pub seed: u64,
    /// Links that news is pushed to at once, a third of it in a mesh of more than 128 nodes; further links are told and
    /// may fetch.
    pub fanout: usize,
    /// How long announcements are gathered.
    pub announce_delay: Duration,
    /// Between two rounds of anti-entropy, give or take a quarter.
    pub sync_interval: Duration,
    /// The shortest time between two renewals of our own record; its life is three times that.
    pub renewal_min: Duration,
    /// The longest time between two renewals, however large the mesh.
    pub renewal_max: Duration,
    /// Renewals a second that the whole mesh makes, between the two limits.
    pub renewals_per_second: f64,
    /// The longest life that a record of others may claim.
    pub ttl_max: Duration,
    /// The shortest time between two changes of our own record.
    pub publish_interval: Duration,
    /// A relay whose load differs by so much from what it said last says so before its renewal.
    pub load_change: f64,
    /// The shortest time between two records for that alone.
    pub load_interval: Duration,
    /// Such records a second that the relays of the whole mesh make, at most.
    pub loads_per_second: f64,
    /// How long a request for a record blocks another one for the same node.
    pub want_timeout: Duration,
    /// The most nodes that are kept; further ones are rejected.
    pub max_nodes: usize,
}

impl Config {
    /// The usual values for this identity and run.
    pub fn new(identity: Identity, incarnation: Incarnation, seed: u64) -> Self {
        Config {
            identity,
            incarnation,
            seed,
            fanout: 8,
            announce_delay: Duration::from_secs(1),
            sync_interval: Duration::from_secs(30),
            renewal_min: Duration::from_secs(60),
            renewal_max: Duration::from_secs(20 * 60),
            renewals_per_second: 2.0,
            ttl_max: Duration::from_secs(2 * 3600),
            publish_interval: Duration::from_secs(1),
            load_change: 0.15,
            load_interval: Duration::from_secs(5),
            loads_per_second: 4.0,
            want_timeout: Duration::from_secs(2),
            max_nodes: 20_000,
        }
    }
}
