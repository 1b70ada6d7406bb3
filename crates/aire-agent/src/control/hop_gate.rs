use std::time::Duration;

use aire_circuit::{Asked, Denial, Gate as CircuitGate, Terms};
use aire_types::{AppName, NodeName};
use aire_wire::RefusalCode;

use super::links::Links;
use crate::config::Config;
use crate::gate::Gate;
use crate::happening::{Happening, Kind};

/// How long a hop accepts new carriers of a circuit before it wants to be asked again.
const LEASE: Duration = Duration::from_secs(600);

/// What this agent gives to circuits.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    /// The port that it listens on.
    pub(crate) port: u16,
    pub(crate) draining: bool,
    relays: bool,
    app: Option<AppName>,
    /// Bits a second that one circuit may carry; 0 is no limit.
    rate: u64,
}

impl Limits {
    pub(crate) fn new(config: &Config) -> Self {
        Limits {
            port: config.listen.port(),
            draining: false,
            relays: config.relay,
            app: config.app.as_ref().map(|served| served.name.clone()),
            rate: (config.relay_limit_mbps * 1e6) as u64,
        }
    }
}

/// Answers the negotiation's questions from policy, links and limits.
pub(crate) struct HopGate<'a> {
    pub(crate) gate: &'a Gate,
    pub(crate) links: &'a Links,
    pub(crate) limits: &'a Limits,
    /// What policy denied.
    pub(crate) denied: Vec<Happening>,
}

fn deny(code: RefusalCode, reason: impl Into<String>) -> Denial {
    Denial { code, reason: reason.into() }
}

impl HopGate<'_> {
    fn deny_by_policy(&mut self, asked: &Asked, may_not: &str, reason: &str) -> Denial {
        let text = format!("{} may not {may_not} {}: {reason}", asked.source, asked.app);
        self.denied.push(Happening::new(Kind::CircuitDenied, text).peer(&asked.source.node).app(&asked.app));
        deny(RefusalCode::Policy, reason)
    }
}

impl CircuitGate for HopGate<'_> {
    fn relay(&mut self, asked: &Asked, next: &NodeName) -> Result<Terms, Denial> {
        if !self.limits.relays {
            return Err(deny(RefusalCode::Policy, "this agent does not relay"));
        }
        let verdict = self.gate.relay(&asked.source, &asked.app, asked.class);
        if !verdict.allowed {
            return Err(self.deny_by_policy(asked, "be relayed to", &verdict.reason));
        }
        if !self.links.has(next) {
            return Err(deny(RefusalCode::NoRoute, format!("no link to {next}")));
        }
        Ok(Terms { lease: LEASE, rate: self.limits.rate })
    }

    fn connect(&mut self, asked: &Asked) -> Result<Terms, Denial> {
        if self.limits.app.as_ref() != Some(&asked.app) {
            return Err(deny(RefusalCode::NoSuchApp, format!("{} does not run here", asked.app)));
        }
        let verdict = self.gate.connect(&asked.source, &asked.app, asked.class);
        if !verdict.allowed {
            return Err(self.deny_by_policy(asked, "connect to", &verdict.reason));
        }
        Ok(Terms { lease: LEASE, rate: 0 })
    }
}
