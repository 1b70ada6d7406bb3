//! Which few of many relays are looked at for one destination.

use std::collections::{BTreeMap, BTreeSet};

use aire_types::{NodeName, Path, Random};

use crate::topology::RelayInfo;

/// Picks up to `room` of `relays`, all of them usable, towards `to` that are not in `have`: half of them those whose legs promise the
/// shortest way, then those next to us, then one per zone that is not there yet, then any.
pub(crate) fn pick(
    relays: &BTreeMap<&NodeName, &RelayInfo>,
    to: &NodeName,
    have: &BTreeSet<NodeName>,
    room: usize,
    random: &mut Random,
) -> Vec<NodeName> {
    let open: Vec<&RelayInfo> =
        relays.values().filter(|relay| !have.contains(&relay.node)).copied().collect();
    if open.len() <= room {
        return open.iter().map(|relay| relay.node.clone()).collect();
    }
    let mut picked: BTreeSet<&NodeName> = BTreeSet::new();
    lowest(&open, room.div_ceil(2), |relay| relay.legs_to(to), &mut picked);
    lowest(&open, (room / 4).min(room - picked.len()), |relay| relay.rtt_ms, &mut picked);
    draw(relays, &open, have, room, &mut picked, random);
    picked.into_iter().cloned().collect()
}

/// Picks up to `room` of `relays` that are not in `have` by chance, one per zone that is not there yet first.
pub(crate) fn chance(
    relays: &BTreeMap<&NodeName, &RelayInfo>,
    have: &BTreeSet<NodeName>,
    room: usize,
    random: &mut Random,
) -> Vec<NodeName> {
    let open: Vec<&RelayInfo> =
        relays.values().filter(|relay| !have.contains(&relay.node)).copied().collect();
    if open.len() <= room {
        return open.iter().map(|relay| relay.node.clone()).collect();
    }
    let mut picked: BTreeSet<&NodeName> = BTreeSet::new();
    draw(relays, &open, have, room, &mut picked, random);
    picked.into_iter().cloned().collect()
}

/// Fills `picked` with relays of `open`, of which there are at least `room`, by chance.
fn draw<'a>(
    relays: &BTreeMap<&NodeName, &'a RelayInfo>,
    open: &[&'a RelayInfo],
    have: &BTreeSet<NodeName>,
    room: usize,
    picked: &mut BTreeSet<&'a NodeName>,
    random: &mut Random,
) {
    let mut zones: BTreeSet<&str> =
        have.iter().filter_map(|node| Some(relays.get(node)?.zone.as_str())).collect();
    zones.extend(open.iter().filter(|relay| picked.contains(&relay.node)).map(|relay| relay.zone.as_str()));
    // a bounded number of draws: a mesh of one zone must not make this loop long
    for _ in 0..room * 8 {
        if picked.len() >= room {
            break;
        }
        let relay = open[random.below(open.len())];
        if zones.insert(&relay.zone) {
            picked.insert(&relay.node);
        }
    }
    while picked.len() < room {
        picked.insert(&open[random.below(open.len())].node);
    }
}

/// Adds to `picked` the `count` relays with the lowest `value`.
fn lowest<'a>(
    open: &[&'a RelayInfo],
    count: usize,
    value: impl Fn(&RelayInfo) -> Option<f64>,
    picked: &mut BTreeSet<&'a NodeName>,
) {
    let mut best: Vec<(f64, &'a NodeName)> = Vec::with_capacity(count + 1);
    for relay in open.iter().filter(|relay| !picked.contains(&relay.node)) {
        let Some(value) = value(relay).filter(|value| value.is_finite()) else { continue };
        let at = best.partition_point(|(other, _)| *other <= value);
        if at < count {
            best.insert(at, (value, &relay.node));
            best.truncate(count);
        }
    }
    picked.extend(best.into_iter().map(|(_, node)| node));
}

/// Paths over two relays out of `from`, those with the shortest known legs first.
pub(crate) fn pairs(
    relays: &BTreeMap<&NodeName, &RelayInfo>,
    from: &BTreeSet<NodeName>,
    to: &NodeName,
    most: usize,
) -> Vec<Path> {
    const UNKNOWN_LEG_MS: f64 = 200.0;
    let mut found: Vec<(f64, Path)> = Vec::new();
    for first in from.iter().filter_map(|node| relays.get(node)) {
        for second in from.iter().filter_map(|node| relays.get(node)) {
            let Ok(path) = Path::new(vec![first.node.clone(), second.node.clone()]) else { continue };
            let legs = [first.rtt_ms, first.legs.get(&second.node).copied(), second.legs.get(to).copied()];
            let sum = legs.into_iter().map(|leg| leg.filter(|ms| *ms >= 0.0).unwrap_or(UNKNOWN_LEG_MS)).sum();
            found.push((sum, path));
        }
    }
    found.sort_by(|a, b| a.0.total_cmp(&b.0).then_with(|| a.1.cmp(&b.1)));
    found.into_iter().take(most).map(|(_, path)| path).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str) -> NodeName {
        NodeName::new(name).unwrap()
    }

    fn mesh(count: usize, zones: usize) -> BTreeMap<NodeName, RelayInfo> {
        let relay = |i: usize| {
            let mut relay = RelayInfo::new(node(&format!("r{i}")));
            relay.zone = format!("z{}", i % zones);
            (relay.node.clone(), relay)
        };
        (0..count).map(relay).collect()
    }

    #[test]
    fn a_small_mesh_is_looked_at_whole() {
        let relays = mesh(5, 1);
        let have = BTreeSet::from([node("r1")]);
        let picked = pick(&relays.iter().collect(), &node("d"), &have, 8, &mut Random::new(1));
        assert_eq!(picked, [node("r0"), node("r2"), node("r3"), node("r4")]);
    }

    #[test]
    fn known_short_legs_come_first_and_zones_are_spread() {
        for seed in 0..64 {
            let mut relays = mesh(1000, 10);
            for i in 0..6 {
                let relay = relays.get_mut(&node(&format!("r{}", i * 10))).unwrap();
                relay.rtt_ms = Some(10.0 + i as f64);
                relay.legs.insert(node("d"), 10.0);
            }
            let picked =
                pick(&relays.iter().collect(), &node("d"), &BTreeSet::new(), 8, &mut Random::new(seed));
            assert_eq!(picked.len(), 8);
            assert!(
                ["r0", "r10", "r20", "r30"].iter().all(|name| picked.contains(&node(name))),
                "seed {seed}"
            );
            let zones: BTreeSet<&str> = picked.iter().map(|name| relays[name].zone.as_str()).collect();
            assert!(zones.len() >= 3, "seed {seed}");
        }
    }

    #[test]
    fn pairs_have_two_different_relays() {
        let relays = mesh(4, 1);
        let from = relays.keys().cloned().collect();
        let found = pairs(&relays.iter().collect(), &from, &node("d"), 6);
        assert_eq!(found.len(), 6);
        assert!(found.iter().all(|path| path.relays().len() == 2));
    }
}
