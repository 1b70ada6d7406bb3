//! Workloads on hosts of a scenario.

use std::net::SocketAddr;
use std::process::Command;
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};

use super::ScenarioError;
use super::file::{Workload, WorkloadKind};
use crate::software::{self, Program, Service, Task};
use crate::wan::Host;
use crate::workload::{
    Bulk, ConnectRate, DatagramServer, Datagrams, Echo, LatencySummary, Messages, PingPong, Server,
};

/// A client that runs, or has run.
pub(super) type Running = JoinHandle<std::io::Result<Value>>;

/// A server that runs from before the agents start to the end.
pub(super) enum Serving {
    Own(Server),
    Datagrams(DatagramServer),
    Software(Service),
}

impl Serving {
    /// What it saw so far.
    pub(super) fn report(&self) -> Value {
        match self {
            Serving::Own(server) => serde_json::to_value(server.report()).unwrap_or_default(),
            Serving::Datagrams(server) => serde_json::to_value(server.report()).unwrap_or_default(),
            Serving::Software(service) => service.report(),
        }
    }
}

/// Starts a server on its host.
pub(super) fn serve(workload: &Workload, host: &Host) -> Result<Option<Serving>, ScenarioError> {
    let Some(at) = workload.at else { return Ok(None) };
    let what = || format!("starting the server '{}'", workload.name);
    match (workload.kind, workload.program) {
        (WorkloadKind::Server, _) => {
            let server = host.within(move || Server::start(at)).map(Serving::Own);
            server.map(Some).map_err(|source| ScenarioError::io(what(), source))
        }
        (WorkloadKind::DatagramServer, _) => {
            let server = host.within(move || DatagramServer::start(at)).map(Serving::Datagrams);
            server.map(Some).map_err(|source| ScenarioError::io(what(), source))
        }
        (WorkloadKind::Software, Some(program)) => {
            Ok(Some(Serving::Software(software::serve(program, &task(workload, at, host, 0.0), host)?)))
        }
        _ => Ok(None),
    }
}

fn task(workload: &Workload, address: SocketAddr, host: &Host, rest: f64) -> Task {
    Task {
        name: workload.name.clone(),
        address,
        app: workload.app.clone().unwrap_or_default(),
        duration: Duration::try_from_secs_f64(workload.seconds.unwrap_or(rest)).unwrap_or_default(),
        amount: workload.requests.or(workload.bytes).unwrap_or(0),
        parallel: workload.parallel.unwrap_or(1),
        flags: workload.flags.clone(),
        folder: host.folder().to_owned(),
    }
}

/// Starts a client on its host; its report, or `{"error": …}`, is what the thread returns.
pub(super) fn start(workload: &Workload, host: &Host, rest: f64) -> Result<Option<Running>, ScenarioError> {
    let (what, own, its) = (format!("starting '{}'", workload.name), workload.clone(), host.clone());
    if workload.kind.is_server() || workload.program.is_some_and(Program::is_server) {
        return Ok(None);
    }
    let job = move || client(&own, &its, rest).unwrap_or_else(|error| json!({"error": error.to_string()}));
    host.enter(job).map(Some).map_err(|source| ScenarioError::io(what, source))
}

fn client(workload: &Workload, host: &Host, rest: f64) -> std::io::Result<Value> {
    let duration = Duration::try_from_secs_f64(workload.seconds.unwrap_or(rest)).unwrap_or_default();
    let to = || workload.to.ok_or_else(|| std::io::Error::other("the workload has no 'to'"));
    let report = match workload.kind {
        WorkloadKind::Messages => {
            let mut messages = Messages::new(to()?, duration);
            if let Some(interval) = workload.interval_ms {
                messages.interval = Duration::from_millis(interval.max(1));
            }
            serde_json::to_value(messages.run()?)
        }
        WorkloadKind::Datagrams => {
            let interval = Duration::from_millis(workload.interval_ms.unwrap_or(20).max(1));
            serde_json::to_value(Datagrams { interval, ..Datagrams::new(to()?, duration) }.run()?)
        }
        WorkloadKind::Bulk => serde_json::to_value(Bulk::new(to()?, workload.bytes.unwrap_or(0)).run()?),
        WorkloadKind::PingPong => {
            let pause = Duration::from_millis(workload.interval_ms.unwrap_or(0));
            serde_json::to_value(PingPong { pause, ..PingPong::new(to()?, duration) }.run()?)
        }
        WorkloadKind::ConnectRate => {
            let parallel = workload.parallel.unwrap_or(1);
            serde_json::to_value(ConnectRate { to: to()?, duration, parallel }.run()?)
        }
        WorkloadKind::Command => return command(&workload.command),
        WorkloadKind::Software => {
            let program =
                workload.program.ok_or_else(|| std::io::Error::other("the workload has no 'program'"))?;
            return software::run(program, &task(workload, to()?, host, rest));
        }
        WorkloadKind::Server | WorkloadKind::DatagramServer => Ok(Value::Null),
    };
    report.map_err(std::io::Error::other)
}

/// What a report of messages says of those sent at `since` or later; both times are in seconds after time zero.
pub(super) fn since(report: &Value, started: f64, since: f64) -> Value {
    let echoes: Vec<Echo> = serde_json::from_value(report["echoes"].clone()).unwrap_or_default();
    let late = echoes.iter().filter(|echo| started + echo.sent_s >= since);
    let trips = late.map(|echo| Duration::try_from_secs_f64(echo.back_s - echo.sent_s).unwrap_or_default());
    json!({ "latency_ms": LatencySummary::of(trips.collect()) })
}

/// Runs a program to its end. The thread is in the namespace, so the program is too.
fn command(words: &[String]) -> std::io::Result<Value> {
    let (program, arguments) =
        words.split_first().ok_or_else(|| std::io::Error::other("the workload has no 'command'"))?;
    let output = Command::new(program).args(arguments).output()?;
    Ok(json!({
        "exit": output.status.code(),
        "stdout": String::from_utf8_lossy(&output.stdout),
        "stderr": String::from_utf8_lossy(&output.stderr),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_judged_from_a_moment_on() {
        let echo = |sent_s: f64, back_s: f64| json!({"number": 0, "sent_s": sent_s, "back_s": back_s});
        let report = json!({"echoes": [echo(0.0, 9.0), echo(1.0, 1.5), echo(2.0, 2.25)]});
        let late = since(&report, 3.0, 4.0);
        assert_eq!(late["latency_ms"]["count"], 2);
        assert_eq!(late["latency_ms"]["max"], 500.0);
        assert_eq!(since(&Value::Null, 0.0, 0.0)["latency_ms"]["count"], 0);
    }
}
