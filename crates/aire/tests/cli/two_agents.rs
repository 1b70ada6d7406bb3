//! Two agents of one mesh on this machine, set up as the README says.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use crate::stage::{Agent, done, get, get_over, service, text, wait_for};
use aire_lab::emulate::free_addresses;
use serde_json::Value;

const PERMIT: &str =
    r#"permit(principal == Node::"hub", action == Action::"connect", resource == App::"web");"#;

/// A connection through the proxy at `at` by SOCKS5 (RFC 1928).
fn socks(at: SocketAddr, name: &str) -> std::io::Result<TcpStream> {
    let mut stream = TcpStream::connect(at)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.write_all(&[5, 1, 0])?;
    let mut chosen = [0; 2];
    stream.read_exact(&mut chosen)?;
    assert_eq!(chosen, [5, 0]);
    let length = u8::try_from(name.len()).unwrap();
    stream.write_all(&[&[5, 1, 0, 3, length], name.as_bytes(), &[0, 80]].concat())?;
    let mut reply = [0; 10];
    stream.read_exact(&mut reply)?;
    if reply[1] == 0 { Ok(stream) } else { Err(std::io::Error::other(format!("SOCKS reply {}", reply[1]))) }
}

/// The same by HTTP CONNECT.
fn connect(at: SocketAddr, name: &str) -> std::io::Result<TcpStream> {
    let mut stream = TcpStream::connect(at)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(stream, "CONNECT {name}:80 HTTP/1.1\r\nHost: {name}:80\r\n\r\n")?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    if head.split(' ').nth(1) == Some("200") { Ok(stream) } else { Err(std::io::Error::other(head)) }
}

/// An agent that holds the authority and leads to the app, and one that runs the app.
struct Pair {
    hub: Agent,
    web: Agent,
    /// The local port that leads to the app.
    door: SocketAddr,
    proxy: SocketAddr,
    policy: PathBuf,
    _folder: tempfile::TempDir,
}

/// Sets the mesh up with its starter policy, until the hub knows the app.
fn set_up() -> Pair {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let addresses = free_addresses(6).unwrap();
    let [listen, admin, door, proxy, web_listen, web_admin] = addresses[..] else { panic!("six addresses") };

    let mesh = path("mesh");
    done(&["mesh", "create", "prod", "--dir", &mesh]);
    let starter = format!("{mesh}/policy.cedar");
    let (seed, to, proxy_at) = (listen.to_string(), format!("web={door}"), proxy.to_string());
    let state = path("hub.state");
    let who = ["--node", "hub", "--listen", &seed, "--state", &state, "--authority", &mesh];
    let serves = ["--to", &to, "--socks", &proxy_at, "--policy", &starter];
    let hub = Agent::start(admin, &[&who[..], &serves].concat());

    let token = done(&["mesh", "invite", "--dir", &mesh, "--app", "web", "--seed", &seed]);
    let policy = folder.path().join("web.cedar");
    fs::copy(&starter, &policy).unwrap();
    let (listen, state) = (web_listen.to_string(), path("web.state"));
    let target = format!("web={}", service("200 OK", "it works"));
    let who = ["--node", "n1", "--listen", &listen, "--state", &state, "--join", token.trim()];
    let serves = ["--app", &target, "--policy", text(&policy)];
    let web = Agent::start(web_admin, &[&who[..], &serves].concat());
    wait_for("knowledge of the app", || hub.ask(&["apps"]).contains("web").then_some(()));
    Pair { hub, web, door, proxy, policy, _folder: folder }
}

#[test]
fn an_app_is_reached_by_name_as_policy_allows() {
    let Pair { hub, web, door, proxy, policy, _folder } = set_up();

    // Nobody may connect yet, and it shows.
    assert!(get(door, "/").is_err());
    let denied = wait_for("a denial in the events", || {
        let events = web.ask(&["events", "--json"]);
        let mut events = events.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        events.find(|event| event["kind"] == "circuit-denied")
    });
    assert_eq!((&denied["who"], &denied["app"]), (&"hub".into(), &"web".into()));
    assert!(web.ask(&["events"]).contains(denied["what"].as_str().unwrap()));

    // The changed file is noticed.
    let starter = fs::read_to_string(&policy).unwrap();
    fs::write(&policy, format!("{starter}\n{PERMIT}\n")).unwrap();
    let works = Some((200, "it works".to_owned()));
    wait_for("an answer over the mesh", || {
        get(door, "/").ok().filter(|answer| Some(answer) == works.as_ref())
    });
    assert_eq!(socks(proxy, "web.mesh").and_then(|stream| get_over(stream, "/")).ok(), works);
    assert_eq!(connect(proxy, "web.mesh").and_then(|stream| get_over(stream, "/")).ok(), works);
    assert!(socks(proxy, "nobody.mesh").is_err());

    let status: Value = serde_json::from_str(&hub.ask(&["status", "--json"])).unwrap();
    assert_eq!(
        (&status["mesh"], &status["ready"], &status["peers"]),
        (&"prod".into(), &true.into(), &1.into())
    );
    assert!(hub.ask(&["peers"]).contains("n1"));
    let explained = hub.ask(&["explain", "web"]);
    assert!(explained.contains("web@n1 direct"), "{explained}");
    assert!(hub.ask(&["ping", "web"]).contains("5 of 5 answered"));
    let routes: Value = serde_json::from_str(&hub.ask(&["routes", "--json"])).unwrap();
    assert_eq!((&routes[0]["app"], &routes[0]["path"]), (&"web".into(), &Value::Array(Vec::new())));
}
