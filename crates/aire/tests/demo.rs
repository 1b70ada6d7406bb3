//! The demo keeps its promises, and leaves nothing behind however it ends.

#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// One demo at a time: they measure.
static ALONE: Mutex<()> = Mutex::new(());

/// Processes that the demo `demo` started and that still run.
fn left_by(demo: u32) -> Vec<String> {
    let mine = format!("--with-parent\0{demo}\0");
    let running = fs::read_dir("/proc").unwrap().flatten();
    let lines = running.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    lines
        .map(|line| String::from_utf8_lossy(&line).into_owned())
        .filter(|line| line.contains(&mine))
        .collect()
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).unwrap().next().is_none()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn wait_for(what: &str, mut look: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !look() {
        assert!(Instant::now() < deadline, "{what} did not come about");
        thread::sleep(Duration::from_millis(50));
    }
}

fn start(folder: &Path) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_aire"));
    command.args(["demo", "--seconds", "40", "--json"]).env("TMPDIR", folder).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

#[test]
fn a_demo_keeps_every_promise() {
    let _alone = ALONE.lock();
    let folder = tempfile::tempdir().unwrap();
    let demo = start(folder.path());
    let id = demo.id();
    let output = demo.wait_with_output().unwrap();
    let told = stderr(&output);
    assert!(output.status.success(), "{told}\n{}", stdout(&output));
    let printed = stdout(&output);
    let summary: Value = serde_json::from_str(printed.lines().last().unwrap()).unwrap();
    let figure = |name: &str| summary[name].as_f64().unwrap_or_else(|| panic!("{name} in {summary}"));
    assert!(figure("direct_p50_ms") > 200.0 && figure("direct_mbps") > 1.0, "{summary}");
    assert!(figure("mesh_p50_ms") < figure("direct_p50_ms") && figure("mesh_mbps") > 1.0, "{summary}");
    assert!(figure("failover_stall_ms") <= 2000.0, "{summary}");
    assert_eq!((figure("bytes_lost"), figure("streams_reset")), (0.0, 0.0), "{summary}");
    assert!(figure("denied") >= 3.0 && figure("blocked") >= 10.0, "{summary}");
    assert_eq!(left_by(id), Vec::<String>::new());
    assert!(is_empty(folder.path()));
}

#[test]
fn an_interrupted_or_killed_demo_leaves_no_process() {
    let _alone = ALONE.lock();
    for (signal, code) in [(Signal::INT, Some(130)), (Signal::TERM, Some(130)), (Signal::KILL, None)] {
        let folder = tempfile::tempdir().unwrap();
        let demo = start(folder.path());
        let id = demo.id();
        wait_for("the first agents", || !left_by(id).is_empty());
        kill_process(Pid::from_child(&demo), signal).unwrap();
        let output = demo.wait_with_output().unwrap();
        assert_eq!(output.status.code(), code, "{}", stderr(&output));
        wait_for("the end of the agents", || left_by(id).is_empty());
        // Nobody can tidy up after SIGKILL.
        assert!(signal == Signal::KILL || is_empty(folder.path()));
    }
}
