//! A server that runs.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Task;
use super::text::last_lines;
use crate::wan::{Host, Process};

/// How long a server may take until it serves.
const READY: Duration = Duration::from_secs(30);
/// How long a server may take to end when asked to.
const PATIENCE: Duration = Duration::from_secs(5);

type Report = Box<dyn Fn() -> io::Result<Value> + Send>;

/// A server, ended with this.
pub struct Service {
    process: Process,
    report: Report,
}

impl Service {
    /// Starts a server on a host and waits until `serves` says so.
    pub(super) fn start(
        task: &Task,
        host: &Host,
        command: Command,
        serves: impl Fn() -> bool,
    ) -> io::Result<Self> {
        let process = host.spawn(&task.name, command).map_err(io::Error::other)?;
        let mut service = Service { process, report: Box::new(|| Ok(json!({}))) };
        let deadline = Instant::now() + READY;
        while !serves() {
            let ended = service.process.wait(Duration::ZERO)?;
            if ended.is_some() || Instant::now() >= deadline {
                let said = service.process.stdout()? + &service.process.stderr()?;
                let why = ended.map_or("it does not serve".to_owned(), |status| status.to_string());
                return Err(io::Error::other(format!("{why}: {}", last_lines(&said, 8))));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(service)
    }

    /// Says at the end what it saw.
    pub(super) fn with_report(mut self, report: impl Fn() -> io::Result<Value> + Send + 'static) -> Self {
        self.report = Box::new(report);
        self
    }

    /// What it saw, as a document; `error` when it cannot say.
    pub fn report(&self) -> Value {
        (self.report)().unwrap_or_else(|error| json!({"error": error.to_string()}))
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // PostgreSQL closes its sessions and frees what the kernel keeps for it; the others do well with it too.
        self.process.interrupt();
        let _ = self.process.wait(PATIENCE);
    }
}

/// Whether somebody takes TCP connections there.
pub(super) fn listens(host: &Host, at: SocketAddr) -> bool {
    host.within(move || std::net::TcpStream::connect_timeout(&at, Duration::from_secs(1))).is_ok()
}

/// A folder for one server.
pub(super) fn folder(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}
