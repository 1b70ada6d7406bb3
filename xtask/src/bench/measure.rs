//! What one system achieves in one round.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use aire_lab::wan::Host;
use aire_lab::workload::{Bulk, ConnectRate, PingPong};
use serde::Serialize;

use super::usage;

const BYTES: u64 = 4_000_000_000;
const EXCHANGES: Duration = Duration::from_secs(2);
const CONNECTS: Duration = Duration::from_secs(2);

/// A way from the client to the server.
pub(super) struct System {
    pub(super) name: &'static str,
    entrance: SocketAddr,
    /// The process groups that carry it, for their use of the processor.
    groups: Vec<u32>,
}

/// One round of one system, or the medians of all.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Figures {
    /// One stream, megabits a second.
    pub(super) mbps: f64,
    /// 64-byte request and answer, microseconds.
    pub(super) p50_us: f64,
    pub(super) p99_us: f64,
    /// Connections opened, answered and closed, a second, eight at a time.
    pub(super) connects_per_second: f64,
    /// Seconds of processor time that the forwarders spend on a gigabyte.
    pub(super) cpu_s_per_gb: f64,
    /// Resident memory of the forwarders together, megabytes.
    pub(super) rss_mb: f64,
}

impl System {
    pub(super) fn new(name: &'static str, entrance: SocketAddr, groups: Vec<u32>) -> Self {
        System { name, entrance, groups }
    }

    pub(super) fn measure(&self, client: &Host) -> io::Result<Figures> {
        let to = self.entrance;
        let before = usage::of(&self.groups);
        let bulk = client.within(move || Bulk { verify: false, ..Bulk::new(to, BYTES) }.run())?;
        let after = usage::of(&self.groups);
        if !bulk.intact {
            return Err(io::Error::other("the server did not get what was sent"));
        }
        let trips = client.within(move || PingPong::new(to, EXCHANGES).run())?.latency_ms;
        let connects = client.within(move || ConnectRate { to, duration: CONNECTS, parallel: 8 }.run())?;
        if connects.failed > connects.connections / 100 {
            return Err(io::Error::other(format!("{} connections failed", connects.failed)));
        }
        Ok(Figures {
            mbps: bulk.mbps,
            p50_us: trips.p50 * 1000.0,
            p99_us: trips.p99 * 1000.0,
            connects_per_second: connects.per_second,
            cpu_s_per_gb: (after.cpu_s - before.cpu_s) / (BYTES as f64 / 1e9),
            rss_mb: after.rss_mb,
        })
    }
}

/// The median of every figure for itself.
pub(super) fn median_figures(rounds: &[Figures]) -> Figures {
    let median = |value: fn(&Figures) -> f64| {
        let mut values: Vec<f64> = rounds.iter().map(value).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or_default()
    };
    Figures {
        mbps: median(|f| f.mbps),
        p50_us: median(|f| f.p50_us),
        p99_us: median(|f| f.p99_us),
        connects_per_second: median(|f| f.connects_per_second),
        cpu_s_per_gb: median(|f| f.cpu_s_per_gb),
        rss_mb: median(|f| f.rss_mb),
    }
}
