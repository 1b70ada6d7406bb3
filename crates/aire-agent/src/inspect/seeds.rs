use std::net::SocketAddr;
use std::time::Duration;

use aire_admin::documents::Finding;
use tokio::time::timeout;

use crate::config::Config;
use crate::joining;

const CHECK: &str = "seed";
const RESOLVE: Duration = Duration::from_secs(5);
/// More seeds than these tell nothing new.
pub(super) const MAX_SEEDS: usize = 8;

/// Where this node would look for others: the seeds of the configuration and of the token.
pub(super) fn of(config: &Config) -> Vec<String> {
    let mut seeds = config.seeds.clone();
    seeds.extend(joining::token_seeds(config));
    seeds.sort_unstable();
    seeds.dedup();
    seeds
}

/// Have the seeds addresses?
pub(super) async fn resolve(config: &Config) -> Vec<Finding> {
    let seeds = of(config);
    if seeds.is_empty() {
        return vec![none(config)];
    }
    let mut findings = Vec::new();
    for seed in seeds.iter().take(MAX_SEEDS) {
        findings.push(match lookup(seed).await {
            Ok(addresses) => Finding::ok(CHECK, format!("{seed} is {}", addresses[0])),
            Err(why) => unresolved(seed, &why),
        });
    }
    findings
}

/// What it means to have no seed.
pub(super) fn none(config: &Config) -> Finding {
    if config.authority.is_some() {
        Finding::ok(CHECK, "none: this node holds the authority, and others find it")
    } else if config.multicast {
        let advice = "for other networks give --seed HOST:PORT, or a token that has one";
        Finding::warn(CHECK, "none: only agents of the local network are found", advice)
    } else {
        let advice = "give --seed HOST:PORT, a token that has one, or allow multicast".to_owned();
        Finding::fail(CHECK, "none, and no multicast: this node finds nobody", Some(advice))
    }
}

/// A seed without an address.
pub(super) fn unresolved(seed: &str, why: &str) -> Finding {
    Finding::warn(CHECK, format!("{seed} has no address: {why}"), "correct the seed, or see to the resolver")
}

/// The addresses of `HOST:PORT`, at least one.
pub(super) async fn lookup(text: &str) -> Result<Vec<SocketAddr>, String> {
    match timeout(RESOLVE, tokio::net::lookup_host(text)).await {
        Ok(Ok(addresses)) => {
            let addresses: Vec<SocketAddr> = addresses.collect();
            if addresses.is_empty() { Err("the name has none".to_owned()) } else { Ok(addresses) }
        }
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("the resolver does not answer".to_owned()),
    }
}
