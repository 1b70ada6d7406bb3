mod choose;
mod explore;
mod facts;
mod scouts;
mod shadow;
mod view;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aire_types::{
    AppName, AppProfile, Class, Decision, Instance, NodeName, Override, Random, RouteId, Snapshot, Source,
    Time,
};

pub use choose::Explanation;

use crate::config::Config;
use crate::destination::{Destination, Route};
use crate::herd::Crowd;
use crate::outcome::Tracks;
use crate::output::Output;
use crate::policy::Policy;
use crate::probe::Prober;
use crate::rule::Rule;
use crate::scouting::Scouting;
use crate::topology::{InstanceInfo, RelayInfo};

/// A destination that nobody asked for in this time is forgotten.
const INTEREST: Duration = Duration::from_secs(600);
/// So long after it became interesting a destination is new: choices follow each measurement.
const NEW: Duration = Duration::from_secs(3);
/// After a change that was forced, improvements wait this long.
const FORCED_HOLD: Duration = Duration::from_secs(2);
/// So many instances of one app are looked at.
const INSTANCES: usize = 8;
/// So many routes to one destination are looked at, pairs included.
const ROUTES: usize = 24;

/// Where the streams of an app and class go, of several instances.
#[derive(Clone, Debug)]
struct Placement {
    instance: Option<Instance>,
    decision: Arc<Decision>,
    snapshot: Arc<Snapshot>,
    stale: bool,
}

#[derive(Clone, Debug, Default)]
struct App {
    overrides: Override,
    profile: Option<AppProfile>,
    wanted_until: Time,
    placements: BTreeMap<Class, Placement>,
}

/// Ranks paths to the apps that are in use, and decides what to measure.
pub struct Brain {
    config: Config,
    policy: Box<dyn Policy>,
    random: Random,
    own: AppProfile,
    apps: BTreeMap<AppName, App>,
    instances: BTreeMap<Instance, InstanceInfo>,
    relays: BTreeMap<NodeName, RelayInfo>,
    destinations: BTreeMap<Instance, Destination>,
    prober: Prober,
    scouting: Option<Box<Scouting>>,
    outputs: VecDeque<Output>,
    review_at: Time,
    crowd: Crowd,
    /// When anything answered over any route.
    answered_at: Time,
    /// Answers that are missing since, and it is not clear whose fault that is.
    unexplained: Vec<(RouteId, Source)>,
}

impl fmt::Debug for Brain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Brain")
            .field("policy", &self.policy.name())
            .field("destinations", &self.destinations.keys())
            .field("relays", &self.relays.len())
            .finish_non_exhaustive()
    }
}

impl Brain {
    /// A brain that follows the built-in rule.
    pub fn new(config: Config) -> Self {
        Self::with_policy(config, Box::new(Rule::default()))
    }

    /// A brain that follows `policy`.
    pub fn with_policy(config: Config, policy: Box<dyn Policy>) -> Self {
        Brain {
            policy,
            random: Random::new(config.seed),
            own: AppProfile::default(),
            apps: BTreeMap::new(),
            instances: BTreeMap::new(),
            relays: BTreeMap::new(),
            destinations: BTreeMap::new(),
            prober: Prober::new(config.probe_bits_per_second, config.probe_burst),
            scouting: config.scouts.then(|| Box::new(Scouting::new(config.node.clone(), config.seed))),
            outputs: VecDeque::new(),
            review_at: Time::NEVER,
            crowd: Crowd::default(),
            answered_at: Time::ZERO,
            unexplained: Vec::new(),
            config,
        }
    }

    /// The name of the policy in force.
    pub fn policy(&self) -> &str {
        self.policy.name()
    }

    /// Replaces the policy; every decision is made again. What is in use stays so until the new policy has decided.
    pub fn set_policy(&mut self, now: Time, policy: Box<dyn Policy>) {
        self.policy = policy;
        for destination in self.destinations.values_mut() {
            // predictions of the policy before are none of the new one's
            destination.watch = None;
            // and neither are the ways it went or would have gone
            destination.choices.values_mut().for_each(|choice| choice.tracks = Tracks::default());
        }
        self.disturb_all(now);
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to call [`Brain::handle_timeout`], if nothing happens before.
    pub fn poll_timeout(&self) -> Option<Time> {
        let round = self.scouting.as_ref().map_or(Time::NEVER, |scouting| scouting.poll_timeout());
        let next = self.review_at.min(self.prober.poll_timeout()).min(round);
        (next != Time::NEVER).then_some(next)
    }

    /// Time has come.
    pub fn handle_timeout(&mut self, now: Time) {
        self.give_up(now);
        self.close_round(now);
        if self.review_at <= now {
            self.review(now);
        }
        self.explore(now);
    }

    fn disturb_all(&mut self, now: Time) {
        self.destinations.values_mut().for_each(Destination::disturb);
        self.apps.values_mut().for_each(App::disturb);
        self.review_soon(now);
    }

    fn disturb(&mut self, now: Time, instance: &Instance) {
        if let Some(destination) = self.destinations.get_mut(instance) {
            destination.disturb();
            self.review_at = self.review_at.min(now);
        }
        if let Some(app) = self.apps.get_mut(&instance.app) {
            app.disturb();
        }
    }

    fn review_soon(&mut self, now: Time) {
        if !self.destinations.is_empty() {
            self.review_at = self.review_at.min(now);
        }
    }

    fn route_mut(&mut self, route: &RouteId) -> Option<&mut Route> {
        self.destinations.get_mut(&route.instance)?.routes.get_mut(&route.path)
    }

    /// The same for routes that carry streams: they are looked at even where nobody proposed them.
    fn route_or_new(&mut self, route: &RouteId) -> Option<&mut Route> {
        let destination = self.destinations.get_mut(&route.instance)?;
        if !destination.routes.contains_key(&route.path) && destination.routes.len() < ROUTES {
            destination.routes.insert(route.path.clone(), Route::new());
        }
        destination.routes.get_mut(&route.path)
    }

    /// Panics where an internal invariant is broken. For tests.
    ///
    /// # Panics
    /// There is a bug in this crate.
    pub fn check_invariants(&self) {
        self.prober.check_invariants();
        for (instance, destination) in &self.destinations {
            assert!(destination.routes.len() <= ROUTES, "{instance}: {} routes", destination.routes.len());
            assert!(destination.routes.contains_key(&aire_types::Path::DIRECT), "{instance} lost direct");
            for choice in destination.choices.values() {
                let decision = &choice.decision;
                let probability = decision.propensity;
                assert!(probability > 0.0 && probability <= 1.0, "{instance}: propensity {probability}");
                assert_eq!(decision.ranking.len(), choice.snapshot.candidates.len(), "{instance}: ranking");
                let split = decision.ranking.iter().position(|r| r.ineligible.is_some());
                let rest = &decision.ranking[split.unwrap_or(decision.ranking.len())..];
                assert!(
                    rest.iter().all(|r| r.ineligible.is_some()),
                    "{instance}: an ineligible path ranks high"
                );
                if let (Some(best), Some(standby)) = (decision.choice(), &choice.standby) {
                    assert!(
                        best.path.is_disjoint(standby),
                        "{instance}: standby {standby} for {}",
                        best.path
                    );
                }
            }
        }
        assert!(self.destinations.is_empty() || self.review_at != Time::NEVER, "nothing will be reviewed");
    }
}

impl App {
    fn disturb(&mut self) {
        self.placements.values_mut().for_each(|placement| placement.stale = true);
    }
}
