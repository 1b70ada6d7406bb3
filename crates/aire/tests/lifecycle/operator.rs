//! `aire doctor`, `aire run --check` and `aire bundle` with real agents.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use serde_json::Value;

use crate::stage::{Agent, Mesh, aire, done, echo_service, joining, wait_for};

/// What the doctor says, by check; the worst of each.
fn findings(json: &str) -> BTreeMap<String, (String, String)> {
    let document: Value = serde_json::from_str(json).unwrap();
    let mut all = BTreeMap::new();
    for finding in document["findings"].as_array().unwrap() {
        let text = |key: &str| finding[key].as_str().unwrap_or_default().to_owned();
        let known = all.entry(text("check")).or_insert((text("verdict"), text("says")));
        if finding["verdict"] == "fail" {
            *known = (text("verdict"), text("says"));
        }
    }
    all
}

fn doctor(arguments: &[&str]) -> (Option<i32>, BTreeMap<String, (String, String)>) {
    let output = aire(&[&["doctor", "--json"], arguments].concat());
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(!said.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    (output.status.code(), findings(&said))
}

/// Every file below a folder with its content.
fn snapshot(folder: &str) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    let mut folders = vec![PathBuf::from(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            match entry.file_type().unwrap().is_dir() {
                true => folders.push(entry.path()),
                false => drop(all.insert(entry.path(), fs::read(entry.path()).unwrap())),
            }
        }
    }
    all
}

/// A door to `to` for TCP alone, as a firewall that drops UDP leaves it.
fn tcp_only(to: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let Ok(onwards) = TcpStream::connect(to) else { continue };
            for (mut from, mut to) in
                [(stream.try_clone().unwrap(), onwards.try_clone().unwrap()), (onwards, stream)]
            {
                std::thread::spawn(move || {
                    let _ = io::copy(&mut from, &mut to);
                    let _ = to.shutdown(std::net::Shutdown::Write);
                });
            }
        }
    });
    address
}

#[test]
fn the_doctor_says_what_works_and_what_does_not() {
    let mesh = Mesh::new();
    let mut hub = mesh.hub("");
    let mut server = mesh.server("server", echo_service(), "");
    [&mut hub, &mut server].into_iter().for_each(Agent::ready);
    let admin = server.admin.to_string();
    let config = mesh.path("server.toml");
    wait_for("knowledge of the authority", || {
        let (code, found) = doctor(&["--admin", &admin]);
        (code == Some(0) && found["authority"].0 == "ok").then_some(())
    });
    let (_, found) = doctor(&["--admin", &admin]);
    for check in
        ["policy", "state", "certificate", "listen", "target", "links", "udp", "clock", "nat", "seed"]
    {
        assert_eq!(found[check].0, "ok", "{check}: {}", found[check].1);
    }

    // Without its agent.
    server.kill();
    let before = snapshot(&mesh.path("server.state"));
    let (code, found) = doctor(&["--config", &config]);
    assert_eq!(code, Some(0), "{found:?}");
    for check in [
        "policy",
        "state",
        "certificate",
        "listen",
        "admin",
        "target",
        "seed",
        "udp",
        "clock",
        "nat",
        "authority",
    ] {
        assert_eq!(found[check].0, "ok", "{check}: {}", found[check].1);
    }
    assert!(found["seed"].1.contains("over QUIC and TCP"), "{}", found["seed"].1);
    // UDP is dropped on the way to this seed.
    fs::remove_file(mesh.path("server.state/seeds")).unwrap();
    let door = tcp_only(hub.listen).to_string();
    let (code, found) = doctor(&["--config", &config, "--seed", &door]);
    assert_eq!((code, found["udp"].0.as_str()), (Some(0), "warn"), "{found:?}");
    assert_eq!((found["clock"].0.as_str(), found["nat"].0.as_str()), ("not-checked", "not-checked"));
    fs::write(mesh.path("server.state/seeds"), hub.listen.to_string()).unwrap();
    assert_eq!(snapshot(&mesh.path("server.state")), before, "nothing was changed");

    // A seed where nobody is, an app that does not answer, a policy that is none.
    let nobody = aire_lab::emulate::free_addresses(2).unwrap();
    mesh.set_policy("permit(");
    let (seed, app) = (nobody[0].to_string(), format!("echo={}", nobody[1]));
    let (code, found) = doctor(&["--config", &config, "--seed", &seed, "--app", &app]);
    assert_eq!(code, Some(1));
    for check in ["policy", "target", "seed"] {
        assert_eq!(found[check].0, "fail", "{check}: {}", found[check].1);
    }
    mesh.set_policy("");

    only_a_token(&mesh);
}

/// A node that has nothing but a token looks, and joins afterwards.
fn only_a_token(mesh: &Mesh) {
    let token = mesh.token(&["--relay"]);
    let state = mesh.path("new.state");
    let new = joining("new", &state, &token);
    let (code, found) = doctor(&new);
    assert_eq!(code, Some(0), "{found:?}");
    for (check, verdict) in
        [("token", "ok"), ("seed", "ok"), ("udp", "ok"), ("authority", "ok"), ("clock", "not-checked")]
    {
        assert_eq!(found[check].0, verdict, "{check}: {}", found[check].1);
    }
    assert!(!Path::new(&state).exists(), "nothing was made");
    let output = aire(&[&["run", "--check"], &new[..]].concat());
    assert_eq!(output.status.code(), Some(0));
    assert!(String::from_utf8(output.stdout).unwrap().contains("new would join mesh prod"));
    assert!(!Path::new(&state).exists(), "nothing was made");
    // The token was not spent by looking.
    let admin = aire_lab::emulate::free_addresses(1).unwrap()[0];
    let mut joined = Agent::command(mesh, "new", admin, &["--state", &state, "--join", &token]);
    joined.ready();
}

/// The secrets of a PEM file or a token: the bytes that nobody may see.
fn pem_body(path: &str) -> Vec<u8> {
    let text = fs::read_to_string(path).unwrap();
    let body: String = text.lines().filter(|line| !line.starts_with("-----")).collect();
    STANDARD.decode(body).unwrap()
}

fn contains(all: &[u8], part: &[u8]) -> bool {
    all.windows(part.len()).any(|window| window == part)
}

#[test]
fn a_bundle_has_everything_but_secrets() {
    let mesh = Mesh::new();
    let mut hub = mesh.hub("");
    let token = mesh.token(&["--app", "echo", "--uses", "2"]);
    let mut server = mesh.server("server", echo_service(), &format!("join = '{token}'\n"));
    [&mut hub, &mut server].into_iter().for_each(Agent::ready);
    let mut files = Vec::new();
    for (agent, node) in [(&server, "server"), (&hub, "hub")] {
        let (out, admin) = (mesh.path(&format!("{node}.tar.gz")), agent.admin.to_string());
        let config = mesh.path(&format!("{node}.toml"));
        done(&["bundle", "--admin", &admin, "--config", &config, "--out", &out]);
        files.extend(unpacked(&out));
        // It is never written over something.
        assert_eq!(aire(&["bundle", "--admin", &admin, "--out", &out]).status.code(), Some(1));
    }
    for name in [
        "version.txt",
        "system.txt",
        "status.json",
        "peers.json",
        "events.jsonl",
        "metrics.txt",
        "config.toml",
        "config.json",
        "doctor.json",
        "log.txt",
    ] {
        let found = files.iter().find(|(path, _)| path.ends_with(name));
        assert!(found.is_some_and(|(_, text)| !text.is_empty()), "there is no {name}");
    }
    let log = files.iter().find(|(path, _)| path.ends_with("log.txt")).unwrap();
    assert!(String::from_utf8_lossy(&log.1).contains("started"));

    let body = token.split_once('.').unwrap().1;
    let content = URL_SAFE_NO_PAD.decode(body).unwrap();
    let secret: Value = serde_json::from_slice(&content[..content.len() - 6]).unwrap();
    let secret = URL_SAFE_NO_PAD.decode(secret["secret"].as_str().unwrap()).unwrap();
    let mut secrets = vec![token.clone().into_bytes(), body.into(), secret];
    for key in ["mesh/ca.key", "hub.state/node.key", "server.state/node.key"] {
        let der = pem_body(&mesh.path(key));
        // The private scalar of a P-256 key in PKCS#8 (RFC 5915), which is what is secret in it.
        let at = der.windows(2).position(|pair| pair == [0x04, 0x20]).unwrap() + 2;
        secrets.push(der[at..at + 32].to_vec());
        secrets.push(der);
    }
    let all: Vec<u8> = files.into_iter().flat_map(|(_, bytes)| bytes).collect();
    for secret in secrets {
        let base64 =
            [STANDARD.encode(&secret), STANDARD_NO_PAD.encode(&secret), URL_SAFE_NO_PAD.encode(&secret)];
        let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
        let forms = [secret.clone(), hex.to_uppercase().into(), hex.into()].into_iter();
        for form in forms.chain(base64.into_iter().map(String::into_bytes)) {
            assert!(!contains(&all, &form), "a secret is in the bundle");
        }
    }

    // Without an agent there is less, and it says so.
    server.kill();
    let (out, config) = (mesh.path("alone.tar.gz"), mesh.path("server.toml"));
    done(&["bundle", "--config", &config, "--out", &out]);
    let names: Vec<String> = unpacked(&out).into_iter().map(|(path, _)| path).collect();
    for name in ["config.toml", "doctor.json", "missing.txt"] {
        assert!(names.iter().any(|path| path.ends_with(name)), "{name} is not in {names:?}");
    }
}

fn unpacked(path: &str) -> Vec<(String, Vec<u8>)> {
    let file = fs::File::open(path).unwrap();
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(file));
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().display().to_string();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        (path, bytes)
    });
    entries.collect()
}
