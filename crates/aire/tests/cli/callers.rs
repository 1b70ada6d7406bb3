//! An application learns who calls it: the PROXY protocol, version 2, read by nginx and byte by byte.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use aire_lab::emulate::free_addresses;

use crate::stage::{Agent, done, get, wait_for};

const PERMIT: &str =
    r#"permit(principal == App::"client", action == Action::"connect", resource == App::"web");"#;

/// A program that runs in the background, ended with the test.
struct Background(Child);

impl Drop for Background {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The agent of `web`, which holds the authority, and that of its client.
struct Pair {
    _web: Agent,
    client: Agent,
    door: SocketAddr,
}

impl Pair {
    fn start(folder: &tempfile::TempDir, target: SocketAddr) -> Self {
        let path = |name: &str| folder.path().join(name).display().to_string();
        let addresses = free_addresses(5).unwrap();
        let [listen, admin, door, client_listen, client_admin] = addresses[..] else { panic!() };
        let (dir, policy) = (path("mesh"), path("mesh/policy.cedar"));
        done(&["mesh", "create", "prod", "--dir", &dir]);
        let starter = fs::read_to_string(&policy).unwrap();
        fs::write(&policy, format!("{starter}\n{PERMIT}\n")).unwrap();
        let (seed, state, app) = (listen.to_string(), path("web.state"), format!("web={target}"));
        let who = ["--node", "n1", "--listen", &seed, "--state", &state, "--authority", &dir];
        let serves = ["--app", &app, "--proxy-protocol", "v2", "--policy", &policy];
        let web = Agent::start(admin, &[&who[..], &serves].concat());
        let token = done(&["mesh", "invite", "--dir", &dir, "--app", "client", "--seed", &seed]);
        let (listen, state, to) = (client_listen.to_string(), path("client.state"), format!("web={door}"));
        let who = ["--node", "n2", "--listen", &listen, "--state", &state, "--join", token.trim()];
        let uses = ["--app", "client=127.0.0.1:9", "--to", &to, "--policy", &policy];
        let client = Agent::start(client_admin, &[&who[..], &uses].concat());
        wait_for("knowledge of the app", || client.ask(&["apps"]).contains("web").then_some(()));
        Pair { _web: web, client, door }
    }
}

/// Everything that the first connection brings, until nothing has come for a while or it ends.
fn first_bytes(listener: TcpListener) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut bytes = vec![0; 16];
        stream.read_exact(&mut bytes).unwrap();
        let length = usize::from(u16::from_be_bytes([bytes[14], bytes[15]]));
        bytes.resize(16 + length + 5, 0);
        stream.read_exact(&mut bytes[16..]).unwrap();
        bytes
    })
}

/// Type and value of each TLV.
fn tlvs(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut found = Vec::new();
    while let [kind, high, low, rest @ ..] = bytes {
        let (value, after) = rest.split_at(usize::from(u16::from_be_bytes([*high, *low])));
        found.push((*kind, value.to_vec()));
        bytes = after;
    }
    found
}

#[test]
fn an_app_reads_who_calls_before_anything_that_the_caller_sends() {
    let folder = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = listener.local_addr().unwrap();
    let received = first_bytes(listener);
    let pair = Pair::start(&folder, target);

    let mut call = TcpStream::connect(pair.door).unwrap();
    call.write_all(b"\r\n\r\n\0").unwrap();
    let id = wait_for("the stream", || {
        let streams: serde_json::Value =
            serde_json::from_str(&pair.client.ask(&["streams", "--json"])).unwrap();
        streams[0]["id"].as_str().map(str::to_owned)
    });
    let bytes = received.join().unwrap();
    let (header, sent) = bytes.split_at(bytes.len() - 5);
    assert_eq!(sent, b"\r\n\r\n\0", "what the caller sent comes after the header");
    assert_eq!(header[..14], *b"\r\n\r\n\0\r\nQUIT\n\x21\x11");
    let SocketAddr::V4(target) = target else { panic!("an IPv4 address") };
    assert_eq!(header[16..20], [127, 0, 0, 1], "the caller's machine");
    assert_eq!(header[20..28], [&target.ip().octets()[..], &[0, 0], &target.port().to_be_bytes()].concat());
    let caller = b"spiffe://prod/app/client/n2".to_vec();
    let tls = [&b"\x07\0\0\0\0\x21\0\x07TLSv1.3\x22\0\x1b"[..], &caller].concat();
    let expected = [(0x02, b"web.mesh".to_vec()), (0x05, id.into_bytes()), (0x20, tls), (0xE5, caller)];
    assert_eq!(tlvs(&header[28..]), expected);
}

fn nginx_program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = PathBuf::from("/usr/sbin");
    std::env::split_paths(&path).chain([usual]).map(|at| at.join("nginx")).find(|file| file.is_file())
}

#[test]
fn nginx_takes_the_callers_address_from_the_header() {
    let Some(program) = nginx_program() else {
        let text = "SKIPPED: an app that learns who calls: the Debian package nginx-light is missing";
        let _ = writeln!(std::io::stderr(), "{text}");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let at = free_addresses(1).unwrap()[0];
    let inside = |name: &str| folder.path().join(name).display().to_string();
    let config = format!(
        "daemon off; master_process off; pid {pid}; error_log {errors};\nevents {{}}\nhttp {{ access_log off; \
         client_body_temp_path {temporary}; proxy_temp_path {temporary}; fastcgi_temp_path {temporary}; \
         uwsgi_temp_path {temporary}; scgi_temp_path {temporary};\n\
         server {{ listen {at} proxy_protocol; \
         location / {{ return 200 \"from $proxy_protocol_addr to $proxy_protocol_server_port\"; }} }} }}\n",
        pid = inside("nginx.pid"),
        errors = inside("nginx.log"),
        temporary = inside("nginx.tmp"),
    );
    fs::write(inside("nginx.conf"), config).unwrap();
    let mut command = Command::new(program);
    command.args(["-p", &inside(""), "-c", &inside("nginx.conf"), "-e", &inside("nginx.log")]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let _nginx = Background(command.spawn().unwrap());
    wait_for("nginx", || TcpStream::connect(at).ok());

    let pair = Pair::start(&folder, at);
    let (_, answer) = wait_for("nginx's answer over the mesh", || {
        get(pair.door, "/").ok().filter(|(status, _)| *status == 200)
    });
    assert_eq!(answer, format!("from 127.0.0.1 to {}", at.port()));
}
