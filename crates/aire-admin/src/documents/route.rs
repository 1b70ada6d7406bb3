use std::collections::BTreeMap;

use aire_types::{
    AppName, Candidate, Class, Decision, Estimate, Gains, NodeName, Override, Path, RouteId, SecurityLevel,
    Snapshot,
};
use serde::{Deserialize, Serialize};

/// One row of `routes`: the way in use to an app for one class, and why it was chosen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Route {
    /// The destination.
    pub app: AppName,
    /// The node of the instance in use.
    pub instance: NodeName,
    /// Which streams it is for.
    pub class: Class,
    /// The relays on the way; empty for direct.
    pub path: Path,
    /// Round trip, milliseconds.
    pub rtt_ms: Option<f64>,
    /// Share of packets that vanish.
    pub loss: Option<f64>,
    /// What one connection gets, megabits a second.
    pub bandwidth_mbps: Option<f64>,
    /// Risk of the riskiest relay.
    pub risk: f64,
    /// Predicted cost, millisecond equivalents.
    pub cost: Option<f64>,
    /// Why this one, for people.
    pub reason: String,
    /// Who chose: `rule`, a model's name or `override`.
    #[serde(default)]
    pub by: String,
    /// All that were looked at, best first.
    pub candidates: Vec<CandidateRow>,
}

/// One candidate of a decision.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CandidateRow {
    /// The node of the instance that it leads to.
    pub instance: NodeName,
    /// The relays on the way; empty for direct.
    pub path: Path,
    /// Round trip, milliseconds.
    pub rtt_ms: Option<f64>,
    /// Share of packets that vanish.
    pub loss: Option<f64>,
    /// What one connection gets, megabits a second.
    pub bandwidth_mbps: Option<f64>,
    /// Risk of the riskiest relay.
    pub risk: f64,
    /// Predicted cost, millisecond equivalents.
    pub cost: Option<f64>,
    /// Gain over direct that the model predicts, milliseconds: interval of 80 %, and its middle.
    #[serde(default)]
    pub gain_ms: Option<Gains>,
    /// Whether it may be used.
    pub eligible: bool,
    /// Why not.
    pub why_not: Option<String>,
}

/// `explain`: how the ways to one app are chosen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// The destination.
    pub app: AppName,
    /// How much the app minds risk.
    pub security: SecurityLevel,
    /// What the operator of this agent ordered.
    #[serde(default, rename = "override", skip_serializing_if = "Option::is_none")]
    pub ordered: Option<Override>,
    /// The decision for each class that was asked for, with its candidates.
    pub routes: Vec<Route>,
    /// What an operator should know beyond that, such as that policy denies the app.
    #[serde(default)]
    pub notes: Vec<String>,
}

impl Route {
    /// The row for `in_use`, with the candidates and the reason of `decision`, which was made on `snapshot`.
    pub fn new(in_use: &RouteId, snapshot: &Snapshot, decision: &Decision) -> Self {
        let known: BTreeMap<&RouteId, &Candidate> =
            snapshot.candidates.iter().map(|candidate| (&candidate.route, candidate)).collect();
        let row = |route: &RouteId, cost: f64, gain_ms: Option<Gains>, why_not: Option<String>| {
            let candidate = known.get(route).copied();
            CandidateRow {
                instance: route.instance.node.clone(),
                path: route.path.clone(),
                rtt_ms: candidate.and_then(|c| measured(&c.rtt_ms)),
                loss: candidate.and_then(|c| measured(&c.loss)),
                bandwidth_mbps: candidate.and_then(|c| measured(&c.bandwidth_mbps)),
                risk: candidate.map_or(0.0, |c| c.risk),
                cost: Some(cost).filter(|cost| cost.is_finite()),
                gain_ms,
                eligible: why_not.is_none(),
                why_not,
            }
        };
        let candidates: Vec<CandidateRow> = decision
            .ranking
            .iter()
            .map(|ranked| {
                let why_not = ranked.ineligible.as_ref().map(ToString::to_string);
                row(&ranked.route, ranked.cost, ranked.gain, why_not)
            })
            .collect();
        let current = candidates
            .iter()
            .find(|row| row.instance == in_use.instance.node && row.path == in_use.path)
            .cloned()
            .unwrap_or_else(|| row(in_use, f64::INFINITY, None, None));
        Route {
            app: in_use.instance.app.clone(),
            instance: current.instance,
            class: decision.class,
            path: current.path,
            rtt_ms: current.rtt_ms,
            loss: current.loss,
            bandwidth_mbps: current.bandwidth_mbps,
            risk: current.risk,
            cost: current.cost,
            reason: decision.reason.clone(),
            by: decision.by.to_string(),
            candidates,
        }
    }

    /// On these paths the last carrier did not open (and why). But for the one in use none of them is praised, though
    /// probes may pass there; `chosen` is the one that the decision was for.
    pub fn note_unopened(
        &mut self,
        in_use: Option<&Path>,
        chosen: Option<&Path>,
        failures: &[(Path, String)],
    ) {
        for (path, why) in failures.iter().filter(|(path, _)| Some(path) != in_use) {
            let of_path = |row: &&mut CandidateRow| row.path == *path && row.instance == self.instance;
            for row in self.candidates.iter_mut().filter(of_path) {
                row.eligible = false;
                row.why_not = Some(format!("no carrier opens: {why}"));
            }
            if chosen == Some(path) {
                self.reason = format!("no carrier opens {path}, which would be the best by its probes");
            }
        }
    }
}

fn measured(estimate: &Estimate) -> Option<f64> {
    (estimate.count > 0 && estimate.value.is_finite()).then_some(estimate.value)
}
