//! Who has a number, and who is proposed.

use std::collections::{BTreeMap, BTreeSet};

use aire_types::{NodeName, Time};

use super::{COMMON, DESTINATIONS, FAVOURITES, RELAYS, Scouting, order_of};
use crate::relays::Promise;
use crate::topology::RelayInfo;

/// Relays close by that have numbers in a large mesh.
const NEAR: usize = 32;
/// In a large mesh so many relays make room for others …
const TURN: usize = 16;
/// … after so many rounds.
const TURNS: usize = 10;
/// Who promises no more than this gain over direct is not proposed: chance may find it.
const HOPELESS: f32 = -0.5;

impl Scouting {
    /// Who is a member now. `destinations` are the nodes that somebody here wants to reach, `held` the relays that paths in use go over.
    pub(crate) fn follow<'a>(
        &mut self,
        now: Time,
        relays: &BTreeMap<NodeName, RelayInfo>,
        destinations: &BTreeSet<&'a NodeName>,
        held: &BTreeSet<&'a NodeName>,
        is_member: impl Fn(&NodeName) -> bool,
    ) {
        self.round.begin(now);
        let dismissed: BTreeSet<NodeName> = self.turn_over(relays, destinations, held);
        // a full roster keeps nobody just because he was once talked to
        let full = self.roster.is_full();
        let needed = |node: &NodeName| {
            !full || relays.contains_key(node) || destinations.contains(node) || held.contains(node)
        };
        self.roster.see(|node| is_member(node) && needed(node) && !dismissed.contains(node));
        let known = std::mem::take(&mut self.destinations);
        let wanted: Vec<usize> =
            destinations.iter().take(DESTINATIONS).filter_map(|node| self.enter(node)).collect();
        self.destinations = wanted.into_iter().filter(|number| *number > 0).collect();
        if !self.destinations.is_subset(&known) {
            self.round.hasten(now);
        }
        let listed: Vec<&NodeName> = match relays.len() {
            0..=RELAYS => relays.keys().collect(),
            _ => self.shortlist(relays, held, &dismissed),
        };
        let entered: Vec<usize> = listed.into_iter().filter_map(|node| self.enter(node)).collect();
        self.relays = entered.into_iter().filter(|number| *number > 0).collect();
        for (node, relay) in relays {
            if let Some(ms) = relay.rtt_ms {
                self.measured(node, ms);
            }
            if !relay.legs.is_empty() {
                self.hear(node, relay.legs.iter().map(|(other, ms)| (other, *ms)));
            }
        }
    }

    /// In a large mesh some of those that have shown nothing make room.
    fn turn_over(
        &mut self,
        relays: &BTreeMap<NodeName, RelayInfo>,
        destinations: &BTreeSet<&NodeName>,
        held: &BTreeSet<&NodeName>,
    ) -> BTreeSet<NodeName> {
        if relays.len() <= RELAYS || self.round.number() < self.turned_at + TURNS {
            return BTreeSet::new();
        }
        self.turned_at = self.round.number();
        let mut kept: BTreeSet<usize> = self.scout.favourites(FAVOURITES).into_iter().collect();
        kept.extend(self.landmarks.iter().copied());
        let named = destinations.iter().chain(held).filter_map(|node| self.roster.number(node));
        kept.extend(named);
        let mut spare: Vec<usize> =
            self.roster.others().map(|(number, _)| number).filter(|number| !kept.contains(number)).collect();
        let mut dismissed = BTreeSet::new();
        while dismissed.len() < TURN && !spare.is_empty() {
            let number = spare.swap_remove(self.random.below(spare.len()));
            dismissed.insert(self.roster.name(number).clone());
        }
        dismissed
    }

    /// The relays of a large mesh that get numbers: those that have one, those in use, the common ground, those close by, and any.
    fn shortlist<'a>(
        &mut self,
        relays: &'a BTreeMap<NodeName, RelayInfo>,
        held: &BTreeSet<&NodeName>,
        dismissed: &BTreeSet<NodeName>,
    ) -> Vec<&'a NodeName> {
        let listed = |list: &[&NodeName], node: &NodeName| list.contains(&node);
        let mut list: Vec<&NodeName> = relays
            .keys()
            .filter(|node| {
                let number = self.roster.number(node).filter(|number| self.roster.is_present(*number));
                held.contains(*node) || number.is_some_and(|number| self.relays.contains(&number))
            })
            .take(RELAYS)
            .collect();
        if list.len() >= RELAYS {
            return list;
        }
        let open = || relays.values().filter(|relay| relay.is_open() && !dismissed.contains(&relay.node));
        let common = least(open().map(|relay| (order_of(&relay.node) as f64, &relay.node)), COMMON);
        let near = least(open().filter_map(|relay| Some((relay.rtt_ms?, &relay.node))), NEAR);
        for node in common.into_iter().chain(near) {
            if list.len() < RELAYS && !listed(&list, node) {
                list.push(node);
            }
        }
        let rest: Vec<&NodeName> = open().map(|relay| &relay.node).collect();
        // a bounded number of draws, as many of them may be there already
        for _ in 0..4 * RELAYS {
            if list.len() >= RELAYS || rest.is_empty() {
                break;
            }
            let node = rest[self.random.below(rest.len())];
            if !listed(&list, node) {
                list.push(node);
            }
        }
        list
    }

    /// Relays that every node of the mesh has numbers for: all, in a large mesh those that come first by a hash of their names.
    pub(super) fn common_ground(&self) -> Vec<usize> {
        let present = |relay: &usize| self.roster.is_present(*relay);
        let mut ground: Vec<usize> = self.relays.iter().copied().filter(present).collect();
        if ground.len() >= RELAYS {
            ground.sort_by_key(|relay| order_of(self.roster.name(*relay)));
            ground.truncate(COMMON);
        }
        ground
    }

    /// Who promises most to most destinations becomes a favourite.
    pub(super) fn plan(&mut self, using: impl Fn(&NodeName) -> Option<NodeName>) {
        let destinations: Vec<usize> =
            self.destinations.iter().copied().filter(|to| self.roster.is_present(*to)).collect();
        let relays: Vec<usize> =
            self.relays.iter().copied().filter(|relay| self.roster.is_present(*relay)).collect();
        let current: Vec<Option<usize>> = destinations
            .iter()
            .map(|to| using(self.roster.name(*to)).and_then(|relay| self.roster.number(&relay)))
            .collect();
        self.scout.plan(&destinations, |at| current[at], &relays, destinations.len(), &self.word);
    }

    fn promises(&self, to: &NodeName) -> Vec<Promise> {
        let Some(to) = self.roster.number(to) else { return Vec::new() };
        let promises = self.relays.iter().filter_map(|relay| self.scout.promise(*relay, to, &self.word));
        let mut found: Vec<Promise> = promises
            .filter(|promise| promise.gain > HOPELESS && self.roster.is_present(promise.relay))
            .collect();
        found.sort_by(|a, b| b.gain.total_cmp(&a.gain).then(a.relay.cmp(&b.relay)));
        found
    }

    /// Relays that nobody here has probed towards `to` and that promise to be better than direct, of the `most` most promising.
    pub(crate) fn eager(&self, to: &NodeName, most: usize) -> impl Iterator<Item = &NodeName> {
        let margin = self.scout.margin();
        let promises = self.promises(to).into_iter().take(most);
        let eager = promises.filter(move |promise| !promise.proven && promise.gain > margin);
        eager.map(|promise| self.roster.name(promise.relay))
    }

    /// All relays that promise to be better than direct towards `to`, or not much worse, the most promising first.
    pub(crate) fn proposals(&self, to: &NodeName) -> Vec<NodeName> {
        let name = |promise: &Promise| self.roster.name(promise.relay).clone();
        self.promises(to).iter().map(name).collect()
    }
}

/// The `count` with the least value, least first.
fn least<'a>(all: impl Iterator<Item = (f64, &'a NodeName)>, count: usize) -> Vec<&'a NodeName> {
    let mut best: Vec<(f64, &NodeName)> = Vec::with_capacity(count + 1);
    for (value, node) in all.filter(|(value, _)| value.is_finite()) {
        let at = best.partition_point(|(other, _)| *other <= value);
        if at < count {
            best.insert(at, (value, node));
            best.truncate(count);
        }
    }
    best.into_iter().map(|(_, node)| node).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_was_once_talked_to_makes_room_in_a_full_roster() {
        let name = |kind: &str, i: usize| NodeName::new(&format!("{kind}{i}")).unwrap();
        let mut scouting = Scouting::new(name("me", 0), 1);
        let relay = |i: usize| (name("r", i), RelayInfo::new(name("r", i)));
        let mut relays: BTreeMap<NodeName, RelayInfo> = (0..10).map(relay).collect();
        let held = BTreeSet::new();
        for i in 0..300 {
            let node = name("n", i);
            scouting.follow(
                Time::from_millis(i as u64 * 1000),
                &relays,
                &BTreeSet::from([&node]),
                &held,
                |_| true,
            );
            assert!(scouting.watches(&node), "destination {i} has no number");
        }
        relays.extend([relay(10)]);
        let node = name("n", 299);
        scouting.follow(Time::from_millis(300_000), &relays, &BTreeSet::from([&node]), &held, |_| true);
        assert!((0..11).all(|i| scouting.watches(&name("r", i))) && scouting.watches(&node));
    }
}
