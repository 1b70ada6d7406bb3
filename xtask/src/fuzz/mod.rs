//! Fuzzing: builds the targets of `fuzz/` with coverage for libFuzzer and runs them.

mod target;

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use serde_json::json;

use self::target::{Ran, Run};
use crate::Failure;
use crate::packages::present;
use crate::workspace::{Workspace, cargo};

/// Seconds for all targets together in `cargo xtask test`, at least.
const SMOKE_S: u64 = 30;

struct Asked<'a> {
    names: Vec<&'a str>,
    seconds: u64,
    jobs: usize,
    json: bool,
}

fn asked<'a>(arguments: &[&'a str]) -> Result<Asked<'a>, Failure> {
    let mut asked = Asked { names: Vec::new(), seconds: 60, jobs: jobs(), json: false };
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let mut number = || {
            let given = words.next().and_then(|number| number.parse::<u32>().ok()).filter(|n| *n > 0);
            given.ok_or_else(|| format!("{word} needs a number from 1"))
        };
        match *word {
            "--seconds" => asked.seconds = number()?.into(),
            "--jobs" => asked.jobs = number()? as usize,
            "--json" => asked.json = true,
            flag if flag.starts_with('-') => return Err(format!("fuzz does not know '{flag}'")),
            name => asked.names.push(name),
        }
    }
    Ok(asked)
}

fn jobs() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

pub(crate) fn run(arguments: &[&str]) -> Result<(), Failure> {
    let asked = asked(arguments)?;
    let workspace = Workspace::load()?;
    let binary = build(&workspace)?;
    let known = target::names(&binary)?;
    if let Some(unknown) = asked.names.iter().find(|name| !known.iter().any(|known| known == *name)) {
        return Err(format!("no target '{unknown}'; there are: {}", known.join(", ")));
    }
    let wanted =
        known.into_iter().filter(|name| asked.names.is_empty() || asked.names.contains(&name.as_str()));
    let run = Run { binary, folder: folder(&workspace), seconds: asked.seconds };
    let ran = all(&run, &wanted.collect::<Vec<_>>(), asked.jobs)?;
    if asked.json {
        println!("{}", json!(ran));
    } else {
        show(&ran);
    }
    failures(&ran)
}

/// A short run of all targets; says what it saw.
pub(crate) fn smoke(workspace: &Workspace) -> Result<(), Failure> {
    let binary = build(workspace)?;
    let names = target::names(&binary)?;
    let seconds = smoke_seconds(names.len() as u64, jobs() as u64);
    let ran = all(&Run { binary, folder: folder(workspace), seconds }, &names, jobs())?;
    show(&ran);
    failures(&ran)
}

/// Seconds for each target, so that all of them, `jobs` at a time, take [`SMOKE_S`] or a little more.
fn smoke_seconds(targets: u64, jobs: u64) -> u64 {
    (SMOKE_S * jobs).div_ceil(targets.max(1))
}

/// Whether there is what the build needs; else what is missing.
pub(crate) fn available() -> Result<(), String> {
    let found = std::env::var_os("CXX").is_some() || ["c++", "g++", "clang++"].into_iter().any(present);
    if found { Ok(()) } else { Err("there is no C++ compiler (Debian package g++) for libFuzzer".to_owned()) }
}

fn folder(workspace: &Workspace) -> PathBuf {
    workspace.target_directory.join("fuzz")
}

/// Only the crates of this workspace are instrumented, so that all others are those of ordinary builds.
fn build(workspace: &Workspace) -> Result<PathBuf, Failure> {
    available()?;
    let started = Instant::now();
    let wrapper = workspace.workspace_root.join("fuzz/instrument.sh");
    let mut command = cargo();
    command.current_dir(&workspace.workspace_root).env("RUSTC_WORKSPACE_WRAPPER", wrapper);
    command.args([
        "build",
        "--quiet",
        "--package",
        "aire-fuzz",
        "--bin",
        "aire-fuzz",
        "--features",
        "libfuzzer",
    ]);
    match command.status() {
        Ok(status) if status.success() => {}
        Ok(status) => return Err(format!("building the fuzz targets: {status}")),
        Err(error) => return Err(format!("cannot run cargo build: {error}")),
    }
    eprintln!("fuzz targets built in {:.0} s", started.elapsed().as_secs_f64());
    Ok(workspace.target_directory.join("debug/aire-fuzz"))
}

/// Runs the targets, `jobs` at a time.
fn all(run: &Run, names: &[String], jobs: usize) -> Result<Vec<Ran>, Failure> {
    let (next, ran) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || -> Result<(), Failure> {
        while let Some(name) = names.get(next.fetch_add(1, Ordering::Relaxed)) {
            let done = run.target(name)?;
            ran.lock().map_err(|_| "a worker died")?.push(done);
        }
        Ok(())
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs.min(names.len())).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().map_err(|_| "a worker died".to_owned())?)
    })?;
    let mut ran = ran.into_inner().map_err(|_| "a worker died")?;
    ran.sort_by_key(|ran| names.iter().position(|name| *name == ran.target));
    Ok(ran)
}

fn show(ran: &[Ran]) {
    println!(
        "{:<14} {:>8} {:>12} {:>8} {:>8} {:>8}",
        "target", "seconds", "executions", "exec/s", "edges", "corpus"
    );
    for ran in ran {
        let Ran { target, seconds, executions, edges, corpus, .. } = ran;
        let rate = *executions as f64 / seconds.max(0.1);
        println!("{target:<14} {seconds:>8.0} {executions:>12} {rate:>8.0} {edges:>8} {corpus:>8}");
    }
}

fn failures(ran: &[Ran]) -> Result<(), Failure> {
    let found: Vec<String> = ran
        .iter()
        .filter_map(|ran| {
            let failure = ran.failure.as_ref()?;
            Some(format!("{}: {}\n    reproduce: {}", ran.target, failure.what, failure.reproduce))
        })
        .collect();
    if found.is_empty() { Ok(()) } else { Err(format!("fuzzing found:\n  {}", found.join("\n  "))) }
}

/// Creates a folder and all above it.
fn create(folder: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_smoke_run_is_never_shorter_than_it_says() {
        for (targets, jobs) in [(1, 1), (31, 2), (35, 2), (35, 64), (200, 1)] {
            let all = targets * smoke_seconds(targets, jobs);
            assert!((SMOKE_S * jobs..SMOKE_S * jobs + targets).contains(&all), "{all} s for {targets}");
        }
    }

    #[test]
    fn arguments_are_checked() {
        let asked = asked(&["frames", "--seconds", "5", "--jobs", "1", "--json"]).unwrap();
        assert_eq!((asked.names, asked.seconds, asked.jobs, asked.json), (vec!["frames"], 5, 1, true));
        for bad in [&["--seconds"][..], &["--seconds", "0"], &["--jobs", "x"], &["--fast"]] {
            assert!(super::asked(bad).is_err(), "{bad:?}");
        }
    }
}
