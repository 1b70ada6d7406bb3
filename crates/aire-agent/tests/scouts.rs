//! Agents in this process follow their scouts, unless they are told not to.
#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::{Duration, SystemTime};

use aire_admin::Log;
use aire_agent::{Config, RawConfig};
use aire_identity::{Authority, Scope};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const PERMIT: &str =
    r#"permit(principal == App::"client", action == Action::"connect", resource == App::"echo");"#;
const PATIENCE: Duration = Duration::from_secs(60);

/// An address that is free now.
fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Starts an agent in this process; gives the address of its admin API.
fn start(dir: &Path, node: &str, listen: SocketAddr, more: &str) -> SocketAddr {
    let admin = free();
    let path = |name: &str| dir.join(name).display().to_string();
    let text = format!(
        "node = '{node}'\nlisten = '{listen}'\nadmin = '{admin}'\nstate = '{}'\npolicy = ['{}']\nmulticast = false\n{more}",
        path(node),
        path("policy.cedar"),
    );
    let config = Config::resolve(RawConfig::parse(&text, "test.toml".as_ref()).unwrap()).unwrap();
    let name = node.to_owned();
    tokio::spawn(async move {
        if let Err(error) = aire_agent::run(config, Log::default()).await {
            panic!("{name}: {error}");
        }
    });
    admin
}

/// A document of an agent; null before it listens.
async fn document(admin: SocketAddr, what: &str) -> Value {
    let mut answer = String::new();
    let ask = async {
        let mut stream = TcpStream::connect(admin).await?;
        let request = format!("GET /api/v1/{what} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        stream.read_to_string(&mut answer).await
    };
    let body = ask.await.ok().and_then(|_| answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()));
    body.and_then(|body| serde_json::from_str(&body).ok()).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scouts_say_what_they_expect_and_an_agent_can_do_without() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("mesh");
    let authority = Authority::create(&folder, "prod".parse().unwrap(), SystemTime::now()).unwrap();
    fs::write(dir.path().join("policy.cedar"), format!("{}\n{PERMIT}", aire_policy::STARTER)).unwrap();
    let hub = free();
    let join = |app: &str| {
        let scope = Scope::App(app.parse().unwrap());
        let hour = Duration::from_secs(3600);
        authority.invite(scope, hour, 1, vec![hub.to_string()], SystemTime::now()).unwrap().reveal()
    };
    start(dir.path(), "hub", hub, &format!("authority = '{}'\n", folder.display()));
    let app =
        |name: &str| format!("join = '{}'\n[app]\nname = '{name}'\ntarget = '{}'\n", join(name), free());
    let server = start(dir.path(), "server", free(), &(app("echo") + "[model]\nenabled = false\n"));
    let to = format!("[[to]]\napp = 'echo'\nlisten = '{}'\n", free());
    let client = start(dir.path(), "client", free(), &(app("client") + &to));
    let expected = async {
        loop {
            let routes = document(client, "routes").await;
            let candidates = routes[0]["candidates"].as_array().cloned().unwrap_or_default();
            let relayed = candidates.iter().find(|candidate| candidate["path"] == serde_json::json!(["hub"]));
            if let Some(gain) = relayed.map(|candidate| &candidate["gain_ms"]).filter(|gain| !gain.is_null())
            {
                return gain.clone();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let gain = tokio::time::timeout(PATIENCE, expected).await.expect("a gain of the path over the hub");
    let figure = |name: &str| gain[name].as_f64().unwrap();
    assert!(figure("low") <= figure("mid") && figure("mid") <= figure("high"), "{gain}");
    let model = document(client, "status").await["model"].clone();
    assert_eq!(model["name"], "scouts", "{model}");
    assert!(
        model["guard"]["settled"].is_number() && !model["summary"].as_str().unwrap().is_empty(),
        "{model}"
    );
    let plain = document(server, "status").await["model"].clone();
    assert_eq!((&plain["name"], &plain["active"]), (&"rule".into(), &false.into()), "{plain}");
    assert!(plain["fallback_reason"].as_str().unwrap().contains("switched off"), "{plain}");
}
