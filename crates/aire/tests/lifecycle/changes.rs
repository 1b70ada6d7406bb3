//! Policies, profiles and orders that change under a running mesh.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::stage::{
    Agent, Mesh, PERMIT, echo, echo_service, is_reset, read_out, socks_reply, try_echo, wait_for,
};

#[test]
fn a_policy_cuts_and_permits_within_a_second() {
    let mesh = Mesh::new();
    let [_hub, server, client] = mesh.trio(echo_service(), "", "");
    for _ in 0..2 {
        let mut running = client.connect();
        mesh.set_policy("");
        let changed = Instant::now();
        let end = read_out(&mut running);
        let took = changed.elapsed();
        assert!(is_reset(&end), "a reset and not {end:?}");
        assert!(took < Duration::from_secs(1), "cut after {took:?}");
        const NOT_ALLOWED: u8 = 2;
        assert_eq!(socks_reply(client.proxy).unwrap(), NOT_ALLOWED);
        mesh.set_policy(PERMIT);
        let (_, took) = wait_for("a permitted connection", || try_echo(client.door).ok());
        assert!(took < Duration::from_secs(2), "permitted after {took:?}");
    }
    assert!(server.log().contains("kind=\"policy-loaded\""));
}

#[test]
fn a_profile_that_changes_is_seen_by_others() {
    let mesh = Mesh::new();
    let [_hub, server, client] = mesh.trio(echo_service(), "", "");
    let mut profile = server.document("/api/v1/profile");
    profile["priority"] = json!(7);
    profile["class"] = json!("bulk");
    server.put("/api/v1/profile", &profile.to_string());
    wait_for("the new profile at the client", || {
        let apps = client.document("/api/v1/apps");
        let echo = apps.as_array()?.iter().find(|row| row["app"] == "echo")?.clone();
        let seen = &echo["instances"][0]["profile"];
        (seen["priority"] == 7 && seen["class"] == "bulk").then_some(())
    });
}

#[test]
fn paths_are_pinned_and_avoided_while_streams_run() {
    let mesh = Mesh::new();
    let mut hub = mesh.hub("");
    let mut relay = mesh.relay("relay");
    let mut server = mesh.server("server", echo_service(), "");
    let mut client = mesh.client("");
    [&mut hub, &mut relay, &mut server, &mut client].into_iter().for_each(Agent::ready);
    let mut running = client.connect();
    let mut goes = |order: serde_json::Value, path: serde_json::Value| {
        client.put("/api/v1/apps/echo/override", &order.to_string());
        wait_for(&format!("streams over {path}"), || {
            echo(&mut running, b"all the time").unwrap();
            let streams = client.document("/api/v1/streams");
            let rows = streams.as_array()?;
            rows.iter().find(|row| row["app"] == "echo" && row["path"] == path).map(|_| ())
        });
    };
    goes(json!({"pin": ["relay"]}), json!(["relay"]));
    goes(json!({"pin": ["hub"]}), json!(["hub"]));
    goes(json!({"avoid": ["relay", "hub"]}), json!([]));
    assert_eq!(client.document("/api/v1/status")["streams"]["reset"], 0);
}
