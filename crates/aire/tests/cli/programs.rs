//! Programs that everybody has, over a mesh of five nodes that is set up as the README says.

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use aire_lab::emulate::free_addresses;

use crate::stage::{Agent, done, service, stderr, stdout, wait_for};

/// A program that runs in the background, ended with the test.
struct Background(Child);

impl Drop for Background {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn quiet(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn found(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// Debian keeps the server's programs out of the search path.
fn postgres_programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?.flatten();
    let newest =
        versions.map(|entry| entry.path().join("bin")).filter(|bin| bin.join("initdb").is_file()).max();
    newest.or_else(|| found("initdb")?.parent().map(Path::to_owned))
}

/// PostgreSQL refuses to run as root; its package brings a user.
fn as_postgres(program: &Path) -> Command {
    if !aire_lab::wan::is_root() {
        return quiet(program);
    }
    let mut command = quiet(Path::new("setpriv"));
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]).arg(program);
    command
}

/// A database server on `at`, with its files in `folder`.
fn postgres(programs: &Path, folder: &Path, at: SocketAddr) -> Background {
    fs::create_dir(folder).unwrap();
    if aire_lab::wan::is_root() {
        assert!(Command::new("chown").arg("postgres").arg(folder).status().unwrap().success());
    }
    let data = folder.join("data");
    let mut init = as_postgres(&programs.join("initdb"));
    init.args(["--auth=trust", "--username=postgres", "--no-sync", "-D"]).arg(&data).current_dir(folder);
    assert!(init.status().unwrap().success(), "initdb failed");
    let mut server = as_postgres(&programs.join("postgres"));
    server.arg("-D").arg(&data).arg("-k").arg(folder).args(["-h", &at.ip().to_string()]);
    server.args(["-p", &at.port().to_string(), "-F"]).current_dir(folder);
    let server = Background(server.spawn().unwrap());
    wait_for("the database", || std::net::TcpStream::connect(at).ok());
    server
}

/// The mesh: the authority's agent, one agent for each of three apps, and one whose programs call them.
struct Mesh {
    folder: tempfile::TempDir,
    seed: SocketAddr,
    agents: Vec<Agent>,
}

impl Mesh {
    fn create() -> Self {
        // The database's user must reach its own folder.
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o711);
        let folder = tempfile::Builder::new().permissions(mode).tempdir().unwrap();
        let dir = folder.path().join("prod").display().to_string();
        done(&["mesh", "create", "prod", "--dir", &dir]);
        let [seed, admin] = addresses();
        let mut mesh = Mesh { folder, seed, agents: Vec::new() };
        let permits: Vec<String> = ["web", "perf", "db"]
            .map(|app| {
                format!("permit(principal == App::\"client\", action == Action::\"connect\", resource == App::\"{app}\");")
            })
            .into();
        let policy = format!("{dir}/policy.cedar");
        let starter = fs::read_to_string(&policy).unwrap();
        fs::write(&policy, format!("{starter}\n{}\n", permits.join("\n"))).unwrap();
        mesh.run("hub", seed, admin, &["--authority", &dir]);
        mesh
    }

    fn run(&mut self, node: &str, listen: SocketAddr, admin: SocketAddr, arguments: &[&str]) {
        let path = |name: String| self.folder.path().join(name).display().to_string();
        let (listen, state, policy) =
            (listen.to_string(), path(format!("{node}.state")), path("prod/policy.cedar".to_owned()));
        let who = ["--node", node, "--listen", &listen, "--state", &state, "--policy", &policy];
        self.agents.push(Agent::start(admin, &[&who[..], arguments].concat()));
    }

    fn join(&mut self, node: &str, app: &str, arguments: &[&str]) {
        let dir = self.folder.path().join("prod").display().to_string();
        let token = done(&["mesh", "invite", "--dir", &dir, "--app", app, "--seed", &self.seed.to_string()]);
        let [listen, admin] = addresses();
        self.run(node, listen, admin, &[&["--join", token.trim()], arguments].concat());
    }
}

fn addresses<const N: usize>() -> [SocketAddr; N] {
    free_addresses(N).unwrap().try_into().unwrap()
}

/// Says so where the terminal of a test run shows it.
fn skipped(what: &str, package: &str) {
    let _ =
        writeln!(std::io::stderr(), "SKIPPED: {what} over a mesh: the Debian package {package} is missing");
}

fn succeeded(what: &str, output: &Output) -> String {
    assert!(output.status.success(), "{what}: {}\n{}", stdout(output), stderr(output));
    stdout(output)
}

fn run(program: &Path, arguments: &[&str]) -> Output {
    Command::new(program).args(arguments).stdin(Stdio::null()).output().unwrap()
}

#[test]
fn five_nodes_carry_curl_iperf3_and_psql_by_name() {
    let mut mesh = Mesh::create();
    let [perf, db, web_door, perf_door, db_door, proxy] = addresses();
    mesh.join("n1", "web", &["--app", &format!("web={}", service("200 OK", "it works"))]);
    mesh.join("n2", "perf", &["--app", &format!("perf={perf}")]);
    mesh.join("n3", "db", &["--app", &format!("db={db}")]);
    let doors =
        [("web", web_door), ("perf", perf_door), ("db", db_door)].map(|(app, at)| format!("{app}={at}"));
    let client = ["--to", &doors[0], "--to", &doors[1], "--to", &doors[2], "--socks", &proxy.to_string()];
    mesh.join("n4", "client", &[&["--app", "client=127.0.0.1:9"], &client[..]].concat());
    let client = mesh.agents.last().unwrap();
    wait_for("knowledge of all apps", || {
        let apps = client.ask(&["apps"]);
        ["web", "perf", "db"].iter().all(|app| apps.contains(app)).then_some(())
    });

    match found("curl") {
        None => skipped("curl", "curl"),
        Some(curl) => {
            let flags = ["--silent", "--show-error", "--fail", "--max-time", "20"];
            let by_port = run(&curl, &[&flags[..], &[&format!("http://{web_door}/")]].concat());
            assert_eq!(succeeded("curl", &by_port), "it works");
            let proxy = proxy.to_string();
            let by_name = ["--socks5-hostname", &proxy, "http://web.mesh/"];
            assert_eq!(succeeded("curl", &run(&curl, &[&flags[..], &by_name].concat())), "it works");
            let by_connect = ["--proxytunnel", "--proxy", &proxy, "http://web.mesh/"];
            assert_eq!(succeeded("curl", &run(&curl, &[&flags[..], &by_connect].concat())), "it works");
        }
    }
    match found("iperf3") {
        None => skipped("iperf3", "iperf3"),
        Some(iperf3) => carry_iperf3(&iperf3, perf, perf_door),
    }
    match (found("psql"), postgres_programs()) {
        (Some(psql), Some(programs)) => {
            let _server = postgres(&programs, &mesh.folder.path().join("db"), db);
            let (host, port) = (db_door.ip().to_string(), db_door.port().to_string());
            let sum = "select sum(n) from generate_series(1, 100000) as n";
            let asked = ["-h", &host, "-p", &port, "-U", "postgres", "-Atc", sum];
            assert_eq!(succeeded("psql", &run(&psql, &asked)).trim(), "5000050000");
        }
        _ => skipped("psql", "postgresql"),
    }
}

/// Both directions, several connections at once.
fn carry_iperf3(iperf3: &Path, at: SocketAddr, door: SocketAddr) {
    let (ip, port) = (at.ip().to_string(), at.port().to_string());
    let server = quiet(iperf3).args(["-s", "-B", &ip, "-p", &port]).spawn().unwrap();
    let _server = Background(server);
    wait_for("iperf3's server", || std::net::TcpStream::connect(at).ok());
    let (ip, port) = (door.ip().to_string(), door.port().to_string());
    for direction in [&[][..], &["-R"]] {
        let call = ["-c", &ip, "-p", &port, "-t", "2", "-P", "2", "--json"];
        let answer = succeeded("iperf3", &run(iperf3, &[&call[..], direction].concat()));
        let report: serde_json::Value = serde_json::from_str(&answer).unwrap();
        let rate = report["end"]["sum_received"]["bits_per_second"].as_f64().unwrap();
        assert!(rate > 1e6, "{rate} bit/s");
    }
}
