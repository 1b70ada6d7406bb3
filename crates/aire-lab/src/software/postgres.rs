//! PostgreSQL and `pgbench`.

use std::fs;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use super::service::Service;
use super::text::number_after;
use super::{Task, client};
use crate::wan::Host;
use crate::workload::LatencySummary;

/// Branches, and hundred thousands of accounts: enough that clients seldom wait for one another's branch.
const SCALE: &str = "5";

/// The hosts of a lab; the server's own configuration knows this machine alone.
const HOSTS: &str = "10.77.0.0/16";

/// A database with the tables of `pgbench`.
pub(super) fn serve(task: &Task, host: &Host) -> io::Result<Service> {
    let (folder, programs) = (task.place("postgres"), programs()?);
    done(Command::new("install").args(["-d", "-o", "postgres", "-m", "700"]).arg(&folder))?;
    let data = folder.join("data");
    let mut init = as_postgres(&programs.join("initdb"), &folder);
    done(init.args(["--auth=trust", "--username=postgres", "--no-sync", "-D"]).arg(&data))?;
    let mut allowed = fs::OpenOptions::new().append(true).open(data.join("pg_hba.conf"))?;
    writeln!(allowed, "host all all {HOSTS} trust")?;
    let mut server = as_postgres(&programs.join("postgres"), &folder);
    server.arg("-D").arg(&data).arg("-k").arg(&folder).args(["-h", &task.address.ip().to_string()]);
    server.args(["-p", &task.address.port().to_string(), "-F"]).args(&task.flags);
    let at = task.address;
    let service = Service::start(task, host, server, || query(host, at, "select 1").is_ok())?;
    let mut fill = Command::new("pgbench");
    fill.args(connection(at)).args(["-i", "-q", "-s", SCALE, "postgres"]);
    let filled = host.output(fill).map_err(io::Error::other)?;
    if !filled.status.success() {
        return Err(io::Error::other(String::from_utf8_lossy(&filled.stderr).into_owned()));
    }
    Ok(service)
}

/// Debian keeps the server's programs out of the search path.
fn programs() -> io::Result<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql")?.flatten();
    let bins = versions.map(|entry| entry.path().join("bin"));
    bins.filter(|bin| bin.join("initdb").is_file())
        .max()
        .ok_or_else(|| io::Error::other("there is no initdb"))
}

/// PostgreSQL refuses to run as root; its package brings a user.
fn as_postgres(program: &Path, folder: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]).arg(program);
    command.current_dir(folder);
    command
}

fn done(command: &mut Command) -> io::Result<()> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(());
    }
    let program = command.get_program().to_string_lossy().into_owned();
    Err(io::Error::other(format!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim())))
}

fn connection(at: SocketAddr) -> [String; 6] {
    ["-h", &at.ip().to_string(), "-p", &at.port().to_string(), "-U", "postgres"].map(str::to_owned)
}

fn query(host: &Host, at: SocketAddr, text: &str) -> io::Result<()> {
    let mut psql = Command::new("psql");
    psql.args(connection(at)).args(["-Atqc", text, "postgres"]);
    let output = host.output(psql).map_err(io::Error::other)?;
    if output.status.success() { Ok(()) } else { Err(io::Error::other("it does not answer yet")) }
}

/// What the default transactions of `pgbench` keep equal, and how many were done.
const BALANCES: &str = "select (select sum(abalance) from pgbench_accounts), (select sum(tbalance) from pgbench_tellers), \
     (select sum(bbalance) from pgbench_branches), coalesce((select sum(delta) from pgbench_history), 0), \
     (select count(*) from pgbench_history)";

/// Transactions for the time given, then a look at the balances by the same way.
pub(super) fn bench(task: &Task) -> io::Result<Value> {
    let log = task.folder.join(format!("{}.transactions", task.name));
    let mut pgbench = Command::new("pgbench");
    pgbench.args(connection(task.address)).args(["-n", "-j", "2", "-l"]);
    pgbench.arg(format!("--log-prefix={}", log.display()));
    pgbench.args(["-c", &task.parallel.to_string(), "-T", &task.duration.as_secs().to_string()]);
    let ended = client::run(
        {
            pgbench.args(&task.flags).arg("postgres");
            pgbench
        },
        task.duration,
    )?;
    let read = |label: &str| number_after(&ended.stdout, label);
    let latency = latencies(&log)?;
    let mut psql = Command::new("psql");
    psql.args(connection(task.address)).args(["-AtF", " ", "-c", BALANCES, "postgres"]);
    let balances = client::run(psql, Duration::ZERO)?.done()?;
    let words: Vec<&str> = balances.split_whitespace().collect();
    let history = words.last().and_then(|count| count.parse::<f64>().ok());
    let transactions = read("transactions actually processed").unwrap_or(0.0);
    let equal = words.len() == 5 && words[..4].iter().all(|sum| *sum == words[0]);
    Ok(json!({
        "exit": ended.exit(),
        "complaint": ended.complaint(),
        "transactions": transactions,
        "failed": read("failed transactions"),
        "tps": read("tps"),
        "balances_equal": equal,
        "unaccounted": history.map(|history| transactions - history),
        "latency_ms": latency,
        "longest_stall_ms": latency.max - latency.p50,
    }))
}

/// From the log of transactions, one file for each thread: the third word of a line is microseconds.
fn latencies(prefix: &Path) -> io::Result<LatencySummary> {
    let folder = prefix.parent().unwrap_or(Path::new("."));
    let name = prefix.file_name().unwrap_or_default().to_string_lossy().into_owned() + ".";
    let mut all = Vec::new();
    for entry in fs::read_dir(folder)?.flatten() {
        if entry.file_name().to_string_lossy().starts_with(&name) {
            let text = fs::read_to_string(entry.path())?;
            let words = text.lines().filter_map(|line| line.split_whitespace().nth(2)?.parse().ok());
            all.extend(words.map(Duration::from_micros));
        }
    }
    Ok(LatencySummary::of(all))
}
