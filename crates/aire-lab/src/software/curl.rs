//! `curl`, by name through the proxy.

use std::io;
use std::process::Command;
use std::thread;
use std::time::Instant;

use serde_json::{Value, json};

use super::client::{Running, gather, gathered, receive};
use super::{Task, seeded};

fn command(task: &Task, path: &str, more: &[&str]) -> Command {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--fail", "--socks5-hostname", &task.address.to_string()]);
    curl.args(more).args(&task.flags).arg(format!("http://{}.mesh{path}", task.app));
    curl
}

/// Gets the long file and compares every byte as it comes.
pub(super) fn get(task: &Task) -> io::Result<Value> {
    receive(command(task, "/files/file", &[]), task)
}

/// Puts a file that is made while it goes; the server's report says whether it came whole.
pub(super) fn put(task: &Task) -> io::Result<Value> {
    let began = Instant::now();
    let sending = ["--upload-file", "-", "--output", "/dev/null"];
    let mut running = Running::start(command(task, "/put/file", &sending), task.duration)?;
    let (stdin, stderr) = (running.child.stdin.take(), gather(running.child.stderr.take()));
    let amount = task.amount;
    let making = thread::spawn(move || match stdin {
        Some(stdin) => seeded::write(seeded::HANDED_IN, amount, stdin),
        None => Ok(()),
    });
    let status = running.wait()?;
    let seconds = began.elapsed().as_secs_f64();
    let made = making.join().unwrap_or_else(|_| Err(io::Error::other("writing panicked")));
    Ok(json!({
        "exit": status.code(),
        "complaint": gathered(stderr).trim(),
        "written": made.is_ok(),
        "seconds": seconds,
        "mbps": amount as f64 * 8.0 / seconds / 1e6,
    }))
}
