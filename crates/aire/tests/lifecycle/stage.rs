//! Meshes of real agents on loopback, and the applications beside them.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use aire_lab::emulate::free_addresses;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::program;
pub(crate) use crate::program::{aire, done};

/// Lets the client reach the service.
pub(crate) const PERMIT: &str =
    r#"permit(principal == App::"client", action == Action::"connect", resource == App::"echo");"#;

/// The flags of a node that joins with a token, at addresses that the system chooses.
pub(crate) fn joining<'a>(node: &'a str, state: &'a str, token: &'a str) -> [&'a str; 11] {
    let anywhere = "127.0.0.1:0";
    [
        "--node",
        node,
        "--state",
        state,
        "--join",
        token,
        "--no-multicast",
        "--admin",
        anywhere,
        "--listen",
        anywhere,
    ]
}

/// Looks until `look` finds something; says how long that took.
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> (T, Duration) {
    let begin = Instant::now();
    loop {
        if let Some(found) = look() {
            return (found, begin.elapsed());
        }
        assert!(begin.elapsed() < Duration::from_secs(30), "{what} did not come about");
        thread::sleep(Duration::from_millis(20));
    }
}

/// A mesh with its authority's folder.
pub(crate) struct Mesh {
    folder: tempfile::TempDir,
    hub: SocketAddr,
}

impl Mesh {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mesh = Mesh { folder, hub: free_addresses(1).unwrap()[0] };
        done(&["mesh", "create", "prod", "--dir", &mesh.path("mesh")]);
        mesh.set_policy(PERMIT);
        mesh
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// The policy of all agents: members relay, and `more`.
    pub(crate) fn set_policy(&self, more: &str) {
        let starter = fs::read_to_string(self.path("mesh/policy.cedar")).unwrap();
        let (new, policy) = (self.path("policy.new"), self.path("policy.cedar"));
        fs::write(&new, format!("{starter}\n{more}\n")).unwrap();
        fs::rename(new, policy).unwrap();
    }

    pub(crate) fn token(&self, scope: &[&str]) -> String {
        let (dir, seed) = (self.path("mesh"), self.hub.to_string());
        done(&[&["mesh", "invite", "--dir", &dir, "--seed", &seed], scope].concat()).trim().to_owned()
    }

    /// The agent that holds the authority, a relay too.
    pub(crate) fn hub(&self, more: &str) -> Agent {
        let authority = format!("authority = '{}'\n{more}", self.path("mesh"));
        self.agent("hub", self.hub, &authority, None)
    }

    /// An agent that serves `echo` at `target`.
    pub(crate) fn server(&self, node: &str, target: SocketAddr, more: &str) -> Agent {
        self.server_with(node, &format!("target = '{target}'"), more)
    }

    /// An agent that serves `echo` at these targets.
    pub(crate) fn server_with(&self, node: &str, targets: &str, more: &str) -> Agent {
        let listen = free_addresses(1).unwrap()[0];
        let app = format!("{more}\n[app]\nname = 'echo'\n{targets}\n");
        self.agent(node, listen, &app, Some(self.token(&["--app", "echo"])))
    }

    /// An agent for the client's side: `door` leads to `echo`, and there is a proxy.
    pub(crate) fn client(&self, more: &str) -> Agent {
        let addresses = free_addresses(4).unwrap();
        let [listen, door, proxy, target] = addresses[..] else { panic!("four addresses") };
        let ways = format!(
            "socks = '{proxy}'\n{more}\n[app]\nname = 'client'\ntarget = '{target}'\n[[to]]\napp = 'echo'\nlisten = '{door}'\n"
        );
        let mut agent = self.agent("client", listen, &ways, Some(self.token(&["--app", "client"])));
        (agent.door, agent.proxy) = (door, proxy);
        agent
    }

    /// The authority, an agent that serves `echo` at `target` and a client, all ready; `hub` and `client` are more lines
    /// of their configurations.
    pub(crate) fn trio(&self, target: SocketAddr, hub: &str, client: &str) -> [Agent; 3] {
        let mut agents = [self.hub(hub), self.server("server", target, ""), self.client(client)];
        agents.iter_mut().for_each(Agent::ready);
        agents
    }

    pub(crate) fn relay(&self, node: &str) -> Agent {
        let listen = free_addresses(1).unwrap()[0];
        self.agent(node, listen, "", Some(self.token(&["--relay"])))
    }

    fn agent(&self, node: &str, listen: SocketAddr, more: &str, token: Option<String>) -> Agent {
        let admin = free_addresses(1).unwrap()[0];
        let config = self.folder.path().join(format!("{node}.toml"));
        let common = format!(
            "node = '{node}'\nlisten = '{listen}'\nadmin = '{admin}'\nstate = '{}'\npolicy = ['{}']\nmulticast = false\n",
            self.path(&format!("{node}.state")),
            self.path("policy.cedar"),
        );
        fs::write(&config, format!("{common}{more}")).unwrap();
        let log = self.folder.path().join(format!("{node}.log"));
        let mut agent = Agent { config, log, admin, listen, door: listen, proxy: listen, child: None };
        agent.run(token.as_deref());
        agent
    }
}

/// An agent's process, killed in the end.
pub(crate) struct Agent {
    config: PathBuf,
    log: PathBuf,
    pub(crate) admin: SocketAddr,
    pub(crate) listen: SocketAddr,
    pub(crate) door: SocketAddr,
    pub(crate) proxy: SocketAddr,
    child: Option<Child>,
}

impl Agent {
    /// An agent that is started with flags alone.
    pub(crate) fn command(mesh: &Mesh, node: &str, admin: SocketAddr, arguments: &[&str]) -> Self {
        Self::command_under(Command::new("env"), mesh, node, admin, arguments)
    }

    /// The same as the last part of another command, which becomes it.
    pub(crate) fn command_under(
        mut command: Command,
        mesh: &Mesh,
        node: &str,
        admin: SocketAddr,
        arguments: &[&str],
    ) -> Self {
        let log = mesh.folder.path().join(format!("{node}.{}.log", admin.port()));
        let listen = free_addresses(1).unwrap()[0];
        command.args([env!("CARGO_BIN_EXE_aire"), "run", "--no-multicast", "--node", node]);
        command.args(["--admin", &admin.to_string(), "--listen", &listen.to_string()]).args(arguments);
        command.env_remove("AIRE_ADMIN").stdin(Stdio::null()).stdout(Stdio::null());
        let child = Some(command.stderr(File::create(&log).unwrap()).spawn().unwrap());
        Agent { config: PathBuf::new(), log, admin, listen, door: listen, proxy: listen, child }
    }

    fn run(&mut self, token: Option<&str>) {
        let log = File::options().create(true).append(true).open(&self.log).unwrap();
        let mut command = program::command();
        command.arg("run").arg("--config").arg(&self.config).stdout(Stdio::null()).stderr(log);
        command.args(token.into_iter().flat_map(|token| ["--join", token]));
        self.child = Some(command.spawn().unwrap());
    }

    /// Starts it again, with the state that it left and without a token.
    pub(crate) fn start(&mut self) {
        self.start_with(None);
    }

    /// The same with a token.
    pub(crate) fn start_with(&mut self, token: Option<&str>) {
        assert!(self.child.is_none());
        // A program that a killed agent was about to start may hold its sockets for another moment.
        wait_for("the port", || TcpListener::bind(self.admin).ok());
        self.run(token);
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    pub(crate) fn ready(&mut self) {
        wait_for(&format!("readiness of {}", self.config.display()), || {
            let child = self.child.as_mut().unwrap();
            assert_eq!(child.try_wait().unwrap(), None, "{}", fs::read_to_string(&self.log).unwrap());
            (ask(self.admin, "GET", "/readyz", "").ok()?.0 == 200).then_some(())
        });
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// SIGTERM.
    pub(crate) fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// SIGSTOP: it is there and does nothing.
    pub(crate) fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.as_ref().unwrap().id()).unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.as_mut().unwrap().try_wait().unwrap().is_none()
    }

    /// Waits for its end.
    pub(crate) fn ended(&mut self) -> (ExitStatus, Duration) {
        let child = self.child.as_mut().unwrap();
        let ended = wait_for("the agent's end", || child.try_wait().unwrap());
        assert_eq!(ended.0.signal(), None, "{}", fs::read_to_string(&self.log).unwrap());
        ended
    }

    /// One of its documents.
    pub(crate) fn document(&self, path: &str) -> Value {
        serde_json::from_str(&self.text(path)).unwrap()
    }

    pub(crate) fn text(&self, path: &str) -> String {
        let (status, body) = ask(self.admin, "GET", path, "").unwrap();
        assert_eq!(status, 200, "{body}");
        body
    }

    /// Changes something.
    pub(crate) fn put(&self, path: &str, body: &str) {
        let (status, body) = ask(self.admin, "PUT", path, body).unwrap();
        assert_eq!(status, 204, "{body}");
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Time of the CPU that it has used. A tick is a hundredth of a second.
    pub(crate) fn cpu(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        Duration::from_millis(10 * ticks)
    }

    /// Resident memory, kibibytes.
    pub(crate) fn resident(&self) -> u64 {
        let status =
            fs::read_to_string(format!("/proc/{}/status", self.child.as_ref().unwrap().id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// A connection to `echo`, once the first byte has come back.
    pub(crate) fn connect(&self) -> TcpStream {
        wait_for("a connection", || try_echo(self.door).ok()).0
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if thread::panicking() {
            eprintln!("--- {}\n{}", self.config.display(), fs::read_to_string(&self.log).unwrap_or_default());
        }
    }
}

/// One HTTP request.
fn ask(at: SocketAddr, method: &str, path: &str, body: &str) -> io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(at)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
    status.zip(body).ok_or_else(|| io::Error::other(format!("no HTTP answer: '{answer}'")))
}

/// Connects and has one byte echoed.
pub(crate) fn try_echo(door: SocketAddr) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(door)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    echo(&mut stream, b"?")?;
    Ok(stream)
}

/// Sends bytes and reads them back.
pub(crate) fn echo(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes)?;
    let mut back = vec![0; bytes.len()];
    stream.read_exact(&mut back)?;
    assert_eq!(back, bytes);
    Ok(())
}

/// A service that sends back what it gets, and ends when its client does.
pub(crate) fn echo_service() -> SocketAddr {
    service(|mut stream| {
        let mut block = [0; 4096];
        loop {
            match stream.read(&mut block) {
                Ok(bytes) if bytes > 0 => stream.write_all(&block[..bytes]).unwrap_or_default(),
                _ => break,
            }
        }
    })
}

/// A service with a thread for each connection.
pub(crate) fn service(serve: impl Fn(TcpStream) + Clone + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve = serve.clone();
            thread::spawn(move || serve(stream));
        }
    });
    address
}

/// Asks the proxy for `echo`: SOCKS5's reply code (RFC 1928).
pub(crate) fn socks_reply(proxy: SocketAddr) -> io::Result<u8> {
    socks_reply_for(proxy, "echo")
}

/// The same for any app.
pub(crate) fn socks_reply_for(proxy: SocketAddr, app: &str) -> io::Result<u8> {
    let name = format!("{app}.mesh");
    let length = u8::try_from(name.len()).map_err(io::Error::other)?;
    let mut stream = TcpStream::connect(proxy)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    stream.write_all(&[5, 1, 0])?;
    stream.read_exact(&mut [0; 2])?;
    stream.write_all(&[&[5, 1, 0, 3, length], name.as_bytes(), &[0, 80]].concat())?;
    let mut reply = [0; 10];
    stream.read_exact(&mut reply)?;
    Ok(reply[1])
}

/// Reads to the end: `Ok` when it was a clean one.
pub(crate) fn read_out(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut all = Vec::new();
    stream.read_to_end(&mut all).map(|_| all)
}

/// Was the connection reset?
pub(crate) fn is_reset<T: std::fmt::Debug>(result: &io::Result<T>) -> bool {
    matches!(result, Err(error) if error.kind() == io::ErrorKind::ConnectionReset)
}
