//! Programs that everybody has, started and judged: servers on one host, clients on another.
//!
//! Each program has a file of its own. A server keeps what it writes in a folder of the run and ends with it; a client
//! runs to its end within a bounded time, and its own report becomes a document with figures and counts of failures.

mod client;
mod curl;
mod dns;
mod iperf3;
mod nginx;
mod postgres;
mod redis;
mod seeded;
mod service;
mod ssh;
mod text;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use service::Service;

use crate::wan::{Host, WanError};

/// A program of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Program {
    /// A PostgreSQL server with the tables of `pgbench`.
    Postgres,
    /// A Redis server that keeps nothing.
    RedisServer,
    /// A web server: a short page, a long file, and a place to put another one.
    Nginx,
    /// iperf3's server.
    Iperf3Server,
    /// A DNS server that knows a thousand names.
    Dnsmasq,
    /// An SSH server with a key, a configuration and a client key of its own.
    Sshd,
    /// Transactions; then the sums of all balances and the history must agree.
    Pgbench,
    /// Requests of Redis clients.
    RedisBenchmark,
    /// HTTP requests as fast as they are answered.
    Wrk,
    /// Gets the long file by name through the proxy.
    CurlGet,
    /// Puts a long file by name through the proxy.
    CurlPut,
    /// Bytes as fast as they go.
    Iperf3,
    /// Questions one after the other, each answer checked.
    Dig,
    /// Questions at a steady rate, the unanswered ones counted.
    Dnsperf,
    /// Lines typed in a session, each awaited twice: as the terminal's echo and as the program's answer.
    Ssh,
    /// Copies a file to the far side.
    Scp,
    /// Copies a file from the far side.
    SshCat,
}

impl Program {
    /// Whether it serves the others.
    pub fn is_server(self) -> bool {
        use Program::*;
        matches!(self, Postgres | RedisServer | Nginx | Iperf3Server | Dnsmasq | Sshd)
    }
}

/// What a program is told.
#[derive(Clone, Debug)]
pub struct Task {
    /// Under which name its output is kept.
    pub name: String,
    /// Where a server listens; where a client connects (for curl, the proxy).
    pub address: SocketAddr,
    /// The app that curl names to the proxy.
    pub app: String,
    /// How long a client goes on.
    pub duration: Duration,
    /// How long a file is; how many requests Redis gets.
    pub amount: u64,
    /// Connections at a time.
    pub parallel: usize,
    /// More arguments of the program.
    pub flags: Vec<String>,
    /// The folder of the run.
    pub folder: PathBuf,
}

impl Task {
    /// What the program's server keeps is found here by its clients.
    fn place(&self, program: &str) -> PathBuf {
        self.folder.join(program)
    }
}

/// Starts a server on a host and waits until it serves.
///
/// # Errors
/// It is not installed or does not come up; the message has the end of its log.
pub fn serve(program: Program, task: &Task, host: &Host) -> Result<Service, WanError> {
    let started = match program {
        Program::Postgres => postgres::serve(task, host),
        Program::RedisServer => redis::serve(task, host),
        Program::Nginx => nginx::serve(task, host),
        Program::Iperf3Server => iperf3::serve(task, host),
        Program::Dnsmasq => dns::serve(task, host),
        Program::Sshd => ssh::serve(task, host),
        _ => Err(io::Error::other("it is no server")),
    };
    started.map_err(|source| WanError::io(format!("starting {program:?} as '{}'", task.name), source))
}

/// Runs a client to its end, in the namespace of the calling thread, and says what came of it.
///
/// # Errors
/// It is not installed, does not end, or says what we cannot read.
pub fn run(program: Program, task: &Task) -> io::Result<Value> {
    match program {
        Program::Pgbench => postgres::bench(task),
        Program::RedisBenchmark => redis::bench(task),
        Program::Wrk => nginx::wrk(task),
        Program::CurlGet => curl::get(task),
        Program::CurlPut => curl::put(task),
        Program::Iperf3 => iperf3::run(task),
        Program::Dig => dns::dig(task),
        Program::Dnsperf => dns::perf(task),
        Program::Ssh => ssh::session(task),
        Program::Scp => ssh::copy_there(task),
        Program::SshCat => ssh::copy_here(task),
        _ => Err(io::Error::other("it is a server, and those start before the agents")),
    }
}
