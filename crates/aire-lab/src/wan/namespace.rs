//! Network namespaces of one run, and the promise that they go away with it.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::WanError;

/// Learns names on its standard input and, when that closes (at the end of this process, however it comes), kills what
/// still runs in those namespaces, deletes them and the scratch folder (its argument, if any). In a process group of its
/// own, so that Ctrl-C does not reach it.
const REAPER: &str = r#"
trap '' INT TERM HUP
names=
while read -r name; do names="$names $name"; done
for name in $names; do
  for round in 1 2 3 4 5; do
    pids=$(ip netns pids "$name" 2>/dev/null)
    [ -n "$pids" ] || break
    kill -9 $pids 2>/dev/null
  done
  ip netns del "$name" 2>/dev/null
done
[ -z "$1" ] || rm -rf -- "$1"
"#;

static RUNS: AtomicU32 = AtomicU32::new(0);

/// Makes namespaces and cleans them up, also after a panic or a signal.
#[derive(Debug)]
pub(super) struct Reaper {
    prefix: String,
    scratch: Option<PathBuf>,
    child: Child,
    input: Mutex<Option<ChildStdin>>,
}

impl Reaper {
    /// Without a `folder` for output it makes a scratch folder, and removes that at the end.
    pub(super) fn start(folder: Option<&Path>) -> Result<Self, WanError> {
        let prefix = format!("aire-{}-{}", std::process::id(), RUNS.fetch_add(1, Ordering::Relaxed));
        let scratch = folder.is_none().then(|| std::env::temp_dir().join(&prefix));
        let mut child = Command::new("sh")
            .args(["-c", REAPER, "reaper"])
            .args(&scratch)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(|source| WanError::io("starting sh, which cleans up", source))?;
        let input = Mutex::new(child.stdin.take());
        let reaper = Reaper { prefix, scratch, child, input };
        if let Some(folder) = folder.or(reaper.scratch.as_deref()) {
            fs::create_dir_all(folder)
                .map_err(|source| WanError::io(format!("creating {}", folder.display()), source))?;
        }
        Ok(reaper)
    }

    /// The folder that goes away with this.
    pub(super) fn scratch(&self) -> Option<&Path> {
        self.scratch.as_deref()
    }

    /// A new namespace for the host of this name.
    pub(super) fn namespace(&self, host: &str) -> Result<Namespace, WanError> {
        let name = format!("{}-{host}", self.prefix);
        // Told before it exists: a crash in between must not leave it behind.
        let mut input = self.input.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(input) = input.as_mut() {
            writeln!(input, "{name}").map_err(|source| WanError::io("telling the reaper", source))?;
        }
        drop(input);
        ip(&["netns", "add", &name], "")?;
        let file = File::open(format!("/run/netns/{name}"))
            .map_err(|source| WanError::io(format!("opening the namespace {name}"), source))?;
        Ok(Namespace { name, file })
    }
}

impl Drop for Reaper {
    fn drop(&mut self) {
        self.input.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take();
        let _ = self.child.wait();
    }
}

/// One network namespace.
#[derive(Debug)]
pub(super) struct Namespace {
    name: String,
    file: File,
}

impl Namespace {
    /// Runs `ip -batch` with these lines in the namespace.
    pub(super) fn ip(&self, lines: &str) -> Result<(), WanError> {
        ip(&["-n", &self.name, "-batch", "-"], lines)
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Runs `job` on a thread of its own inside the namespace; sockets that it opens and processes that it starts stay there.
    pub(super) fn enter<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<thread::JoinHandle<io::Result<T>>> {
        let file = self.file.try_clone()?;
        thread::Builder::new().name(self.name.clone()).spawn(move || {
            move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))?;
            Ok(job())
        })
    }

    /// Like [`Namespace::enter`], and waits for the result.
    pub(super) fn within<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        self.enter(job)?.join().map_err(|_| io::Error::other("the thread in the namespace panicked"))??
    }

    /// Lets packets pass from device to device.
    pub(super) fn forward(&self) -> Result<(), WanError> {
        self.within(|| fs::write("/proc/sys/net/ipv4/ip_forward", "1"))
            .map_err(|source| WanError::io(format!("setting sysctls in {}", self.name), source))
    }

    /// A host of our own: it forwards nothing, takes packets from wherever they come, and speaks IPv4 alone.
    pub(super) fn settle(&self) -> Result<(), WanError> {
        self.ip("link set lo up\n")?;
        const SETTINGS: [(&str, &str); 5] = [
            ("ipv4/ip_forward", "0"),
            ("ipv4/conf/all/rp_filter", "0"),
            ("ipv4/conf/default/rp_filter", "0"),
            ("ipv6/conf/all/disable_ipv6", "1"),
            ("ipv6/conf/default/disable_ipv6", "1"),
        ];
        let set = || {
            for (key, value) in SETTINGS {
                match fs::write(format!("/proc/sys/net/{key}"), value) {
                    // A kernel without IPv6 has nothing to switch off.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    other => other?,
                }
            }
            Ok(())
        };
        self.within(set).map_err(|source| WanError::io(format!("setting sysctls in {}", self.name), source))
    }
}

/// Runs `ip` with these arguments and this standard input.
pub(super) fn ip(arguments: &[&str], input: &str) -> Result<(), WanError> {
    pipe("ip", arguments, input)
}

/// Runs a program with these arguments and this standard input.
pub(super) fn pipe(program: &str, arguments: &[&str], input: &str) -> Result<(), WanError> {
    let what = || format!("{program} {} {}", arguments.join(" "), input.trim().replace('\n', "; "));
    let fail = |source| WanError::io(what(), source);
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(fail)?;
    if let Some(mut stdin) = child.stdin.take() {
        // A child that failed at once reads nothing; its exit code says so.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output().map_err(fail)?;
    if output.status.success() {
        return Ok(());
    }
    let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(WanError::Command { command: what(), message })
}
