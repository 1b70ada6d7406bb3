//! Which destinations and relays are looked at, and when.

use std::collections::{BTreeMap, BTreeSet};

use aire_types::{AppName, Instance, NodeName, Override, Path, Random, RouteId, Time};

use super::{Brain, INSTANCES, NEW, ROUTES};
use crate::destination::{Destination, Role, Route};
use crate::output::Output;
use crate::portfolio;
use crate::probe::interval;
use crate::scouting::Scouting;
use crate::topology::{InstanceInfo, RelayInfo};

use std::time::Duration;

/// The portfolio of a destination is renewed in about this time.
const ROTATION: Duration = Duration::from_secs(60);
/// Time between reviews, of new destinations and of others.
const REVIEW_NEW: Duration = Duration::from_millis(200);
const REVIEW: Duration = Duration::from_secs(1);
/// So many pairs of relays are tried where nothing shorter reaches.
const PAIRS: usize = 6;
/// Portfolios of large meshes keep this much room for relays that chance picks.
const EXPLORED: usize = 2;

impl Brain {
    /// Keeps state for the instances of wanted and usual apps, and for no others.
    pub(super) fn follow_interest(&mut self, now: Time) {
        let wanted = self.apps.iter().filter(|(_, app)| app.wanted_until > now).map(|(name, _)| name);
        let wanted: BTreeSet<&AppName> = wanted.chain(self.own.destinations.keys()).collect();
        let mut by_app: BTreeMap<&AppName, Vec<&InstanceInfo>> = BTreeMap::new();
        for info in self.instances.values().filter(|info| wanted.contains(&info.instance.app)) {
            by_app.entry(&info.instance.app).or_default().push(info);
        }
        let mut kept: BTreeSet<Instance> = BTreeSet::new();
        for infos in by_app.values_mut() {
            infos.sort_by(|a, b| {
                let key = |info: &InstanceInfo| {
                    let known = self.destinations.contains_key(&info.instance);
                    (info.draining, !known, info.zone != self.config.zone)
                };
                key(a).cmp(&key(b)).then(a.load.total_cmp(&b.load)).then_with(|| a.instance.cmp(&b.instance))
            });
            kept.extend(infos.iter().take(INSTANCES).map(|info| info.instance.clone()));
        }
        self.destinations.retain(|instance, _| kept.contains(instance));
        for instance in kept {
            self.track(now, instance);
        }
    }

    /// Begins to look at `instance`, where it is not looked at yet.
    pub(super) fn track(&mut self, now: Time, instance: Instance) {
        if self.destinations.contains_key(&instance) || !self.instances.contains_key(&instance) {
            return;
        }
        self.destinations.insert(instance.clone(), Destination::new(now));
        self.renew_portfolio(now, &instance);
        self.review_at = self.review_at.min(now);
        self.prober.due_at = self.prober.due_at.min(now);
    }

    /// Drops what is not worth its probes, and fills the room with relays from the mesh.
    pub(super) fn renew_portfolio(&mut self, now: Time, instance: &Instance) {
        let Some(mut destination) = self.destinations.remove(instance) else { return };
        let overrides = self.overrides(&instance.app);
        let ceiling = f64::from(self.security(&instance.app).risk_ceiling());
        let usable = usable(&self.relays, self.config.portfolio, &overrides, ceiling, &instance.node);
        let ordered = overrides.prefer.iter().filter(|node| usable.contains_key(node)).cloned();
        let ordered: BTreeSet<Path> = ordered.map(Path::via).chain(overrides.pin.clone()).collect();
        prune(&mut destination, |node| usable.contains_key(node), &ordered);
        let crowded = usable.len() > self.config.portfolio;
        if crowded && destination.rotate_at != destination.since {
            let kept = self.config.portfolio.saturating_sub(EXPLORED);
            let spare = kept.saturating_sub(self.eager_for(now, instance, &destination, &usable));
            drop_worst(&mut destination, spare, &ordered);
        }
        for path in ordered {
            destination.routes.entry(path).or_insert_with(Route::new);
        }
        let have = singles(&destination);
        let room = self.config.portfolio.saturating_sub(have.len());
        let picked = match self.scouting.as_deref() {
            Some(scouting) => scouted(scouting, &usable, &instance.node, &have, room, &mut self.random),
            None => portfolio::pick(&usable, &instance.node, &have, room, &mut self.random),
        };
        for node in picked {
            destination.routes.insert(Path::via(node), Route::new());
        }
        add_pairs(now, &mut destination, &usable, &instance.node);
        destination.rotate_at = now + self.random.scale(ROTATION, 0.75, 1.25);
        destination.dirty = true;
        self.destinations.insert(instance.clone(), destination);
        self.prober.due_at = self.prober.due_at.min(now);
    }

    pub(super) fn usable_towards(&self, instance: &Instance) -> BTreeMap<&NodeName, &RelayInfo> {
        let ceiling = f64::from(self.security(&instance.app).risk_ceiling());
        usable(&self.relays, self.config.portfolio, &self.overrides(&instance.app), ceiling, &instance.node)
    }

    /// Relays are heard of one by one, often after the instance: where a portfolio has room for one, it is renewed.
    pub(super) fn welcome_relays(&mut self, now: Time) {
        let most = self.config.portfolio;
        let room = |(instance, destination): (&Instance, &Destination)| {
            let have = singles(destination);
            let new =
                have.len() < most && self.usable_towards(instance).keys().any(|node| !have.contains(*node));
            new.then(|| instance.clone())
        };
        let open: Vec<Instance> = self.destinations.iter().filter_map(room).collect();
        open.iter().for_each(|instance| self.renew_portfolio(now, instance));
    }

    /// Makes the decisions again that new facts may change.
    pub(super) fn review(&mut self, now: Time) {
        let lapsed = |app: &AppName| {
            let usual = self.own.destinations.contains_key(app);
            !usual && self.apps.get(app).is_none_or(|app| app.wanted_until <= now)
        };
        if self.destinations.keys().any(|instance| lapsed(&instance.app)) {
            self.follow_interest(now);
        }
        let mut new = false;
        let instances: Vec<Instance> = self.destinations.keys().cloned().collect();
        for instance in &instances {
            new |= self.review_destination(now, instance);
        }
        let pause = if new { REVIEW_NEW } else { REVIEW };
        self.review_at = match instances.is_empty() {
            true => Time::NEVER,
            false => now + self.random.scale(pause, 0.75, 1.25),
        };
    }

    /// True while the destination is new.
    fn review_destination(&mut self, now: Time, instance: &Instance) -> bool {
        let Some(destination) = self.destinations.get(instance) else { return false };
        let new = now.since(destination.since) < NEW;
        let hopeless =
            destination.routes.iter().all(|(path, route)| route.is_hopeless(now, path.is_direct()));
        let pairs = destination.routes.keys().any(|path| path.relays().len() > 1);
        if destination.rotate_at <= now || (hopeless && !pairs && destination.routes.len() > 2) {
            self.renew_portfolio(now, instance);
        }
        let Some(destination) = self.destinations.get_mut(instance) else { return false };
        if !destination.take_review(now) && !new {
            return new;
        }
        destination.routes.values_mut().for_each(|route| route.role = Role::Far);
        let mut classes: Vec<_> = destination.choices.keys().copied().collect();
        if classes.is_empty() {
            classes.push(self.own.class);
        }
        for class in classes {
            self.decide(now, instance, class);
        }
        if let Some(app) = self.apps.get_mut(&instance.app) {
            app.disturb();
        }
        new
    }

    /// Sends probes while routes are due and tokens last.
    pub(super) fn explore(&mut self, now: Time) {
        if self.prober.due_at > now {
            return;
        }
        // who waits longest is asked when there is a token to spend: looking costs more than probing
        while self.prober.has_token(now) {
            let (most_overdue, next) = self.most_overdue(now);
            self.prober.due_at = next;
            let Some(route) = most_overdue else { return };
            self.prober.due_at = now;
            self.send_probe(now, route);
        }
    }

    /// The due route that waits longest in proportion to its interval, and when the next one will be due.
    fn most_overdue(&self, now: Time) -> (Option<RouteId>, Time) {
        let mut best: Option<(f64, &Instance, &Path)> = None;
        let mut next = Time::NEVER;
        for (instance, destination) in &self.destinations {
            let eager = self.apps.get(&instance.app).is_some_and(|app| app.wanted_until > now);
            let direct = &destination.routes[&Path::DIRECT];
            let rival = (direct.evidence.count() > 0).then(|| direct.evidence.mean_ms(now));
            for (path, route) in &destination.routes {
                if route.off {
                    continue;
                }
                let pause = interval(path, route, now, rival, eager);
                let due = route.probed_at.map_or(Time::ZERO, |at| at + pause).max(route.rest_until);
                if due > now {
                    next = next.min(due);
                    continue;
                }
                let waited = route.probed_at.map_or(Duration::MAX, |at| now.since(at));
                let overdue = waited.as_secs_f64() / pause.as_secs_f64().max(0.001);
                if best.is_none_or(|(most, ..)| overdue > most) {
                    best = Some((overdue, instance, path));
                }
            }
        }
        (best.map(|(_, instance, path)| RouteId { instance: instance.clone(), path: path.clone() }), next)
    }

    fn send_probe(&mut self, now: Time, route: RouteId) {
        let Some(state) =
            self.destinations.get_mut(&route.instance).and_then(|d| d.routes.get_mut(&route.path))
        else {
            return;
        };
        let patience =
            (state.evidence.patience(now) * 3).clamp(Duration::from_secs(1), Duration::from_secs(3));
        let id = self.prober.launch(now, route.clone(), patience);
        state.flights.push((id, now));
        state.probed = state.probed.saturating_add(1);
        state.probed_at = Some(now);
        state.alert = state.alert.saturating_sub(1);
        self.outputs.push_back(Output::Probe { id, route });
    }
}

/// Relays for the room beside `have`: those that the scouts propose, and at least one by chance.
fn scouted(
    scouting: &Scouting,
    usable: &BTreeMap<&NodeName, &RelayInfo>,
    to: &NodeName,
    have: &BTreeSet<NodeName>,
    room: usize,
    random: &mut Random,
) -> Vec<NodeName> {
    let by_chance = if have.is_empty() { EXPLORED } else { 1 };
    let mut picked = scouting.proposals(to);
    picked.retain(|node| usable.contains_key(node) && !have.contains(node));
    picked.truncate(room.saturating_sub(by_chance));
    if picked.is_empty() && room > by_chance {
        return portfolio::pick(usable, to, have, room, random);
    }
    let have: BTreeSet<NodeName> = have.iter().chain(&picked).cloned().collect();
    picked.extend(portfolio::chance(usable, &have, room - picked.len(), random));
    picked
}

/// The relays that may be on a path to `to`. A small mesh is shown whole, closed relays with what is wrong with them.
fn usable<'a>(
    relays: &'a BTreeMap<NodeName, RelayInfo>,
    portfolio: usize,
    overrides: &Override,
    ceiling: f64,
    to: &NodeName,
) -> BTreeMap<&'a NodeName, &'a RelayInfo> {
    let whole = relays.len() <= portfolio;
    let open = |relay: &RelayInfo| {
        let barred = overrides.direct_only || overrides.avoid.contains(&relay.node);
        whole || (relay.is_open() && relay.risk <= ceiling && !barred)
    };
    relays.iter().filter(|(_, relay)| open(relay) && relay.node != *to).collect()
}

pub(super) fn singles(destination: &Destination) -> BTreeSet<NodeName> {
    let single = |path: &Path| match path.relays() {
        [one] => Some(one.clone()),
        _ => None,
    };
    destination.routes.keys().filter_map(single).collect()
}

/// Drops routes over relays that are gone or closed, but for those in use and those the user named.
fn prune(destination: &mut Destination, usable: impl Fn(&NodeName) -> bool, ordered: &BTreeSet<Path>) {
    let gone = |path: &Path| !path.relays().iter().all(&usable);
    let drop: Vec<Path> = destination
        .routes
        .keys()
        .filter(|path| gone(path) && !destination.is_in_use(path) && !ordered.contains(*path))
        .cloned()
        .collect();
    drop.iter().for_each(|path| drop_route(destination, path));
}

fn drop_route(destination: &mut Destination, path: &Path) {
    destination.routes.remove(path);
}

/// Makes room for unknown relays: those with the least promise go, until `spare` are left.
fn drop_worst(destination: &mut Destination, spare: usize, ordered: &BTreeSet<Path>) {
    let cost = |path: &Path| {
        let ranked = destination.choices.values().flat_map(|choice| &choice.decision.ranking);
        ranked
            .filter(|ranked| ranked.route.path == *path)
            .map(|ranked| ranked.cost)
            .fold(f64::INFINITY, f64::min)
    };
    let droppable =
        |path: &&Path| path.relays().len() == 1 && !destination.is_in_use(path) && !ordered.contains(*path);
    let mut worst: Vec<(f64, Path)> =
        destination.routes.keys().filter(droppable).map(|path| (cost(path), path.clone())).collect();
    worst.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    let surplus = singles(destination).len().saturating_sub(spare);
    worst.iter().take(surplus).for_each(|(_, path)| drop_route(destination, path));
}

/// Pairs come only where nothing shorter reaches, and go when something does.
fn add_pairs(
    now: Time,
    destination: &mut Destination,
    usable: &BTreeMap<&NodeName, &RelayInfo>,
    to: &NodeName,
) {
    let short = |path: &Path| path.relays().len() < 2;
    let routes = &destination.routes;
    let reaches = routes.iter().any(|(path, route)| short(path) && !route.is_hopeless(now, path.is_direct()));
    if reaches {
        let answered = routes.iter().any(|(path, route)| {
            short(path) && route.evidence.count() > 0 && !route.is_hopeless(now, path.is_direct())
        });
        let drop = routes.keys().filter(|path| answered && !short(path) && !destination.is_in_use(path));
        let drop: Vec<Path> = drop.cloned().collect();
        drop.iter().for_each(|path| drop_route(destination, path));
        return;
    }
    let from = singles(destination);
    let room = PAIRS.min(ROUTES.saturating_sub(destination.routes.len()));
    for path in portfolio::pairs(usable, &from, to, room) {
        destination.routes.entry(path).or_insert_with(Route::new);
    }
}
