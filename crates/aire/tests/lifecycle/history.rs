//! What agents record of what they measure and decide.

use std::fs;
use std::path::{Path, PathBuf};

use aire_trace::{Choice, Observation, Origin, Record, Segment};
use serde_json::Value;

use crate::stage::{Agent, Mesh, echo, echo_service, wait_for};

const EVERY_SECOND: &str = "[history]\nspan_s = 1\n";

fn segments(history: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(history).into_iter().flatten();
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut segments: Vec<_> = paths.filter(|path| path.extension().is_some_and(|e| e == "trace")).collect();
    segments.sort();
    segments
}

/// All that a node recorded.
fn recorded(history: &Path, node: &str) -> (Vec<Observation>, Vec<Choice>) {
    let (mut observations, mut choices) = (Vec::new(), Vec::new());
    for file in segments(history) {
        let segment = Segment::read(&fs::read(file).unwrap()).unwrap();
        assert_eq!((segment.node.as_str(), segment.skipped), (node, 0));
        for record in segment.records {
            match record {
                Record::Observation(observation) => observations.push(observation),
                Record::Choice(choice) => choices.push(choice),
            }
        }
    }
    (observations, choices)
}

fn told(agent: &Agent, kind: &str) -> usize {
    let events = agent.document("/api/v1/events");
    let list = events.as_array().cloned().or_else(|| events["events"].as_array().cloned()).unwrap();
    list.iter().filter(|event: &&Value| event["kind"] == kind).count()
}

#[test]
fn agents_record_what_they_measure_and_choose_and_go_on_after_a_kill() {
    let mesh = Mesh::new();
    let [_hub, _server, mut client] = mesh.trio(echo_service(), "[history]\nenabled = false\n", EVERY_SECOND);
    let mut stream = client.connect();
    let history = Path::new(&mesh.path("client.state")).join("history");
    let seen = |origin: Origin, relays: usize| {
        let (observations, _) = recorded(&history, "client");
        observations
            .into_iter()
            .find(|it| it.origin == origin && it.path.relays().len() == relays && it.delays.is_some())
    };
    for (origin, relays) in [(Origin::Probe, 0), (Origin::Probe, 1), (Origin::Payload, 0), (Origin::Link, 0)]
    {
        let (found, _) = wait_for(&format!("a record of {origin:?} over {relays} relays"), || {
            echo(&mut stream, b"payload").unwrap();
            seen(origin, relays)
        });
        let delays = found.delays.unwrap();
        assert!(delays.count > 0 && delays.min_us <= delays.median_us && delays.median_us <= delays.max_us);
        assert!((500..10_000).contains(&found.span_ms), "{found:?}");
        assert_eq!(found.from.as_str(), "client");
        assert!(relays == 0 || (found.path.relays()[0].as_str(), found.to.as_str()) == ("hub", "server"));
    }
    let (_, choices) = recorded(&history, "client");
    let chosen = choices.first().expect("the path of the first stream");
    assert_eq!((chosen.app.as_str(), chosen.to.as_str()), ("echo", "server"));
    assert!(chosen.propensity > 0.0 && chosen.candidates > 0 && !chosen.by.is_empty());
    assert!(!Path::new(&mesh.path("hub.state")).join("history").exists(), "it was told to record nothing");

    client.kill();
    let before = recorded(&history, "client").0;
    let last = segments(&history).pop().unwrap();
    fs::File::options()
        .append(true)
        .open(&last)
        .and_then(|mut file| std::io::Write::write_all(&mut file, b"torn"))
        .unwrap();
    client.start();
    client.ready();
    let (after, _) = wait_for("more records", || {
        let after = recorded(&history, "client").0;
        (after.len() > before.len()).then_some(after)
    });
    assert_eq!(after[..before.len()], before);
    assert!(history.join("trace.toml").exists());
}

#[test]
fn a_history_that_cannot_be_written_costs_one_event() {
    let mesh = Mesh::new();
    let mut hub = mesh.hub(EVERY_SECOND);
    hub.ready();
    let mut relay = mesh.relay("relay");
    relay.ready();
    let history = PathBuf::from(mesh.path("hub.state")).join("history");
    wait_for("a record of the link", || (!recorded(&history, "hub").0.is_empty()).then_some(()));
    fs::remove_dir_all(&history).unwrap();
    fs::write(&history, "in the way").unwrap();
    wait_for("an event", || (told(&hub, "history-failed") == 1).then_some(()));
    let links = || hub.document("/api/v1/status")["peers"].clone();
    assert_eq!(links().as_u64(), Some(1), "the agent goes on");
    fs::remove_file(&history).unwrap();
    wait_for("the history's return", || (told(&hub, "history-resumed") == 1).then_some(()));
    assert_eq!(told(&hub, "history-failed"), 1);
    wait_for("records", || (!recorded(&history, "hub").0.is_empty()).then_some(()));
}
