//! What the authority says to the whole mesh: policies, and who is out.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::stage::{
    Agent, Mesh, PERMIT, aire, done, echo, echo_service, is_reset, joining, read_out, socks_reply, try_echo,
    wait_for,
};

/// From the end of the command to the reset of a running stream.
const SOON: Duration = Duration::from_secs(1);

fn started() -> (Mesh, Agent, Agent, Agent) {
    let mesh = Mesh::new();
    let [hub, server, client] = mesh.trio(echo_service(), "", "");
    (mesh, hub, server, client)
}

fn mesh_command(mesh: &Mesh, words: &[&str]) -> String {
    let dir = mesh.path("mesh");
    done(&[&["mesh"], words, &["--dir", &dir]].concat())
}

fn publish(mesh: &Mesh, policy: &str) {
    let file = mesh.path("bundle.cedar");
    let starter = std::fs::read_to_string(mesh.path("mesh/policy.cedar")).unwrap();
    std::fs::write(&file, format!("{starter}\n{policy}\n")).unwrap();
    mesh_command(mesh, &["policy", "publish", &file]);
}

fn version(agent: &Agent, kind: &str) -> u64 {
    agent.document("/api/v1/status")["notices"][kind].as_u64().unwrap()
}

/// The stream ends by a reset within a second from now.
fn is_cut(running: &mut TcpStream, told: Instant) {
    let end = read_out(running);
    let took = told.elapsed();
    assert!(is_reset(&end), "a reset and not {end:?}");
    assert!(took < SOON, "cut after {took:?}");
    println!("cut after {took:?}");
}

#[test]
fn a_published_policy_reaches_all_and_both_must_permit() {
    let (mesh, hub, server, mut client) = started();
    let mut running = client.connect();
    publish(&mesh, PERMIT);
    for agent in [&hub, &server, &client] {
        wait_for("version 1", || (version(agent, "policy") == 1).then_some(()));
    }
    echo(&mut running, b"both permit").unwrap();

    publish(&mesh, "");
    let told = Instant::now();
    is_cut(&mut running, told);
    const NOT_ALLOWED: u8 = 2;
    assert_eq!(socks_reply(client.proxy).unwrap(), NOT_ALLOWED);
    assert!(server.log().contains("the mesh's bundle: no policy permits"), "{}", server.log());

    let said = mesh_command(&mesh, &["policy", "rollback"]);
    assert!(said.contains("policy 3") && said.contains("version 1"), "{said}");
    let mut running = wait_for("a permitted connection", || try_echo(client.door).ok()).0;
    let history = mesh_command(&mesh, &["policy", "history"]);
    assert_eq!(history.lines().count(), 4, "{history}");
    assert!(mesh_command(&mesh, &["policy", "show"]).contains(PERMIT));

    // The local files' word counts, too.
    mesh.set_policy("");
    let told = Instant::now();
    is_cut(&mut running, told);
    assert!(server.log().contains("this node's own policies: no policy permits"), "{}", server.log());
    mesh.set_policy(PERMIT);
    wait_for("a permitted connection", || try_echo(client.door).ok());

    mesh_command(&mesh, &["policy", "withdraw"]);
    wait_for("version 4", || (version(&client, "policy") == 4).then_some(()));
    client.kill();
    client.start();
    client.ready();
    assert_eq!(version(&client, "policy"), 4, "a restart forgets nothing");
    drop(client.connect());
}

#[test]
fn a_policy_with_a_fault_is_not_published() {
    let mesh = Mesh::new();
    let (dir, file) = (mesh.path("mesh"), mesh.path("bad.cedar"));
    std::fs::write(&file, "permit(principal, action == Action::\"conect\", resource);").unwrap();
    let output = aire(&["mesh", "policy", "publish", &file, "--dir", &dir]);
    assert_eq!(output.status.code(), Some(1));
    let (said, told) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("bad.cedar:1:") && told.contains("nothing was published"), "{said}{told}");
    assert!(mesh_command(&mesh, &["policy", "history"]).contains("no policy was published yet"));
    std::fs::write(&file, format!("{PERMIT}\n// {}\n", "long ".repeat(14_000))).unwrap();
    let output = aire(&["mesh", "policy", "publish", &file, "--dir", &dir]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && told.contains("a notice holds"), "{told}");
}

#[test]
fn a_revoked_node_is_cut_at_once_also_when_the_authority_dies_and_stays_out_after_restarts() {
    let (mesh, mut hub, mut server, mut client) = started();
    let mut running = client.connect();
    mesh_command(&mesh, &["revoke", "node/client", "--reason", "it was stolen"]);
    let told = Instant::now();
    wait_for("the authority's word at the server", || {
        server.log().contains("node/client was revoked: it was stolen").then_some(())
    });
    hub.kill();
    is_cut(&mut running, told);
    // It learns that itself.
    wait_for("the client's knowledge", || {
        let status = client.document("/api/v1/status");
        let told = status["revoked"].as_str()?.contains("it was stolen");
        (told && status["ready"] == false && status["peers"] == 0).then_some(())
    });
    assert!(try_echo(client.door).is_err());
    assert!(mesh_command(&mesh, &["revoked"]).contains("it was stolen"));

    // Without the authority, and with nothing but their own memory.
    for agent in [&mut server, &mut client] {
        agent.kill();
        agent.start();
    }
    wait_for("the server's start", || (server.log().matches("kind=\"started\"").count() == 2).then_some(()));
    assert_eq!(version(&server, "revocations"), 1, "a restart forgets nothing");
    assert!(try_echo(client.door).is_err());
    hub.start();
    [&mut hub, &mut server].into_iter().for_each(Agent::ready);
    assert_eq!(server.document("/api/v1/status")["peers"], 1, "the hub, and not the client");
    assert!(try_echo(client.door).is_err());

    mesh_command(&mesh, &["reinstate", "node/client"]);
    client.ready();
    drop(client.connect());
    assert_eq!(client.document("/api/v1/status")["revoked"], serde_json::Value::Null);
}

/// A relay, and a stream that goes over it as long as the order holds.
fn over_a_relay(mesh: &Mesh, client: &Agent, order: &str) -> (Agent, TcpStream) {
    let mut relay = mesh.relay("relay");
    relay.ready();
    wait_for("the relay at the client", || {
        let peers = client.document("/api/v1/peers");
        peers.as_array()?.iter().any(|row| row["node"] == "relay" && row["link"] != "none").then_some(())
    });
    let mut running = client.connect();
    client.put("/api/v1/apps/echo/override", order);
    wait_for("streams over the relay", || {
        echo(&mut running, b"on the way").unwrap();
        is_on_the_relay(client).then_some(())
    });
    (relay, running)
}

fn is_on_the_relay(client: &Agent) -> bool {
    let streams = client.document("/api/v1/streams");
    streams.as_array().unwrap().iter().any(|row| row["path"] == serde_json::json!(["relay"]))
}

/// The stream leaves the relay within a second, and goes on.
fn is_moved(running: &mut TcpStream, client: &Agent, told: Instant) {
    wait_for("another path", || {
        echo(running, b"on another way").unwrap();
        (!is_on_the_relay(client)).then_some(())
    });
    let took = told.elapsed();
    assert!(took < SOON, "moved after {took:?}");
    echo(running, b"for good").unwrap();
    println!("moved after {took:?}");
}

/// What the authority says of the relay moves streams elsewhere.
fn leaves_the_relay(says: impl FnOnce(&Mesh)) -> (Mesh, Agent) {
    let (mesh, _hub, _server, client) = started();
    let (relay, mut running) = over_a_relay(&mesh, &client, r#"{"prefer": ["relay"], "avoid": ["hub"]}"#);
    says(&mesh);
    is_moved(&mut running, &client, Instant::now());
    assert!(!client.log().contains("was reset"), "{}", client.log());
    (mesh, relay)
}

#[test]
fn streams_leave_a_relay_that_is_revoked() {
    let (_mesh, relay) = leaves_the_relay(|mesh| drop(mesh_command(mesh, &["revoke", "node/relay"])));
    wait_for("the relay's knowledge", || relay.document("/api/v1/status")["revoked"].as_str().map(drop));
}

#[test]
fn streams_leave_a_relay_that_a_policy_excludes() {
    let excluded = r#"forbid(principal, action == Action::"relay", resource == Node::"relay");"#;
    leaves_the_relay(|mesh| publish(mesh, &format!("{PERMIT}\n{excluded}")));
}

#[test]
fn a_revoked_app_loses_its_streams_and_its_circuits() {
    let (mesh, hub, server, client) = started();
    let (_relay, mut running) = over_a_relay(&mesh, &client, r#"{"pin": ["relay"]}"#);
    mesh_command(&mesh, &["revoke", "app/echo"]);
    let told = Instant::now();
    is_cut(&mut running, told);
    wait_for("the server's knowledge", || server.document("/api/v1/status")["revoked"].as_str().map(drop));
    wait_for("the server's record gone", || {
        let peers = client.document("/api/v1/peers");
        peers.as_array()?.iter().all(|row| row["node"] != "server").then_some(())
    });
    assert!(client.log().contains("app/echo was revoked") && hub.log().contains("app/echo was revoked"));
    // No token helps.
    let token = mesh.token(&["--app", "echo"]);
    let state = mesh.path("other.state");
    let flags = joining("other", &state, &token);
    let other = aire(&[&["run", "--app", "echo=127.0.0.1:9"], &flags[..]].concat());
    let said = String::from_utf8_lossy(&other.stderr);
    assert!(other.status.code() == Some(1) && said.contains("app/echo was revoked"), "{said}");
}

#[test]
fn what_is_revoked_must_be_said_and_a_damaged_memory_stops_the_agent() {
    let mesh = Mesh::new();
    let dir = mesh.path("mesh");
    for (whom, code, says) in
        [("client", 2, "say node/client or app/client"), ("node/nobody", 1, "no node nobody ever joined")]
    {
        let output = aire(&["mesh", "revoke", whom, "--dir", &dir]);
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(code) && told.contains(says), "{told}");
    }
    mesh_command(&mesh, &["revoke", "app/echo"]);
    assert!(mesh_command(&mesh, &["revoke", "app/echo"]).contains("already"));
    let mut hub = mesh.hub("");
    hub.ready();
    let kept = mesh.path("hub.state/revocations.notice");
    wait_for("the file", || std::fs::metadata(&kept).ok());
    hub.kill();
    std::fs::write(&kept, b"garbage").unwrap();
    hub.start();
    let (status, _) = hub.ended();
    assert_eq!(status.code(), Some(1));
    let log = hub.log();
    let last = log.lines().last().unwrap();
    assert!(last.contains("revocations.notice is damaged") && last.contains("remove it"), "{last}");
}
