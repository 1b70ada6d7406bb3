//! Certificates that have run out, and clocks that are wrong.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use aire_identity::{Authority, NodeKey};
use aire_types::Role;

use crate::stage::{Agent, Mesh, aire, echo_service, try_echo, wait_for};

#[test]
fn an_agent_whose_certificate_ran_out_says_so_and_joins_again() {
    let mesh = Mesh::new();
    let [mut hub, mut server, mut client] = mesh.trio(echo_service(), "svid_s = 10\n", "");
    let token = mesh.token(&["--app", "client"]);
    hub.kill();
    wait_for("the end of the certificate", || {
        let status = client.document("/api/v1/status");
        let reasons = status["not_ready"].to_string();
        reasons.contains("the certificate has expired").then_some(())
    });
    let diagnosis = client.document("/api/v1/doctor");
    let findings = diagnosis["findings"].as_array().unwrap();
    let certificate = findings.iter().find(|finding| finding["check"] == "certificate").unwrap();
    assert_eq!(certificate["verdict"], "fail", "{certificate}");
    client.kill();
    server.kill();

    let config = mesh.path("client.toml");
    for run in [&["run", "--config", &config][..], &["run", "--check", "--config", &config]] {
        let output = aire(run);
        let told = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.contains("expired") && told.contains("aire mesh invite"), "{told}");
    }
    hub.start();
    hub.ready();
    client.start_with(Some(&token));
    server.start_with(Some(&mesh.token(&["--app", "echo"])));
    [&mut server, &mut client].into_iter().for_each(Agent::ready);
    wait_for("a connection", || try_echo(client.door).ok());
}

/// Puts a certificate into the relay's state folder that was issued by a clock that is off by some seconds.
fn issued_by_a_clock_off(mesh: &Mesh, seconds: i64) {
    let authority = Authority::open(mesh.path("mesh").as_ref()).unwrap();
    let state = mesh.path("relay.state");
    let state = Path::new(&state);
    let off = Duration::from_secs(seconds.unsigned_abs());
    let now = SystemTime::now();
    let then = if seconds < 0 { now - off } else { now + off };
    let key = NodeKey::load(state).unwrap();
    let svid = authority.issue_own(&"relay".parse().unwrap(), Role::Relay, &key, then).unwrap();
    svid.save(state).unwrap();
}

#[test]
fn a_clock_that_is_far_off_is_named_in_both_directions() {
    let mesh = Mesh::new();
    let mut hub = mesh.hub("");
    let mut relay = mesh.relay("relay");
    [&mut hub, &mut relay].into_iter().for_each(Agent::ready);
    relay.kill();
    let config = mesh.path("relay.toml");
    let before = fs::read(mesh.path("relay.state/svid.pem")).unwrap();
    // By certificates: ours came from a clock two hours ahead, or the whole life of a certificate behind.
    for (seconds, says) in
        [(2 * 3600, "check the clocks"), (-25 * 3600, "this machine's clock is wrong; check the clock first")]
    {
        issued_by_a_clock_off(&mesh, seconds);
        for run in [&["run", "--config", &config][..], &["run", "--check", "--config", &config]] {
            let output = aire(run);
            let told = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
            assert_eq!(output.status.code(), Some(1), "{told}");
            assert!(told.contains(says), "{told}");
        }
    }
    // An hour is borne.
    issued_by_a_clock_off(&mesh, 50 * 60);
    relay.start();
    relay.ready();
    relay.kill();
    fs::write(mesh.path("relay.state/svid.pem"), before).unwrap();
    relay.start();
    relay.ready();
}
