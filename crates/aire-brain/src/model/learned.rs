//! The learned policy: the rule's contest with the model's figures, while the guard lets it.

use std::time::Duration;

use aire_types::{Candidate, Gains, Ranked, RouteId, Snapshot};

use super::artefact::Artefact;
use super::features::{Asker, Question};
use super::guard::{Fallback, Guard, GuardFigures, Prices};
use super::head::{Head, HeadInput, head_input};
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
/// The name of the policy that follows the scouts' forecasts.
const SCOUTS: &str = "scouts";
/// A forecast that is off by more than so many standard deviations is of another time.
const OF_ANOTHER_TIME: f64 = 3.0;
/// However sure the scouts are, so much of the measurement's doubt is left.
const LEFT: f64 = 0.5;

/// How fast the margin follows (Gibbs and Candès, "Adaptive conformal inference under distribution shift", 2021).
const FOLLOWS: f64 = 0.1;

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

    /// What it follows.
    pub fn artefact(&self) -> &Artefact {
        &self.artefact
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
                    if self.guided { hint(asker.direct(), s.candidate, &question) } else { Hint::NONE };
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

/// What the scouts' forecasts make of what was measured.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Hint {
    /// Added to the gain.
    moves: f64,
    /// Share of its standard error that is left.
    leaves: f64,
}

impl Hint {
    const NONE: Hint = Hint { moves: 0.0, leaves: 1.0 };
}

/// Two normal estimates of one gain, weighed by their precision.
fn hint(direct: &Candidate, candidate: &Candidate, question: &Question) -> Hint {
    let Some((of_direct, of_path)) = direct.prior_ms.zip(candidate.prior_ms) else { return Hint::NONE };
    let unit_ms = direct.rtt_ms.value;
    let forecast = (of_direct.value - of_path.value) / unit_ms;
    let error = of_direct.deviation.hypot(of_path.deviation) / unit_ms;
    let spread = f64::from(question.spread);
    let off = forecast - f64::from(question.gain);
    let both = spread.hypot(error);
    if !off.is_finite() || both.is_nan() || both <= 0.0 || off.abs() > OF_ANOTHER_TIME * both {
        return Hint::NONE;
    }
    let weight = (spread / both) * (spread / both);
    Hint { moves: weight * off, leaves: (1.0 - weight).sqrt().max(LEFT) }
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
mod tests {
    use aire_types::{Estimate, Ineligible, Random, Time};

    use super::*;
    use crate::model::{Network, Range, samples};

    fn any_snapshot(seed: u64) -> Snapshot {
        let mut random = Random::new(seed);
        let direct = 10.0 + 200.0 * random.unit();
        let count = 1 + random.below(8);
        let relays: Vec<f64> = (0..count).map(|_| direct * (0.4 + random.unit())).collect();
        let mut snapshot = samples::snapshot(direct, &relays);
        for candidate in &mut snapshot.candidates {
            candidate.rtt_ms.count = random.below(20) as u32;
            candidate.rtt_ms.deviation *= 4.0 * random.unit();
            candidate.tail_ms *= 1.0 + random.unit();
            candidate.loss.value = if random.chance(0.2) { 0.05 * random.unit() } else { 0.0 };
            candidate.load = random.unit();
            if random.chance(0.1) {
                candidate.ineligible = Some(Ineligible::Dwelling);
            }
        }
        let at = random.below(snapshot.candidates.len());
        snapshot.current = random.chance(0.8).then(|| (snapshot.candidates[at].route.clone(), Time::ZERO));
        snapshot.hold_until = if random.chance(0.2) { Time::NEVER } else { Time::ZERO };
        snapshot
    }

    fn certain(change: fn(&mut Artefact)) -> Learned {
        let mut artefact = Artefact::untrained("m");
        change(&mut artefact);
        Learned::new(artefact)
    }

    /// Answers `gain` to everything.
    fn constant(gain: f32) -> Artefact {
        let mut weights = vec![0.0; crate::model::WEIGHTS];
        *weights.last_mut().unwrap() = gain;
        Artefact { network: Network::from_weights(&weights).unwrap(), ..Artefact::untrained("constant") }
    }

    #[test]
    fn an_untrained_model_is_the_rule() {
        let (learned, rule) = (Learned::new(Artefact::untrained("zero")), Rule::default());
        let bytes = Artefact::untrained("zero").encode();
        let read = Learned::new(Artefact::decode(&bytes).unwrap());
        for seed in 0..2000 {
            let snapshot = any_snapshot(seed);
            let mut ranked = learned.rank(&snapshot);
            assert_eq!(ranked, read.rank(&snapshot));
            ranked.iter_mut().for_each(|ranked| ranked.gain = None);
            assert_eq!(ranked, rule.rank(&snapshot), "seed {seed}");
            let (reason, plain) = (learned.reason(&snapshot, &ranked), rule.reason(&snapshot, &ranked));
            assert_eq!(reason, plain, "seed {seed}");
        }
    }

    #[test]
    fn the_model_moves_the_choice_and_says_what_it_expects() {
        let snapshot = samples::snapshot(100.0, &[98.0]);
        assert!(Rule::default().rank(&snapshot)[0].route.path.is_direct());
        let learned = Learned::new(constant(0.4));
        let opinion = learned.opinion(&snapshot);
        assert_eq!((&*opinion.by, opinion.fallback), ("constant", None));
        assert!(!opinion.ranking[0].route.path.is_direct());
        let gain = opinion.ranking[0].gain.unwrap();
        assert!(gain.low < gain.mid && gain.mid < gain.high, "{gain:?}");
        let reason = learned.reason(&snapshot, &opinion.ranking);
        assert!(reason.contains("the model expects +2 ms against direct"), "{reason}");
    }

    fn fallback(learned: &Learned, snapshot: &Snapshot) -> Option<Fallback> {
        let opinion = learned.opinion(snapshot);
        let mut ranking = opinion.ranking;
        ranking.iter_mut().for_each(|ranked| ranked.gain = None);
        assert_eq!(opinion.by.as_ref() == "rule", opinion.fallback.is_some());
        if opinion.fallback.is_some() {
            assert_eq!(ranking, Rule::default().rank(snapshot), "a fallback is the rule");
        }
        opinion.fallback
    }

    #[test]
    fn every_doubt_is_answered_by_the_rule_at_once() {
        let snapshot = samples::snapshot(100.0, &[60.0, 80.0, 90.0]);
        let sound = Learned::new(samples::artefact(1));
        let narrow = certain(|a| a.ranges[4] = Range { high: 0.001, ..Range::default() });
        assert_eq!(fallback(&narrow, &snapshot), Some(Fallback::OutOfRange("deviation")));
        let mut old = snapshot.clone();
        old.candidates[0].rtt_ms.at = Time::ZERO;
        old.at = Time::from_millis(200_000);
        assert_eq!(fallback(&sound, &old), Some(Fallback::Stale));
        let huge = certain(|a| {
            a.network = Network::from_weights(&[1e30; crate::model::WEIGHTS]).unwrap();
        });
        assert_eq!(fallback(&huge, &snapshot), Some(Fallback::NotANumber));
        let mut silent = snapshot.clone();
        silent.candidates.iter_mut().for_each(|candidate| candidate.rtt_ms.censored = true);
        assert_eq!(fallback(&sound, &silent), Some(Fallback::Outage));
        let mut gone = snapshot.clone();
        gone.candidates[0].ineligible = Some(Ineligible::Dead);
        assert_eq!(fallback(&sound, &gone), Some(Fallback::Outage));
        let mut wild = samples::snapshot(100.0, &[170.0]);
        wild.candidates[1].load = 0.9;
        assert_eq!(fallback(&Learned::new(constant(3.0)), &wild), Some(Fallback::Implausible));
        assert_eq!(fallback(&Learned::in_shadow(samples::artefact(1)), &snapshot), Some(Fallback::Unproven));
    }

    #[test]
    fn in_shadow_the_predictions_are_shown_and_the_choice_is_known() {
        let shadow = Learned::in_shadow(constant(0.4));
        let snapshot = samples::snapshot(100.0, &[98.0]);
        let opinion = shadow.opinion(&snapshot);
        assert!(opinion.ranking[0].route.path.is_direct() && opinion.ranking[1].gain.is_some());
        let (route, predictions) = shadow.choice(&snapshot).unwrap();
        assert!(!route.path.is_direct());
        assert!(predictions.len() == 1 && (predictions[0].offline - 0.42).abs() < 1e-6);
        assert!(shadow.rule_choice(&snapshot).unwrap().path.is_direct());
    }

    /// Two paths whose measurements are vague, with what the scouts expect of them.
    fn expected(direct: f64, path: f64, deviation: f64) -> Snapshot {
        let mut snapshot = samples::snapshot(100.0, &[90.0]);
        for (candidate, value) in snapshot.candidates.iter_mut().zip([direct, path]) {
            (candidate.rtt_ms.deviation, candidate.rtt_ms.count) = (40.0, 9);
            let source = aire_types::Source::Claimed;
            candidate.prior_ms = Some(Estimate { value, deviation, count: 1, source, ..Estimate::default() });
        }
        snapshot
    }

    #[test]
    fn scouts_count_as_far_as_they_are_surer_than_the_measurement() {
        let gain = |snapshot: &Snapshot| {
            let ranking = Learned::by_scouts().rank(snapshot);
            ranking.iter().find_map(|ranked| ranked.gain).unwrap()
        };
        let (sure, vague) = (gain(&expected(100.0, 70.0, 4.0)), gain(&expected(100.0, 70.0, 200.0)));
        let none = gain(&samples::snapshot(100.0, &[90.0]));
        assert!((none.mid - 10.0).abs() < 0.1 && vague.mid < 12.0, "{none:?} {vague:?}");
        assert!(sure.mid > 22.0 && sure.mid < 30.0 && sure.low > vague.low, "{sure:?} {vague:?}");
        let another = gain(&expected(100.0, 500.0, 4.0));
        assert!((another.mid - 10.0).abs() < 0.1, "a forecast of another time says nothing: {another:?}");
        let odd = gain(&expected(f64::NAN, f64::INFINITY, -1.0));
        assert!((odd.mid - 10.0).abs() < 0.1, "{odd:?}");
    }

    #[test]
    fn scouts_decide_nothing_before_they_have_proved_themselves() {
        let mut learned = Learned::by_scouts();
        let snapshot = expected(100.0, 70.0, 4.0);
        assert_eq!(learned.opinion(&snapshot).fallback, Some(Fallback::Unproven));
        assert_eq!(learned.figures().fallback, Some(Fallback::Unproven));
        let prices = Prices { direct: 100.0, rule: 100.0, model: 80.0 };
        for _ in 0..10 {
            learned.learn(&Outcome { prices: Some((prices, 100.0)), ..Outcome::default() });
        }
        assert!(learned.in_force() && learned.opinion(&snapshot).fallback.is_none());
        let prices = Prices { direct: 100.0, rule: 80.0, model: 100.0 };
        for _ in 0..20 {
            learned.learn(&Outcome { prices: Some((prices, 80.0)), ..Outcome::default() });
        }
        assert_eq!(learned.opinion(&snapshot).fallback, Some(Fallback::OverBudget));
    }

    #[test]
    fn what_was_measured_corrects_the_model_and_its_margin() {
        let mut learned = Learned::new(constant(0.4));
        let snapshot = samples::snapshot(100.0, &[98.0]);
        let (_, predictions) = learned.choice(&snapshot).unwrap();
        for _ in 0..300 {
            let gains = vec![(predictions[0].clone(), 0.02)];
            learned.learn(&Outcome { gains, ..Outcome::default() });
        }
        assert!(learned.rank(&snapshot)[0].route.path.is_direct(), "the head has unlearned what was wrong");
        let before = learned.figures().margin;
        learned.learn(&Outcome { moved: Some(-0.5), ..Outcome::default() });
        assert!(learned.figures().margin > before);
        for _ in 0..1000 {
            learned.learn(&Outcome { moved: Some(0.5), ..Outcome::default() });
        }
        assert!((learned.figures().margin - 1.0).abs() < 1e-9);
    }
}
