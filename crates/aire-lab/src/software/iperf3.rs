//! iperf3.

use std::io;
use std::process::Command;

use serde_json::{Value, json};

use super::service::{Service, listens};
use super::{Task, client};
use crate::wan::Host;

pub(super) fn serve(task: &Task, host: &Host) -> io::Result<Service> {
    let at = task.address;
    let mut server = Command::new("iperf3");
    server.args(["-s", "-B", &at.ip().to_string(), "-p", &at.port().to_string()]).args(&task.flags);
    Service::start(task, host, server, || listens(host, at))
}

/// Bytes (or datagrams, with `-u`) for the time given, over as many connections as given.
pub(super) fn run(task: &Task) -> io::Result<Value> {
    let at = task.address;
    let mut iperf3 = Command::new("iperf3");
    iperf3.args(["-c", &at.ip().to_string(), "-p", &at.port().to_string(), "--json"]);
    iperf3.args(["-t", &task.duration.as_secs().to_string(), "-P", &task.parallel.to_string()]);
    let ended = client::run(
        {
            iperf3.args(&task.flags);
            iperf3
        },
        task.duration,
    )?;
    let said: Value = serde_json::from_str(&ended.stdout).map_err(io::Error::other)?;
    let end = &said["end"];
    let rate = |sum: &str| end[sum]["bits_per_second"].as_f64().map(|rate| rate / 1e6);
    Ok(json!({
        "exit": ended.exit(),
        "complaint": said["error"].as_str().unwrap_or_default(),
        "mbps": rate("sum_received").or(rate("sum")),
        "mbps_back": rate("sum_received_bidir_reverse"),
        "packets": end["sum"]["packets"],
        "lost": end["sum"]["lost_packets"],
        "jitter_ms": end["sum"]["jitter_ms"],
    }))
}
