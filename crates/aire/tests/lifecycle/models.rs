//! Learned models under a running agent.

use std::fs;
use std::path::Path;

use aire_brain::model::Artefact;
use aire_train::learn::SigningKey;

use crate::stage::{Agent, Mesh, aire, echo, echo_service, wait_for};

/// Replaces the file at once, as an operator should.
fn put(file: &str, bytes: &[u8]) {
    let new = format!("{file}.new");
    fs::write(&new, bytes).unwrap();
    fs::rename(new, file).unwrap();
}

fn sealed(mesh: &Mesh, key: &str, name: &str) -> (Vec<u8>, String) {
    let (key, _) = SigningKey::load_or_create(Path::new(&mesh.path(key))).unwrap();
    let shown = key.public_key().iter().map(|byte| format!("{byte:02x}")).collect();
    (key.seal(&Artefact::untrained(name).encode()), shown)
}

fn model(agent: &Agent) -> serde_json::Value {
    agent.document("/api/v1/status")["model"].clone()
}

#[test]
fn a_signed_model_is_swapped_in_under_streams_and_a_forged_one_is_refused() {
    let mesh = Mesh::new();
    let file = mesh.path("mesh.model");
    let (first, key) = sealed(&mesh, "ours.key", "first");
    let (second, _) = sealed(&mesh, "ours.key", "second");
    let (forged, _) = sealed(&mesh, "theirs.key", "forged");
    put(&file, &first);
    let config = format!("model = {{ file = '{file}', trust = ['{key}'] }}");
    let [_hub, _server, client] = mesh.trio(echo_service(), "", &config);
    let mut running = client.connect();
    let before = model(&client);
    assert_eq!((&before["name"], &before["active"]), (&"first".into(), &true.into()), "{before}");

    put(&file, &second);
    wait_for("the second model", || (model(&client)["name"] == "second").then_some(()));
    assert_eq!(model(&client)["swaps"], 1);
    echo(&mut running, b"over a swap").unwrap();

    put(&file, &forged);
    wait_for("the refusal", || model(&client)["refused"].as_str()?.contains("not trusted").then_some(()));
    assert_eq!(model(&client)["name"], "second", "the one in force stays");
    assert!(
        client.log().contains("kind=\"model-refused\"") && client.log().contains("kind=\"model-loaded\"")
    );
    let mut cut = second.clone();
    cut.truncate(second.len() - 1);
    put(&file, &cut);
    wait_for("the other refusal", || model(&client)["refused"].as_str()?.contains("signature").then_some(()));
    put(&file, &first);
    wait_for("the first model again", || {
        let now = model(&client);
        (now["name"] == "first" && now["refused"].is_null()).then_some(())
    });
    echo(&mut running, b"all the time").unwrap();
    let explained = client.document("/api/v1/explain/echo");
    assert_eq!(explained["routes"][0]["by"], "first", "{explained}");
}

#[test]
fn an_agent_without_a_sound_model_runs_with_the_rule_and_the_check_says_so() {
    let mesh = Mesh::new();
    let file = mesh.path("bad.model");
    fs::write(&file, "no model").unwrap();
    let mut hub = mesh.hub(&format!("model = {{ file = '{file}' }}"));
    hub.ready();
    let shown = model(&hub);
    assert_eq!((&shown["name"], &shown["active"]), (&"rule".into(), &false.into()));
    assert!(shown["fallback_reason"].as_str().unwrap().contains("not a signed model"), "{shown}");
    let state = mesh.path("other.state");
    let output = aire(&["run", "--check", "--node", "n", "--state", &state, "--model", &file]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.code() == Some(1) && said.contains("not a signed model"), "{said}");
}
