//! `aire doctor` and `aire run --check`.

use std::process::ExitCode;
use std::time::Duration;

use aire_admin::documents::{Diagnosis, Finding, Status, Verdict};
use aire_agent::Config;

use crate::admin::{Admin, parse};
use crate::args::Doctor;
use crate::failure::Failure;
use crate::output::say;
use crate::run;

/// An agent tries its app's target and asks resolvers.
const PATIENCE: Duration = Duration::from_secs(30);

/// Asks the agent of this configuration, or, where it does not run, tries what it would do.
pub(crate) fn execute(asked: Doctor) -> Result<ExitCode, Failure> {
    let named = asked.run.config.is_some() || asked.run.node.is_some() || asked.run.state.is_some();
    let config = run::resolve(asked.run)?;
    let diagnosis = match ask(&config, named)? {
        Some(diagnosis) => diagnosis,
        None => block_on(aire_agent::diagnose(&config))?,
    };
    if asked.json {
        say(&format!("{}\n", serde_json::to_string(&diagnosis).map_err(Failure::because)?))?;
    } else {
        let agent = if diagnosis.running { "its agent runs and was asked" } else { "its agent does not run" };
        say(&format!("node {}: {agent}\n", diagnosis.node))?;
        print(&diagnosis.findings)?;
    }
    judge(&diagnosis.findings)
}

/// The diagnosis of the agent at the admin address; `None` when none answers, or, where the configuration says which
/// node is meant, when it is another node's.
fn ask(config: &Config, named: bool) -> Result<Option<Diagnosis>, Failure> {
    let admin = Admin::at(&config.admin.to_string());
    let Ok(status) = admin.document::<Status>("/api/v1/status") else { return Ok(None) };
    if named && status.node != config.node {
        return Ok(None);
    }
    parse(&admin.get_within("/api/v1/doctor", PATIENCE)?).map(Some)
}

/// Says what `aire run` would do and meet.
pub(crate) fn check(config: &Config) -> Result<ExitCode, Failure> {
    let findings = block_on(aire_agent::check(config))?;
    print(&findings)?;
    judge(&findings)
}

fn print(findings: &[Finding]) -> Result<(), Failure> {
    findings.iter().try_for_each(|finding| say(&format!("{finding}\n")))
}

fn judge(findings: &[Finding]) -> Result<ExitCode, Failure> {
    let failed: Vec<&str> = findings
        .iter()
        .filter(|finding| finding.verdict == Verdict::Fail)
        .map(|finding| finding.check.as_str())
        .collect();
    match &failed[..] {
        [] => Ok(ExitCode::SUCCESS),
        some => Err(Failure::Failed(format!("{} failed; see the lines above", some.join(", ")))),
    }
}

pub(crate) fn block_on<T>(work: impl Future<Output = T>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Failed(format!("this machine gives no runtime: {error}")))?;
    Ok(runtime.block_on(work))
}
