//! One target's run.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::create;
use crate::Failure;

/// An input that hangs is given up after this, seconds of the wall clock. The targets count seconds of CPU themselves.
const HANG_S: u32 = 30;
/// Memory of the whole process, MiB.
const MEMORY_MIB: u32 = 1024;
/// How much longer than asked for a run may take before it is killed.
const GRACE: Duration = Duration::from_secs(120);

/// How targets are run.
pub(super) struct Run {
    pub(super) binary: PathBuf,
    /// Where the corpora are kept.
    pub(super) folder: PathBuf,
    pub(super) seconds: u64,
}

/// What a run saw.
#[derive(Debug, Serialize)]
pub(super) struct Ran {
    pub(super) target: String,
    pub(super) seconds: f64,
    pub(super) executions: u64,
    /// Edges of the instrumented code that the corpus reaches.
    pub(super) edges: u64,
    /// Inputs in the corpus.
    pub(super) corpus: usize,
    pub(super) failure: Option<Found>,
}

/// An input that breaks a promise.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Found {
    pub(super) what: String,
    pub(super) input: Option<PathBuf>,
    pub(super) reproduce: String,
}

/// The names of all targets.
pub(super) fn names(binary: &Path) -> Result<Vec<String>, Failure> {
    let output = Command::new(binary).env_remove("AIRE_FUZZ").output();
    let output = output.map_err(|error| format!("{}: {error}", binary.display()))?;
    Ok(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect())
}

impl Run {
    pub(super) fn target(&self, name: &str) -> Result<Ran, Failure> {
        let folder = self.folder.join(name);
        let [corpus, seeds, found] = ["corpus", "seeds", "found"].map(|part| folder.join(part));
        [&corpus, &seeds, &found].into_iter().try_for_each(|folder| create(folder))?;
        let log = folder.join("log");
        let (started, status) = (Instant::now(), self.start(name, &log, &corpus, &seeds, &found)?);
        let status = status.wait(Duration::from_secs(self.seconds) + GRACE)?;
        let text = fs::read(&log).map_err(|error| format!("{}: {error}", log.display()))?;
        let text = String::from_utf8_lossy(&text);
        let failure = (!status.is_some_and(|status| status.success())).then(|| self.found(name, &log, &text));
        Ok(Ran {
            target: name.to_owned(),
            seconds: started.elapsed().as_secs_f64(),
            executions: last_number(&text, "stat::number_of_executed_units:")
                .or_else(|| {
                    text.lines()
                        .rev()
                        .find_map(|line| line.strip_prefix('#')?.split('\t').next()?.parse().ok())
                })
                .unwrap_or(0),
            edges: last_number(&text, " cov:").unwrap_or(0),
            corpus: fs::read_dir(&corpus).map_or(0, Iterator::count),
            failure,
        })
    }

    fn start(
        &self,
        name: &str,
        log: &Path,
        corpus: &Path,
        seeds: &Path,
        found: &Path,
    ) -> Result<Running, Failure> {
        let failed = |error: std::io::Error| format!("{}: {error}", log.display());
        let file = File::create(log).map_err(failed)?;
        let child = Command::new(&self.binary)
            .env("AIRE_FUZZ", name)
            .env("AIRE_FUZZ_SEEDS", seeds)
            .arg(format!("-max_total_time={}", self.seconds))
            .args([format!("-timeout={HANG_S}"), format!("-rss_limit_mb={MEMORY_MIB}")])
            .arg(format!("-artifact_prefix={}/", found.display()))
            .args(["-print_final_stats=1", "-detect_leaks=0"])
            .args([corpus, seeds])
            .stdin(Stdio::null())
            .stdout(file.try_clone().map_err(failed)?)
            .stderr(file)
            .spawn();
        child.map(Running).map_err(|error| format!("{}: {error}", self.binary.display()))
    }

    fn found(&self, name: &str, log: &Path, text: &str) -> Found {
        let input = text
            .lines()
            .rev()
            .find_map(|line| line.split_once("Test unit written to ").map(|(_, path)| path));
        let binary = self.binary.display();
        let reproduce = match input {
            Some(input) => format!("AIRE_FUZZ={name} {binary} {input}"),
            None => format!("see {}", log.display()),
        };
        Found { what: reason(text), input: input.map(PathBuf::from), reproduce }
    }
}

/// Why a run ended: what the panic said, or libFuzzer.
fn reason(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let panic = lines.iter().rposition(|line| line.contains("panicked at"));
    if let Some(at) = panic {
        let said = lines.iter().skip(at).take(2).map(|line| line.trim()).collect::<Vec<_>>();
        return said.join(" ");
    }
    let error =
        lines.iter().rev().find(|line| line.contains("ERROR:") || line.contains("memory allocation of"));
    error.map_or_else(|| "it ended early, or hung".to_owned(), |line| line.trim().to_owned())
}

/// The number behind the last `label`.
fn last_number(text: &str, label: &str) -> Option<u64> {
    let (_, rest) = text.rsplit_once(label)?;
    rest.split_whitespace().next()?.parse().ok()
}

/// A child that is killed when nobody waits for it any more.
struct Running(Child);

impl Running {
    /// How it ended; `None` when it had to be killed.
    fn wait(mut self, most: Duration) -> Result<Option<ExitStatus>, Failure> {
        let deadline = Instant::now() + most;
        while Instant::now() < deadline {
            let ended = self.0.try_wait().map_err(|error| format!("a fuzz target: {error}"))?;
            if ended.is_some() {
                return Ok(ended);
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(None)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_libfuzzer_says_is_read() {
        let text = "#2\tINITED cov: 41 ft: 42 corp: 1/1b\n#1043\tDONE   cov: 412 ft: 900 corp: 3/9b\n\
            stat::number_of_executed_units: 1043\nstat::peak_rss_mb: 9\n";
        assert_eq!(last_number(text, " cov:"), Some(412));
        assert_eq!(last_number(text, "stat::number_of_executed_units:"), Some(1043));
        assert_eq!(last_number(text, "stat::none:"), None);
    }

    #[test]
    fn a_failure_says_what_happened_and_how_to_see_it_again() {
        let text = "thread '<unnamed>' panicked at a.rs:1:2:\nassertion failed\n==1== ERROR: libFuzzer: deadly signal\n\
            artifact_prefix='x/'; Test unit written to x/crash-1\n";
        let run = Run { binary: "b".into(), folder: "f".into(), seconds: 1 };
        let found = run.found("frames", Path::new("log"), text);
        assert_eq!(found.what, "thread '<unnamed>' panicked at a.rs:1:2: assertion failed");
        assert_eq!(found.reproduce, "AIRE_FUZZ=frames b x/crash-1");
        assert_eq!(reason("==1== ERROR: libFuzzer: out-of-memory"), "==1== ERROR: libFuzzer: out-of-memory");
    }
}
