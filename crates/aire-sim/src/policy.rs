//! The policies that runs are compared by.

use aire_brain::model::Learned;
use aire_brain::{Config, HerdTuning, Policy, Rule};
use aire_types::{Candidate, NodeName, Ranked, Snapshot};

/// What an agent that minds nobody does: the least average round trip, at once, without margin.
#[derive(Clone, Copy, Debug, Default)]
pub struct Greedy;

impl Greedy {
    fn cost(candidate: &Candidate) -> f64 {
        candidate.rtt_ms.value.min(1e9)
    }
}

impl Policy for Greedy {
    fn name(&self) -> &str {
        "greedy"
    }

    fn rank(&self, snapshot: &Snapshot) -> Vec<Ranked> {
        let mut ranking: Vec<Ranked> = snapshot
            .candidates
            .iter()
            .map(|candidate| Ranked {
                route: candidate.route.clone(),
                cost: if candidate.ineligible.is_some() { f64::INFINITY } else { Self::cost(candidate) },
                gain: None,
                ineligible: candidate.ineligible.clone(),
            })
            .collect();
        ranking.sort_by(|a, b| {
            let closed = a.ineligible.is_some().cmp(&b.ineligible.is_some());
            closed.then(a.cost.total_cmp(&b.cost)).then_with(|| a.route.cmp(&b.route))
        });
        ranking
    }

    fn reason(&self, _snapshot: &Snapshot, _ranking: &[Ranked]) -> String {
        "the least round trip".to_owned()
    }

    fn herd(&self) -> HerdTuning {
        HerdTuning::SELFISH
    }
}

/// Who decides in a run.
#[derive(Clone, Debug, PartialEq)]
pub enum Contender {
    /// Nothing but the direct path.
    Direct,
    /// [`Greedy`].
    Greedy,
    /// The rule as it ships.
    Rule,
    /// The rule with the herd control that was learned.
    Learned,
    /// The same, with scouts that propose the relays to look at.
    Scouts,
    /// The rule as it ships, on what scouts propose.
    Proposed,
    /// The agent as it ships: what scouts propose, and their forecasts under the guard.
    Guided,
    /// The rule with other herd control.
    Tuned(Box<Rule>),
}

impl Contender {
    /// A policy of its own for one agent.
    pub fn policy(&self) -> Box<dyn Policy> {
        match self {
            Contender::Direct | Contender::Rule | Contender::Proposed => Box::new(Rule::default()),
            Contender::Guided => Box::new(Learned::by_scouts()),
            Contender::Greedy => Box::new(Greedy),
            Contender::Learned | Contender::Scouts => {
                Box::new(Rule { herd: HerdTuning::LEARNED, ..Rule::default() })
            }
            Contender::Tuned(rule) => Box::new(Rule::clone(rule)),
        }
    }

    /// What the brain of one agent is told once.
    pub fn brain(&self, node: NodeName, seed: u64) -> Config {
        let scouts = matches!(self, Contender::Scouts | Contender::Proposed | Contender::Guided);
        Config { scouts, ..Config::new(node, seed) }
    }

    /// As tables call it.
    pub fn label(&self) -> &'static str {
        match self {
            Contender::Direct => "direct",
            Contender::Greedy => "greedy",
            Contender::Rule => "rule",
            Contender::Learned => "learned",
            Contender::Scouts => "scouts",
            Contender::Proposed => "proposed",
            Contender::Guided => "guided",
            Contender::Tuned(_) => "tuned",
        }
    }
}
