use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

/// A process on a host. Leads a process group of its own, which is killed when this is dropped.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    /// Set once it has ended and was waited for: from then on its id may belong to somebody else.
    status: Option<ExitStatus>,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Process {
    pub(super) fn new(name: &str, child: Child, stdout: PathBuf, stderr: PathBuf) -> Self {
        Process { name: name.to_owned(), child, status: None, stdout, stderr }
    }

    /// The name that it was started under.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its process id, which is its group's too.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Kills the group at once (SIGKILL) and waits for the process.
    ///
    /// # Errors
    /// It cannot be waited for.
    pub fn kill(&mut self) -> io::Result<ExitStatus> {
        self.signal(Signal::KILL);
        let status = self.child.wait()?;
        self.status = Some(status);
        Ok(status)
    }

    /// Asks the group to end (SIGTERM).
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Interrupts the group (SIGINT), as Ctrl-C does.
    pub fn interrupt(&self) {
        self.signal(Signal::INT);
    }

    /// Stops the group where it stands (SIGSTOP): its sockets stay open, and nothing answers but the kernel.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets the group go on (SIGCONT).
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Waits until it has ended; `None` when it still runs after `patience`.
    ///
    /// # Errors
    /// It cannot be waited for.
    pub fn wait(&mut self, patience: Duration) -> io::Result<Option<ExitStatus>> {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(status) = self.child.try_wait()? {
                self.status = Some(status);
                return Ok(Some(status));
            }
            if Instant::now() >= deadline {
                return Ok(None);
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Where its standard output goes.
    pub fn stdout_path(&self) -> &Path {
        &self.stdout
    }

    /// Where its standard error goes.
    pub fn stderr_path(&self) -> &Path {
        &self.stderr
    }

    /// What it wrote to standard output so far.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn stdout(&self) -> io::Result<String> {
        Ok(String::from_utf8_lossy(&fs::read(&self.stdout)?).into_owned())
    }

    /// What it wrote to standard error so far.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn stderr(&self) -> io::Result<String> {
        Ok(String::from_utf8_lossy(&fs::read(&self.stderr)?).into_owned())
    }

    fn signal(&self, signal: Signal) {
        if self.status.is_some() {
            return;
        }
        // A group that has just ended needs no signal.
        if let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process_group(group, signal);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}
