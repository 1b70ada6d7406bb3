//! Faults in rounds with the built agent, and the table of what an application saw.

use std::path::Path;
use std::time::Instant;

use aire_lab::scenario::Scenario;
use aire_lab::scenario::faults::{Fault, FaultOptions, Round, Table, measure};

use crate::Failure;
use crate::run_options::{RunOptions, count};
use crate::steps::Tally;
use crate::workspace::Workspace;

/// The mesh that is hurt, beneath the folder of scenarios.
const MESH: &str = "lab/base/faults.toml";

/// Those that the tests run: each way to notice something and to go on, once.
const BRIEF: [&str; 13] = [
    "cut-bulk",
    "cut-there",
    "cut-back",
    "relay-killed",
    "relay-stopped",
    "loss",
    "rate-bulk",
    "all-relays",
    "relay-moves",
    "caller-moves",
    "app-moves",
    "outage",
    "long-outage",
];

/// What was asked for.
struct Asked {
    run: RunOptions,
    rounds: u32,
    faults: Vec<Fault>,
}

fn asked(arguments: &[&str]) -> Result<Asked, Failure> {
    let mut asked = Asked { run: RunOptions::default(), rounds: 20, faults: Vec::new() };
    let mut words = arguments.iter().copied();
    while let Some(word) = words.next() {
        if asked.run.take(word, &mut words)? {
            continue;
        }
        match word {
            "--rounds" => asked.rounds = count("--rounds", &mut words)?,
            name => asked.faults.push(Fault::named(name).ok_or_else(|| {
                let names: Vec<&str> = Fault::ALL.iter().map(|fault| fault.name).collect();
                format!("there is no fault '{name}'; there are: {}", names.join(", "))
            })?),
        }
    }
    if asked.faults.is_empty() {
        asked.faults = Fault::ALL.to_vec();
    }
    Ok(asked)
}

pub(crate) fn run(arguments: &[&str]) -> Result<(), Failure> {
    let asked = asked(arguments)?;
    let workspace = Workspace::load()?;
    let binary = asked.run.agent(&workspace)?;
    let options = FaultOptions { binary, rounds: asked.rounds, folder: asked.run.keep };
    let begun = Instant::now();
    let table = table(&workspace, &asked.faults, &options)?;
    if asked.run.json {
        println!("{}", serde_json::to_string_pretty(&table).map_err(|error| error.to_string())?);
    } else {
        println!("{table}");
    }
    eprintln!("{:.0} s; load of this machine: {}", begun.elapsed().as_secs_f64(), load());
    judge(&table)
}

/// One round of most faults, for the tests.
pub(crate) fn brief(workspace: &Workspace, binary: &Path, tally: &mut Tally) -> Result<(), Failure> {
    let options = FaultOptions { binary: binary.to_owned(), rounds: 1, folder: None };
    let faults: Vec<Fault> = Fault::ALL.into_iter().filter(|fault| BRIEF.contains(&fault.name)).collect();
    println!("-- faults");
    let table = table(workspace, &faults, &options)?;
    println!("{table}");
    let failed: Vec<&str> = table.rows.iter().filter(|row| !row.held).map(|row| row.fault).collect();
    tally.failed += failed.len() as u64;
    tally.passed += (table.rows.len() - failed.len()) as u64;
    if failed.is_empty() { Ok(()) } else { Err(format!("faults that did harm: {}", failed.join(", "))) }
}

fn table(workspace: &Workspace, faults: &[Fault], options: &FaultOptions) -> Result<Table, Failure> {
    let file = workspace.workspace_root.join(MESH);
    let scenario = Scenario::load(&file).map_err(|error| error.to_string())?;
    measure(&scenario, faults, options, tell).map_err(|error| error.to_string())
}

fn tell(round: &Round) {
    let path = |hops: &[String]| if hops.is_empty() { "direct".to_owned() } else { hops.join(",") };
    let taken = round.taken_s.map(|s| format!(", taken after {s:.1} s")).unwrap_or_default();
    let error = round.error.as_ref().map(|error| format!(", {error}")).unwrap_or_default();
    eprintln!(
        "   {} {}: {} -> {}, stall {:.0} ms (aim {:.0}){taken}, {} messages, {} harmed, {} resets{error}",
        round.fault,
        round.number,
        path(&round.from),
        path(&round.to),
        round.stall_ms,
        round.aim_ms,
        round.received,
        round.harmed,
        round.resets,
    );
}

fn judge(table: &Table) -> Result<(), Failure> {
    let missed: Vec<&str> = table.rows.iter().filter(|row| !row.reached).map(|row| row.fault).collect();
    if missed.is_empty() {
        Ok(())
    } else {
        Err(format!("faults that missed their aim: {}", missed.join(", ")))
    }
}

/// One, five and fifteen minutes.
fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().take(3).collect::<Vec<_>>().join(" ")
}
