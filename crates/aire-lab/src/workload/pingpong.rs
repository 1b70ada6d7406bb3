//! 64-byte requests, one at a time, each answered before the next.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::hello::Kind;
use super::{LatencySummary, connect};

/// Bytes of a request and of its answer.
pub(super) const REQUEST: usize = 64;

/// The client of this workload.
#[derive(Clone, Debug, PartialEq)]
pub struct PingPong {
    /// Where the server, or a way to it, listens.
    pub to: SocketAddr,
    /// How long to go on.
    pub duration: Duration,
    /// Pause after each answer; zero for none.
    pub pause: Duration,
    /// How long to wait for the connection.
    pub patience: Duration,
}

/// What the client saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PingPongReport {
    /// Round trips a second.
    pub per_second: f64,
    /// Round trips, milliseconds.
    pub latency_ms: LatencySummary,
}

impl PingPong {
    /// Requests for this long without a pause.
    pub fn new(to: SocketAddr, duration: Duration) -> Self {
        PingPong { to, duration, pause: Duration::ZERO, patience: Duration::from_secs(10) }
    }

    /// Runs to the end.
    ///
    /// # Errors
    /// No connection, or it broke.
    pub fn run(&self) -> io::Result<PingPongReport> {
        let mut stream = connect(self.to, Kind::PingPong, 0, self.patience)?;
        let mut trips = Vec::new();
        let mut buffer = [0x5au8; REQUEST];
        let start = Instant::now();
        while start.elapsed() < self.duration {
            let sent = Instant::now();
            stream.write_all(&buffer)?;
            stream.read_exact(&mut buffer)?;
            trips.push(sent.elapsed());
            if !self.pause.is_zero() {
                std::thread::sleep(self.pause);
            }
        }
        let per_second = trips.len() as f64 / start.elapsed().as_secs_f64();
        Ok(PingPongReport { per_second, latency_ms: LatencySummary::of(trips) })
    }
}
