use std::time::Duration;

use aire_types::NodeName;

/// What a [`crate::Brain`] is told once.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// This node; it is never its own relay.
    pub node: NodeName,
    /// Where this node stands; empty where unknown.
    pub zone: String,
    /// Where all randomness comes from.
    pub seed: u64,
    /// Bits a second, both ways together, that exploration may cost whatever the size of the mesh.
    pub probe_bits_per_second: u32,
    /// Probes that may be saved up for a new destination.
    pub probe_burst: u32,
    /// The most relays that are looked at for one destination.
    pub portfolio: usize,
    /// After a change for improvement, no other for about this long.
    pub dwell: Duration,
    /// Scouts propose relays, by what was measured and what others publish; else short legs and chance do.
    pub scouts: bool,
}

impl Config {
    /// The defaults for `node`: 4 kbit/s, 8 relays, 10 s of dwell, no scouts.
    pub fn new(node: NodeName, seed: u64) -> Self {
        Config {
            node,
            zone: String::new(),
            seed,
            probe_bits_per_second: 4000,
            probe_burst: 96,
            portfolio: 8,
            dwell: Duration::from_secs(10),
            scouts: false,
        }
    }
}
