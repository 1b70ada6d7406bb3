//! OpenSSH: a server with its own keys, a session that is typed into, and files both ways.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::Path;
use std::process::{ChildStdin, Command};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::client::{self, Running, gather, gathered};
use super::service::{Service, folder, listens};
use super::{Task, seeded};
use crate::wan::Host;

const PLACE: &str = "ssh";
/// Between two lines that are typed.
const PACE: Duration = Duration::from_millis(50);
/// How long a session may take to begin.
const LOGIN: Duration = Duration::from_secs(20);
/// What runs on the far side: it answers every line that is typed.
const ANSWERING: &str =
    "stty -echo; echo ready; while IFS= read -r line; do printf 'got %s\\n' \"$line\"; done; echo bye";

/// A server of this user's, reached with one key; it reports whether the file that was copied there came whole.
pub(super) fn serve(task: &Task, host: &Host) -> io::Result<Service> {
    let place = task.place(PLACE);
    folder(&place)?;
    // OpenSSH wants this folder whoever starts it; Debian makes it at boot.
    folder(Path::new("/run/sshd"))?;
    for key in ["host", "client"] {
        let mut keygen = Command::new("ssh-keygen");
        keygen.args(["-q", "-t", "ed25519", "-N", "", "-C", "", "-f"]).arg(place.join(key));
        client::run(keygen, Duration::ZERO)?.done()?;
    }
    let configuration = place.join("sshd_config");
    fs::write(&configuration, text(task, &place))?;
    seeded::write(seeded::OFFERED, task.amount, BufWriter::new(File::create(place.join("offered"))?))?;
    let mut server = Command::new("/usr/sbin/sshd");
    server.args(["-D", "-e", "-f"]).arg(&configuration).args(&task.flags);
    let service = Service::start(task, host, server, || listens(host, task.address))?;
    let amount = task.amount;
    Ok(service.with_report(move || {
        let Ok(file) = File::open(place.join("arrived")) else { return Ok(json!({"arrived": null})) };
        let arrived = seeded::compare(seeded::HANDED_IN, amount, file)?;
        Ok(json!({"arrived": {"bytes": arrived.bytes, "intact": arrived.intact}}))
    }))
}

fn text(task: &Task, place: &Path) -> String {
    let (at, place) = (task.address, place.display());
    format!(
        "ListenAddress {at}\nHostKey {place}/host\nAuthorizedKeysFile {place}/client.pub\nPidFile none\n\
         StrictModes no\nUsePAM no\nPermitRootLogin yes\nPasswordAuthentication no\nPermitUserRC no\n\
         PrintMotd no\nPrintLastLog no\nUseDNS no\nSubsystem sftp internal-sftp\n"
    )
}

/// `ssh` or `scp`, knowing the far side's key and nothing of this user's settings.
fn command(task: &Task, program: &str, port: &str) -> io::Result<Command> {
    let (place, at) = (task.place(PLACE), task.address);
    let key = fs::read_to_string(place.join("host.pub"))?;
    let known = task.folder.join(format!("{}.known_hosts", task.name));
    fs::write(&known, format!("[{}]:{} {key}", at.ip(), at.port()))?;
    let mut command = Command::new(program);
    command.args(["-F", "none", port, &at.port().to_string(), "-i"]).arg(place.join("client"));
    command.arg("-o").arg(format!("UserKnownHostsFile={}", known.display()));
    let options = [
        "GlobalKnownHostsFile=/dev/null",
        "StrictHostKeyChecking=yes",
        "IdentitiesOnly=yes",
        "IdentityAgent=none",
        "BatchMode=yes",
        "ServerAliveInterval=2",
        "ServerAliveCountMax=5",
    ];
    for option in options {
        command.args(["-o", option]);
    }
    command.args(&task.flags);
    Ok(command)
}

fn far_side(task: &Task) -> String {
    format!("root@{}", task.address.ip())
}

/// Copies a file there.
pub(super) fn copy_there(task: &Task) -> io::Result<Value> {
    let file = task.folder.join(format!("{}.file", task.name));
    seeded::write(seeded::HANDED_IN, task.amount, BufWriter::new(File::create(&file)?))?;
    let mut scp = command(task, "scp", "-P")?;
    scp.arg("-q").arg(&file).arg(format!(
        "{}:{}",
        far_side(task),
        task.place(PLACE).join("arrived").display()
    ));
    let began = Instant::now();
    let ended = client::run(scp, task.duration)?;
    let seconds = began.elapsed().as_secs_f64();
    let mbps = task.amount as f64 * 8.0 / seconds / 1e6;
    Ok(json!({"exit": ended.exit(), "complaint": ended.complaint(), "seconds": seconds, "mbps": mbps}))
}

/// Reads a file of the far side.
pub(super) fn copy_here(task: &Task) -> io::Result<Value> {
    let mut cat = command(task, "ssh", "-p")?;
    cat.arg(far_side(task)).arg(format!("cat {}", task.place(PLACE).join("offered").display()));
    client::receive(cat, task)
}

/// A terminal session: a numbered line every now and then, each of which is answered.
pub(super) fn session(task: &Task) -> io::Result<Value> {
    let mut ssh = command(task, "ssh", "-p")?;
    ssh.arg("-tt").arg(far_side(task)).arg(ANSWERING);
    let mut running = Running::start(ssh, task.duration)?;
    let (stdin, stdout) = (running.child.stdin.take(), running.child.stdout.take());
    let stderr = gather(running.child.stderr.take());
    let (lines, arriving) = mpsc::channel();
    let reading = thread::spawn(move || read_lines(stdout, &lines));
    let ready = std::iter::from_fn(|| arriving.recv_timeout(LOGIN).ok()).any(|(_, line)| line == "ready");
    // It stays open to the end: a session whose input has closed might end before its last answers.
    let mut stdin = stdin.filter(|_| ready);
    let typed = stdin.as_mut().map_or(0, |stdin| type_lines(stdin, task.duration));
    let status = running.wait()?;
    let _ = reading.join();
    let mut seen = Seen::default();
    arriving.try_iter().for_each(|(at, line)| seen.take(at, &line));
    Ok(json!({
        "exit": status.code(),
        "complaint": gathered(stderr).trim(),
        "typed": typed,
        "answered": seen.next,
        "lost": typed.saturating_sub(seen.next),
        "not_in_turn": seen.not_in_turn,
        "ended_well": seen.bye,
        "longest_stall_ms": seen.longest.saturating_sub(PACE).as_secs_f64() * 1000.0,
    }))
}

fn read_lines(stdout: Option<impl Read>, lines: &mpsc::Sender<(Instant, String)>) {
    let Some(stdout) = stdout else { return };
    for line in BufReader::new(stdout).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line).trim_end_matches('\r').to_owned();
        if lines.send((Instant::now(), line)).is_err() {
            return;
        }
    }
}

/// Types numbered lines for so long, then Ctrl-D; says how many.
fn type_lines(stdin: &mut ChildStdin, duration: Duration) -> u64 {
    let until = Instant::now() + duration;
    let mut typed = 0;
    while Instant::now() < until && writeln!(stdin, "line {typed}").and_then(|()| stdin.flush()).is_ok() {
        typed += 1;
        thread::sleep(PACE);
    }
    let _ = stdin.write_all(b"\x04").and_then(|()| stdin.flush());
    typed
}

/// The answers, as they came.
#[derive(Debug, Default)]
struct Seen {
    /// The number whose turn it is.
    next: u64,
    /// Answers that were doubled, overtaken or damaged.
    not_in_turn: u64,
    bye: bool,
    last: Option<Instant>,
    longest: Duration,
}

impl Seen {
    fn take(&mut self, at: Instant, line: &str) {
        if line == "bye" {
            self.bye = true;
        } else if line == format!("got line {}", self.next) {
            self.next += 1;
            self.longest = self.longest.max(self.last.map_or(Duration::ZERO, |last| at - last));
            self.last = Some(at);
        } else {
            self.not_in_turn += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_come_once_and_in_turn() {
        let mut seen = Seen::default();
        let now = Instant::now();
        for line in ["got line 0", "got line 1", "got line 1", "got line 3", "got line 2", "bye"] {
            seen.take(now, line);
        }
        assert_eq!((seen.next, seen.not_in_turn, seen.bye), (3, 2, true));
    }
}
