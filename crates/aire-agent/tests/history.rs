//! Agents in this process record what they measure and choose.
#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

mod mesh;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use aire_trace::{Choice, Observation, Origin, Record, Segment};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::mesh::{Mesh, PATIENCE, free, get};

const SPAN: Duration = Duration::from_secs(1);

fn history_of(mesh: &Mesh, node: &str) -> PathBuf {
    mesh.dir.path().join(node).join("history")
}

/// All that a node recorded.
fn recorded(history: &Path, node: &str) -> (Vec<Observation>, Vec<Choice>) {
    let (mut observations, mut choices) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(history).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "trace") {
            continue;
        }
        let segment = Segment::read(&fs::read(path).unwrap()).unwrap();
        assert!(segment.skipped == 0 && (segment.torn || segment.node == node));
        for record in segment.records {
            match record {
                Record::Observation(observation) => observations.push(observation),
                Record::Choice(choice) => choices.push(choice),
            }
        }
    }
    (observations, choices)
}

async fn echo_service() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut read, mut write) = stream.split();
                let _ = tokio::io::copy(&mut read, &mut write).await;
            });
        }
    });
    address
}

/// A connection through the mesh, once a byte came back.
async fn connect(door: SocketAddr) -> TcpStream {
    loop {
        if let Ok(mut stream) = TcpStream::connect(door).await
            && stream.write_all(b"?").await.is_ok()
            && stream.read_exact(&mut [0]).await.is_ok()
        {
            return stream;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agents_record_what_they_measure_and_choose() {
    let mesh = Mesh::new();
    let authority = mesh.dir.path().join("mesh");
    let silent = format!("authority = '{}'\n[history]\nenabled = false\n", authority.display());
    mesh.start("hub", mesh.hub, &silent);
    let (target, door) = (echo_service().await, free());
    let server = format!("join = '{}'\n[app]\nname = 'echo'\ntarget = '{target}'\n", mesh.join("echo"));
    mesh.start("server", free(), &server);
    let client = format!(
        "join = '{}'\n[history]\nspan_s = 1\n[app]\nname = 'client'\ntarget = '{target}'\n[[to]]\napp = 'echo'\nlisten = '{door}'\n",
        mesh.join("client")
    );
    mesh.start("client", free(), &client);
    let history = history_of(&mesh, "client");
    let wanted = [(Origin::Probe, 0), (Origin::Probe, 1), (Origin::Payload, 0), (Origin::Link, 0)];
    let all = async {
        let stream = connect(door).await;
        let (mut read, mut write) = stream.into_split();
        // Whether the path or this machine sets the pace, sooner or later the path does for a moment.
        let bulk = tokio::spawn(async move { while write.write_all(&[7; 1 << 16]).await.is_ok() {} });
        let back = tokio::spawn(async move { tokio::io::copy(&mut read, &mut tokio::io::sink()).await });
        loop {
            let (observations, choices) = recorded(&history, "client");
            let find = |&(origin, relays): &(Origin, usize)| {
                let fits = |it: &&Observation| it.origin == origin && it.path.relays().len() == relays;
                observations.iter().find(|it| fits(it) && it.delays.is_some() && it.packets.sent > 0).cloned()
            };
            let found: Vec<Observation> = wanted.iter().filter_map(find).collect();
            let carried = observations.iter().filter_map(|it| it.transfer.mbps()).fold(0.0, f64::max);
            if found.len() == wanted.len() && !choices.is_empty() && carried > 0.0 {
                bulk.abort();
                back.abort();
                return (found, choices);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let (found, choices) = tokio::time::timeout(PATIENCE, all).await.expect("records of every origin");
    for it in &found {
        let delays = it.delays.unwrap();
        assert!(delays.count > 0 && delays.min_us <= delays.median_us && delays.median_us <= delays.max_us);
        assert!(it.from.as_str() == "client" && it.span_ms >= 500 && it.load.is_some());
        if it.origin == Origin::Probe {
            assert_eq!(it.packets.sent, u64::from(delays.count + it.missed), "{it:?}");
            assert_eq!(it.packets.lost, u64::from(it.missed), "{it:?}");
        }
    }
    assert_eq!((found[1].path.relays()[0].as_str(), found[1].to.as_str()), ("hub", "server"));
    let chosen = &choices[0];
    assert_eq!((chosen.app.as_str(), chosen.to.as_str()), ("echo", "server"));
    assert!(chosen.propensity > 0.0 && chosen.candidates > 0 && !chosen.by.is_empty());
    assert!(history.join("trace.toml").exists());
    assert!(!history_of(&mesh, "hub").exists(), "it was told to record nothing");
}

/// How many events of this kind an agent told.
async fn told(admin: SocketAddr, kind: &str) -> usize {
    // Before it listens there is nothing to hear.
    get(admin, "events").await.map_or(0, |answer| answer.matches(&format!("\"kind\":\"{kind}\"")).count())
}

/// Looks until `look` is satisfied.
async fn until(what: &str, mut look: impl AsyncFnMut() -> bool) {
    let looking = async {
        while !look().await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, looking).await.unwrap_or_else(|_| panic!("{what} did not come about"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_history_that_cannot_be_written_costs_one_event() {
    let mesh = Mesh::new();
    let span = "[history]\nspan_s = 1\n";
    let authority = mesh.dir.path().join("mesh");
    let admin = mesh.start("hub", mesh.hub, &format!("authority = '{}'\n{span}", authority.display()));
    mesh.start(
        "other",
        free(),
        &format!("join = '{}'\n[app]\nname = 'echo'\ntarget = '{}'\n", mesh.join("echo"), free()),
    );
    let history = history_of(&mesh, "hub");
    let records = || recorded(&history, "hub").0.len();
    until("a record of the link", async || records() > 0).await;
    // The agent may write meanwhile.
    let in_the_way = || fs::remove_dir_all(&history).and_then(|()| fs::write(&history, "in the way"));
    until("a file in place of the folder", async || in_the_way().is_ok() || history.is_file()).await;
    until("an event", async || told(admin, "history-failed").await == 1).await;
    // Before the next one that can succeed several more fail, and are not told.
    let since = Instant::now();
    until("some more spans", async || since.elapsed() > 2 * SPAN).await;
    fs::remove_file(&history).unwrap();
    until("its return", async || told(admin, "history-resumed").await == 1).await;
    until("a record", async || records() > 0).await;
    assert_eq!(told(admin, "history-failed").await, 1);
}
