//! `aire eval`.

use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;

use aire_train::data::{self, Source};
use aire_train::evaluation::evaluate;
use aire_train::policies::{self, Entry};
use aire_train::replay::Protocol;
use aire_train::report::{self, Finding};

use crate::args::Eval;
use crate::failure::Failure;
use crate::output::say;

/// Replays recorded networks with all policies, and prints what each is worth.
pub(crate) fn execute(asked: &Eval) -> Result<ExitCode, Failure> {
    if !(asked.probes.is_finite() && asked.probes > 0.0) {
        return Err(Failure::usage("--probes must be more than 0"));
    }
    let folders = data::folders(&asked.traces).map_err(Failure::because)?;
    let mut entries = policies::baselines();
    if let Some(file) = &asked.model {
        let models = policies::models(file);
        entries.extend(models.map_err(|why| Failure::Failed(format!("{}: {why}", file.display())))?);
    }
    let protocol = Protocol { seeds: asked.seeds, probes: asked.probes, ..Protocol::default() };
    let mut faults = Vec::new();
    let mut findings = Vec::with_capacity(folders.len());
    for folder in &folders {
        findings.push(find(folder, &protocol, &entries).unwrap_or_else(|error| {
            faults.push(error.to_string());
            Finding::of_unreadable(&data::name(folder), &error)
        }));
    }
    if faults.len() < folders.len() {
        let single = folders == [asked.traces.clone()];
        tell(&findings, single, asked.json)?;
        if let Some(page) = &asked.html {
            write(page, &report::page(&findings))?;
        }
    }
    if faults.is_empty() { Ok(ExitCode::SUCCESS) } else { Err(Failure::Failed(faults.join("\n"))) }
}

fn tell(findings: &[Finding], single: bool, json: bool) -> Result<(), Failure> {
    if !json {
        return findings.iter().try_for_each(|finding| say(&format!("{}\n", report::text(finding))));
    }
    // one set is one document; a folder of sets is a list of them
    let mut documents: Vec<_> = findings.iter().map(report::json).collect();
    let document = if single { documents.remove(0) } else { documents.into() };
    say(&format!("{document}\n"))
}

fn find(folder: &Path, protocol: &Protocol, entries: &[Entry]) -> Result<Finding, data::Error> {
    let source = Source::open(folder)?;
    let Some(frames) = source.read_pairs()? else { return Ok(Finding::of_single_links(&source)) };
    let watched = std::io::stderr().is_terminal();
    let progress = |done: &str| {
        if watched {
            eprintln!("{done}");
        }
    };
    Ok(Finding::of_pairs(&source.name, evaluate(&frames, protocol, entries, &progress)))
}

fn write(file: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(file, text)
        .map_err(|error| Failure::Failed(format!("{} cannot be written: {error}", file.display())))
}
