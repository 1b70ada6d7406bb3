//! Agents in this process follow their scouts, unless they are told not to.
#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

mod mesh;

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;

use crate::mesh::{Mesh, PATIENCE, free, get};

/// A document of an agent; null before it listens.
async fn document(admin: SocketAddr, what: &str) -> Value {
    get(admin, what).await.and_then(|body| serde_json::from_str(&body).ok()).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scouts_say_what_they_expect_and_an_agent_can_do_without() {
    let mesh = Mesh::new();
    mesh.start("hub", mesh.hub, &format!("authority = '{}'\n", mesh.dir.path().join("mesh").display()));
    let app =
        |name: &str| format!("join = '{}'\n[app]\nname = '{name}'\ntarget = '{}'\n", mesh.join(name), free());
    let server = mesh.start("server", free(), &(app("echo") + "[model]\nenabled = false\n"));
    let to = format!("[[to]]\napp = 'echo'\nlisten = '{}'\n", free());
    let client = mesh.start("client", free(), &(app("client") + &to));
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
