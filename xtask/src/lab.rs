//! Scenarios with the built agent.

use std::path::{Path, PathBuf};

use aire_lab::scenario::{Options, Outcome, Scenario, run as run_scenario};
use serde_json::Value;

use crate::Failure;
use crate::steps::Tally;
use crate::workspace::Workspace;

pub(crate) fn run(arguments: &[&str]) -> Result<(), Failure> {
    let (mut json, mut keep, mut name) = (false, None, None);
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        match *word {
            "--json" => json = true,
            "--keep" => keep = Some(PathBuf::from(words.next().ok_or("--keep needs a folder")?)),
            flag if flag.starts_with('-') => return Err(format!("lab does not know '{flag}'")),
            other => name = Some(other),
        }
    }
    let workspace = Workspace::load()?;
    let name = name.ok_or_else(|| format!("which scenario? There are: {}", names(&workspace).join(", ")))?;
    let file = if Path::new(name).is_file() { PathBuf::from(name) } else { file_of(&workspace, name) };
    let scenario = Scenario::load(&file).map_err(|error| error.to_string())?;
    // A scenario without agents needs no agent.
    let binary = if scenario.agent.is_empty() { PathBuf::new() } else { workspace.build("aire", true)? };
    let outcome =
        run_scenario(&scenario, &Options { binary, folder: keep }).map_err(|error| error.to_string())?;
    if json {
        println!("{}", serde_json::to_string_pretty(&outcome).map_err(|error| error.to_string())?);
    } else {
        print(&scenario, &outcome);
    }
    if outcome.passed { Ok(()) } else { Err(format!("{name}: not everything held")) }
}

/// Runs every scenario of the repository and adds them to the tally.
pub(crate) fn all(workspace: &Workspace, binary: &Path, tally: &mut Tally) -> Result<(), Failure> {
    let mut failed = Vec::new();
    for name in names(workspace) {
        let scenario = Scenario::load(&file_of(workspace, &name)).map_err(|error| error.to_string())?;
        println!("-- {name}");
        let outcome = run_scenario(&scenario, &Options { binary: binary.to_owned(), folder: None });
        match outcome {
            Ok(outcome) => {
                print(&scenario, &outcome);
                if outcome.passed {
                    tally.passed += 1;
                    continue;
                }
            }
            Err(error) => println!("   {error}"),
        }
        tally.failed += 1;
        failed.push(name);
    }
    if failed.is_empty() { Ok(()) } else { Err(format!("scenarios that failed: {}", failed.join(", "))) }
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
