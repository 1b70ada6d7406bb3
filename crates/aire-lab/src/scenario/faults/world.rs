use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::super::ScenarioError;
use super::super::actions::AgentAction;
use super::super::agents::Agents;
use super::super::file::{AgentRole, Scenario, WorkloadKind};
use super::super::run::network;
use super::fault::{Fault, FaultKind};
use crate::wan::{Host, Wan};
use crate::workload::Server;
use crate::{LinkShape, ShapeChange, TopologyError};

/// How long the mesh has to settle by itself before the caller's agent is started anew.
const SETTLE: Duration = Duration::from_secs(6);
/// How long it has after that.
const SETTLE_ANEW: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(100);

/// The caller, the app, and the relays between them.
pub(super) struct World<'a> {
    scenario: &'a Scenario,
    wan: Wan,
    agents: Agents,
    server: Server,
    pub(super) caller: String,
    app: String,
    relays: Vec<String>,
    /// Where the caller's agent takes connections to the app.
    pub(super) entry: std::net::SocketAddr,
}

/// A path by its relays.
pub(super) type Hops = Vec<String>;

impl<'a> World<'a> {
    /// Starts the mesh. The scenario's one server says where the app is, its one client who calls it.
    pub(super) fn start(
        scenario: &'a Scenario,
        binary: &Path,
        folder: Option<&Path>,
    ) -> Result<Self, ScenarioError> {
        let lacks = |what: &str| ScenarioError::Malformed {
            path: "the scenario of the faults".into(),
            message: format!("it needs {what}"),
        };
        let server = scenario.workload.iter().find(|w| w.kind == WorkloadKind::Server);
        let server = server.ok_or_else(|| lacks("a server"))?;
        let client = scenario.workload.iter().find(|w| w.kind == WorkloadKind::Messages);
        let client = client.ok_or_else(|| lacks("a client of messages"))?;
        let entry = client.to.ok_or_else(|| lacks("the address where messages go to"))?;
        let wan = network(scenario, folder)?;
        let at = server.at.ok_or_else(|| lacks("the address where the server listens"))?;
        let started = wan.host(&server.host)?.within(move || Server::start(at));
        let serving = started.map_err(|source| ScenarioError::io("starting the server", source))?;
        let agents = Agents::start(scenario, &wan, binary)?;
        let relays = scenario.agent.iter().filter(|agent| agent.role == AgentRole::Relay);
        let relays = relays.map(|agent| agent.host.clone()).collect();
        let (caller, app) = (client.host.clone(), server.host.clone());
        Ok(World { scenario, wan, agents, server: serving, caller, app, relays, entry })
    }

    /// Waits until the caller's streams go over a relay and a carrier stands by on another path; that path.
    pub(super) fn settle(&mut self) -> Result<Hops, ScenarioError> {
        if let Ok(path) = self.await_settled(SETTLE) {
            return Ok(path);
        }
        // It dwells on what is left, as it should; a new agent knows nothing of that.
        let caller = self.caller.clone();
        self.agents.act(&caller, AgentAction::Kill)?;
        self.agents.act(&caller, AgentAction::Start)?;
        self.agents.wait_ready(&caller)?;
        self.await_settled(SETTLE_ANEW).map_err(|got| ScenarioError::NotBefore {
            that: "a relay is in use and another path stands by".to_owned(),
            within: SETTLE_ANEW.as_secs_f64(),
            got,
        })
    }

    fn await_settled(&self, patience: Duration) -> Result<Hops, String> {
        let deadline = Instant::now() + patience;
        loop {
            let got = match self.explain() {
                Ok(document) => match settled(&document) {
                    Some(path) => return Ok(path),
                    None => format!("{} {}", document["routes"][0]["path"], document["notes"]),
                },
                Err(error) => error,
            };
            if Instant::now() >= deadline {
                return Err(got);
            }
            thread::sleep(LOOK);
        }
    }

    fn explain(&self) -> Result<Value, String> {
        self.agents.asker(&self.caller)?.ask("explain echo")
    }

    /// The path in use.
    pub(super) fn path(&self) -> Option<Hops> {
        hops(&self.explain().ok()?["routes"][0]["path"])
    }

    /// The round trip of a path without queues.
    pub(super) fn round_trip(&self, path: &[String]) -> Duration {
        let legs = self.legs(path);
        let ms = |from: &str, to: &str| self.wan.get(from, to).map_or(0.0, |shape| shape.one_way_ms);
        let total: f64 = legs.iter().map(|(from, to)| ms(from, to) + ms(to, from)).sum();
        Duration::try_from_secs_f64(total / 1000.0).unwrap_or_default()
    }

    pub(super) fn legs(&self, path: &[String]) -> Vec<(String, String)> {
        let mut nodes = vec![self.caller.clone()];
        nodes.extend(path.iter().cloned());
        nodes.push(self.app.clone());
        nodes.windows(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect()
    }

    pub(super) fn host(&self, name: &str) -> Result<Host, ScenarioError> {
        Ok(self.wan.host(name)?.clone())
    }

    /// What the server saw that it should not have seen.
    pub(super) fn server_faults(&self) -> u64 {
        let report = self.server.report();
        report.out_of_order + report.corrupt
    }

    /// Hurts the mesh. `path` is in use.
    pub(super) fn strike(
        &mut self,
        fault: &Fault,
        path: &[String],
        number: u32,
    ) -> Result<(), ScenarioError> {
        let legs = self.legs(path);
        let (from, to) = legs[number as usize % legs.len()].clone();
        let relay = path.first().cloned().unwrap_or_default();
        let set = |shape: ShapeChange| move |old: LinkShape| shape.apply(old);
        let down = ShapeChange { down: Some(true), ..ShapeChange::default() };
        match fault.kind {
            FaultKind::Cut => self.both(&from, &to, set(down))?,
            FaultKind::CutThere => self.wan.change(&from, &to, set(down))?,
            FaultKind::CutBack => self.wan.change(&to, &from, set(down))?,
            FaultKind::Kill => self.agents.act(&relay, AgentAction::Kill)?,
            FaultKind::Stop => self.agents.act(&relay, AgentAction::Stop)?,
            FaultKind::Vanish => self.wan.isolate(&relay, true)?,
            FaultKind::Loss => self.both(&from, &to, |shape| LinkShape { loss: 0.3, ..shape })?,
            FaultKind::Rate => {
                self.both(&from, &to, |shape| LinkShape { mbps: shape.mbps / 100.0, ..shape })?
            }
            FaultKind::AllRelays => {
                self.relays.iter().try_for_each(|relay| self.wan.isolate(relay, true))?;
            }
            FaultKind::Outage | FaultKind::LongOutage => self.wan.isolate(&self.caller, true)?,
            FaultKind::CallerMoves => self.wan.readdress(&self.caller)?,
            FaultKind::AppMoves => self.wan.readdress(&self.app)?,
            FaultKind::RelayMoves => self.wan.readdress(&relay)?,
            FaultKind::Better => {
                self.both(&self.caller, &self.app, |shape| LinkShape { one_way_ms: 5.0, ..shape })?
            }
        }
        Ok(())
    }

    /// Mends what [`World::strike`] did: every way is as the scenario says, and every agent runs.
    pub(super) fn mend(&mut self, fault: &Fault, path: &[String]) -> Result<(), ScenarioError> {
        let relay = path.first().cloned().unwrap_or_default();
        match fault.kind {
            FaultKind::Kill => {
                self.agents.act(&relay, AgentAction::Start)?;
                self.agents.wait_ready(&relay)?;
            }
            FaultKind::Stop => self.agents.act(&relay, AgentAction::Continue)?,
            _ => {}
        }
        self.restore()
    }

    /// Makes every way as the scenario says.
    pub(super) fn restore(&self) -> Result<(), ScenarioError> {
        let hosts = &self.scenario.hosts;
        for (from, to) in hosts.iter().flat_map(|from| hosts.iter().map(move |to| (from, to))) {
            let named = self
                .scenario
                .link
                .iter()
                .filter(|link| link.ways().iter().any(|(a, b)| a == from && b == to));
            let shape = named.fold(self.scenario.shape, |shape, link| link.set.apply(shape));
            self.wan.set(from, to, shape)?;
        }
        Ok(())
    }

    fn both(&self, a: &str, b: &str, change: impl Fn(LinkShape) -> LinkShape) -> Result<(), TopologyError> {
        self.wan.change(a, b, &change)?;
        self.wan.change(b, a, &change)
    }
}

fn hops(path: &Value) -> Option<Hops> {
    path.as_array()?.iter().map(|hop| Some(hop.as_str()?.to_owned())).collect()
}

/// The path in use, where it has a relay and carriers are open on it and on another path.
fn settled(document: &Value) -> Option<Hops> {
    let path = hops(&document["routes"][0]["path"]).filter(|path| !path.is_empty())?;
    let open = document["notes"][0].as_str()?.split_once("carriers open ")?.1;
    let own = format!("via {}", path.join(","));
    let (mut on_it, mut beside) = (false, false);
    for carrier in open.split("; ").filter(|carrier| !carrier.is_empty()) {
        on_it |= carrier == own;
        beside |= carrier != own;
    }
    (on_it && beside).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn settled_is_a_relay_in_use_and_another_path_beside() {
        let document = |path: Value, open: &str| json!({"routes": [{"path": path}], "notes": [format!("echo@b interactive: carriers open {open}")]});
        assert_eq!(settled(&document(json!(["r1"]), "via r1; via r2")), Some(vec!["r1".to_owned()]));
        assert_eq!(settled(&document(json!(["r1"]), "via r1; via r1")), None);
        assert_eq!(settled(&document(json!(["r1"]), "via r2")), None);
        assert_eq!(settled(&document(json!([]), "direct; via r2")), None);
        assert_eq!(settled(&json!({})), None);
    }
}
