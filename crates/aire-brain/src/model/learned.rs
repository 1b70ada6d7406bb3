//! The learned policy: the rule's contest with the model's figures, while the guard lets it.

use std::time::Duration;

use aire_types::{Candidate, Gains, Ranked, RouteId, Snapshot};

use super::artefact::Artefact;
use super::features::{Asker, Question};
use super::guard::{Fallback, Guard, GuardFigures, Prices};
use super::head::{Head, HeadInput, head_input};
use super::hint::Hint;
use super::network::{NORMAL, OUTPUTS, QUANTILES};
use crate::contest::{Contest, Margin, Scored, fault_is_near, ranking, scored};
use crate::cost::Scorer;
use crate::herd::HerdTuning;
use crate::policy::{Opinion, Policy};
use crate::rule::Rule;

/// Where direct was not measured for so long, there is nothing to compare with.
const STALE: Duration = Duration::from_secs(120);
/// The model may want a path that costs more than the rule's by the rule's own figures, but not by more than this share …
const PLAUSIBLE: f64 = 0.5;
/// … and so many milliseconds.
const PLAUSIBLE_MS: f64 = 20.0;
/// How far the online margin may move from the trained one, either way.
const ADAPTS: f64 = 3.0;
/// A move that makes a path so much worse than direct, as a share of direct, is harm.
const HARM: f64 = 0.1;
/// Share of the moves that may do harm.
const HARMED: f64 = 0.05;
/// How fast the margin follows (Gibbs and Candès, "Adaptive conformal inference under distribution shift", 2021).
const FOLLOWS: f64 = 0.1;
/// The name of the policy that follows the scouts' forecasts.
const SCOUTS: &str = "scouts";

/// What the model says of one candidate.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    /// Which.
    pub route: RouteId,
    /// What the online head was asked.
    pub input: HeadInput,
    /// Mean gain over direct without the online head, as a share of direct's round trip.
    pub offline: f64,
    /// Milliseconds that a gain of 1 is worth.
    pub unit_ms: f64,
}

/// What came of one decision.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Predictions, and the gains over direct that were measured after them, as shares of direct's round trip then.
    pub gains: Vec<(Prediction, f64)>,
    /// What the decision would have cost on three ways, and what the rule's was expected to cost, milliseconds.
    pub prices: Option<(Prices, f64)>,
    /// The gain over direct of the relayed path that the model would have used, where it would have used one.
    pub moved: Option<f64>,
}

/// What people see of a learned policy.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelFigures {
    /// The artefact's name.
    pub name: String,
    /// How it was trained.
    pub summary: String,
    /// The model decides, unless a single decision is the rule's.
    pub active: bool,
    /// Why the rule decided last although there is a model; `None` where the model did.
    pub fallback: Option<Fallback>,
    /// Decisions that the model made.
    pub decisions: u64,
    /// Decisions that fell back to the rule, in the order of [`Fallback::KINDS`].
    pub fallbacks: [u64; Fallback::KINDS.len()],
    /// Standard errors that a gain must exceed now.
    pub margin: f64,
    /// The guard's account.
    pub guard: GuardFigures,
}

/// A model on top of the rule.
#[derive(Clone, Debug)]
pub struct Learned {
    artefact: Artefact,
    /// The scouts' forecasts count beside what was measured.
    guided: bool,
    head: Head,
    guard: Guard,
    margin: Margin,
    rule: Rule,
    decisions: u64,
    fallbacks: [u64; Fallback::KINDS.len()],
    fallback: Option<Fallback>,
}

/// All candidates with the figures that decide, and who gave them.
struct Weighed<'a> {
    scored: Vec<Scored<'a>>,
    predictions: Vec<Prediction>,
    fallback: Option<Fallback>,
}

impl Learned {
    /// A policy that follows `artefact` while the guard lets it.
    pub fn new(artefact: Artefact) -> Self {
        Learned {
            head: Head::default(),
            guard: Guard::default(),
            margin: artefact.margin,
            rule: Rule::default(),
            decisions: 0,
            fallbacks: [0; Fallback::KINDS.len()],
            fallback: None,
            guided: false,
            artefact,
        }
    }

    /// The scouts' forecasts in place of a network: what was measured of a path, moved towards what the scouts expect of it as far as
    /// their word is the surer one. It has to prove itself in shadow before it decides anything.
    pub fn by_scouts() -> Self {
        let mut artefact = Artefact::untrained(SCOUTS);
        artefact.summary = "forecasts of this agent's scouts, learned while it runs".to_owned();
        Learned { guided: true, ..Learned::in_shadow(artefact) }
    }

    /// As [`Learned::new`], but the model has to prove itself in shadow before it decides anything.
    pub fn in_shadow(artefact: Artefact) -> Self {
        Learned { guard: Guard::distrustful(), ..Learned::new(artefact) }
    }

    /// Does the guard let the model decide?
    pub fn in_force(&self) -> bool {
        self.guard.in_force()
    }

    /// What people see of it.
    pub fn figures(&self) -> ModelFigures {
        ModelFigures {
            name: self.artefact.name.clone(),
            summary: self.artefact.summary.clone(),
            active: self.guard.in_force(),
            fallback: self.guard.objection().or(self.fallback),
            decisions: self.decisions,
            fallbacks: self.fallbacks,
            margin: self.margin.errors,
            guard: self.guard.figures(),
        }
    }

    /// Where the model would go from `snapshot`, and what it predicts of each candidate, whatever the guard says. `None` where
    /// it falls back to the rule.
    pub fn choice(&self, snapshot: &Snapshot) -> Option<(RouteId, Vec<Prediction>)> {
        let weighed = self.weigh(snapshot, true);
        let first = weighed.scored.first().filter(|_| weighed.fallback.is_none())?;
        Some((first.candidate.route.clone(), weighed.predictions))
    }

    /// Where the rule would go from `snapshot`.
    pub fn rule_choice(&self, snapshot: &Snapshot) -> Option<RouteId> {
        let scorer = Scorer::new(snapshot);
        let mut scored = scored(snapshot, &scorer);
        self.contest(snapshot, &scorer, false).settle(&mut scored);
        scored.first().map(|first| first.candidate.route.clone())
    }

    /// Notes who decided.
    pub(crate) fn note(&mut self, fallback: Option<Fallback>) {
        match fallback {
            Some(fallback) => self.fallbacks[fallback.index()] += 1,
            None => self.decisions += 1,
        }
        self.fallback = fallback;
    }

    /// What came of a decision: the head learns what the network left over, the margin whether moves did harm, and the guard
    /// what the model cost.
    pub fn learn(&mut self, outcome: &Outcome) {
        for (prediction, gain) in &outcome.gains {
            self.head.learn(&prediction.input, gain - prediction.offline);
        }
        if let Some(gain) = outcome.moved.filter(|gain| gain.is_finite()) {
            let harmed = if gain < -HARM { 1.0 } else { 0.0 };
            let trained = self.artefact.margin.errors;
            let moved = self.margin.errors * (FOLLOWS * (harmed - HARMED)).exp();
            self.margin.errors = moved.clamp(trained / ADAPTS, trained * ADAPTS);
        }
        if let Some((prices, expected)) = outcome.prices {
            self.guard.settle(prices, expected);
        }
    }

    fn contest<'a>(&'a self, snapshot: &'a Snapshot, scorer: &Scorer<'_>, by_model: bool) -> Contest<'a> {
        let margin = if by_model { &self.margin } else { &self.rule.margin };
        Contest::new(snapshot, scorer, margin)
    }

    /// Scores and orders all candidates. `trusted`: whatever the guard says.
    fn weigh<'a>(&self, snapshot: &'a Snapshot, trusted: bool) -> Weighed<'a> {
        let scorer = &Scorer::new(snapshot);
        let tuned = &scorer.with_load(self.artefact.herd.load);
        let mut plain = scored(snapshot, scorer);
        let gone = snapshot
            .current
            .as_ref()
            .is_some_and(|(route, _)| !plain.iter().any(|s| s.candidate.route == *route));
        let mut fallback = (gone || fault_is_near(&plain)).then_some(Fallback::Outage);
        let mut predictions = Vec::new();
        let mut asked = scored(snapshot, tuned);
        if fallback.is_none() {
            let note = |route: &RouteId, input, offline, unit_ms| {
                if trusted {
                    predictions.push(Prediction { route: route.clone(), input, offline, unit_ms });
                }
            };
            fallback = self.predict(snapshot, tuned, &mut asked, note).err();
        }
        for (plain, asked) in plain.iter_mut().zip(&asked) {
            plain.gain = asked.gain.filter(|_| fallback.is_none());
        }
        self.contest(snapshot, scorer, false).settle(&mut plain);
        if fallback.is_none() && !trusted {
            fallback = self.guard.objection();
        }
        if fallback.is_some() {
            return Weighed { scored: plain, predictions, fallback };
        }
        self.contest(snapshot, tuned, true).settle(&mut asked);
        let cost =
            |list: &[Scored<'_>]| list.first().map_or(0.0, |first| scorer.terms(first.candidate).total());
        if cost(&asked) > cost(&plain) * (1.0 + PLAUSIBLE) + PLAUSIBLE_MS {
            return Weighed { scored: plain, predictions, fallback: Some(Fallback::Implausible) };
        }
        Weighed { scored: asked, predictions, fallback: None }
    }

    /// Asks the network about every candidate that is worth it, and corrects its figures.
    fn predict(
        &self,
        snapshot: &Snapshot,
        scorer: &Scorer<'_>,
        scored: &mut [Scored<'_>],
        mut note: impl FnMut(&RouteId, HeadInput, f64, f64),
    ) -> Result<(), Fallback> {
        let mut rest = scored;
        for group in snapshot.candidates.chunk_by(same_instance) {
            let instance = &group[0].route.instance;
            let count = rest.iter().take_while(|s| s.candidate.route.instance == *instance).count();
            let (here, others) = std::mem::take(&mut rest).split_at_mut(count);
            rest = others;
            let Some(asker) = Asker::new(snapshot, scorer, group) else { continue };
            if snapshot.at.since(asker.direct().rtt_ms.at) > STALE {
                return Err(Fallback::Stale);
            }
            for s in here.iter_mut() {
                let Some(question) = asker.ask(s.candidate, &s.terms) else {
                    // hopeless: people see why nobody asks about it
                    s.gain = asker.by_rule(s.candidate, &s.terms).map(|(gain, spread)| {
                        let [low, mid, high] =
                            [NORMAL[0], 0.0, NORMAL[4]].map(|at| gain + f64::from(at) * spread);
                        Gains {
                            low: asker.unit_ms() * low,
                            mid: asker.unit_ms() * mid,
                            high: asker.unit_ms() * high,
                        }
                    });
                    continue;
                };
                let hint =
                    if self.guided { Hint::of(asker.direct(), s.candidate, &question) } else { Hint::NONE };
                let (input, offline) = self.correct(s, &question, asker.unit_ms(), hint)?;
                note(&s.candidate.route, input, offline, asker.unit_ms());
            }
        }
        Ok(())
    }

    /// What the model says of one candidate goes into its figures. What the online head was asked, and the gain without it.
    fn correct(
        &self,
        s: &mut Scored<'_>,
        question: &Question,
        unit_ms: f64,
        hint: Hint,
    ) -> Result<(HeadInput, f64), Fallback> {
        if let Some(feature) = self.artefact.outside(&question.features) {
            return Err(Fallback::OutOfRange(feature));
        }
        let answer = self.artefact.answer(&question.features);
        if !answer.iter().all(|value| value.is_finite()) {
            return Err(Fallback::NotANumber);
        }
        let input = head_input(&question.features);
        let online = self.head.mean(&input);
        let (gain, spread) = (f64::from(question.gain), f64::from(question.spread).max(1e-6));
        let network = f64::from(answer[OUTPUTS - 1]) + hint.moves;
        let wider = f64::from(answer[QUANTILES.len() - 1] - answer[0]) / f64::from(NORMAL[4] - NORMAL[0]);
        s.correction = -unit_ms * (network + online);
        let spread = spread * hint.leaves;
        s.doubt = ((spread + wider) * hint.leaves / spread).clamp(0.2, 5.0);
        let mut quantiles: [f64; QUANTILES.len()] = std::array::from_fn(|at| {
            gain + hint.moves + online + f64::from(NORMAL[at]) * spread + f64::from(answer[at])
        });
        quantiles.sort_unstable_by(f64::total_cmp);
        let doubt = f64::from(NORMAL[4]) * self.head.deviation(&input);
        let [low, _, mid, _, high] = quantiles;
        s.gain = Some(Gains {
            low: unit_ms * (mid - (mid - low).hypot(doubt)),
            mid: unit_ms * mid,
            high: unit_ms * (mid + (high - mid).hypot(doubt)),
        });
        Ok((input, gain + network))
    }
}

fn same_instance(a: &Candidate, b: &Candidate) -> bool {
    a.route.instance == b.route.instance
}

impl Policy for Learned {
    fn name(&self) -> &str {
        &self.artefact.name
    }

    fn rank(&self, snapshot: &Snapshot) -> Vec<Ranked> {
        self.opinion(snapshot).ranking
    }

    fn opinion(&self, snapshot: &Snapshot) -> Opinion {
        let weighed = self.weigh(snapshot, false);
        let by = if weighed.fallback.is_some() { self.rule.name() } else { self.name() };
        Opinion { by: by.into(), ranking: ranking(snapshot, &weighed.scored), fallback: weighed.fallback }
    }

    fn reason(&self, snapshot: &Snapshot, ranking: &[Ranked]) -> String {
        let scorer = Scorer::new(snapshot);
        let weighed = self.weigh(snapshot, false);
        let contest = self.contest(snapshot, &scorer, weighed.fallback.is_none());
        let find =
            |route: &RouteId| weighed.scored.iter().find(|scored| scored.candidate.route == *route).cloned();
        let mut text = contest.reason(find, ranking);
        let first = ranking.first().and_then(|ranked| {
            let relayed = !ranked.route.path.is_direct() && weighed.fallback.is_none();
            ranked.gain.filter(|_| relayed)
        });
        if let Some(gain) = first {
            let Gains { low, mid, high } = gain;
            text.push_str(&format!(
                "; the model expects {mid:+.0} ms against direct ({low:+.0} to {high:+.0})"
            ));
        }
        text
    }

    fn herd(&self) -> HerdTuning {
        if self.guard.in_force() { self.artefact.herd } else { self.rule.herd }
    }

    fn learned(&mut self) -> Option<&mut Learned> {
        Some(self)
    }
}

#[cfg(test)]
#[path = "learned_tests.rs"]
mod tests;
