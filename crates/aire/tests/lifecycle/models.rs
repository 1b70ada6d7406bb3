//! Learned models under a running agent.

use std::fs;
use std::path::Path;
use std::time::Duration;

use aire_brain::model::Artefact;
use aire_trace::{Delays, Limits, Observation, Origin, Packets, Record, Store, Transfer};
use aire_train::learn::SigningKey;
use aire_types::{NodeName, Path as Way, Random};

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

/// Round trips between `a`, an app `b` and two relays, milliseconds: direct is slow, `r1` halves it, `r2` does not.
const ROUND_TRIPS: [(&str, &str, f64); 5] =
    [("a", "b", 120.0), ("a", "r1", 20.0), ("r1", "b", 40.0), ("a", "r2", 40.0), ("r2", "b", 90.0)];

/// What agents would have recorded in `spans` spans of two seconds, each in a folder of its own.
fn record(dir: &str, spans: u64) {
    let mut random = Random::new(7);
    let node = |name: &str| NodeName::new(name).unwrap();
    let limits = Limits { bytes: 1 << 24, age: Duration::from_secs(1 << 30) };
    for who in ["a", "r1", "r2"] {
        let mut records = Vec::new();
        for at in 0..spans {
            for (from, to, ms) in ROUND_TRIPS.into_iter().filter(|(from, ..)| *from == who) {
                let us = ((ms + 4.0 * random.unit()) * 1000.0) as u32;
                let delays =
                    Delays { count: 3, mean_us: us, min_us: us, median_us: us, p90_us: us, max_us: us };
                records.push(Record::Observation(Observation {
                    at_ms: 1_700_000_000_000 + at * 2000,
                    span_ms: 2000,
                    from: node(from),
                    to: node(to),
                    path: Way::DIRECT,
                    origin: Origin::Link,
                    delays: Some(delays),
                    missed: 0,
                    missed_us: 0,
                    packets: Packets::default(),
                    transfer: Transfer::default(),
                    load: None,
                }));
            }
        }
        let folder = Path::new(dir).join(who).join("history");
        let mut store = Store::new(folder, node(who), Duration::from_secs(2), limits);
        store.append(1_700_000_000_000, &records).unwrap();
    }
}

/// The commands of docs/operations.md, in their order: from recorded history to an agent that decides by what was learned.
#[test]
fn an_operator_trains_on_recorded_history_and_a_running_agent_takes_the_model() {
    let mesh = Mesh::new();
    let (histories, key) = (mesh.path("histories"), mesh.path("mesh.key"));
    let (new, file) = (mesh.path("new.model"), mesh.path("mesh.model"));
    let done = |words: &[&str]| {
        let output = aire(words);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{words:?}: {told}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let trusted = done(&["model", "key", &key]).trim().to_owned();
    assert_eq!((trusted.len(), done(&["model", "key", &key]).trim()), (64, trusted.as_str()));
    let config = format!("model = {{ file = '{file}', trust = ['{trusted}'] }}");
    let [_hub, _server, client] = mesh.trio(echo_service(), "", &config);
    let mut running = client.connect();
    assert_eq!(model(&client)["active"], false);

    record(&histories, 8);
    let short = ["train", "--from", &histories, "--out", &new, "--key", &key];
    let output = aire(&short);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && told.contains("record for 1 min more"), "{told}");
    assert!(told.lines().count() == 1 && !Path::new(&new).exists(), "{told}");

    fs::remove_dir_all(&histories).unwrap();
    record(&histories, 120);
    // fewer questions and passes than by default, for the time of the test
    let quick = ["--synthetic", "0", "--questions", "2000", "--epochs", "4"];
    let said = done(&[&short[..], &quick].concat());
    assert!(said.contains(&trusted) && said.contains("kept key"), "{said}");
    let shown = done(&["model", "show", &new]);
    assert!(shown.contains("model new") && shown.contains("history of 4 nodes") && shown.contains(&trusted));
    fs::write(mesh.path("aire.toml"), &config).unwrap();
    let state = mesh.path("other.state");
    let checked =
        aire(&["run", "--check", "--model", &new, "--config", &mesh.path("aire.toml"), "--state", &state]);
    let checked = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(checked.contains("'new' can be loaded"), "{checked}");

    fs::rename(&new, &file).unwrap();
    wait_for("the model", || (model(&client)["name"] == "new").then_some(()));
    assert!(model(&client)["refused"].is_null());
    echo(&mut running, b"over the swap").unwrap();
    // Whoever decides, it is said: the model, or the rule and why.
    wait_for("a decision", || {
        let now = model(&client);
        let fallbacks = now["fallbacks"].as_object().is_some_and(|reasons| !reasons.is_empty());
        (now["decisions"].as_u64()? > 0 || fallbacks).then_some(())
    });
}

/// The model in the repository is of the format that this version reads, and sound.
#[test]
fn the_shipped_model_can_be_loaded_and_tells_who_signed_it() {
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/aire-1.model");
    let output = aire(&["model", "show", shipped]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let signer = said.lines().find_map(|line| line.strip_prefix("signed by ")).unwrap();
    let mesh = Mesh::new();
    let config = format!("model = {{ file = '{shipped}', trust = ['{signer}'] }}");
    fs::write(mesh.path("aire.toml"), config).unwrap();
    let state = mesh.path("other.state");
    let checked = aire(&["run", "--check", "--config", &mesh.path("aire.toml"), "--state", &state]);
    let checked = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(checked.contains("'aire-1' can be loaded"), "{checked}");
}
