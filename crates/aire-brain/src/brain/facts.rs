//! Facts that come in.

use std::collections::BTreeSet;
use std::time::Duration;

use aire_types::{AppName, AppProfile, Class, Override, Path, RouteId, Source, Time};

use super::{Brain, FORCED_HOLD, INTEREST};
use crate::estimate::Sample;
use crate::output::{Event, Output};
use crate::topology::{InstanceInfo, Refusal, RelayInfo};

/// So many misses in a row without any answer are an outage near us.
const OUTAGE: usize = 5;
/// More than that need not be remembered.
const UNEXPLAINED: usize = 16;

/// What is no number is the worst there is.
fn share(value: f64) -> f64 {
    if value.is_finite() { value.clamp(0.0, 1.0) } else { 1.0 }
}

impl Brain {
    /// All instances and all relays of the mesh as they are known now, each at most once. The node itself is left
    /// out of the relays.
    pub fn handle_topology(&mut self, now: Time, instances: Vec<InstanceInfo>, relays: Vec<RelayInfo>) {
        let known = |mut info: InstanceInfo| {
            info.load = share(info.load);
            (info.instance.clone(), info)
        };
        self.instances = instances.into_iter().map(known).collect();
        let own = &self.config.node;
        let known = |mut relay: RelayInfo| {
            relay.load = share(relay.load);
            relay.risk = share(relay.risk);
            (relay.node.clone(), relay)
        };
        self.relays = relays.into_iter().filter(|relay| relay.node != *own).map(known).collect();
        let instances = &self.instances;
        self.destinations.retain(|instance, _| instances.contains_key(instance));
        // anybody here may ask for any name, and records name many
        let present: BTreeSet<&AppName> = instances.keys().map(|instance| &instance.app).collect();
        self.apps.retain(|name, app| {
            app.wanted_until > now || app.overrides != Override::default() || present.contains(name)
        });
        self.follow_interest(now);
        self.follow_scouts(now);
        self.welcome_relays(now);
        self.hear_links(now);
        self.disturb_all(now);
    }

    fn hear_links(&mut self, now: Time) {
        for (instance, destination) in &mut self.destinations {
            let direct = self.instances.get(instance).and_then(|info| info.rtt_ms);
            for (path, route) in &mut destination.routes {
                let relay = |node| self.relays.get(node).and_then(|relay| relay.rtt_ms);
                let link_ms = path.relays().first().map_or(direct, relay);
                if route.hear_link(link_ms) {
                    self.prober.due_at = self.prober.due_at.min(now);
                }
            }
        }
    }

    /// The app is wanted until then ([`Time::NEVER`] for what the configuration names). Opening streams
    /// ([`Brain::place`], [`Brain::steer`]) and payload renew interest by themselves.
    pub fn handle_interest(&mut self, now: Time, app: &AppName, until: Time) {
        let state = self.apps.entry(app.clone()).or_default();
        let was = state.wanted_until > now;
        state.wanted_until = state.wanted_until.max(until);
        if !was && until > now {
            self.follow_interest(now);
        }
    }

    pub(super) fn renew_interest(&mut self, now: Time, app: &AppName) {
        self.handle_interest(now, app, now + INTEREST);
    }

    /// The profile of the app that this agent serves: its security level and its usual destinations.
    pub fn set_own_profile(&mut self, now: Time, profile: AppProfile) {
        self.own = profile;
        self.follow_interest(now);
        self.disturb_all(now);
    }

    /// The profile of an app that is called: of both profiles the stricter security level, needs and priority count.
    pub fn set_profile(&mut self, now: Time, app: &AppName, profile: AppProfile) {
        let known = self.apps.get(app).and_then(|state| state.profile.as_ref());
        if known != Some(&profile) {
            self.apps.entry(app.clone()).or_default().profile = Some(profile);
            self.disturb_app(now, app);
        }
    }

    /// What the user orders for an app.
    pub fn set_override(&mut self, now: Time, app: &AppName, overrides: Override) {
        self.apps.entry(app.clone()).or_default().overrides = overrides;
        for (instance, destination) in &mut self.destinations {
            if instance.app == *app {
                destination.rotate_at = now;
            }
        }
        self.disturb_app(now, app);
    }

    fn disturb_app(&mut self, now: Time, app: &AppName) {
        let of_app: Vec<_> =
            self.destinations.keys().filter(|instance| instance.app == *app).cloned().collect();
        of_app.iter().for_each(|instance| self.disturb(now, instance));
    }

    /// A measurement of a route. Those of unknown destinations are dropped.
    pub fn handle_sample(&mut self, now: Time, route: &RouteId, sample: Sample, source: Source) {
        if matches!(sample, Sample::Lost) && source != Source::Claimed {
            return self.missed(now, route, source);
        }
        self.tell_scouts(route, sample, source);
        if source == Source::Payload && self.instances.contains_key(&route.instance) {
            self.renew_interest(now, &route.instance.app);
        }
        // streams run where they run; a probe of a route that was dropped since does not bring it back
        let state = if source == Source::Payload { self.route_or_new(route) } else { self.route_mut(route) };
        let Some(state) = state else { return };
        let revived = state.add(now, sample, source);
        if let Some(destination) = self.destinations.get_mut(&route.instance) {
            destination.hear(now, &route.path, sample, source);
        }
        if matches!(sample, Sample::Rtt(_)) && source != Source::Claimed {
            self.answered_at = now;
            self.blame(now);
        }
        self.life_changed(now, route, revived, false);
    }

    /// An answer is missing. Where others answered since this route did, the route is to blame; otherwise that is
    /// seen when the next answer comes, from wherever.
    fn missed(&mut self, now: Time, route: &RouteId, source: Source) {
        let answered_at = self.answered_at;
        let state = if source == Source::Payload { self.route_or_new(route) } else { self.route_mut(route) };
        let Some(state) = state else { return };
        state.miss();
        let to_blame = answered_at > state.evidence.at();
        let silent = to_blame && state.falls_silent(now);
        if to_blame {
            state.add(now, Sample::Lost, source);
            self.tell_scouts(route, Sample::Lost, source);
        } else if self.unexplained.len() < UNEXPLAINED {
            self.unexplained.push((route.clone(), source));
        }
        if let Some(destination) = self.destinations.get_mut(&route.instance) {
            destination.dirty = true;
            destination.doubt_standby(&route.path);
        }
        self.life_changed(now, route, false, silent);
    }

    /// Something answers again: were many answers missing, the fault was near us and no path's; else the paths lost
    /// them.
    fn blame(&mut self, now: Time) {
        let unexplained = std::mem::take(&mut self.unexplained);
        if unexplained.len() >= OUTAGE {
            return;
        }
        for (route, source) in unexplained {
            if let Some(state) = self.route_mut(&route) {
                state.add(now, Sample::Lost, source);
            }
        }
    }

    fn life_changed(&mut self, now: Time, route: &RouteId, revived: bool, silent: bool) {
        if revived {
            self.outputs.push_back(Output::Event(Event::Answering { route: route.clone() }));
            self.prober.due_at = self.prober.due_at.min(now);
        }
        if silent {
            self.outputs.push_back(Output::Event(Event::Silent { route: route.clone() }));
        }
        if revived || silent {
            self.disturb(now, &route.instance);
        }
    }

    /// The probe `id` has left only now, because a circuit had to be negotiated first.
    pub fn handle_sent(&mut self, now: Time, id: u64) {
        let Some(route) = self.prober.departs(now, id).cloned() else { return };
        if let Some(state) = self.route_mut(&route)
            && let Some(flight) = state.flights.iter_mut().find(|(flight, _)| *flight == id)
        {
            flight.1 = now;
        }
    }

    /// The probe `id` was answered after `rtt`. A late answer to a probe that was given up is dropped.
    pub fn handle_echo(&mut self, now: Time, id: u64, rtt: Duration) {
        let Some(flight) = self.prober.land(id) else { return };
        if let Some(state) = self.route_mut(&flight.route) {
            state.flights.retain(|(other, _)| *other != id);
        }
        self.handle_sample(now, &flight.route, Sample::Rtt(rtt), Source::Probe);
        self.prober.due_at = self.prober.due_at.min(now);
    }

    /// The probe `id` could not leave, for a reason that is no fault of the route.
    pub fn handle_unsent(&mut self, now: Time, id: u64) {
        let Some(flight) = self.prober.land(id) else { return };
        self.prober.refund();
        if let Some(state) = self.route_mut(&flight.route) {
            state.flights.retain(|(other, _)| *other != id);
            state.rest_until = state.rest_until.max(now + Duration::from_secs(1));
        }
    }

    /// Probes that are not answered count as lost.
    pub(super) fn give_up(&mut self, now: Time) {
        for (id, route) in self.prober.given_up(now) {
            if let Some(state) = self.route_mut(&route) {
                state.flights.retain(|(other, _)| *other != id);
            }
            self.handle_sample(now, &route, Sample::Lost, Source::Probe);
        }
    }

    /// A hop refused the circuit.
    pub fn handle_refused(&mut self, now: Time, route: &RouteId, why: Refusal) {
        let Some(state) = self.route_mut(route) else { return };
        state.refuse(now, why);
        let flights: Vec<u64> = state.flights.drain(..).map(|(id, _)| id).collect();
        flights.into_iter().for_each(|id| drop(self.prober.land(id)));
        self.disturb(now, &route.instance);
    }

    /// All hops granted a lease until then.
    pub fn handle_leased(&mut self, now: Time, route: &RouteId, until: Time) {
        let Some(state) = self.route_mut(route) else { return };
        let news = state.mask(now, route.path.is_direct(), true).is_some();
        state.lease(until);
        if news {
            self.disturb(now, &route.instance);
        }
    }

    /// The leave loop found the route dead.
    pub fn handle_dead(&mut self, now: Time, route: &RouteId) {
        let Some(state) = self.route_or_new(route) else { return };
        let news = !state.silent;
        state.die();
        self.life_changed(now, route, false, news);
    }

    /// The leave loop left the route; it may come back after `dwell`. Where the streams went to something else than
    /// the standby, [`Brain::handle_current`] follows at once.
    pub fn handle_left(&mut self, now: Time, route: &RouteId, dwell: Duration) {
        let Some(state) = self.route_or_new(route) else { return };
        state.leave(now, dwell);
        self.disturb(now, &route.instance);
    }

    /// Streams of this class run over this path by somebody else's decision (the leave loop's).
    pub fn handle_current(&mut self, now: Time, route: &RouteId, class: Class) {
        let Some(destination) = self.destinations.get_mut(&route.instance) else { return };
        let Some(choice) = destination.choices.get_mut(&class) else { return };
        if choice.current.as_ref().is_none_or(|(path, _): &(Path, Time)| *path != route.path) {
            choice.current = Some((route.path.clone(), now));
            choice.hold_until = choice.hold_until.max(now + FORCED_HOLD);
            self.disturb(now, &route.instance);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;
    use aire_types::{Instance, NodeName};

    #[test]
    fn apps_that_nobody_wants_and_nobody_runs_are_forgotten() {
        let name = |i: usize| AppName::new(&format!("a{i}")).unwrap();
        let node = NodeName::new("n").unwrap();
        let mut brain = Brain::new(Config::new(node.clone(), 1));
        for i in 0..1000 {
            brain.place(Time::ZERO, &name(i), Class::Interactive);
            brain.set_profile(Time::ZERO, &name(2000 + i), AppProfile::default());
        }
        brain.set_override(Time::ZERO, &name(1), Override { direct_only: true, ..Override::default() });
        brain.handle_interest(Time::ZERO, &name(2), Time::NEVER);
        let instance = Instance { app: name(2003), node };
        let info = InstanceInfo { instance, zone: String::new(), load: 0.0, draining: false, rtt_ms: None };
        brain.handle_topology(Time::ZERO + INTEREST, vec![info], Vec::new());
        assert_eq!(brain.apps.keys().cloned().collect::<Vec<_>>(), [name(1), name(2), name(2003)]);
    }
}
