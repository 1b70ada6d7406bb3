//! The two questions, and how their answers come about.

use std::sync::Arc;

use aire_types::{AppName, Class, Decision, Ineligible, Instance, Path, Ranked, RouteId, Snapshot, Time};

use super::{Brain, FORCED_HOLD, NEW, Placement};
use crate::cost::{Scorer, Terms, Weights};
use crate::destination::{Choice, Role};
use crate::herd::{self, HerdTuning};
use crate::outcome::Tracks;
use crate::output::{Event, Output, RankedPaths};
use crate::policy::{Opinion, Policy};
use crate::rule::Rule;
use crate::snapshot::snapshot_hash;

/// The standby is replaced only by one that costs less by so many milliseconds.
const STANDBY_MARGIN_MS: f64 = 10.0;
/// Relays of one zone tend to fail together: a standby in the zone of the best is as bad as one so much slower.
const TOGETHER_MS: f64 = 10.0;

/// Why the streams of an app go where they go.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The last decision.
    pub decision: Arc<Decision>,
    /// What it was made on.
    pub snapshot: Arc<Snapshot>,
    /// The parts of each cost, in the order of the decision's ranking; `None` where ineligible.
    pub terms: Vec<Option<Terms>>,
}

impl Explanation {
    fn new(decision: Arc<Decision>, snapshot: Arc<Snapshot>, load: f64) -> Self {
        let scorer = Scorer::new(&snapshot).with_load(load);
        let terms = |ranked: &Ranked| {
            let found = snapshot.candidates.iter().find(|candidate| candidate.route == ranked.route);
            found.filter(|candidate| candidate.ineligible.is_none()).map(|candidate| scorer.terms(candidate))
        };
        let terms = decision.ranking.iter().map(terms).collect();
        Explanation { terms, decision, snapshot }
    }
}

impl Brain {
    /// The best instance and path for a new stream to `app`. Renews interest in it. Where nothing changed since the
    /// last review, the answer is the last one.
    pub fn place(&mut self, now: Time, app: &AppName, class: Class) -> Arc<Decision> {
        self.placed(now, app, class).0
    }

    /// The best path to `instance` for running streams. Renews interest in its app.
    pub fn steer(&mut self, now: Time, instance: &Instance, class: Class) -> Arc<Decision> {
        self.renew_interest(now, &instance.app);
        self.decided(now, instance, class).0
    }

    /// What is decided for `instance`, without a sign that anybody wants it.
    pub fn decision(&mut self, now: Time, instance: &Instance, class: Class) -> Arc<Decision> {
        self.decided(now, instance, class).0
    }

    /// The paths to `instance` for the circuit pool: usable ones, best first, the standby, and what is left when nothing answers.
    /// Renews no interest: whoever follows an [`Output::Rerank`] asks this, too.
    pub fn rank_paths(&mut self, now: Time, instance: &Instance, class: Class) -> RankedPaths {
        let decision = self.decision(now, instance, class);
        let usable = decision.ranking.iter().filter(|ranked| ranked.ineligible.is_none());
        let paths = usable.map(|ranked| ranked.route.path.clone()).collect();
        let silent =
            |ranked: &&Ranked| matches!(ranked.ineligible, Some(Ineligible::Dead | Ineligible::Dwelling));
        let silent = decision.ranking.iter().filter(silent).map(|ranked| ranked.route.path.clone()).collect();
        let choice = self.destinations.get(instance).and_then(|destination| destination.choices.get(&class));
        RankedPaths { paths, standby: choice.and_then(|choice| choice.standby.clone()), silent }
    }

    /// Why streams of `class` to `app` go where they go.
    pub fn explain(&mut self, now: Time, app: &AppName, class: Class) -> Explanation {
        let (decision, snapshot) = self.placed(now, app, class);
        Explanation::new(decision, snapshot, self.policy.herd().load)
    }

    /// The last decisions: all (instance, class) that were asked for or looked at.
    pub fn explanations(&self) -> impl Iterator<Item = (&Instance, Class, Explanation)> {
        let load = self.policy.herd().load;
        self.destinations.iter().flat_map(move |(instance, destination)| {
            destination.choices.iter().map(move |(class, choice)| {
                (instance, *class, Explanation::new(choice.decision.clone(), choice.snapshot.clone(), load))
            })
        })
    }

    fn decided(&mut self, now: Time, instance: &Instance, class: Class) -> (Arc<Decision>, Arc<Snapshot>) {
        if !self.destinations.contains_key(instance) {
            self.track(now, instance.clone());
        }
        let choice = |brain: &Brain| {
            let choice = brain.destinations.get(instance)?.choices.get(&class)?;
            (!choice.stale).then(|| (choice.decision.clone(), choice.snapshot.clone()))
        };
        if let Some(known) = choice(self) {
            return known;
        }
        self.decide(now, instance, class);
        choice(self).unwrap_or_else(|| self.nothing(now, &instance.app, class))
    }

    fn nothing(&self, now: Time, app: &AppName, class: Class) -> (Arc<Decision>, Arc<Snapshot>) {
        let snapshot = self.empty(now, app, class);
        let decision = Decision {
            at: now,
            class,
            by: Arc::from(self.policy.name()),
            snapshot_hash: snapshot_hash(&snapshot),
            propensity: 1.0,
            ranking: Vec::new(),
            reason: format!("no instance of {app} is known"),
        };
        (Arc::new(decision), snapshot)
    }

    fn placed(&mut self, now: Time, app: &AppName, class: Class) -> (Arc<Decision>, Arc<Snapshot>) {
        self.renew_interest(now, app);
        let known: Vec<Instance> = self.destinations.keys().filter(|i| i.app == *app).cloned().collect();
        let draining = |instance: &&Instance| self.instances.get(*instance).is_none_or(|info| info.draining);
        let mut open: Vec<Instance> = known.iter().filter(|instance| !draining(instance)).cloned().collect();
        if open.is_empty() {
            open = known;
        }
        match open.as_slice() {
            [] => self.nothing(now, app, class),
            [one] => self.decided(now, one, class),
            _ => {
                let cached = self.apps.get(app).and_then(|state| state.placements.get(&class));
                if let Some(placement) = cached.filter(|placement| !placement.stale) {
                    return (placement.decision.clone(), placement.snapshot.clone());
                }
                self.place_among(now, app, class, &open)
            }
        }
    }

    /// One ranking over the ways to all instances picks the instance; the way there is the one its streams use.
    fn place_among(
        &mut self,
        now: Time,
        app: &AppName,
        class: Class,
        instances: &[Instance],
    ) -> (Arc<Decision>, Arc<Snapshot>) {
        for instance in instances {
            self.decided(now, instance, class);
        }
        let before = self.apps.get(app).and_then(|state| state.placements.get(&class)?.instance.clone());
        let choice =
            before.as_ref().and_then(|instance| self.destinations.get(instance)?.choices.get(&class));
        let current = before.clone().zip(choice.and_then(|choice| choice.current.clone()));
        let current = current.map(|(instance, (path, since))| (RouteId { instance, path }, since));
        let hold_until = choice.map_or(Time::ZERO, |choice| choice.hold_until);
        let settled =
            instances.iter().all(|i| self.destinations.get(i).is_some_and(|d| now.since(d.since) > NEW));
        let snapshot = self.snapshot(now, app, instances, class, current, hold_until);
        let mut decision = self.rank(&snapshot, settled, None);
        let instance = decision.choice().map(|route| route.instance.clone()).or(before);
        let steered =
            instance.as_ref().and_then(|instance| self.destinations.get(instance)?.choices.get(&class));
        if let Some(path) = steered.and_then(|choice| choice.current.as_ref()).map(|(path, _)| path) {
            let same = |r: &Ranked| Some(&r.route.instance) == instance.as_ref() && r.route.path == *path;
            let at = decision.ranking.iter().position(|ranked| ranked.ineligible.is_none() && same(ranked));
            if let Some(at) = at.filter(|at| *at > 0) {
                decision.ranking[..=at].rotate_right(1);
                decision.reason = self.policy.reason(&snapshot, &decision.ranking);
            }
        }
        if let Some(instance) = decision.choice().map(|route| &route.instance) {
            decision.reason = format!("{} of {}: {}", instance.node, instances.len(), decision.reason);
        }
        let (decision, snapshot) = (Arc::new(decision), Arc::new(snapshot));
        let placement =
            Placement { instance, decision: decision.clone(), snapshot: snapshot.clone(), stale: false };
        self.apps.entry(app.clone()).or_default().placements.insert(class, placement);
        (decision, snapshot)
    }

    /// Asks the policy, and holds it to masks, pins and herd control.
    fn rank(&mut self, snapshot: &Snapshot, settled: bool, standby: Option<&Path>) -> Decision {
        let Opinion { mut by, mut ranking, fallback } = self.policy.opinion(snapshot);
        if let Some(learned) = self.policy.learned() {
            learned.note(fallback);
        }
        let sound = is_sound(snapshot, &ranking);
        let tuning = if sound { self.policy.herd() } else { HerdTuning::default() };
        if !sound {
            let rule = Rule::default();
            by = Arc::from(rule.name());
            ranking = rule.rank(snapshot);
        }
        let pinned = snapshot.overrides.pin.is_some();
        let crowd = self.crowd.feel(&tuning, snapshot);
        let mut propensity = 1.0;
        if !pinned {
            propensity = match standby_takes_over(snapshot, &mut ranking, standby) {
                true => 1.0,
                false => herd::temper(&tuning, crowd, snapshot, &mut ranking, settled, &mut self.random),
            };
        }
        let mut reason = match sound {
            true => self.policy.reason(snapshot, &ranking),
            false => Rule::default().reason(snapshot, &ranking),
        };
        if let Some(pin) = &snapshot.overrides.pin {
            by = Arc::from("override");
            reason = pin_first(snapshot, pin, &mut ranking);
        }
        let hash = snapshot_hash(snapshot);
        Decision {
            at: snapshot.at,
            class: snapshot.class,
            by,
            snapshot_hash: hash,
            propensity,
            ranking,
            reason,
        }
    }

    /// Decides for one instance and class, and says so where it is news.
    pub(super) fn decide(&mut self, now: Time, instance: &Instance, class: Class) {
        let Some(destination) = self.destinations.get(instance) else { return };
        let before = destination.choices.get(&class).cloned();
        let current = before.as_ref().and_then(|choice| choice.current.clone());
        let hold_until = before.as_ref().map_or(Time::ZERO, |choice| choice.hold_until);
        let settled = now.since(destination.since) > NEW;
        let route =
            current.clone().map(|(path, since)| (RouteId { instance: instance.clone(), path }, since));
        let snapshot =
            self.snapshot(now, &instance.app, std::slice::from_ref(instance), class, route, hold_until);
        let warm = before.as_ref().and_then(|choice| choice.standby.as_ref());
        let tracks = self.shadow(&snapshot, instance, before.as_ref());
        let mut decision = self.rank(&snapshot, settled, warm);
        self.return_to_rule(&mut decision, before.as_ref(), &tracks);
        let standby = self.standby(&snapshot, &decision, warm);
        self.raise_roles(&decision, standby.as_ref(), &tracks);
        let mut choice = Choice {
            current,
            hold_until,
            standby,
            decision: Arc::new(decision),
            snapshot: Arc::new(snapshot),
            stale: false,
            tracks,
        };
        self.adopt(now, instance, &mut choice, settled);
        self.announce(instance, before.as_ref(), &choice);
        if let Some(destination) = self.destinations.get_mut(instance) {
            destination.choices.insert(class, choice);
        }
    }

    /// What was decided is now in use.
    fn adopt(&mut self, now: Time, instance: &Instance, choice: &mut Choice, settled: bool) {
        let Some(to) = choice.decision.choice().map(|route| route.path.clone()) else { return };
        let from = choice.current.take();
        if let Some((path, since)) = from.as_ref().filter(|(path, _)| *path == to) {
            choice.current = Some((path.clone(), *since));
            return;
        }
        let usable = |path: &Path| {
            let same = |ranked: &&Ranked| ranked.route.path == *path;
            choice.decision.ranking.iter().find(same).is_some_and(|ranked| ranked.ineligible.is_none())
        };
        if settled && from.is_some() {
            let improvement = from.as_ref().is_some_and(|(path, _)| usable(path));
            let dwell = self.config.dwell.mul_f64(self.policy.herd().dwell.clamp(0.0, 100.0));
            let hold = if improvement { dwell } else { FORCED_HOLD };
            choice.hold_until = now + self.random.scale(hold, 1.0, 1.5);
        }
        let route = |path: Path| RouteId { instance: instance.clone(), path };
        self.outputs.push_back(Output::Event(Event::Preferred {
            class: choice.decision.class,
            from: from.map(|(path, _)| route(path)),
            to: route(to.clone()),
            reason: choice.decision.reason.clone(),
        }));
        choice.current = Some((to, now));
    }

    fn announce(&mut self, instance: &Instance, before: Option<&Choice>, choice: &Choice) {
        let class = choice.decision.class;
        let first = |choice: &Choice| choice.decision.choice().cloned();
        if before.is_none_or(|old| first(old) != first(choice) || old.standby != choice.standby) {
            self.outputs.push_back(Output::Rerank { instance: instance.clone(), class });
        }
        let stuck = |choice: &Choice| choice.snapshot.overrides.pin.is_some() && first(choice).is_none();
        if stuck(choice) && !before.is_some_and(stuck) {
            let reason = choice.decision.reason.clone();
            self.outputs.push_back(Output::Event(Event::PinUnusable { instance: instance.clone(), reason }));
        }
    }

    /// The cheapest usable path that shares no relay with the best; the one before stays unless clearly beaten.
    fn standby(&mut self, snapshot: &Snapshot, decision: &Decision, before: Option<&Path>) -> Option<Path> {
        let best = decision.choice()?;
        let zone = |path: &Path| {
            let relay = path.relays().first().and_then(|node| self.relays.get(node))?;
            (!relay.zone.is_empty()).then_some(&relay.zone)
        };
        let cost = |ranked: &Ranked| {
            let together = zone(&best.path).is_some() && zone(&best.path) == zone(&ranked.route.path);
            ranked.cost + if together { TOGETHER_MS } else { 0.0 }
        };
        let open = |r: &&Ranked| r.ineligible.is_none() && best.path.is_disjoint(&r.route.path);
        let usable: Vec<(f64, &Path)> =
            decision.ranking.iter().filter(open).map(|r| (cost(r), &r.route.path)).collect();
        let least = usable.iter().map(|(cost, _)| *cost).reduce(f64::min)?;
        let kept = usable.iter().find(|(_, path)| Some(*path) == before);
        if let Some((_, path)) = kept.filter(|(cost, _)| cost - least <= STANDBY_MARGIN_MS.max(0.1 * least)) {
            return Some((*path).clone());
        }
        let tuning = self.policy.herd();
        herd::standby(&tuning, snapshot, &usable, &best.instance, &mut self.random).cloned()
    }

    fn raise_roles(&mut self, decision: &Decision, standby: Option<&Path>, tracks: &Tracks) {
        let Some(best) = decision.choice() else { return };
        let Some(destination) = self.destinations.get_mut(&best.instance) else { return };
        let limit = decision.ranking[0].cost + 10.0 * Weights::of(decision.class).margin;
        for (index, ranked) in decision.ranking.iter().enumerate() {
            let Some(route) = destination.routes.get_mut(&ranked.route.path) else { continue };
            let role = match () {
                () if index == 0 => Role::Used,
                () if standby == Some(&ranked.route.path) => Role::Standby,
                () if ranked.cost <= limit || tracks.follows(&ranked.route.path) => Role::Close,
                () => Role::Far,
            };
            route.role = route.role.max(role);
        }
    }
}

/// Puts the pinned path first, and says why it is or cannot be used.
fn pin_first(snapshot: &Snapshot, pin: &Path, ranking: &mut [Ranked]) -> String {
    if let Some(at) = ranking.iter().position(|ranked| ranked.route.path == *pin) {
        ranking[..=at].rotate_right(1);
    }
    let pinned = snapshot.candidates.iter().find(|candidate| candidate.route.path == *pin);
    let wrong = match pinned {
        Some(candidate) => candidate.ineligible.as_ref().map(|wrong| wrong.to_string()),
        None => Some("is not known".to_owned()),
    };
    match wrong {
        Some(wrong) => format!("pinned to {pin}, which cannot be used: {wrong}; nothing else may be used"),
        None => format!("pinned to {pin} by an override"),
    }
}

/// When what was in use is gone, the standby is warm: it goes first unless another is clearly better.
fn standby_takes_over(snapshot: &Snapshot, ranking: &mut [Ranked], standby: Option<&Path>) -> bool {
    let usable = |ranked: &&Ranked| ranked.ineligible.is_none();
    let current = snapshot.current.as_ref().map(|(route, _)| route);
    if current.is_none() || ranking.iter().filter(usable).any(|ranked| Some(&ranked.route) == current) {
        return false;
    }
    let least = ranking.iter().filter(usable).map(|ranked| ranked.cost).fold(f64::INFINITY, f64::min);
    let warm = |ranked: &Ranked| ranked.ineligible.is_none() && Some(&ranked.route.path) == standby;
    let Some(at) = ranking.iter().position(warm) else { return false };
    let near = ranking[at].cost - least <= STANDBY_MARGIN_MS.max(0.1 * least);
    if near {
        ranking[..=at].rotate_right(1);
    }
    near
}

/// Has the policy ranked every candidate once, with a number for a cost, and lifted no mask?
fn is_sound(snapshot: &Snapshot, ranking: &[Ranked]) -> bool {
    if ranking.len() != snapshot.candidates.len() || !ranking.is_sorted_by_key(|r| r.ineligible.is_some()) {
        return false;
    }
    let mut seen = vec![false; snapshot.candidates.len()];
    ranking.iter().all(|ranked| {
        let found = snapshot.candidates.binary_search_by(|candidate| candidate.route.cmp(&ranked.route));
        found.is_ok_and(|at| {
            let same = snapshot.candidates[at].ineligible == ranked.ineligible;
            let first = !std::mem::replace(&mut seen[at], true);
            same && first && (ranked.cost.is_finite() || ranked.ineligible.is_some())
        })
    })
}
