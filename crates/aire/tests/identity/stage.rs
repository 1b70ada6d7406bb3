//! Real agents on loopback, and an application beside them.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use aire_lab::emulate::free_addresses;
use serde_json::Value;

use crate::pki::{Pair, Pki};

pub(crate) const SERVER: &str = "spiffe://example.org/app/echo/n1";
pub(crate) const CLIENT: &str = "spiffe://example.org/app/client/n2";
const POLICY: &str = r#"
permit(principal == App::"client", action == Action::"connect", resource == App::"echo");
"#;

fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_aire"));
    command.env_remove("AIRE_ADMIN").env_remove("SPIFFE_ENDPOINT_SOCKET").stdin(Stdio::null());
    command
}

/// Looks until `look` finds something.
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begin.elapsed() < Duration::from_secs(60), "{what} did not come about");
        thread::sleep(Duration::from_millis(50));
    }
}

/// An SVID that holds from an hour ago until an hour from now.
pub(crate) fn fresh(pki: &Pki, id: &str) -> Pair {
    let (now, hour) = (SystemTime::now(), Duration::from_secs(3600));
    pki.issue(id, now - hour, now + hour)
}

/// An agent that starts with `arguments`, and ends by itself: its one line on standard error.
pub(crate) fn refused(arguments: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let addresses = free_addresses(2).unwrap();
    let (listen, admin) = (addresses[0].to_string(), addresses[1].to_string());
    let mut command = command();
    command.args(["run", "--no-multicast", "--node", "n1", "--listen", &listen, "--admin", &admin]);
    command.arg("--state").arg(folder.path()).args(arguments).env("AIRE_LOG", "error");
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert_eq!(text.trim().lines().count(), 1, "{text}");
    text
}

/// The agent of `echo` and that of its client, whose identities come from where `identity` says (by node).
pub(crate) struct Two {
    pub(crate) server: Agent,
    pub(crate) client: Agent,
    pub(crate) door: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Two {
    pub(crate) fn start(identity: impl Fn(&str) -> Vec<String>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let policy = folder.path().join("policy.cedar");
        fs::write(&policy, POLICY).unwrap();
        let addresses = free_addresses(3).unwrap();
        let [listen, client_listen, door] = addresses[..] else { panic!("three addresses") };
        let start = |node: &str, listen: SocketAddr, more: Vec<String>| {
            let state = folder.path().join(node).display().to_string();
            let common = ["--node", node, "--listen", &listen.to_string(), "--state", &state, "--policy"];
            let common = common.map(str::to_owned).into_iter().chain([policy.display().to_string()]);
            let log = folder.path().join(format!("{node}.log"));
            Agent::start(common.chain(identity(node)).chain(more).collect(), log)
        };
        let words = |text: String| text.split(' ').map(str::to_owned).collect();
        let server = start("n1", listen, words(format!("--app echo={}", echo_service())));
        let uses = format!("--app client=127.0.0.1:9 --seed {listen} --to echo={door}");
        let client = start("n2", client_listen, words(uses));
        Two { server, client, door, _folder: folder }
    }

    /// A connection over the mesh, once the first byte has come back.
    pub(crate) fn connect(&self) -> TcpStream {
        wait_for("a connection", || {
            let mut stream = TcpStream::connect(self.door).ok()?;
            stream.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
            echo(&mut stream, b"?").ok().map(|()| stream)
        })
    }

    /// Waits until both agents say that they have renewed their certificates so often.
    pub(crate) fn renewed(&self, times: usize) {
        for agent in [&self.server, &self.client] {
            wait_for("a renewal", || (agent.events("certificate-renewed") >= times).then_some(()));
        }
    }

    /// No stream was reset.
    pub(crate) fn was_calm(&self) {
        for agent in [&self.server, &self.client] {
            assert_eq!(agent.status()["streams"]["reset"], 0);
        }
    }
}

/// A running agent, killed in the end.
pub(crate) struct Agent {
    child: Child,
    admin: SocketAddr,
    log: PathBuf,
}

impl Agent {
    fn start(arguments: Vec<String>, log: PathBuf) -> Self {
        let admin = free_addresses(1).unwrap()[0];
        let mut command = command();
        command.args(["run", "--no-multicast", "--admin", &admin.to_string()]).args(arguments);
        command.stdout(Stdio::null()).stderr(fs::File::create(&log).unwrap());
        let mut agent = Agent { child: command.spawn().unwrap(), admin, log };
        wait_for("the admin API", || {
            assert_eq!(agent.child.try_wait().unwrap(), None, "{}", agent.log());
            TcpStream::connect(agent.admin).ok()
        });
        agent
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn ask(&self, what: &str) -> String {
        let output = command().args([what, "--json", "--admin", &self.admin.to_string()]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    pub(crate) fn status(&self) -> Value {
        serde_json::from_str(&self.ask("status")).unwrap()
    }

    /// Waits until the agent says this about what keeps its identity from being renewed.
    pub(crate) fn trouble(&self, part: &str) {
        wait_for(part, || self.status()["identity_trouble"].as_str()?.contains(part).then_some(()));
    }

    /// Waits until nothing does any more.
    pub(crate) fn no_trouble(&self) {
        wait_for("no trouble", || self.status()["identity_trouble"].is_null().then_some(()));
    }

    /// How many events of a kind there were.
    pub(crate) fn events(&self, kind: &str) -> usize {
        let kinds = self.ask("events");
        let kinds = kinds.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        kinds.filter(|event| event["kind"] == kind).count()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("--- {}\n{}", self.log.display(), self.log());
        }
    }
}

/// Sends bytes and reads them back.
pub(crate) fn echo(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes)?;
    let mut back = vec![0; bytes.len()];
    stream.read_exact(&mut back)?;
    assert_eq!(back, bytes);
    Ok(())
}

/// A service that sends back what it gets.
fn echo_service() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut block = [0; 4096];
                while let Ok(bytes @ 1..) = stream.read(&mut block) {
                    if stream.write_all(&block[..bytes]).is_err() {
                        break;
                    }
                }
            });
        }
    });
    address
}
