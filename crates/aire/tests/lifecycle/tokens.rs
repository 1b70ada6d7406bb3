//! Tokens that are wrong, expired, used up, edited or of another mesh: who is to blame, and nothing is spent or lost.

use std::fs;
use std::time::{Duration, Instant, SystemTime};

use aire_identity::{Authority, Scope};

use crate::stage::{Agent, Mesh, aire, done, joining, wait_for};

/// Tries to join as a node of its own with `token`; the last line said.
fn refused(mesh: &Mesh, token: &str, more: &[&str]) -> String {
    let state = mesh.path("try.state");
    let begin = Instant::now();
    let output = aire(&[&["run"], &joining("try", &state, token)[..], more].concat());
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(begin.elapsed() < Duration::from_secs(30), "{:?}", begin.elapsed());
    let last = told.lines().last().unwrap().to_owned();
    assert!(last.starts_with("aire: ") && !last.contains(token), "{told}");
    last
}

/// A token of this authority, made at `now` for two hours.
fn token(dir: &str, seed: &str, scope: Scope, now: SystemTime) -> String {
    let authority = Authority::open(dir.as_ref()).unwrap();
    let hour = Duration::from_secs(3600);
    authority.invite(scope, 2 * hour, 1, vec![seed.to_owned()], now).unwrap().reveal()
}

#[test]
fn every_bad_token_says_what_is_wrong_with_it() {
    let mesh = Mesh::new();
    let mut hub = mesh.hub("");
    hub.ready();
    let (dir, seed) = (mesh.path("mesh"), hub.listen.to_string());
    let now = SystemTime::now();
    let good = mesh.token(&["--relay"]);

    let middle = good.len() / 2;
    let edited = format!(
        "{}{}{}",
        &good[..middle],
        if &good[middle..=middle] == "A" { "B" } else { "A" },
        &good[middle + 1..]
    );
    let old = token(&dir, &seed, Scope::Relay, now - Duration::from_secs(3 * 3600));
    let withdrawn = mesh.token(&["--relay"]);
    let newest = fs::read_dir(mesh.path("mesh/invites")).unwrap().flatten();
    let newest = newest.max_by_key(|entry| entry.metadata().unwrap().modified().unwrap()).unwrap();
    fs::remove_file(newest.path()).unwrap();
    for (token, says) in [
        ("hello", "the token is damaged"),
        (&edited, "the token is damaged"),
        (&good[..middle], "the token is damaged"),
        ("aire9.AAAA", "use the same release"),
        (&old, "the token expired 60 min"),
        (&withdrawn, "this authority gave no such token"),
    ] {
        let told = refused(&mesh, token, &[]);
        assert!(told.contains(says), "'{says}' is not in: {told}");
    }
    let told = refused(&mesh, &good, &["--app", "web=127.0.0.1:9"]);
    assert!(told.contains("the token is for a relay") && told.contains("the app web"), "{told}");

    // Another mesh, and another authority of the same name: whoever answers is not the one that the token names.
    for name in ["other", "prod"] {
        let folder = mesh.path(&format!("{name}.mesh"));
        done(&["mesh", "create", name, "--dir", &folder]);
        let told = refused(&mesh, &token(&folder, &seed, Scope::Relay, now), &[]);
        assert!(told.contains("prove to be the authority") && told.contains(&seed), "{told}");
    }

    // None of this spent the good one, or spoilt the state folder.
    let state = mesh.path("try.state");
    let admin = aire_lab::emulate::free_addresses(1).unwrap()[0];
    let mut joined = Agent::command(&mesh, "try", admin, &["--state", &state, "--join", &good]);
    joined.ready();
    joined.kill();
    let told = refused_as(&mesh, "late", &good);
    assert!(told.contains("used as often as it may be"), "{told}");
    wait_for("the refusals in the events", || {
        let log = hub.log();
        (log.matches("kind=\"enrolment-refused\"").count() >= 2).then_some(())
    });
    assert_eq!(hub.document("/api/v1/status")["ready"], true);
}

fn refused_as(mesh: &Mesh, node: &str, token: &str) -> String {
    let state = mesh.path(&format!("{node}.state"));
    let output = aire(&[&["run"], &joining(node, &state, token)[..]].concat());
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stderr).unwrap().lines().last().unwrap().to_owned()
}
