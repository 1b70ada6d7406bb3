use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::topology::RelayInfo;

/// One destination and the relays "a" and "b", of which "a" says how far the destination is; only to "b" the leg is known.
fn scouting() -> (Scouting, Vec<NodeName>) {
    let names: Vec<NodeName> = ["me", "a", "b", "d"].map(|name| NodeName::new(name).unwrap()).into();
    let mut scouting = Scouting::new(names[0].clone(), 1);
    let relays: BTreeMap<NodeName, RelayInfo> =
        names[1..3].iter().map(|name| (name.clone(), RelayInfo::new(name.clone()))).collect();
    scouting.follow(Time::ZERO, &relays, &BTreeSet::from([&names[3]]), &BTreeSet::new(), |_| true);
    scouting.hear(&names[1], [(&names[3], 50.0)].into_iter());
    (scouting, names)
}

fn round(scouting: &mut Scouting) {
    let end = scouting.poll_timeout();
    assert!(scouting.handle_timeout(end, |_| None));
}

#[test]
fn forecasts_are_not_judged_by_what_they_were_made_of() {
    let (mut scouting, names) = scouting();
    for _ in 0..3 {
        scouting.measured(&names[3], 200.0);
        scouting.measured(&names[2], 40.0);
        round(&mut scouting);
    }
    scouting.measured(&names[3], 200.0);
    // the first leg of the one is guessed from this, and of the other nobody has said what it has behind it
    scouting.proved(&names[1], &names[3], Some(100.0));
    scouting.proved(&names[2], &names[3], Some(700.0));
    round(&mut scouting);
    assert_eq!(scouting.errors, [FIRST_ERROR; 2]);
}

#[test]
fn a_path_of_which_nobody_speaks_is_not_forecast_from_its_own_probes() {
    let (mut scouting, names) = scouting();
    for _ in 0..8 {
        scouting.measured(&names[3], 200.0);
        (1..3).for_each(|relay| scouting.measured(&names[relay], 40.0));
        (1..3).for_each(|relay| scouting.proved(&names[relay], &names[3], Some(240.0)));
        round(&mut scouting);
    }
    assert!(scouting.forecast(Some(&names[2]), &names[3]).is_none());
    let by_word = scouting.forecast(Some(&names[1]), &names[3]);
    assert!(by_word.is_none_or(|forecast| (forecast.value - 90.0).abs() < 5.0), "{by_word:?}");
}

#[test]
fn legs_count_as_told_when_they_went_out() {
    let (mut scouting, names) = scouting();
    let told = |scouting: &Scouting| -> BTreeSet<NodeName> {
        scouting.legs().iter().map(|(node, _)| node.clone()).collect()
    };
    for _ in 0..3 {
        (1..4).for_each(|to| scouting.measured(&names[to], 40.0));
        round(&mut scouting);
    }
    assert_eq!(told(&scouting).len(), 3);
    // the record had room for one of them
    let legs: Vec<(NodeName, f64)> = scouting.legs().to_vec();
    scouting.published([(&legs[0].0, legs[0].1)].into_iter());
    (1..4).for_each(|to| scouting.measured(&names[to], 40.0));
    round(&mut scouting);
    assert_ne!(scouting.legs()[0].0, legs[0].0, "{:?}", scouting.legs());
    assert_eq!(scouting.legs()[2].0, legs[0].0, "what was told comes last: {:?}", scouting.legs());
}
