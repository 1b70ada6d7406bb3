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
