//! Scenarios with the built agent.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use aire_lab::scenario::{Options, Outcome, Scenario, run as run_scenario};
use serde_json::Value;

use crate::Failure;
use crate::run_options::{RunOptions, count};
use crate::steps::Tally;
use crate::workspace::Workspace;

/// What was asked for.
struct Asked<'a> {
    run: RunOptions,
    runs: u32,
    name: Option<&'a str>,
}

fn asked<'a>(arguments: &[&'a str]) -> Result<Asked<'a>, Failure> {
    let mut asked = Asked { run: RunOptions::default(), runs: 1, name: None };
    let mut words = arguments.iter().copied();
    while let Some(word) = words.next() {
        if asked.run.take(word, &mut words)? {
            continue;
        }
        match word {
            "--runs" => asked.runs = count("--runs", &mut words)?,
            flag if flag.starts_with('-') => return Err(format!("lab does not know '{flag}'")),
            other => asked.name = Some(other),
        }
    }
    Ok(asked)
}

pub(crate) fn run(arguments: &[&str]) -> Result<(), Failure> {
    let asked = asked(arguments)?;
    let workspace = Workspace::load()?;
    let name =
        asked.name.ok_or_else(|| format!("which scenario? There are: {}", names(&workspace).join(", ")))?;
    let file = if Path::new(name).is_file() { PathBuf::from(name) } else { file_of(&workspace, name) };
    let mut scenario = Scenario::load(&file).map_err(|error| error.to_string())?;
    // A scenario without agents needs no agent.
    let binary = if scenario.agent.is_empty() { PathBuf::new() } else { asked.run.agent(&workspace)? };
    let mut outcomes = Vec::new();
    for number in 0..asked.runs {
        let folder = asked
            .run
            .keep
            .as_ref()
            .map(|keep| if asked.runs > 1 { keep.join(number.to_string()) } else { keep.clone() });
        let options = Options { binary: binary.clone(), folder };
        let outcome = run_scenario(&scenario, &options).map_err(|error| error.to_string())?;
        if asked.run.json {
            let text = if asked.runs > 1 {
                serde_json::to_string(&outcome)
            } else {
                serde_json::to_string_pretty(&outcome)
            };
            println!("{}", text.map_err(|error| error.to_string())?);
        } else {
            print(&scenario, &outcome);
        }
        outcomes.push(outcome);
        // Other packets are lost the next time.
        scenario.seed += 1;
    }
    if asked.runs > 1 && !asked.run.json {
        print_figures(&outcomes);
    }
    let failed = outcomes.iter().filter(|outcome| !outcome.passed).count();
    if failed == 0 {
        Ok(())
    } else {
        Err(format!("{name}: not everything held in {failed} of {} runs", outcomes.len()))
    }
}

/// Median and worst over all runs: the longest stall of each workload that has one, and how long each expectation that
/// was awaited took.
fn print_figures(outcomes: &[Outcome]) {
    let mut stalls: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    let mut waits: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for outcome in outcomes {
        for (name, report) in &outcome.workloads {
            stalls.entry(name).or_default().extend(report["longest_stall_ms"].as_f64());
        }
        for verdict in &outcome.expectations {
            waits.entry(&verdict.that).or_default().extend(verdict.after_s.map(|s| s * 1000.0));
        }
    }
    let stalls = stalls.into_iter().map(|(name, values)| (format!("{name}: longest stall"), values));
    let waits = waits.into_iter().map(|(that, values)| (format!("{that}: after"), values));
    for (what, mut values) in stalls.chain(waits).filter(|(_, values)| !values.is_empty()) {
        values.sort_by(f64::total_cmp);
        let (median, worst) = (values[values.len() / 2], values[values.len() - 1]);
        println!("{what}, {} runs: median {median:.0} ms, worst {worst:.0} ms", values.len());
    }
}

/// Runs every scenario of the repository and adds them to the tally.
pub(crate) fn all(workspace: &Workspace, binary: &Path, tally: &mut Tally) -> Result<(), Failure> {
    let mut failed = Vec::new();
    for name in names(workspace) {
        let scenario = Scenario::load(&file_of(workspace, &name)).map_err(|error| error.to_string())?;
        println!("-- {name}");
        let held = once(&scenario, binary);
        if held {
            tally.passed += 1;
        } else {
            tally.failed += 1;
            failed.push(name);
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(format!("scenarios that failed: {}", failed.join(", "))) }
}

fn once(scenario: &Scenario, binary: &Path) -> bool {
    match run_scenario(scenario, &Options { binary: binary.to_owned(), folder: None }) {
        Ok(outcome) => {
            print(scenario, &outcome);
            outcome.passed
        }
        Err(error) => {
            println!("   {error}");
            false
        }
    }
}

fn print(scenario: &Scenario, outcome: &Outcome) {
    println!("   {}", scenario.about);
    println!("   ready after {:.1} s", outcome.preparation_s);
    for event in &outcome.events {
        println!("   {:8.3} s  {}", event.at_s, event.what);
    }
    for (name, report) in &outcome.workloads {
        println!("   {name}: {}", brief(report));
    }
    for verdict in &outcome.expectations {
        let mark = if verdict.held { "ok  " } else { "FAIL" };
        let after = verdict.after_s.map(|s| format!(" after {s:.2} s")).unwrap_or_default();
        println!("   {mark} {}: {}{after}", verdict.that, verdict.got.chars().take(300).collect::<String>());
    }
}

/// A report without its long lists.
fn brief(report: &Value) -> String {
    let Value::Object(fields) = report else { return report.to_string() };
    let short = fields.iter().filter(|(_, value)| !value.is_array());
    short.map(|(key, value)| format!("{key} {value}")).collect::<Vec<_>>().join(", ")
}

fn file_of(workspace: &Workspace, name: &str) -> PathBuf {
    workspace.workspace_root.join("lab").join(format!("{name}.toml"))
}

fn names(workspace: &Workspace) -> Vec<String> {
    let entries = std::fs::read_dir(workspace.workspace_root.join("lab")).into_iter().flatten().flatten();
    let files =
        entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|e| e == "toml"));
    let mut names: Vec<String> =
        files.filter_map(|path| Some(path.file_stem()?.to_string_lossy().into_owned())).collect();
    names.sort();
    names
}
