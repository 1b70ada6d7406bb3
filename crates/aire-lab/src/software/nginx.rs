//! nginx, and `wrk` that asks it.

use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::service::{Service, folder, listens};
use super::text::{milliseconds, number_after};
use super::{Task, client, seeded};
use crate::wan::Host;

/// What a client puts is found here, below the server's folder.
const PUT: &str = "put/file";

/// A short page at `/`, a file of the amount given at `/files/file`, and a place for another one at `/put/file`.
pub(super) fn serve(task: &Task, host: &Host) -> io::Result<Service> {
    let place = task.place("nginx");
    for name in ["files", "put", "temporary"] {
        folder(&place.join(name))?;
    }
    seeded::write(seeded::OFFERED, task.amount, BufWriter::new(File::create(place.join("files/file"))?))?;
    let configuration = place.join("nginx.conf");
    fs::write(&configuration, text(task, &place))?;
    let mut server = Command::new("/usr/sbin/nginx");
    server.arg("-p").arg(&place).args(["-e", "stderr", "-c"]).arg(&configuration);
    let service = Service::start(task, host, server, || listens(host, task.address))?;
    let amount = task.amount;
    Ok(service.with_report(move || {
        let Ok(file) = File::open(place.join(PUT)) else { return Ok(json!({"put": null})) };
        let put = seeded::compare(seeded::HANDED_IN, amount, file)?;
        Ok(json!({"put": {"bytes": put.bytes, "intact": put.intact}}))
    }))
}

fn text(task: &Task, place: &Path) -> String {
    let (at, place) = (task.address, place.display());
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("  {kind}_temp_path {place}/temporary/{kind};\n"))
        .concat();
    format!(
        "daemon off;\nuser root;\nworker_processes 1;\npid {place}/nginx.pid;\nerror_log stderr;\n\
         events {{ worker_connections 4096; }}\n\
         http {{\n  access_log off;\n  sendfile on;\n  client_max_body_size 0;\n  keepalive_requests 1000000;\n\
         {temporary}  server {{\n    listen {at};\n    location = / {{ return 200 \"it works\\n\"; }}\n\
         \x20   location /files/ {{ root {place}; }}\n\
         \x20   location /put/ {{ root {place}; dav_methods PUT; }}\n  }}\n}}\n"
    )
}

/// Requests as fast as they are answered.
pub(super) fn wrk(task: &Task) -> io::Result<Value> {
    let mut wrk = Command::new("wrk");
    wrk.args(["-t", "2", "--latency", "--timeout", "10s", "-c", &task.parallel.to_string()]);
    wrk.args(["-d", &format!("{}s", task.duration.as_secs())]).args(&task.flags);
    wrk.arg(format!("http://{}/", task.address));
    let ended = client::run(wrk, task.duration)?;
    let said = &ended.stdout;
    let errors = ["connect", "read", "write", "timeout"];
    // wrk says nothing of errors that did not occur.
    let errors = said.find("Socket errors").map_or(0.0, |at| {
        errors.iter().filter_map(|kind| number_after(&said[at..], &format!("{kind} "))).sum()
    });
    let (p50, worst) = (percentile(said, "50%"), worst(said));
    Ok(json!({
        "exit": ended.exit(),
        "complaint": ended.complaint(),
        "requests": said.lines().find_map(|line| line.split_once(" requests in")?.0.trim().parse::<u64>().ok()),
        "rps": number_after(said, "Requests/sec"),
        "socket_errors": errors,
        "not_2xx": number_after(said, "Non-2xx or 3xx responses").unwrap_or(0.0),
        "p50_ms": p50,
        "max_ms": worst,
        "longest_stall_ms": worst.zip(p50).map(|(worst, p50)| worst - p50),
    }))
}

/// `50%   61.05ms` among the lines of the distribution.
fn percentile(said: &str, label: &str) -> Option<f64> {
    said.lines().find_map(|line| milliseconds(line.trim().strip_prefix(label)?.trim()))
}

/// `Latency  AVERAGE  DEVIATION  WORST  …`.
fn worst(said: &str) -> Option<f64> {
    said.lines()
        .find_map(|line| milliseconds(line.trim().strip_prefix("Latency ")?.split_whitespace().nth(2)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_wrk_prints_is_read() {
        let said = "  Thread Stats   Avg      Stdev     Max   +/- Stdev\n    Latency    61.05ms   10.00ms   1.20s    90.00%\n\
                    Latency Distribution\n     50%   61.00ms\n  1234 requests in 5.00s, 200KB read\n\
                    Requests/sec:   246.80\n";
        assert_eq!(percentile(said, "50%"), Some(61.0));
        assert_eq!(worst(said), Some(1200.0));
        assert_eq!(number_after(said, "Requests/sec"), Some(246.8));
    }
}
