use std::collections::BTreeMap;
use std::time::Duration;

use aire_brain::{Event, InstanceInfo, Output, Policy, RelayInfo, Sample};
use aire_trace::Origin;
use aire_types::{AppName, AppProfile, Class, Instance, NodeName, Override, RouteId, Source, Time};

use super::{Control, Effect};
use crate::happening::{Happening, Kind};

/// The least time between two looks at what others publish of their legs.
const CLAIMS: Duration = Duration::from_secs(4);

impl Control {
    /// An app is wanted at all times, because the configuration names it.
    pub(crate) fn want_app(&mut self, now: Time, app: &AppName, class: Option<Class>) {
        if let Some(class) = class {
            self.interests.insert(app.clone(), class);
        }
        self.brain.handle_interest(now, app, Time::NEVER);
        self.pump(now);
    }

    /// Our own app's needs.
    pub(crate) fn set_own_profile(&mut self, now: Time, profile: AppProfile) {
        self.brain.set_own_profile(now, profile);
        self.pump(now);
    }

    /// Paths are chosen by another policy from now on.
    pub(crate) fn set_policy(&mut self, now: Time, policy: Box<dyn Policy>) {
        self.brain.set_policy(now, policy);
        self.pump(now);
    }

    /// What the user orders for an app.
    pub(crate) fn set_override(&mut self, now: Time, app: &AppName, order: Override) {
        self.brain.set_override(now, app, order);
        self.pump(now);
    }

    /// The class of streams to `app` where the application does not say.
    pub(crate) fn class_of(&self, app: &AppName) -> Class {
        let profile = self.registry.instances(app).find_map(|member| member.body.app.as_ref());
        self.interests.get(app).copied().or(profile.map(|profile| profile.class)).unwrap_or_default()
    }

    /// The best instance and path for a new stream; `None` where nothing is known of the app.
    pub(crate) fn place(&mut self, now: Time, app: &AppName, class: Class) -> Option<RouteId> {
        let choice = self.brain.place(now, app, class).choice().cloned();
        self.pump(now);
        choice
    }

    /// Something was measured on application bytes.
    pub(crate) fn handle_sample(&mut self, now: Time, route: &RouteId, sample: Sample) {
        self.keep_route(now, route);
        self.record_sample(route, Origin::Payload, sample);
        self.brain.handle_sample(now, route, sample, Source::Payload);
        self.pump(now);
    }

    /// The leave loop found a route dead, or left it.
    pub(crate) fn handle_left(&mut self, now: Time, route: &RouteId, dead: bool, dwell: Duration) {
        if dead {
            self.brain.handle_dead(now, route);
        }
        self.brain.handle_left(now, route, dwell);
        self.pump(now);
    }

    /// Streams run over this route by decision of the leave loop.
    pub(crate) fn handle_current(&mut self, now: Time, route: &RouteId, class: Class) {
        self.brain.handle_current(now, route, class);
        self.pump(now);
    }

    /// Streams ask for the order of the paths to an instance.
    pub(crate) fn rank(&mut self, now: Time, instance: &Instance, class: Class) {
        self.brain.steer(now, instance, class);
        let paths = self.brain.rank_paths(now, instance, class);
        self.effects.push(Effect::Ranking { instance: instance.clone(), class, paths });
        self.pump(now);
    }

    pub(super) fn pump_brain(&mut self, now: Time) -> bool {
        let mut quiet = true;
        while let Some(output) = self.brain.poll_output() {
            quiet = false;
            match output {
                Output::Probe { id, route } => self.probe(now, id, &route),
                Output::Measure { node } => self.measure(now, &node),
                Output::Rerank { instance, class } => {
                    let paths = self.brain.rank_paths(now, &instance, class);
                    self.effects.push(Effect::Ranking { instance, class, paths });
                }
                Output::Event(event) => {
                    if let Event::Preferred { class, to, .. } = &event {
                        self.record_choice(now, to, *class);
                    }
                    self.tell_of(event);
                }
            }
        }
        quiet
    }

    /// The link says how far a landmark is; where there is none, one is opened, and says so when it stands.
    fn measure(&mut self, now: Time, node: &NodeName) {
        match self.links.get(node).map(|link| link.stats().rtt) {
            Some(rtt) => self.brain.handle_leg(node, rtt),
            None => self.offer_member(now, node),
        }
    }

    fn tell_of(&mut self, event: Event) {
        let happening = match event {
            Event::Preferred { class, from, to, reason } => {
                let from = from.map_or_else(String::new, |from| format!(" instead of {}", from.path));
                let text = format!("{class} streams to {} prefer {}{from}: {reason}", to.instance, to.path);
                Happening::new(Kind::PathPreferred, text).app(&to.instance.app).peer(&to.instance.node)
            }
            Event::Silent { route } => {
                Happening::new(Kind::PathSilent, format!("{route} does not answer probes"))
                    .app(&route.instance.app)
                    .peer(&route.instance.node)
            }
            Event::Answering { route } => {
                Happening::new(Kind::PathAnswering, format!("{route} answers again"))
                    .app(&route.instance.app)
                    .peer(&route.instance.node)
            }
            Event::PinUnusable { instance, reason } => {
                let text = format!("the path pinned for {instance} cannot be used: {reason}");
                Happening::new(Kind::PinUnusable, text).app(&instance.app).peer(&instance.node)
            }
        };
        self.tell(happening);
    }

    pub(super) fn tell_topology(&mut self, now: Time) {
        let instances = self
            .registry
            .members()
            .filter_map(|member| {
                let instance = Instance { app: member.app()?.clone(), node: member.node().clone() };
                Some(InstanceInfo {
                    instance,
                    zone: member.body.node.zone.clone(),
                    load: member.body.node.load(),
                    draining: member.body.draining,
                    rtt_ms: self.links.get(member.node()).map(|link| link.stats().rtt.as_secs_f64() * 1000.0),
                })
            })
            .collect();
        let relays = self
            .registry
            .relays()
            .map(|member| {
                let link = self.links.get(member.node());
                let mut relay = RelayInfo::new(member.node().clone());
                relay.zone.clone_from(&member.body.node.zone);
                relay.load = member.body.node.load();
                relay.risk = member.body.node.risk();
                relay.rtt_ms = link.map(|link| link.stats().rtt.as_secs_f64() * 1000.0);
                relay
            })
            .collect();
        self.brain.handle_topology(now, instances, relays);
        self.tell_claims(now);
        // of several instances that of the first says what the app needs
        let mut profiles: BTreeMap<AppName, AppProfile> = BTreeMap::new();
        for member in self.registry.members() {
            if let (Some(app), Some(profile)) = (member.app(), &member.body.app) {
                profiles.entry(app.clone()).or_insert_with(|| profile.clone());
            }
        }
        for (app, profile) in profiles {
            self.brain.set_profile(now, &app, profile);
        }
    }

    /// What the nodes that matter publish of their legs. Not with every change of the topology: there are many.
    fn tell_claims(&mut self, now: Time) {
        if now < self.claims_at {
            return;
        }
        self.claims_at = now + CLAIMS;
        for node in self.brain.watched() {
            let Some(member) = self.registry.member(&node) else { continue };
            let legs = member.body.legs.iter().map(|(other, ms)| (other, f64::from(*ms)));
            self.brain.handle_claims(&node, legs);
        }
    }

    /// The links' round trips and addresses are read again from time to time.
    pub(crate) fn refresh_topology(&mut self, now: Time) {
        self.follow_addresses();
        self.topology_is_old = true;
        self.pump(now);
    }
}
