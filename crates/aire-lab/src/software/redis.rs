//! Redis and `redis-benchmark`.

use std::io;
use std::net::SocketAddr;
use std::process::Command;

use serde_json::{Value, json};

use super::service::{Service, folder, listens};
use super::text::number_after;
use super::{Task, client};
use crate::wan::Host;

/// The key that `redis-benchmark -t incr` counts up.
const COUNTER: &str = "counter:__rand_int__";

/// A server that keeps nothing; it reports how many errors it gave and how far the counter was counted.
pub(super) fn serve(task: &Task, host: &Host) -> io::Result<Service> {
    let place = task.place("redis");
    folder(&place)?;
    let at = task.address;
    let mut server = Command::new("redis-server");
    server.args(["--bind", &at.ip().to_string(), "--port", &at.port().to_string(), "--save", ""]);
    server.args(["--appendonly", "no", "--daemonize", "no", "--dir"]).arg(&place).args(&task.flags);
    let service = Service::start(task, host, server, || listens(host, at))?;
    let host = host.clone();
    Ok(service.with_report(move || {
        let stats = ask(&host, at, &["info", "stats"])?;
        Ok(json!({
            "connections": number_after(&stats, "total_connections_received"),
            "errors": number_after(&stats, "total_error_replies"),
            "rejected": number_after(&stats, "rejected_connections"),
            "counter": ask(&host, at, &["get", COUNTER])?.trim().parse::<u64>().ok(),
        }))
    }))
}

fn ask(host: &Host, at: SocketAddr, words: &[&str]) -> io::Result<String> {
    let mut client = Command::new("redis-cli");
    client.args(["-h", &at.ip().to_string(), "-p", &at.port().to_string()]).args(words);
    let output = host.output(client).map_err(io::Error::other)?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// As many requests of each kind as given.
pub(super) fn bench(task: &Task) -> io::Result<Value> {
    let at = task.address;
    let mut bench = Command::new("redis-benchmark");
    bench.args(["-h", &at.ip().to_string(), "-p", &at.port().to_string(), "--csv", "-d", "256"]);
    bench.args(["-n", &task.amount.to_string(), "-c", &task.parallel.to_string()]).args(&task.flags);
    let ended = client::run(bench, task.duration)?;
    let kinds = kinds(&ended.stdout);
    let worst = kinds.iter().filter_map(|kind| kind["stall_ms"].as_f64()).fold(0.0, f64::max);
    let all = format!("{}{}", ended.stdout, ended.stderr);
    Ok(json!({
        "exit": ended.exit(),
        "complaint": ended.complaint(),
        "errors": all.lines().filter(|line| line.to_lowercase().contains("error")).count(),
        "rps": kinds.first().map(|kind| kind["rps"].clone()),
        "kinds": kinds,
        "longest_stall_ms": worst,
    }))
}

/// Lines of `"test","rps","avg","min","p50","p95","p99","max"`.
fn kinds(csv: &str) -> Vec<Value> {
    let kind = |line: &str| {
        let words: Vec<&str> = line.split(',').map(|word| word.trim_matches('"')).collect();
        let number = |i: usize| words.get(i)?.parse::<f64>().ok();
        let (p50, max) = (number(4)?, number(7)?);
        Some(
            json!({"test": words[0], "rps": number(1)?, "p50_ms": p50, "max_ms": max, "stall_ms": max - p50}),
        )
    };
    csv.lines().filter_map(kind).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_read_and_its_heading_is_not() {
        let csv = "\"test\",\"rps\",\"avg_latency_ms\",\"min_latency_ms\",\"p50_latency_ms\",\"p95_latency_ms\",\
             \"p99_latency_ms\",\"max_latency_ms\"\n\"SET\",\"320.5\",\"62.1\",\"60.0\",\"61.5\",\"63\",\"70\",\"361.5\"\n";
        let kinds = kinds(csv);
        assert_eq!(kinds.len(), 1);
        assert_eq!((kinds[0]["rps"].as_f64(), kinds[0]["stall_ms"].as_f64()), (Some(320.5), Some(300.0)));
    }
}
