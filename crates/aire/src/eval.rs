//! `aire eval`.

use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;

use aire_train::data::{self, Recording, Source};
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
    let sources = data::sources(&asked.traces).map_err(Failure::because)?;
    let mut entries = policies::baselines();
    if let Some(file) = &asked.model {
        let models = policies::models(file);
        entries.extend(models.map_err(|why| Failure::Failed(format!("{}: {why}", file.display())))?);
    }
    let protocol = Protocol { seeds: asked.seeds, probes: asked.probes, ..Protocol::default() };
    let findings: Vec<Finding> =
        sources.iter().map(|source| find(source, &protocol, &entries)).collect::<Result<_, _>>()?;
    if let Some(page) = &asked.html {
        write(page, &report::page(&findings))?;
    }
    if !asked.json {
        findings.iter().try_for_each(|finding| say(&format!("{}\n", report::text(finding))))?;
        return Ok(ExitCode::SUCCESS);
    }
    // one set is one document; a folder of sets is a list of them
    let mut documents: Vec<_> = findings.iter().map(report::json).collect();
    let single = sources.len() == 1 && sources[0].dir == asked.traces;
    let document = if single { documents.remove(0) } else { documents.into() };
    say(&format!("{document}\n"))?;
    Ok(ExitCode::SUCCESS)
}

fn find(source: &Source, protocol: &Protocol, entries: &[Entry]) -> Result<Finding, Failure> {
    let Recording::Frames(frames) = source.read().map_err(Failure::because)? else {
        return Ok(Finding::of_single_links(source));
    };
    let watched = std::io::stderr().is_terminal();
    let progress = |done: &str| {
        if watched {
            eprintln!("{done}");
        }
    };
    match evaluate(&frames, protocol, entries, &progress) {
        Ok(found) => Ok(Finding::Evaluated(found)),
        Err(unfit) => Ok(Finding::Nothing { trace: source.name.clone(), why: unfit.to_string() }),
    }
}

fn write(file: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(file, text)
        .map_err(|error| Failure::Failed(format!("{} cannot be written: {error}", file.display())))
}
