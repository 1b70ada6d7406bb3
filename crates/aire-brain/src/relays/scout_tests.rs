use aire_types::Random;

use super::scout::expected;
use super::{Join, Legs, Scout, Settings};

/// Twenty nodes 100 to 200 ms apart, but 20 ms from node 1; node 2 claims to be as near.
fn truth(from: usize, to: usize) -> f32 {
    match (from.min(to), from.max(to)) {
        (1, _) | (_, 1) => 20.0,
        (low, high) => 100.0 + ((high * 37 + low * 61) % 101) as f32,
    }
}

fn claims() -> Legs {
    let mut legs = Legs::unknown(20);
    for from in 0..20 {
        for to in (0..20).filter(|to| *to != from) {
            legs.set(from, to, if from == 2 || to == 2 { 5.0 } else { truth(from, to) });
        }
    }
    legs
}

#[test]
fn the_hub_is_found_within_half_a_probe_and_a_liar_gains_nothing() {
    let (legs, destinations) = (claims(), (3..20).collect::<Vec<_>>());
    let relays: Vec<usize> = (1..20).collect();
    let mut scout = Scout::new(0, 20, 1, Join::Sum, Settings::default(), 7);
    let mut plan = Vec::new();
    for round in 0..12 {
        let direct: Vec<f32> = (0..20).map(|to| if to == 0 { f32::NAN } else { truth(0, to) }).collect();
        let value = |relay: usize, to: usize| truth(0, relay) + truth(relay, to);
        let probes: Vec<_> = plan.iter().map(|(relay, to)| (*relay, *to, value(*relay, *to))).collect();
        scout.observe(round, &direct, &probes, &legs);
        plan = scout.plan(&destinations, |_| None, &relays, 8, &legs);
        assert!(plan.len() <= 8);
    }
    let over = |to: &usize| scout.choose(*to, None, &relays, &legs);
    let hub = destinations.iter().filter(|to| over(to) == Some(1)).count();
    assert_eq!(hub, destinations.len());
}

#[test]
fn without_any_word_or_probe_the_path_is_direct() {
    let mut scout = Scout::new(0, 20, 1, Join::Sum, Settings::default(), 7);
    let relays: Vec<usize> = (1..20).collect();
    let direct: Vec<f32> = (0..20).map(|to| if to == 0 { f32::NAN } else { truth(0, to) }).collect();
    scout.observe(0, &direct, &[], &Legs::unknown(20));
    assert!(relays.iter().all(|to| scout.choose(*to, None, &relays, &Legs::unknown(20)).is_none()));
}

/// Round trips that are a round number most of the time and awful now and then, under claims of which `boast` says what node 2 makes of
/// half of its legs.
fn under_claims(boast: Option<f32>) -> Scout {
    const NODES: usize = 40;
    let mut legs = Legs::unknown(NODES);
    for from in 1..NODES {
        for to in (0..NODES).filter(|to| *to != from) {
            let boasted = boast.filter(|_| from == 2 && to % 2 == 0);
            legs.set(from, to, boasted.unwrap_or(100.0 + (from * 37 + to * 61) as f32 % 11.0));
        }
    }
    let mut random = Random::new(3);
    let mut scout = Scout::new(0, NODES, 1, Join::Sum, Settings::default(), 7);
    for round in 0..60 {
        let value = |to: usize, awful: bool| {
            if to == 0 {
                f32::NAN
            } else if awful {
                3000.0
            } else {
                100.0
            }
        };
        let direct: Vec<f32> = (0..NODES).map(|to| value(to, random.chance(0.05))).collect();
        scout.observe(round, &direct, &[], &legs);
    }
    scout
}

#[test]
fn absurd_claims_move_no_forecast_of_others() {
    let (honest, lied_to) = (under_claims(None), under_claims(Some(60_000.0)));
    assert!(honest.strength() >= 64.0);
    assert!((0.25..4.0).contains(&(lied_to.strength() / honest.strength())), "{}", lied_to.strength());
    for to in (1..40).filter(|to| *to != 2) {
        let (one, other) = (honest.leg(to), lied_to.leg(to));
        assert!((one / other - 1.0).abs() < 0.1, "to {to}: {other} instead of {one}");
        let (one, other) = (honest.effects.leg(5, to), lied_to.effects.leg(5, to));
        assert!((one / other - 1.0).abs() < 0.1, "5 to {to}: {other} instead of {one}");
    }
}

#[test]
fn who_is_not_believed_has_no_say_in_the_additive_model() {
    let mut scout = Scout::new(0, 20, 1, Join::Sum, Settings::default(), 7);
    let direct: Vec<f32> = (0..20).map(|to| if to == 0 { f32::NAN } else { truth(0, to) }).collect();
    let mut legs = Legs::unknown(20);
    (3..20).for_each(|to| legs.set(2, to, 5.0));
    for round in 0..6 {
        let probes: Vec<_> = (3..9).map(|to| (2, to, truth(0, 2) + truth(2, to))).collect();
        scout.observe(round, &direct, &probes, &legs);
    }
    assert!(!scout.proofs.believes(2));
    scout.observe(8, &direct, &[], &legs);
    assert!(scout.effects.leg(2, 15) > 60.0, "{}", scout.effects.leg(2, 15));
}

#[test]
fn round_trips_between_hubs_are_not_expected_below_nothing() {
    // 0 and 1 are 20 ms from everybody, all others 150 ms from each other
    let mut legs = Legs::unknown(20);
    let long = |from: usize, to: usize| if from.min(to) < 2 { 20.0 } else { 150.0 };
    for from in 1..20 {
        (1..20).filter(|to| *to != from).for_each(|to| legs.set(from, to, long(from, to)));
        legs.set(from, 0, long(from, 0));
    }
    let mut scout = Scout::new(0, 20, 1, Join::Sum, Settings::default(), 7);
    let direct: Vec<f32> = (0..20).map(|to| if to < 2 { f32::NAN } else { long(0, to) }).collect();
    for round in 0..40 {
        scout.observe(round, &direct, &[], &legs);
    }
    assert!(scout.effects.leg(0, 1) < 0.0, "{}", scout.effects.leg(0, 1));
    let between = expected(&scout.effects, Join::Sum, 0, 1);
    assert!(between > 0.0 && between < 60.0, "{between}");
    // the only leg that was measured, and once: the prior is all but everything
    let direct: Vec<f32> = (0..20).map(|to| if to == 1 { 20.0 } else { f32::NAN }).collect();
    scout.observe(40, &direct, &[], &legs);
    scout.row = super::Row::new(20, 1);
    scout.row.recall(1, 1.0, 20.0, 3.0);
    let mut strong = super::Strength::default();
    (0..64).for_each(|_| strong.learn(100.0, 5.0, 1.0, 100.0));
    scout.row.inherit(&strong);
    scout.forecast();
    assert!(scout.leg(1) > 0.0 && scout.leg(1) < 60.0, "{}", scout.leg(1));
    let promises: Vec<f32> =
        (2..20).filter_map(|relay| scout.promise(relay, 1, &legs)).map(|p| p.gain).collect();
    assert!(promises.iter().all(|gain| *gain <= 1.0), "{promises:?}");
}

#[test]
fn a_path_whose_first_leg_is_unknown_proves_nothing_of_the_second() {
    let mut scout = Scout::new(0, 20, 1, Join::Sum, Settings::default(), 7);
    let (nothing, mut legs) = (vec![f32::NAN; 20], Legs::unknown(20));
    (3..20).for_each(|to| legs.set(2, to, 5.0));
    for round in 0..4 {
        let probes: Vec<_> = (3..9).map(|to| (2, to, 300.0)).collect();
        scout.observe(round, &nothing, &probes, &legs);
        assert!(scout.proofs.of(2, 3).is_none());
    }
    let direct: Vec<f32> = (0..20).map(|to| if to == 2 { 30.0 } else { f32::NAN }).collect();
    for round in 4..8 {
        let probes: Vec<_> = (3..9).map(|to| (2, to, 300.0)).collect();
        scout.observe(round, &direct, &probes, &legs);
    }
    assert!(!scout.proofs.believes(2));
    scout.observe(8, &nothing, &[(2, 3, f32::NAN)], &legs);
    assert_eq!(scout.proofs.of(2, 3).map(|proof| proof.missed), Some(1));
    scout.row.forget(2);
    scout.forecasts[2] = f32::NAN;
    let probes: Vec<_> = (0..99).map(|at| (2, 3 + at % 6, 300.0)).collect();
    scout.observe(9, &nothing, &probes, &legs);
    assert_eq!(scout.proofs.of(2, 3).map(|proof| proof.missed), Some(0));
    assert!(!scout.proofs.believes(2), "who lied is believed again");
}
