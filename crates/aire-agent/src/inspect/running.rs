//! What a running agent knows of itself.

use std::sync::Arc;
use std::time::SystemTime;

use aire_admin::documents::{Diagnosis, Finding};
use aire_net::Transport;

use super::{identity, limits, policy, seeds, sight, state, target};
use crate::agent::Agent;

/// The checks of an agent that runs, without disturbing it.
pub(crate) async fn diagnose_running(agent: &Arc<Agent>) -> Diagnosis {
    let config = &agent.config;
    let mut findings = policy::check(config);
    findings.extend(state::check(&config.state));
    findings.push(identity::certificate(&agent.membership, SystemTime::now()));
    findings.extend(listening(agent));
    findings.extend(target::connect(config).await);
    findings.extend(limits::check());
    findings.extend(links(agent));
    findings.extend(unlinked_seeds(agent).await);
    Diagnosis { node: config.node.clone(), running: true, findings }
}

fn listening(agent: &Agent) -> Option<Finding> {
    let at = agent.endpoint.get()?.local_addr();
    Some(Finding::ok("listen", format!("this agent listens on {at}, UDP and TCP")))
}

fn links(agent: &Arc<Agent>) -> Vec<Finding> {
    let (sights, quic, tcp) = agent.look(|control| {
        let over = |transport| control.links().iter().filter(|(_, l)| l.transport() == transport).count();
        (control.links().sights(), over(Transport::Quic), over(Transport::Tcp))
    });
    let linked = match quic + tcp {
        0 if agent.authority.is_some() => {
            Finding::ok("links", "no other agent is linked; this one may be the first")
        }
        0 => {
            let advice = "see the seeds below, and 'aire events'".to_owned();
            Finding::fail("links", "no other agent is linked", Some(advice))
        }
        n => Finding::ok("links", format!("{n} agents: {quic} over QUIC, {tcp} over TCP")),
    };
    let port = agent.endpoint.get().map_or(0, |endpoint| endpoint.local_addr().port());
    let mut findings = vec![linked, sight::passes("udp", quic, tcp), sight::clock(&sights)];
    findings.extend(sight::nat(&sights, port, sight::is_own));
    findings.push(authority(agent));
    findings
}

fn authority(agent: &Arc<Agent>) -> Finding {
    let check = "authority";
    if agent.authority.is_some() {
        return Finding::ok(check, "this agent holds it");
    }
    let known: Vec<_> = agent.look(|control| {
        let holders = control.registry().members().filter(|member| member.body.authority);
        holders.map(|member| (member.node().clone(), control.links().has(member.node()))).collect()
    });
    let advice = "certificates are not renewed until it is; see that its agent runs and can be reached";
    match (known.iter().find(|(_, linked)| *linked), known.first()) {
        (Some((node, _)), _) => Finding::ok(check, format!("{node} holds it and is linked")),
        (None, Some((node, _))) => Finding::warn(check, format!("{node} holds it and is not linked"), advice),
        (None, None) => Finding::warn(check, "no agent that holds it is known", advice),
    }
}

/// Seeds that lead to nobody now.
async fn unlinked_seeds(agent: &Arc<Agent>) -> Vec<Finding> {
    let linked: Vec<_> =
        agent.look(|control| control.links().iter().map(|(_, link)| link.remote()).collect::<Vec<_>>());
    let mut findings = Vec::new();
    for seed in seeds::of(&agent.config).iter().take(seeds::MAX_SEEDS) {
        findings.push(match seeds::lookup(seed).await {
            Ok(addresses) if addresses.iter().any(|address| linked.contains(address)) => {
                Finding::ok("seed", format!("{seed} is linked"))
            }
            Ok(addresses) if addresses.iter().all(|address| sight::is_own(address.ip())) => {
                Finding::not_checked("seed", format!("{seed} is an address of this machine"))
            }
            Ok(_) => Finding::not_checked("seed", format!("{seed} is not linked under this address")),
            Err(why) => seeds::unresolved(seed, &why),
        });
    }
    findings
}
