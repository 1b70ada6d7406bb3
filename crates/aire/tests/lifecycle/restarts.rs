//! Agents that come back, and an authority that is away.

use std::time::{Duration, Instant};

use crate::stage::{Mesh, aire, echo, echo_service, is_reset, joining, read_out, try_echo, wait_for};

#[test]
fn state_outlives_every_agent_and_traffic_needs_no_authority() {
    let mesh = Mesh::new();
    let mut agents = mesh.trio(echo_service(), "", "");
    drop(agents[2].connect());
    agents.iter_mut().for_each(|agent| agent.kill());
    // No token any more.
    agents.iter_mut().for_each(|agent| agent.start());
    agents.iter_mut().for_each(|agent| agent.ready());
    let [mut hub, _server, client] = agents;
    let mut running = client.connect();

    let (state, token) = (mesh.path("copy.state"), mesh.token(&["--app", "echo"]));
    let flags = joining("server", &state, &token);
    let second = aire(&[&["run", "--app", "echo=127.0.0.1:9"], &flags[..]].concat());
    let told = String::from_utf8(second.stderr).unwrap();
    assert_eq!(second.status.code(), Some(1), "{told}");
    let last = told.lines().last().unwrap();
    assert!(last.starts_with("aire: ") && last.contains("name") && last.contains("server"), "{told}");

    hub.kill();
    echo(&mut running, b"without the authority").unwrap();
    drop(try_echo(client.door).expect("a new connection without the authority"));
    hub.start();
    hub.ready();
    echo(&mut running, b"and with it again").unwrap();
}

#[test]
fn certificates_are_renewed_under_running_streams() {
    let mesh = Mesh::new();
    let lifetime = Duration::from_secs(10);
    let [_hub, server, client] = mesh.trio(echo_service(), "svid_s = 10\n", "");
    let first_ones = Instant::now();
    let mut running = client.connect();
    let renewals = |log: &str| log.matches("kind=\"certificate-renewed\"").count();
    wait_for("renewals on both sides, and the end of the first two certificates", || {
        echo(&mut running, b"on the first certificate").unwrap();
        let enough = renewals(&server.log()).min(renewals(&client.log())) >= 3;
        (enough && first_ones.elapsed() > 2 * lifetime).then_some(())
    });
    drop(try_echo(client.door).expect("a connection with a later certificate"));
    echo(&mut running, b"still the same stream").unwrap();
    let status = client.document("/api/v1/status");
    assert_eq!((&status["streams"]["reset"], &status["ready"]), (&0.into(), &true.into()), "{status}");
}

#[test]
fn streams_and_links_end_with_a_certificate_that_is_not_renewed() {
    let mesh = Mesh::new();
    // Longer than it takes to leave the way over the hub, which is about to be killed.
    let [mut hub, _server, client] = mesh.trio(echo_service(), "svid_s = 10\n", "patience_s = 4\n");
    let mut running = client.connect();
    hub.kill();
    let alone = Instant::now();
    echo(&mut running, b"while the certificates hold").unwrap();
    let end = read_out(&mut running);
    assert!(is_reset(&end), "a reset and not {end:?}");
    assert!(alone.elapsed() < Duration::from_secs(20), "{:?}", alone.elapsed());
    wait_for("the end of the link", || (client.document("/api/v1/status")["peers"] == 0).then_some(()));
    let log = client.log();
    assert!(
        log.contains("kind=\"certificate-expired\"") && log.contains("is the authority reached"),
        "{log}"
    );
}

#[test]
fn a_destination_that_restarts_resets_its_streams_and_serves_the_next_one_at_once() {
    let mesh = Mesh::new();
    let [_hub, mut server, client] = mesh.trio(echo_service(), "", "");
    let mut running = client.connect();
    server.kill();
    server.start();
    let begin = Instant::now();
    let end = read_out(&mut running);
    assert!(is_reset(&end), "a reset and not {end:?}");
    // One attempt: the application need not try twice.
    try_echo(client.door).expect("the first connection after the reset");
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
}

#[test]
fn a_source_that_is_killed_resets_both_ends() {
    let mesh = Mesh::new();
    let (told, ends) = std::sync::mpsc::channel();
    let target = crate::stage::service(move |mut stream| {
        let mut first = [0];
        std::io::Read::read_exact(&mut stream, &mut first).unwrap();
        std::io::Write::write_all(&mut stream, &first).unwrap();
        let _ = told.send(read_out(&mut stream));
    });
    let [_hub, _server, mut client] = mesh.trio(target, "", "");
    let mut running = client.connect();
    client.kill();
    let end = read_out(&mut running);
    assert!(is_reset(&end), "a reset and not {end:?}");
    // The far application is told as soon as the agent is back without its memory.
    client.start();
    let end = ends.recv_timeout(Duration::from_secs(20)).expect("the far end hears of it");
    assert!(is_reset(&end), "a reset and not {end:?}");
}
