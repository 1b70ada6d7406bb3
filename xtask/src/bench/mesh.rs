//! Two agents on the two ends of the wire, and the authority beside one of them.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use aire_lab::wan::{Host, Process, Wire};
use serde_json::Value;

use crate::Failure;

const POLICY: &str =
    r#"permit(principal == App::"client", action == Action::"connect", resource == App::"echo");"#;
const READY: Duration = Duration::from_secs(30);

/// A mesh whose app `echo` is the server on the right.
pub(super) struct Mesh {
    carrying: Vec<Process>,
    _authority: Process,
}

impl Mesh {
    pub(super) fn start(wire: &Wire, binary: &Path, folder: &Path) -> Result<Self, Failure> {
        let mesh = folder.join("mesh").display().to_string();
        run(binary, &["mesh", "create", "bench", "--dir", &mesh])?;
        let starter = std::fs::read_to_string(Path::new(&mesh).join("policy.cedar"));
        let policy = folder.join("bench.cedar");
        starter
            .and_then(|starter| std::fs::write(&policy, format!("{starter}\n{POLICY}\n")))
            .map_err(|error| format!("{}: {error}", policy.display()))?;
        let policy = policy.display().to_string();
        let seed = format!("{}:7100", wire.right().address());
        let start = |host: &Host, node: &str, port: u16, more: &[&str]| {
            let state = folder.join(format!("{node}.state")).display().to_string();
            let (listen, admin) = (format!("{}:{port}", host.address()), format!("127.0.0.1:{}", port + 100));
            let mut command = Command::new(binary);
            command.args(["run", "--no-multicast", "--node", node, "--listen", &listen, "--admin", &admin]);
            command.args(["--state", &state, "--policy", &policy]).args(more);
            let mut process = host.spawn(node, command).map_err(|error| error.to_string())?;
            wait_ready(binary, host, &admin, &mut process)?;
            Ok::<Process, Failure>(process)
        };
        let invite = |app: &str| {
            let arguments = ["mesh", "invite", "--dir", &mesh, "--app", app, "--seed", &seed];
            Ok::<String, Failure>(run(binary, &arguments)?.trim().to_owned())
        };
        let authority = start(wire.right(), "authority", 7100, &["--authority", &mesh])?;
        let (echo, client) = (invite("echo")?, invite("client")?);
        let right = start(wire.right(), "right", 7101, &["--join", &echo, "--app", "echo=127.0.0.1:7000"])?;
        let to = ["--join", &client, "--app", "client=127.0.0.1:7999", "--to", "echo=127.0.0.1:8003"];
        let left = start(wire.left(), "left", 7102, &to)?;
        Ok(Mesh { carrying: vec![left, right], _authority: authority })
    }

    /// Where the client connects.
    pub(super) fn entrance(&self) -> SocketAddr {
        ([127, 0, 0, 1], 8003).into()
    }

    /// The agents through which the bytes go.
    pub(super) fn carrying(&self) -> &[Process] {
        &self.carrying
    }
}

fn run(binary: &Path, arguments: &[&str]) -> Result<String, Failure> {
    let output = Command::new(binary).args(arguments).output().map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let error = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(format!("aire {}: {error}", arguments.join(" ")))
}

fn wait_ready(binary: &Path, host: &Host, admin: &str, process: &mut Process) -> Result<(), Failure> {
    let deadline = Instant::now() + READY;
    loop {
        let mut status = Command::new(binary);
        status.args(["status", "--json", "--admin", admin]);
        let output = host.output(status).map_err(|error| error.to_string())?;
        let answer = serde_json::from_slice::<Value>(&output.stdout).unwrap_or_default();
        if answer["ready"] == true {
            return Ok(());
        }
        let ended = process.wait(Duration::from_millis(1)).map_err(|error| error.to_string())?;
        if ended.is_some() || Instant::now() >= deadline {
            let log = process.stderr().unwrap_or_default();
            let last = log.lines().last().unwrap_or("it wrote nothing").to_owned();
            return Err(format!("agent {} did not become ready: {last}", process.name()));
        }
        thread::sleep(Duration::from_millis(50));
    }
}
