//! Commands that need no agent, and what is said when there is none.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use crate::stage::{aire, command, done, service, stderr, stdout, text};
use aire_identity::{Scope, Token};

/// The failure's exit code, after a look at whether it was told in one line.
fn fails(arguments: &[&str], says: &str) -> i32 {
    let output = aire(arguments);
    let told = stderr(&output);
    assert!(told.contains(says), "{arguments:?}: {told}");
    assert_eq!(told.lines().count(), 1, "{told}");
    assert!(told.starts_with("aire: "), "{told}");
    output.status.code().unwrap()
}

#[test]
fn a_mesh_is_made_once() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("mesh");
    let said = done(&["mesh", "create", "prod", "--dir", text(&dir)]);
    assert!(said.contains("aire run --authority") && said.contains("aire mesh invite"), "{said}");
    let key = fs::metadata(dir.join("ca.key")).unwrap();
    assert_eq!(key.permissions().mode() & 0o777, 0o600);
    assert_eq!(fails(&["mesh", "create", "prod", "--dir", text(&dir)], text(&dir)), 1);
    assert_eq!(fails(&["mesh", "create", "Prod", "--dir", text(&dir)], "a-z"), 2);
    let starter = dir.join("policy.cedar");
    assert!(done(&["policy", "check", text(&starter)]).ends_with("policy.cedar: ok\n"));
}

#[test]
fn an_invitation_prints_the_token_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("mesh");
    done(&["mesh", "create", "prod", "--dir", text(&dir)]);
    let printed = done(&["mesh", "invite", "--dir", text(&dir), "--app", "echo", "--seed", "h1:7117"]);
    assert_eq!(printed.lines().count(), 1);
    let token = Token::parse(&printed).unwrap();
    assert_eq!(token.mesh().as_str(), "prod");
    assert_eq!(token.seeds(), ["h1:7117"]);
    assert_eq!(token.scope(), &Scope::App("echo".parse().unwrap()));
    let relay = done(&["mesh", "invite", "--dir", text(&dir), "--relay", "--ttl", "7d", "--uses", "3"]);
    assert_eq!(Token::parse(&relay).unwrap().scope(), &Scope::Relay);
}

#[test]
fn an_invitation_that_makes_no_sense_is_wrong_usage() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("mesh");
    done(&["mesh", "create", "prod", "--dir", text(&dir)]);
    let invite = ["mesh", "invite", "--dir", text(&dir)];
    for (more, says) in [
        (&[][..], "--app"),
        (&["--app", "echo", "--relay"], "cannot be used with"),
        (&["--relay", "--uses", "0"], "0 is not in"),
        (&["--relay", "--ttl", "1y"], "is not a duration"),
        (&["--relay", "--seed", "host"], "is not HOST:PORT"),
        (&["--app", "not an app"], "a-z"),
    ] {
        assert_eq!(fails(&[&invite, more].concat(), says), 2, "{more:?}");
    }
    let nowhere = folder.path().join("nowhere");
    assert_eq!(fails(&["mesh", "invite", "--dir", text(&nowhere), "--relay"], "aire mesh create"), 1);
}

#[test]
fn a_wrong_policy_is_named_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bad.cedar");
    let permit = "permit(principal, action == Action::\"relay\", resource);";
    fs::write(&file, format!("{permit}\npermit(principal, action == Action::\"conect\", resource);\n"))
        .unwrap();
    let output = aire(&["policy", "check", text(&file)]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).contains("bad.cedar:2:"), "{}", stdout(&output));
    assert!(stderr(&output).contains("1 error"), "{}", stderr(&output));
    assert_eq!(fails(&["policy", "check", "/nowhere.cedar"], "cannot read /nowhere.cedar"), 1);
}

#[test]
fn without_an_agent_every_question_says_what_to_do() {
    // A port that was free a moment ago.
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    for question in [
        &["status"][..],
        &["peers"],
        &["apps"],
        &["routes"],
        &["streams"],
        &["events"],
        &["events", "--follow"],
        &["explain", "web"],
        &["ping", "web"],
    ] {
        let says = format!("no agent answers at {free}: start one with 'aire run'");
        assert_eq!(fails(&[question, &["--admin", &free]].concat(), &says), 1);
    }
    let asked = command().arg("status").env("AIRE_ADMIN", &free).output().unwrap();
    assert!(stderr(&asked).contains(&free), "{}", stderr(&asked));
}

#[test]
fn questions_that_make_no_sense_are_wrong_usage() {
    assert_eq!(fails(&["status", "--admin", "7118"], "is not HOST:PORT"), 2);
    assert_eq!(fails(&["explain"], "<APP>"), 2);
    assert_eq!(fails(&["explain", "not an app"], "a-z"), 2);
    assert_eq!(fails(&["ping", "web", "--via", "a,a"], "stands twice"), 2);
    assert_eq!(fails(&["frobnicate"], "unrecognized"), 2);
    assert_eq!(fails(&["demo", "--seconds", "1"], "30..=600"), 2);
    assert_eq!(fails(&["run", "--listen", "nowhere"], "listen"), 2);
}

#[test]
fn a_document_is_printed_as_it_is_or_as_a_table() {
    let document = r#"[ {"id":"7","app":"web","peer":"n1","class":"bulk","path":["r1"],"bytes_in":5,
        "bytes_out":2000,"moves":1,"age_s":3.5,"more":{}} ]"#;
    let agent = service("200 OK", document).to_string();
    assert_eq!(done(&["streams", "--json", "--admin", &agent]), format!("{document}\n"));
    let table = done(&["streams", "--admin", &agent]);
    assert!(table.starts_with("ID  APP  PEER  CLASS  SPEAKS  PATH "), "{table}");
    assert_eq!(table.lines().count(), 2);
    assert_eq!(fails(&["status", "--admin", &agent], "another version"), 1);
}

#[test]
fn what_the_agent_refuses_is_told_with_its_hint() {
    let agent = service("404 Not Found", r#"{"error":"no app 'db' is known here","hint":"see aire apps"}"#);
    let admin = agent.to_string();
    assert_eq!(fails(&["explain", "db", "--admin", &admin], "no app 'db' is known here: see aire apps"), 1);
    let other = service("404 Not Found", "<html>").to_string();
    assert_eq!(fails(&["status", "--admin", &other], "is no agent (HTTP status 404"), 1);
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let event = r#"{"cursor":1,"at":"t","kind":"k","severity":"info","who":"w","what":"x","peer":null,"app":null,"detail":null}"#;
    let lines = format!("{event}\n").repeat(20_000);
    let agent = service("200 OK", &lines).to_string();
    let mut child = command()
        .args(["events", "--admin", &agent])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), ""));
    assert_eq!(done(&["events", "--json", "--admin", &agent]), lines);
}
