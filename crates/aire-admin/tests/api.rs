//! The API of a fake agent over real sockets.
#![allow(clippy::unwrap_used)]

mod agent;

use std::io::{BufRead, BufReader, Read, Write};
use std::time::Duration;

use agent::{Served, app};
use aire_admin::documents::{Event, Explanation, PingReport, Severity, Status};
use aire_admin::{News, ServerLimits};
use aire_types::{Path, Priority};
use serde_json::{Value, json};

fn start() -> Served {
    Served::start(ServerLimits::default())
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[track_caller]
fn has(value: &Value, fields: &str) {
    for field in fields.split(' ') {
        assert!(keys(value).contains(&field), "{field} is missing in {value}");
    }
}

#[test]
fn documents_have_the_fields_that_scripts_rely_on() {
    let served = start();
    let status = served.get("/api/v1/status").json();
    has(&status, "mesh node id role app ready peers streams bytes model");
    has(&status["streams"], "open total moved reset");
    has(&status["bytes"], "in out");
    has(&status["model"], "name active fallback_reason");
    let routes = served.get("/api/v1/routes").json();
    has(&routes[0], "app instance class path rtt_ms loss bandwidth_mbps risk cost reason candidates");
    assert_eq!(routes[0]["path"], json!(["n2"]));
    let streams = served.get("/api/v1/streams").json();
    has(&streams[0], "id app peer class path bytes_in bytes_out moves age_s");
    assert_eq!(streams[0]["path"], json!([]));
    let peers = served.get("/api/v1/peers").json();
    has(&peers[0], "node role app link rtt_ms addresses zone incarnation age_s draining");
    assert_eq!(peers[0]["link"], "quic");
    let apps = served.get("/api/v1/apps").json();
    has(&apps[0], "app instances");
    has(&apps[0]["instances"][0], "node path rtt_ms profile");
}

#[test]
fn what_the_command_line_reads_is_what_the_agent_said() {
    let served = start();
    assert_eq!(served.get("/api/v1/doctor").json()["findings"][0]["verdict"], "ok");
    assert_eq!(served.get("/api/v1/config").json()["node"], "n1");
    assert_eq!(served.get("/api/v1/log").status, 200);
    let status: Status = serde_json::from_str(&served.get("/api/v1/status").body).unwrap();
    assert_eq!((status.bytes.inward, status.bytes.outward, status.streams.total), (100, 200, 7));
    let explained: Explanation = serde_json::from_str(&served.get("/api/v1/explain/echo").body).unwrap();
    assert_eq!((explained.app, explained.routes.len()), (app("echo"), 1));
    let ping = |path| serde_json::from_str::<PingReport>(&served.get(path).body).unwrap().path;
    assert_eq!(ping("/api/v1/ping/echo"), Path::via(agent::node("n2")));
    let both = Path::new(vec![agent::node("a"), agent::node("b")]).unwrap();
    assert_eq!(ping("/api/v1/ping/echo?via=a,b"), both);
    assert_eq!(ping("/api/v1/ping/echo?via="), Path::DIRECT);
}

#[test]
fn every_failure_says_what_to_do() {
    let served = start();
    assert!(served.get("/nowhere").is_failure(404));
    assert!(served.get("/api/v1/explain/nobody").is_failure(404));
    assert!(served.get("/api/v1/explain/No%20Name").is_failure(400));
    assert!(served.get("/api/v1/explain/%ff").is_failure(400));
    assert!(served.get("/api/v1/ping/nobody").is_failure(404));
    assert!(served.get("/api/v1/ping/echo?via=a,a").is_failure(400));
    assert!(served.get("/api/v1/ping/echo?via=a,,b").is_failure(400));
    assert!(served.get("/api/v1/events?since=x").is_failure(400));
    assert!(served.get("/api/v1/profile").is_failure(404));
    assert!(served.change("POST", "/api/v1/status", "").is_failure(405));
    assert!(served.change("PUT", "/api/v1/profile", "{").is_failure(400));
}

#[test]
fn readiness_gives_the_reasons_until_there_are_none() {
    let served = start();
    let not_yet = served.get("/readyz");
    assert_eq!((not_yet.status, not_yet.body.as_str()), (503, "no link with any peer\n"));
    assert_eq!(served.get("/healthz").status, 200);
    served.fake.state.lock().ready = true;
    assert_eq!(served.get("/readyz").status, 200);
}

#[test]
fn an_agent_that_does_not_answer_is_not_waited_for() {
    let served = Served::start(ServerLimits { answer: Duration::from_millis(50), ..Default::default() });
    served.fake.state.lock().stuck = true;
    assert!(served.get("/api/v1/status").is_failure(503));
    assert!(served.get("/readyz").is_failure(503));
    assert!(served.get("/metrics").is_failure(503));
    assert_eq!(served.get("/healthz").status, 200);
}

#[test]
fn metrics_are_prometheus_text() {
    let served = start();
    served.events.record(News::new("path-left", Severity::Warning, "n2", "silent"));
    served.metrics.stalled(Duration::from_millis(300));
    served.metrics.denied("connect");
    let text = served.get("/metrics").body;
    for line in [
        r#"aire_agent{mesh="prod",node="n1",role="app",app="web",version="0.1.0"} 1"#,
        "aire_ready 0",
        "aire_streams_open 1",
        "aire_streams_total 7",
        r#"aire_app_bytes_total{direction="out"} 200"#,
        r#"aire_peer_rtt_seconds{peer="n2",link="quic"} 0.0305"#,
        r#"aire_route_rtt_seconds{app="echo",instance="n3",class="interactive",path="via n2"} 0.06"#,
        r#"aire_events_total{severity="warning"} 1"#,
        r#"aire_denied_total{action="connect"} 1"#,
        r#"aire_failover_stall_seconds_bucket{le="0.5"} 1"#,
        "aire_svid_expires_seconds 86000",
    ] {
        assert!(text.lines().any(|l| l == line), "{line} is missing in\n{text}");
    }
    assert_eq!(text.matches("# EOF").count(), 1);
    assert!(text.ends_with("# EOF\n"));
    for name in text.lines().filter(|l| !l.starts_with('#')) {
        assert!(name.starts_with("aire_"), "{name}");
    }
    let mut families: Vec<&str> = text.lines().filter_map(|l| l.strip_prefix("# TYPE ")).collect();
    let all = families.len();
    families.sort_unstable();
    families.dedup();
    assert_eq!(families.len(), all, "a metric is there twice");
}

#[test]
fn changes_reach_the_agent() {
    let served = start();
    let profile = r#"{"priority": 6, "class": "bulk", "destinations": {"db": 5}}"#;
    assert_eq!(served.change("PUT", "/api/v1/profile", profile).status, 204);
    assert_eq!(served.fake.state.lock().profile.as_ref().unwrap().priority, Priority::try_from(6).unwrap());
    assert_eq!(served.get("/api/v1/profile").json()["class"], "bulk");
    assert_eq!(served.change("PUT", "/api/v1/apps/echo/override", r#"{"pin": ["r1"]}"#).status, 204);
    assert_eq!(served.change("DELETE", "/api/v1/apps/echo/override", "").status, 204);
    let overrides = served.fake.state.lock().overrides.clone();
    let pinned = overrides[0].1.as_ref().unwrap().pin.clone();
    assert_eq!(pinned, Some(Path::via(agent::node("r1"))));
    assert_eq!(overrides[1], (app("echo"), None));
    assert_eq!(served.change("POST", "/api/v1/drain", "").status, 202);
    assert!(served.fake.state.lock().draining);
}

#[test]
fn wrong_changes_are_refused_with_the_reason() {
    let served = start();
    for (path, body, part) in [
        ("/api/v1/profile", r#"{"prioritee": 6}"#, "prioritee"),
        ("/api/v1/profile", r#"{"priority": 9}"#, "0 to 7"),
        ("/api/v1/profile", r#"{"needs": {"cpu": -1}}"#, "needs.cpu"),
        ("/api/v1/profile", r#"{"destinations": {"db": -1}}"#, "destinations.db"),
        ("/api/v1/apps/echo/override", r#"{"pin": ["a", "a"]}"#, "twice"),
        ("/api/v1/apps/echo/override", r#"{"pin": ["a"], "direct-only": true}"#, "direct-only"),
        ("/api/v1/apps/echo/override", r#"{"direct_only": true}"#, "direct_only"),
    ] {
        let answer = served.change("PUT", path, body);
        assert!(answer.is_failure(400), "{body}");
        assert!(answer.json()["error"].as_str().unwrap().contains(part), "{body}: {}", answer.body);
    }
    let large = format!(r#"{{"x": "{}"}}"#, "x".repeat(70_000));
    assert!(served.change("PUT", "/api/v1/profile", &large).is_failure(413));
    let state = served.fake.state.lock();
    assert!(state.profile.is_none() && state.overrides.is_empty());
}

#[test]
fn a_browser_cannot_be_used_against_the_agent() {
    let served = start();
    let json = "Content-Type: application/json\r\n";
    let put = |headers: &str| served.send("PUT", "/api/v1/profile", headers, "{}");
    assert!(put("").is_failure(415));
    assert!(put("Content-Type: text/plain\r\n").is_failure(415));
    assert!(put("Content-Type: application/x-www-form-urlencoded\r\n").is_failure(415));
    assert!(put(&format!("{json}Origin: http://evil.example\r\n")).is_failure(403));
    assert!(put(&format!("{json}Origin: null\r\n")).is_failure(403));
    assert!(put(&format!("{json}Sec-Fetch-Site: cross-site\r\n")).is_failure(403));
    assert!(served.send("POST", "/api/v1/drain", "", "").is_failure(415));
    assert!(served.send("DELETE", "/api/v1/apps/echo/override", "", "").is_failure(415));
    let state = served.fake.state.lock();
    assert!(state.profile.is_none() && !state.draining && state.overrides.is_empty());
    drop(state);
    assert_eq!(put("content-type: Application/JSON; charset=utf-8\r\n").status, 204);
}

#[test]
fn foreign_host_names_are_refused_on_loopback() {
    let served = start();
    let ask =
        |host: &str| served.raw(&format!("GET /api/v1/status HTTP/1.1\r\n{host}Connection: close\r\n\r\n"));
    for host in
        ["evil.example", "evil.example:80", "192.0.2.1", "localhost.evil.example", "[::1", "@127.0.0.1", ""]
    {
        assert!(ask(&format!("Host: {host}\r\n")).is_failure(403), "{host}");
    }
    assert!(ask("").is_failure(400));
    assert!(ask("Host: localhost\r\nHost: evil.example\r\n").is_failure(400));
    for host in ["localhost", "LOCALHOST:1234", "127.0.0.1", "127.1.2.3:80", "[::1]:80"] {
        assert_eq!(ask(&format!("Host: {host}\r\n")).status, 200, "{host}");
    }
    let everywhere = Served::start_at("0.0.0.0:0", ServerLimits::default());
    let answer =
        everywhere.raw("GET /api/v1/status HTTP/1.1\r\nHost: node.example\r\nConnection: close\r\n\r\n");
    assert_eq!(answer.status, 200);
}

#[test]
fn answers_are_hardened() {
    let served = start();
    for path in ["/", "/api/v1/status", "/nowhere"] {
        let head = served.get(path).head;
        for header in ["x-content-type-options: nosniff", "x-frame-options: deny", "cache-control: no-store"]
        {
            assert!(head.contains(header), "{path}: {head}");
        }
        assert!(!head.contains("access-control-"), "{path}: {head}");
    }
    assert!(served.get("/").body.contains("/api/v1/status"));
}

fn happen(served: &Served, what: &str) {
    served.events.record(News::new("test", Severity::Info, what, what).app(app("echo")));
}

#[test]
fn events_come_one_per_line_and_go_on_after_a_cursor() {
    let served = start();
    happen(&served, "first");
    happen(&served, "second");
    let answer = served.get("/api/v1/events");
    let events: Vec<Event> = answer.body.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(events.iter().map(|e| e.what.as_str()).collect::<Vec<_>>(), ["first", "second"]);
    has(
        &serde_json::from_str(answer.body.lines().next().unwrap()).unwrap(),
        "at kind severity who what peer app",
    );
    assert!(
        answer.head.contains("content-type: application/x-ndjson") && answer.head.contains("aire-missed: 0")
    );
    let rest = served.get(&format!("/api/v1/events?since={}", events[0].cursor)).body;
    assert_eq!(rest.lines().count(), 1);
    assert_eq!(served.get("/api/v1/events?since=99").body, "");
}

#[test]
fn followers_get_the_past_and_then_what_comes() {
    let served = start();
    happen(&served, "past");
    let mut socket = served.connect();
    write!(socket, "GET /api/v1/events?follow=true HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut lines = BufReader::new(socket).lines();
    let mut next = || loop {
        let line = lines.next().unwrap().unwrap();
        if let Ok(event) = serde_json::from_str::<Event>(&line) {
            return event;
        }
    };
    assert_eq!(next().what, "past");
    for number in 0..100 {
        happen(&served, &number.to_string());
        assert_eq!(next().what, number.to_string());
    }
}

#[test]
fn silent_clients_are_closed_and_do_not_take_all_places() {
    let limits = ServerLimits { connections: 2, head: Duration::from_millis(200), ..Default::default() };
    let served = Served::start(limits);
    let mut silent = [served.connect(), served.connect()];
    silent[1].write_all(b"GET / HTTP/1.1\r\nHos").unwrap();
    assert_eq!(served.get("/healthz").status, 200, "places come back");
    for socket in &mut silent {
        let mut rest = Vec::new();
        // Closed, with or without a last word.
        let _ = socket.read_to_end(&mut rest);
        assert!(!rest.starts_with(b"HTTP/1.1 200"));
    }
}
