//! What an operator may want to know before or while an agent runs: does the configuration work on this machine and
//! in this network? Nothing here changes anything on disk.

mod identity;
mod limits;
mod network;
mod owner;
mod policy;
mod ports;
mod running;
mod seeds;
mod sight;
mod state;
mod target;

pub(crate) use running::diagnose_running;
pub(crate) use sight::{Reading, Sight};

use aire_admin::documents::{Diagnosis, Finding, Verdict};

use crate::config::Config;

/// Why a port of the configuration cannot be had, before a token is spent.
pub(crate) fn taken_port(config: &Config) -> Option<String> {
    let finding = ports::check(config).into_iter().find(|finding| finding.verdict == Verdict::Fail)?;
    let advice = finding.advice.map(|advice| format!("; {advice}")).unwrap_or_default();
    Some(format!("{}: {}{advice}", finding.check, finding.says))
}

/// What `run` with this configuration would meet on this machine. Opens its ports for a moment, and sends nothing.
pub async fn check(config: &Config) -> Vec<Finding> {
    let mut findings = policy::check(config);
    findings.push(crate::model::check(&config.model));
    findings.extend(state::check(&config.state));
    findings.extend(identity::check(config).await);
    findings.extend(ports::check(config));
    findings.extend(target::resolve(config).await);
    findings.extend(seeds::resolve(config).await);
    findings
}

/// As [`check`], and what network and app answer to a node whose agent does not run.
pub async fn diagnose(config: &Config) -> Diagnosis {
    let mut findings = policy::check(config);
    findings.push(crate::model::check(&config.model));
    findings.extend(state::check(&config.state));
    findings.extend(identity::check(config).await);
    let ports = ports::check(config);
    let is_free = ports::is_free(&ports);
    findings.extend(ports);
    findings.extend(target::connect(config).await);
    findings.extend(limits::check());
    findings.extend(network::explore(config, is_free).await);
    Diagnosis { node: config.node.clone(), running: false, findings }
}
