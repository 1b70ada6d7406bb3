//! Agents that are asked to stop.

use std::io::Read;
use std::net::Shutdown;
use std::time::Duration;

use crate::stage::{Agent, Mesh, echo, echo_service, is_reset, read_out, socks_reply, wait_for};

#[test]
fn a_draining_agent_finishes_what_runs_and_takes_nothing_new() {
    let mesh = Mesh::new();
    let [_hub, mut server, client] = mesh.trio(echo_service(), "", "");
    let mut running = client.connect();
    server.terminate();
    const GENERAL_FAILURE: u8 = 1;
    wait_for("the refusal of new streams", || {
        echo(&mut running, b"goes on").unwrap();
        (socks_reply(client.proxy).unwrap() == GENERAL_FAILURE).then_some(())
    });
    assert!(server.is_running());
    echo(&mut running, b"the last question").unwrap();
    running.shutdown(Shutdown::Write).unwrap();
    assert_eq!(running.read(&mut [0]).unwrap(), 0);
    let (status, took) = server.ended();
    assert_eq!(status.code(), Some(0));
    assert!(took < Duration::from_secs(5), "it stopped after {took:?}");
}

#[test]
fn streams_of_a_draining_instance_end_and_new_ones_go_to_another() {
    let mesh = Mesh::new();
    let mut hub = mesh.hub("");
    let mut one = mesh.server("one", echo_service(), "");
    let mut two = mesh.server("two", echo_service(), "");
    let mut client = mesh.client("");
    [&mut hub, &mut one, &mut two, &mut client].into_iter().for_each(Agent::ready);
    wait_for("both instances", || {
        let apps = client.document("/api/v1/apps");
        let echo = apps.as_array()?.iter().find(|row| row["app"] == "echo")?.clone();
        (echo["instances"].as_array()?.len() == 2).then_some(())
    });
    let _running = client.connect();
    let streams = client.document("/api/v1/streams");
    let peer = streams[0]["peer"].as_str().unwrap().to_owned();
    let stopping = if peer == "one" { &mut one } else { &mut two };
    stopping.terminate();
    // No connection fails meanwhile.
    for _ in 0..20 {
        drop(crate::stage::try_echo(client.door).expect("another instance takes it"));
    }
}

#[test]
fn a_second_signal_ends_an_agent_at_once() {
    let mesh = Mesh::new();
    let [_hub, _server, mut client] = mesh.trio(echo_service(), "", "");
    let mut running = client.connect();
    client.terminate();
    wait_for("the drain", || client.log().contains("kind=\"draining\"").then_some(()));
    echo(&mut running, b"goes on").unwrap();
    client.terminate();
    let (status, took) = client.ended();
    assert_eq!(status.code(), Some(0));
    assert!(took < Duration::from_secs(2), "it stopped after {took:?}");
    let end = read_out(&mut running);
    assert!(is_reset(&end), "a reset and not {end:?}");
}
