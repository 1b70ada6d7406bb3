//! The scouts: what they are told, and whom they propose.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aire_types::{Instance, NodeName, Path, RouteId, Source, Time};

use super::Brain;
use crate::destination::Destination;
use crate::estimate::{Sample, millis};
use crate::topology::RelayInfo;

/// So many relays beyond the usual turn are exchanged at once for better ones …
const EXCHANGED: usize = 2;
/// … and so many for a destination that is younger than this.
const EXCHANGED_YOUNG: usize = 4;
const YOUNG: Duration = Duration::from_secs(60);

impl Brain {
    /// Does it matter what `node` publishes of its legs?
    pub fn watches(&self, node: &NodeName) -> bool {
        self.scouting.as_ref().is_some_and(|scouting| scouting.watches(node))
    }

    /// The nodes of whom it matters: a bounded number, whatever the size of the mesh.
    pub fn watched(&self) -> Vec<NodeName> {
        self.scouting.as_ref().map(|scouting| scouting.watched().cloned().collect()).unwrap_or_default()
    }

    /// What `node` publishes of its legs, milliseconds by node. Of what it said before the newest word on each leg stays.
    pub fn handle_claims<'a>(&mut self, node: &NodeName, legs: impl Iterator<Item = (&'a NodeName, f64)>) {
        if let Some(scouting) = &mut self.scouting {
            scouting.hear(node, legs);
        }
    }

    /// The round trip to `node`, directly.
    pub fn handle_leg(&mut self, node: &NodeName, rtt: Duration) {
        if let Some(scouting) = &mut self.scouting {
            scouting.measured(node, millis(rtt));
        }
    }

    /// What this node should publish of its own legs, milliseconds: forecasts, of at most 64 nodes.
    pub fn legs(&self) -> &[(NodeName, f64)] {
        self.scouting.as_ref().map_or(&[], |scouting| scouting.legs())
    }

    /// A record with these legs went out, of [`Brain::legs`] as many as it had room for: the next one tells of others, where there are more.
    pub fn handle_published<'a>(&mut self, legs: impl Iterator<Item = (&'a NodeName, f64)>) {
        if let Some(scouting) = &mut self.scouting {
            scouting.published(legs);
        }
    }

    pub(super) fn follow_scouts(&mut self, now: Time) {
        let Some(mut scouting) = self.scouting.take() else { return };
        let destinations: BTreeSet<&NodeName> = self.destinations.keys().map(|i| &i.node).collect();
        let used =
            |destination: &Destination, path: &Path| path.relays().len() == 1 && destination.is_in_use(path);
        let held = self.destinations.values().flat_map(|destination| {
            let paths = destination.routes.keys().filter(|path| used(destination, path));
            paths.flat_map(|path| path.relays())
        });
        let held: BTreeSet<&NodeName> = held.collect();
        let nodes: BTreeSet<&NodeName> = self.instances.keys().map(|instance| &instance.node).collect();
        let is_member = |node: &NodeName| self.relays.contains_key(node) || nodes.contains(node);
        scouting.follow(now, &self.relays, &destinations, &held, is_member);
        for info in self.instances.values() {
            let linked = info.rtt_ms.filter(|_| !self.relays.contains_key(&info.instance.node));
            if let Some(ms) = linked {
                scouting.measured(&info.instance.node, ms);
            }
        }
        self.scouting = Some(scouting);
    }

    pub(super) fn tell_scouts(&mut self, route: &RouteId, sample: Sample, source: Source) {
        let Some(scouting) = self.scouting.as_mut().filter(|_| source != Source::Claimed) else { return };
        let ms = match sample {
            Sample::Rtt(rtt) => Some(millis(rtt)),
            Sample::Lost => None,
            _ => return,
        };
        match (route.path.relays(), ms) {
            ([], Some(ms)) => scouting.measured(&route.instance.node, ms),
            ([relay], ms) => scouting.proved(relay, &route.instance.node, ms),
            _ => {}
        }
    }

    /// A round of the scouts is over: landmarks that a new node misses are asked for, and portfolios renewed where a relay
    /// promises more than what is looked at.
    pub(super) fn close_round(&mut self, now: Time) {
        let Some(mut scouting) = self.scouting.take() else { return };
        let using = |node: &NodeName| {
            let towards = self.destinations.iter().filter(|(instance, _)| instance.node == *node);
            let current = towards.flat_map(|(_, d)| d.choices.values()).find_map(|c| c.current.as_ref());
            current.and_then(|(path, _)| path.relays().first().cloned())
        };
        let learned = scouting.handle_timeout(now, using);
        if learned {
            while self.prober.has_token(now)
                && let Some(node) = scouting.missing_landmark(now)
            {
                self.prober.spend();
                self.outputs.push_back(super::Output::Measure { node });
            }
        }
        self.scouting = Some(scouting);
        if !learned {
            return;
        }
        let wanting = |(instance, destination): (&Instance, &Destination)| {
            let usable = self.usable_towards(instance);
            (self.eager_for(now, instance, destination, &usable) > 0).then(|| instance.clone())
        };
        let wanting: Vec<Instance> = self.destinations.iter().filter_map(wanting).collect();
        wanting.iter().for_each(|instance| self.renew_portfolio(now, instance));
    }

    /// How many relays that are not looked at towards `instance` the scouts would rather look at than at others.
    /// Only `usable` ones: who may not be looked at must not drive out those that are.
    pub(super) fn eager_for(
        &self,
        now: Time,
        instance: &Instance,
        destination: &Destination,
        usable: &BTreeMap<&NodeName, &RelayInfo>,
    ) -> usize {
        let Some(scouting) = &self.scouting else { return 0 };
        let missing = |node: &&NodeName| {
            let open = usable.get(*node).is_some_and(|relay| relay.is_open());
            open && !destination.routes.contains_key(&Path::via((*node).clone()))
        };
        let most = if now.since(destination.since) < YOUNG { EXCHANGED_YOUNG } else { EXCHANGED };
        scouting.eager(&instance.node, self.config.portfolio).filter(missing).take(most).count()
    }
}
