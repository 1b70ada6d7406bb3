use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use aire_types::Random;

use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::pace::{Backoff, unseeded};
use crate::waiting::until;
use crate::{Discovery, Finding, Found, Next, Own, Pace, Source, Trouble};

/// The most addresses that are taken from one seed.
const MAX_PER_SEED: usize = 16;
/// How long the resolver may take.
const RESOLVE: Duration = Duration::from_secs(10);

/// A seed in the token or the configuration that can never be resolved.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not HOST:PORT (or [IPV6]:PORT): correct the seed")]
pub struct SeedError(pub String);

/// Addresses that the operator gave, as `HOST:PORT`. A name is resolved anew at every attempt, and a seed counts as
/// linked when any of its addresses is.
#[derive(Debug)]
pub struct Seeds {
    seeds: Vec<Seed>,
    random: Random,
    resolving: JoinSet<(usize, io::Result<Vec<SocketAddr>>)>,
    findings: VecDeque<Finding>,
}

#[derive(Debug)]
struct Seed {
    text: String,
    addresses: Vec<SocketAddr>,
    backoff: Backoff,
    /// When to resolve again; `None` while it is linked or being resolved.
    due: Option<Instant>,
    linked: bool,
    failing: bool,
}

impl Seeds {
    /// Takes seeds; none is fine.
    ///
    /// # Errors
    /// One is not `HOST:PORT`.
    pub fn new(seeds: impl IntoIterator<Item = String>, pace: Pace) -> Result<Self, SeedError> {
        let now = Instant::now();
        let mut checked: Vec<Seed> = Vec::new();
        for text in seeds {
            check(&text)?;
            if checked.iter().all(|seed| seed.text != text) {
                let backoff = Backoff::new(pace);
                let due = Some(now);
                checked.push(Seed {
                    text,
                    addresses: Vec::new(),
                    backoff,
                    due,
                    linked: false,
                    failing: false,
                });
            }
        }
        Ok(Seeds { seeds: checked, random: unseeded(), resolving: JoinSet::new(), findings: VecDeque::new() })
    }

    fn start_due(&mut self, now: Instant) {
        for (index, seed) in self.seeds.iter_mut().enumerate() {
            if seed.due.is_some_and(|due| due <= now) {
                seed.due = None;
                self.resolving.spawn(resolve(index, seed.text.clone()));
            }
        }
    }

    fn resolved(&mut self, index: usize, result: io::Result<Vec<SocketAddr>>) {
        let Some(seed) = self.seeds.get_mut(index) else { return };
        match result {
            Ok(addresses) => {
                seed.failing = false;
                seed.addresses = addresses;
            }
            Err(error) => {
                if !std::mem::replace(&mut seed.failing, true) {
                    let trouble = Trouble::Seed { seed: seed.text.clone(), why: error.to_string() };
                    self.findings.push_back(Finding::Trouble(trouble));
                }
            }
        }
        if seed.linked {
            return;
        }
        // What an earlier answer said is still worth a try while the resolver is away.
        self.findings.extend(
            seed.addresses
                .iter()
                .map(|&address| Finding::Found(Found { address, source: Source::Seed, node: None })),
        );
        seed.due = Some(Instant::now() + seed.backoff.next(&mut self.random));
    }

    async fn find(&mut self) -> Option<Finding> {
        if self.seeds.is_empty() {
            return None;
        }
        loop {
            if let Some(finding) = self.findings.pop_front() {
                return Some(finding);
            }
            self.start_due(Instant::now());
            let due = self.seeds.iter().filter_map(|seed| seed.due).min();
            tokio::select! {
                Some(done) = self.resolving.join_next() => match done {
                    Ok((index, result)) => self.resolved(index, result),
                    Err(error) => tracing::error!(%error, "resolving a seed failed, which is a bug"),
                },
                () = until(due) => {}
            }
        }
    }
}

fn check(text: &str) -> Result<(), SeedError> {
    let error = || SeedError(text.chars().take(100).collect());
    if text.parse::<SocketAddr>().is_ok_and(|address| address.port() != 0) {
        return Ok(());
    }
    let (host, port) = text.rsplit_once(':').ok_or_else(error)?;
    let host_is_name =
        !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_".contains(&b));
    let port_is_number = port.parse::<u16>().is_ok_and(|port| port != 0);
    if host_is_name && port_is_number && host.len() <= 253 { Ok(()) } else { Err(error()) }
}

async fn resolve(index: usize, text: String) -> (usize, io::Result<Vec<SocketAddr>>) {
    let result = match tokio::time::timeout(RESOLVE, tokio::net::lookup_host(text)).await {
        Ok(Ok(addresses)) => Ok(addresses.take(MAX_PER_SEED).collect()),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "the resolver does not answer")),
    };
    (index, result)
}

impl Discovery for Seeds {
    fn announce(&mut self, _own: &Own) {}

    fn linked(&mut self, address: SocketAddr) {
        for seed in self.seeds.iter_mut().filter(|seed| seed.addresses.contains(&address)) {
            seed.linked = true;
            seed.due = None;
        }
        let known: Vec<SocketAddr> =
            self.seeds.iter().filter(|s| s.linked).flat_map(|s| s.addresses.iter().copied()).collect();
        self.findings.retain(|f| !matches!(f, Finding::Found(found) if known.contains(&found.address)));
    }

    fn lost(&mut self, address: SocketAddr) {
        for seed in self.seeds.iter_mut().filter(|s| s.linked && s.addresses.contains(&address)) {
            seed.linked = false;
            seed.backoff.reset();
            seed.due = Some(Instant::now());
        }
    }

    fn next(&mut self) -> Next<'_> {
        Box::pin(self.find())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_checked() {
        for good in ["127.0.0.1:7400", "[::1]:7400", "a.example.com:7400", "localhost:1"] {
            assert!(Seeds::new([good.to_owned()], Pace::default()).is_ok(), "{good}");
        }
        for bad in ["", "a", "a:", ":1", "a:0", "a:70000", "::1:7400x", "a b:1", "http://a:1", "127.0.0.1:0"]
        {
            assert_eq!(Seeds::new([bad.to_owned()], Pace::default()).unwrap_err(), SeedError(bad.into()));
        }
    }

    #[tokio::test]
    async fn a_name_that_does_not_resolve_is_reported_once_and_tried_again() {
        let pace = Pace { first: Duration::from_millis(1), longest: Duration::from_millis(5) };
        let mut seeds = Seeds::new(["name.invalid:1".to_owned()], pace).unwrap();
        let first = seeds.next().await;
        assert!(matches!(first, Some(Finding::Trouble(Trouble::Seed { .. }))), "{first:?}");
        seeds.resolved(0, Err(io::ErrorKind::NotFound.into()));
        assert!(seeds.findings.is_empty(), "the same trouble is not told twice");
        let address = "192.0.2.1:1".parse().unwrap();
        seeds.resolved(0, Ok(vec![address]));
        let found = Found { address, source: Source::Seed, node: None };
        assert_eq!(seeds.findings.pop_front(), Some(Finding::Found(found.clone())));
        seeds.resolved(0, Err(io::ErrorKind::NotFound.into()));
        assert!(matches!(seeds.findings.pop_front(), Some(Finding::Trouble(_))), "a new failure is news");
        assert_eq!(seeds.findings.pop_front(), Some(Finding::Found(found)), "the last answer is kept");
    }

    #[tokio::test]
    async fn no_seeds_find_nothing() {
        assert_eq!(Seeds::new([], Pace::default()).unwrap().next().await, None);
    }
}
