//! The same HTTP load, over the mesh or without it.

use std::io::Read;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use ureq::Agent;

use crate::failure::Failure;

/// Clients that ask at the same time.
const CLIENTS: usize = 4;
/// Bytes that are downloaded.
const BLOB: u64 = 16_000_000;

/// What the load got.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Measured {
    /// Requests answered.
    pub(super) requests: usize,
    /// Median time of a request over a kept-alive connection, milliseconds.
    pub(super) p50_ms: f64,
    /// Rate of one download, megabits a second.
    pub(super) mbps: f64,
}

/// Requests to the service at `at` for `duration`, then a download that may take as long as `patience`.
pub(super) fn run(at: SocketAddr, duration: Duration, patience: Duration) -> Result<Measured, Failure> {
    let clients: Vec<_> =
        (0..CLIENTS).map(|_| thread::spawn(move || requests(at, duration, patience))).collect();
    let mut times = Vec::new();
    for client in clients {
        times.extend(
            client.join().map_err(|_| Failure::Failed("a client of the load broke down".to_owned()))??,
        );
    }
    times.sort();
    let p50 =
        times.get(times.len() / 2).ok_or_else(|| Failure::Failed("the load got no answer".to_owned()))?;
    Ok(Measured { requests: times.len(), p50_ms: p50.as_secs_f64() * 1000.0, mbps: download(at, patience)? })
}

/// An HTTP client with connections of its own.
pub(super) fn client(patience: Duration) -> Agent {
    Agent::config_builder().proxy(None).timeout_global(Some(patience)).build().into()
}

/// One small request.
pub(super) fn ask(agent: &Agent, at: SocketAddr) -> Result<String, ureq::Error> {
    agent.get(format!("http://{at}/small")).call()?.body_mut().read_to_string()
}

fn requests(at: SocketAddr, duration: Duration, patience: Duration) -> Result<Vec<Duration>, Failure> {
    let agent = client(patience);
    let asked = || ask(&agent, at).map_err(|error| Failure::Failed(format!("a request failed: {error}")));
    // The first one opens the connection and does not count.
    asked()?;
    let start = Instant::now();
    let mut times = Vec::new();
    while start.elapsed() < duration {
        let sent = Instant::now();
        asked()?;
        times.push(sent.elapsed());
    }
    Ok(times)
}

/// The rate of one download; when patience ends before it does, the rate until then.
fn download(at: SocketAddr, patience: Duration) -> Result<f64, Failure> {
    let agent = client(patience);
    let failed = |error: &dyn std::fmt::Display| Failure::Failed(format!("the download failed: {error}"));
    ask(&agent, at).map_err(|error| failed(&error))?;
    let start = Instant::now();
    let response = agent.get(format!("http://{at}/blob/{BLOB}")).call().map_err(|error| failed(&error))?;
    let mut body = response.into_body().into_reader();
    let mut block = vec![0; 64 * 1024];
    let mut got = 0;
    while got < BLOB {
        match body.read(&mut block) {
            Ok(0) => return Err(failed(&format!("it ended after {got} of {BLOB} bytes"))),
            Ok(bytes) => got += bytes as u64,
            Err(_) if start.elapsed() >= patience => break,
            Err(error) => return Err(failed(&error)),
        }
    }
    Ok(got as f64 * 8.0 / start.elapsed().as_secs_f64() / 1e6)
}
