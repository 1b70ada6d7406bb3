//! `aire policy check`.

use std::path::Path;
use std::process::ExitCode;

use crate::failure::Failure;
use crate::output::say;

/// Prints every finding as `FILE:LINE:COLUMN: severity: message`; fails when one of them is an error.
pub(crate) fn check(file: &Path) -> Result<ExitCode, Failure> {
    let name = file.display().to_string();
    let text = std::fs::read_to_string(file)
        .map_err(|error| Failure::Failed(format!("cannot read {name}: {error}")))?;
    let findings = aire_policy::check(&name, &text);
    for finding in &findings {
        say(&format!("{finding}\n"))?;
    }
    let errors = findings.iter().filter(|finding| finding.severity == aire_policy::Severity::Error).count();
    match errors {
        0 => {
            say(&format!("{name}: ok\n"))?;
            Ok(ExitCode::SUCCESS)
        }
        n => Err(Failure::Failed(format!(
            "{name}: {n} error{}; an agent would not load it",
            if n == 1 { "" } else { "s" }
        ))),
    }
}
