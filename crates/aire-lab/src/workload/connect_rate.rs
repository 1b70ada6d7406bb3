//! New connections a second: each is opened, answered with one byte, and closed by the server.

use std::io::{self, Read};
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::hello::Kind;
use super::{LatencySummary, connect};

/// The client of this workload.
#[derive(Clone, Debug, PartialEq)]
pub struct ConnectRate {
    /// Where the server, or a way to it, listens.
    pub to: SocketAddr,
    /// How long to go on.
    pub duration: Duration,
    /// How many at a time.
    pub parallel: usize,
}

/// What the client saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ConnectRateReport {
    /// Connections opened, answered and closed.
    pub connections: u64,
    /// Connections that failed.
    pub failed: u64,
    /// Whole connections a second.
    pub per_second: f64,
    /// From opening to the answer, milliseconds.
    pub latency_ms: LatencySummary,
}

impl ConnectRate {
    /// Runs to the end.
    ///
    /// # Errors
    /// No thread can be had.
    pub fn run(&self) -> io::Result<ConnectRateReport> {
        let start = Instant::now();
        let clients = (0..self.parallel.max(1)).map(|_| {
            let (to, duration) = (self.to, self.duration);
            thread::Builder::new().name("connect-rate".to_owned()).spawn(move || client(to, start, duration))
        });
        let clients = clients.collect::<io::Result<Vec<_>>>()?;
        let mut trips = Vec::new();
        let mut failed = 0;
        for client in clients {
            let (times, failures) = client.join().map_err(|_| io::Error::other("a client panicked"))?;
            trips.extend(times);
            failed += failures;
        }
        let connections = trips.len() as u64;
        let per_second = connections as f64 / start.elapsed().as_secs_f64();
        Ok(ConnectRateReport { connections, failed, per_second, latency_ms: LatencySummary::of(trips) })
    }
}

fn client(to: SocketAddr, start: Instant, duration: Duration) -> (Vec<Duration>, u64) {
    let mut times = Vec::new();
    let mut failed = 0;
    while start.elapsed() < duration {
        let begin = Instant::now();
        let mut answer = Vec::new();
        let done = connect(to, Kind::Connect, 0, Duration::from_secs(1)).and_then(|mut stream| {
            stream.set_read_timeout(Some(Duration::from_secs(5)))?;
            stream.read_to_end(&mut answer)
        });
        match done {
            Ok(1) => times.push(begin.elapsed()),
            _ => failed += 1,
        }
    }
    (times, failed)
}
