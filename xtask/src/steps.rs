//! Steps that are run one after the other, timed, until one fails.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Instant;

use crate::Failure;

/// What a step that runs tests saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) ignored: u64,
}

/// All steps so far.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    pub(crate) tally: Tally,
    /// What did not run, and why.
    pub(crate) skipped: Vec<String>,
}

impl Steps {
    /// Runs one step and prints how long it took.
    pub(crate) fn step(
        &mut self,
        name: &str,
        job: impl FnOnce(&mut Steps) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        println!("== {name}");
        let _ = std::io::stdout().flush();
        let start = Instant::now();
        let result = job(self);
        let seconds = start.elapsed().as_secs_f64();
        match result {
            Ok(()) => {
                println!("== {name}: ok, {seconds:.1} s");
                Ok(())
            }
            Err(failure) => Err(format!("step '{name}' failed after {seconds:.1} s: {failure}")),
        }
    }

    /// Runs a command to its end, passing its output on and noting what tests say in it.
    pub(crate) fn command(&mut self, command: &mut Command) -> Result<(), Failure> {
        let shown = format!("{command:?}").replace('"', "");
        let failed = |error: std::io::Error| format!("{shown}: {error}");
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(failed)?;
        let errors = child.stderr.take().map(|stream| thread::spawn(move || copy(stream, std::io::stderr())));
        let mut lines = child.stdout.take().map(|stream| copy(stream, std::io::stdout())).unwrap_or_default();
        lines.extend(errors.and_then(|errors| errors.join().ok()).unwrap_or_default());
        for line in &lines {
            self.note(line);
        }
        let status = child.wait().map_err(failed)?;
        if status.success() { Ok(()) } else { Err(format!("{shown}: {status}")) }
    }

    fn note(&mut self, line: &str) {
        if let Some(at) = line.find("SKIPPED: ") {
            self.skipped.push(line[at + "SKIPPED: ".len()..].to_owned());
        } else if let Some(tally) = tally(line) {
            self.tally.passed += tally.passed;
            self.tally.failed += tally.failed;
            self.tally.ignored += tally.ignored;
        }
    }
}

/// Copies line by line and keeps the lines that are of interest.
fn copy(from: impl std::io::Read, mut to: impl Write) -> Vec<String> {
    let mut kept = Vec::new();
    for line in BufReader::new(from).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line).into_owned();
        let _ = writeln!(to, "{line}");
        if line.contains("SKIPPED: ") || line.starts_with("test result: ") {
            kept.push(line);
        }
    }
    kept
}

/// Reads `test result: ok. 3 passed; 0 failed; 1 ignored; …`.
fn tally(line: &str) -> Option<Tally> {
    let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let mut tally = Tally::default();
    for part in counts.split("; ") {
        let mut words = part.split_whitespace();
        let (Some(Ok(count)), Some(what)) = (words.next().map(str::parse), words.next()) else { continue };
        match what {
            "passed" => tally.passed = count,
            "failed" => tally.failed = count,
            "ignored" => tally.ignored = count,
            _ => {}
        }
    }
    Some(tally)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_add_up_and_skipped_tests_are_kept() {
        let mut steps = Steps::default();
        let line = "test result: FAILED. 3 passed; 1 failed; 2 ignored; 0 measured; 0 filtered out; finished in 0.1s";
        steps.note(line);
        steps.note(
            "test result: ok. 4 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.1s",
        );
        steps.note("SKIPPED: a_test: needs root");
        assert_eq!(steps.tally, Tally { passed: 7, failed: 1, ignored: 2 });
        assert_eq!(steps.skipped, ["a_test: needs root"]);
    }
}
