//! The agents' processes and the folder they work in. Whatever happens, both are gone afterwards.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;
use tokio::signal::unix::{SignalKind, signal};

use crate::failure::Failure;

/// Exit status of a process that a signal ended, as shells give it: 128 and the signal's number.
const INTERRUPTED: i32 = 130;

/// Clears itself away when dropped, when the process is told to end, and when the time is over.
pub(super) struct Stage {
    folder: PathBuf,
    binary: PathBuf,
    props: Arc<Mutex<Props>>,
}

/// What has to be cleared away.
struct Props {
    /// `None` once cleared.
    folder: Option<TempDir>,
    children: Vec<(String, Child)>,
}

impl Stage {
    /// An empty stage that is there for `limit` at most.
    pub(super) fn open(limit: Duration) -> Result<Self, Failure> {
        let failed = |what: &str, error: std::io::Error| {
            Failure::Failed(format!("this machine cannot {what}: {error}"))
        };
        let binary = std::env::current_exe().map_err(|error| failed("name this program", error))?;
        let folder = tempfile::Builder::new()
            .prefix("aire-demo-")
            .tempdir()
            .map_err(|error| failed("make a folder for temporary files", error))?;
        let path = folder.path().to_owned();
        let props = Arc::new(Mutex::new(Props { folder: Some(folder), children: Vec::new() }));
        let stage = Stage { folder: path, binary, props };
        watch(Arc::clone(&stage.props), limit).map_err(|error| failed("watch for signals", error))?;
        Ok(stage)
    }

    /// Where everybody keeps their things.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Runs `aire run` with these arguments as a process of its own. Call it from the main thread only: the kernel kills
    /// the agent when the thread that started it ends.
    pub(super) fn start(&self, name: &str, arguments: &[String]) -> Result<(), Failure> {
        let failed =
            |error: std::io::Error| Failure::Failed(format!("the agent {name} cannot be started: {error}"));
        let mut props = lock(&self.props);
        if props.folder.is_none() {
            return Err(Failure::Failed("the demo was told to stop".to_owned()));
        }
        let child = Command::new(&self.binary)
            .arg("run")
            .args(arguments)
            .args(["--with-parent", &std::process::id().to_string()])
            // Ctrl-C is for the demo, which then ends the agents.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(self.log(name)).map_err(failed)?)
            .spawn()
            .map_err(failed)?;
        props.children.push((name.to_owned(), child));
        Ok(())
    }

    /// Fails when an agent ended.
    pub(super) fn check(&self) -> Result<(), Failure> {
        let mut props = lock(&self.props);
        for (name, child) in &mut props.children {
            if let Ok(Some(status)) = child.try_wait() {
                return Err(self.ended(name, status));
            }
        }
        Ok(())
    }

    fn ended(&self, name: &str, status: ExitStatus) -> Failure {
        Failure::Failed(format!("the agent {name} ended early ({status}): {}", self.last_words(name)))
    }

    /// The last line that an agent logged.
    pub(super) fn last_words(&self, name: &str) -> String {
        let log = fs::read_to_string(self.log(name)).unwrap_or_default();
        log.lines().last().unwrap_or("it logged nothing").to_owned()
    }

    fn log(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.log"))
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        clear(&self.props);
    }
}

fn lock(props: &Mutex<Props>) -> MutexGuard<'_, Props> {
    props.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends the agents and removes the folder. The second call does nothing.
fn clear(props: &Mutex<Props>) {
    let mut props = lock(props);
    for (_, child) in &mut props.children {
        // One that has ended already cannot be killed, and need not be.
        let _ = child.kill();
    }
    for (_, child) in &mut props.children {
        let _ = child.wait();
    }
    props.children.clear();
    if let Some(folder) = props.folder.take()
        && let Err(error) = folder.close()
    {
        eprintln!("aire: the temporary folder could not be removed: {error}");
    }
}

/// Clears the stage and ends the process on SIGINT, SIGTERM and SIGHUP, or when it takes longer than `limit`.
fn watch(props: Arc<Mutex<Props>>, limit: Duration) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut interrupt, mut terminate, mut hang_up) = {
        let _entered = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?, signal(SignalKind::hangup())?)
    };
    thread::Builder::new().name("curtain".to_owned()).spawn(move || {
        let status = runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => INTERRUPTED,
                _ = terminate.recv() => INTERRUPTED,
                _ = hang_up.recv() => INTERRUPTED,
                () = tokio::time::sleep(limit) => 1,
            }
        });
        clear(&props);
        if status != INTERRUPTED {
            eprintln!(
                "aire: the demo took longer than {} s and was stopped; try --seconds with more",
                limit.as_secs()
            );
        }
        std::process::exit(status)
    })?;
    Ok(())
}
