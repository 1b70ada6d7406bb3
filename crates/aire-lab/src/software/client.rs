//! Running a program to its end, in bounded time.

use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};

use super::{Task, seeded};

/// How long a client may take beyond its time: a failing path, a busy machine.
const GRACE: Duration = Duration::from_secs(45);

/// What a program did.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) status: ExitStatus,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

impl Ended {
    /// The exit code; a signal counts as -1.
    pub(super) fn exit(&self) -> i32 {
        self.status.code().unwrap_or(-1)
    }

    /// What it wrote to standard error, or nothing.
    pub(super) fn complaint(&self) -> String {
        super::text::last_lines(&self.stderr, 8)
    }

    /// Its output, if it did well.
    pub(super) fn done(self) -> io::Result<String> {
        if self.status.success() {
            return Ok(self.stdout);
        }
        Err(io::Error::other(format!("{}: {}", self.status, self.complaint())))
    }
}

/// A program that runs, in a process group of its own that is killed with this.
pub(super) struct Running {
    pub(super) child: Child,
    what: String,
    deadline: Instant,
    ended: bool,
}

impl Running {
    /// Starts it with all streams piped; it must end within `duration` and a grace time.
    pub(super) fn start(mut command: Command, duration: Duration) -> io::Result<Self> {
        let what = command.get_program().to_string_lossy().into_owned();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let child =
            command.spawn().map_err(|error| io::Error::new(error.kind(), format!("{what}: {error}")))?;
        Ok(Running { child, what, deadline: Instant::now() + duration + GRACE, ended: false })
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// It took too long, and was killed.
    pub(super) fn wait(&mut self) -> io::Result<ExitStatus> {
        loop {
            if let Some(status) = self.child.try_wait()? {
                self.ended = true;
                return Ok(status);
            }
            if Instant::now() >= self.deadline {
                return Err(io::Error::new(io::ErrorKind::TimedOut, format!("{} did not end", self.what)));
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        if let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

/// Runs a program without input to its end.
pub(super) fn run(command: Command, duration: Duration) -> io::Result<Ended> {
    let mut running = Running::start(command, duration)?;
    drop(running.child.stdin.take());
    let (stdout, stderr) = (gather(running.child.stdout.take()), gather(running.child.stderr.take()));
    let status = running.wait()?;
    Ok(Ended { status, stdout: gathered(stdout), stderr: gathered(stderr) })
}

/// Runs a program whose output is what a server offers, and compares every byte as it comes.
pub(super) fn receive(command: Command, task: &Task) -> io::Result<Value> {
    let began = Instant::now();
    let mut running = Running::start(command, task.duration)?;
    drop(running.child.stdin.take());
    let (stdout, stderr) = (running.child.stdout.take(), gather(running.child.stderr.take()));
    let amount = task.amount;
    let comparing = thread::spawn(move || match stdout {
        Some(stdout) => seeded::compare(seeded::OFFERED, amount, stdout),
        None => Ok(seeded::Comparison::default()),
    });
    let status = running.wait()?;
    let got = comparing.join().unwrap_or_else(|_| Err(io::Error::other("comparing panicked")))?;
    let seconds = began.elapsed().as_secs_f64();
    Ok(json!({
        "exit": status.code(),
        "complaint": gathered(stderr).trim(),
        "bytes": got.bytes,
        "intact": got.intact,
        "seconds": seconds,
        "mbps": got.bytes as f64 * 8.0 / seconds / 1e6,
    }))
}

/// Reads a stream to its end on a thread of its own.
pub(super) fn gather(stream: Option<impl Read + Send + 'static>) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut stream) = stream {
            // What came before an error is what there is.
            let _ = stream.read_to_end(&mut bytes);
        }
        bytes
    })
}

/// What was read.
pub(super) fn gathered(reader: JoinHandle<Vec<u8>>) -> String {
    String::from_utf8_lossy(&reader.join().unwrap_or_default()).into_owned()
}
