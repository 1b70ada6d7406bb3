//! Scenario files: what they refuse, and a run without agents (needs root).
#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::path::{Path, PathBuf};

use aire_lab::scenario::{Options, Scenario, run};
use aire_lab::wan;

fn refusal(text: &str) -> String {
    Scenario::parse(text, Path::new("lab/x.toml")).unwrap_err().to_string()
}

#[test]
fn an_unknown_key_is_named_with_its_line() {
    let error = refusal("hosts = [\"a\"]\nseconds = 1\n[[event]]\nat = 1\nisolat = \"a\"\n");
    assert!(error.contains("lab/x.toml") && error.contains("line 5") && error.contains("isolat"), "{error}");
}

#[test]
fn what_makes_no_sense_is_refused() {
    let cases = [
        ("seconds = 1", "names no host"),
        ("hosts=['a']\n[[event]]\nat=1\nisolate='x'", "no host 'x'"),
        ("hosts=['a']\n[[event]]\nat=1\nkill='a'", "has no agent"),
        ("hosts=['a']\n[[event]]\nat=1", "exactly one action"),
        ("hosts=['a']\n[[event]]\nat=1\nlink='a->b'\nset={down=true}", "no host 'b'"),
        ("hosts=['a']\n[shape]\nloss=2", "loss = 2"),
        ("hosts=['a']\n[[link]]\nset={loss=0.1}", "needs either"),
        ("hosts=['a']\n[[workload]]\nname='m'\nhost='a'\nkind='messages'", "needs 'to'"),
        ("hosts=['a']\n[[agent]]\nhost='a'\nrole='relay'", "role authority"),
        ("hosts=['a']\n[[expect]]\nthat='t'\nworkload='m'\nequals=0", "no workload 'm'"),
        ("hosts=['a']\n[[expect]]\nthat='t'\nequals=0", "either 'workload' or 'ask'"),
    ];
    for (text, part) in cases {
        let error = refusal(text);
        assert!(error.contains(part), "{text}\n→ {error}");
    }
}

#[test]
fn every_scenario_of_the_repository_can_be_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../lab");
    let mut read = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "toml") {
            Scenario::load(&path).unwrap_or_else(|error| panic!("{error}"));
            read += 1;
        }
    }
    assert!(read > 0);
}

const PLAIN: &str = r#"
hosts = ["a", "b"]
seconds = 3
[shape]
one_way_ms = 10
[[link]]
from = "a"
to = "b"
set = { one_way_ms = 30 }
[[workload]]
name = "server"
host = "b"
kind = "server"
at = "10.77.0.2:7000"
[[workload]]
name = "messages"
host = "a"
kind = "messages"
to = "10.77.0.2:7000"
[[workload]]
name = "addresses"
host = "b"
kind = "command"
command = ["ip", "-4", "address"]
[[event]]
at = 1.0
link = "a<->b"
set = { down = true }
[[event]]
at = 1.4
link = "a<->b"
set = { down = false }
[[expect]]
that = "delays add up"
workload = "messages"
field = "latency_ms.min"
above = 39.9
below = 42
[[expect]]
that = "nothing is lost"
workload = "messages"
field = "lost"
equals = 0
[[expect]]
that = "the cut shows"
workload = "messages"
field = "longest_stall_ms"
above = 350
[[expect]]
that = "the command ran on its host"
workload = "addresses"
field = "stdout"
contains = "10.77.0.2"
[[expect]]
that = "the server saw them in order"
workload = "server"
field = "out_of_order"
equals = 0
[[expect]]
that = "this one does not hold"
workload = "messages"
field = "received"
below = 0
"#;

#[test]
fn a_run_reports_events_and_verdicts() {
    if let Err(error) = wan::available() {
        let _ = writeln!(std::io::stderr(), "SKIPPED: a_run_reports_events_and_verdicts: {error}");
        return;
    }
    let scenario = Scenario::parse(PLAIN, Path::new("plain.toml")).unwrap();
    let outcome = run(&scenario, &Options { binary: PathBuf::new(), folder: None }).unwrap();
    assert_eq!(outcome.events.len(), 2);
    assert!((outcome.events[0].at_s - 1.0).abs() < 0.2, "{:?}", outcome.events);
    let (last, others) = outcome.expectations.split_last().unwrap();
    assert!(others.iter().all(|verdict| verdict.held), "{outcome:#?}");
    assert!(!last.held && !outcome.passed);
}
