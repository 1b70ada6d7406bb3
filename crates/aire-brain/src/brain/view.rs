//! The snapshot that a decision is made on.

use std::sync::Arc;

use aire_types::{
    AppName, AppProfile, Candidate, Class, Estimate, Ineligible, Instance, MAX_RELAYS, Needs, Override, Path,
    Priority, RouteId, SecurityLevel, Snapshot, Source, Time,
};

use super::Brain;
use crate::topology::RelayInfo;

/// Assumed round trip of an unmeasured direct path, milliseconds.
const ASSUMED_MS: f64 = 50.0;
/// Assumed round trip of an unmeasured path within one zone, milliseconds.
const SAME_ZONE_MS: f64 = 5.0;

impl Brain {
    pub(super) fn overrides(&self, app: &AppName) -> Override {
        self.apps.get(app).map(|app| app.overrides.clone()).unwrap_or_default()
    }

    /// What counts on the way to an app: the stricter of our own app's profile and of its own.
    pub(super) fn wants(&self, app: &AppName) -> AppProfile {
        let of_app = self.apps.get(app).and_then(|app| app.profile.as_ref());
        of_app.map_or_else(|| self.own.clone(), |profile| self.own.calling(profile))
    }

    pub(super) fn security(&self, app: &AppName) -> SecurityLevel {
        let of_app = self.apps.get(app).and_then(|app| app.profile.as_ref());
        of_app.map_or(self.own.security, |profile| profile.security.max(self.own.security))
    }

    /// All that is known of the ways to `instances`, which are of one app.
    pub(super) fn snapshot(
        &mut self,
        now: Time,
        app: &AppName,
        instances: &[Instance],
        class: Class,
        current: Option<(RouteId, Time)>,
        hold_until: Time,
    ) -> Snapshot {
        let AppProfile { needs, security, priority, .. } = self.wants(app);
        let overrides = self.overrides(app);
        let mut candidates = Vec::new();
        for instance in instances {
            let in_use = current.as_ref().map(|(route, _)| route).filter(|route| route.instance == *instance);
            self.candidates(
                now,
                instance,
                in_use.map(|route| &route.path),
                &overrides,
                security,
                &mut candidates,
            );
        }
        if overrides.pin.is_none() && candidates.iter().all(|candidate| candidate.ineligible.is_some()) {
            // an untried path is better than none
            let untried = |candidate: &&mut Candidate| candidate.ineligible == Some(Ineligible::Unmeasured);
            candidates.iter_mut().filter(untried).for_each(|candidate| candidate.ineligible = None);
        }
        candidates.sort_by(|a, b| a.route.cmp(&b.route));
        Snapshot { at: now, class, security, needs, priority, overrides, current, hold_until, candidates }
    }

    fn candidates(
        &mut self,
        now: Time,
        instance: &Instance,
        in_use: Option<&Path>,
        overrides: &Override,
        security: SecurityLevel,
        into: &mut Vec<Candidate>,
    ) {
        let Some(mut destination) = self.destinations.remove(instance) else { return };
        let info = self.instances.get(instance);
        into.reserve(destination.routes.len());
        let near = info.is_some_and(|info| !info.zone.is_empty() && info.zone == self.config.zone);
        for (path, route) in &mut destination.routes {
            let measured = route.measured(now);
            let hops: Hops<'_> = std::array::from_fn(|at| self.relays.get(path.relays().get(at)?));
            let mut candidate = Candidate {
                route: RouteId { instance: instance.clone(), path: path.clone() },
                rtt_ms: measured.rtt,
                tail_ms: measured.tail_ms,
                base_ms: measured.base_ms,
                prior_ms: self.prior(instance, path, &hops),
                loss: measured.loss,
                bandwidth_mbps: measured.bandwidth,
                load: info.map_or(0.0, |info| info.load),
                risk: 0.0,
                leased: route.leased_until > now,
                ineligible: None,
            };
            let ordered = cross(&mut candidate, &hops, overrides, security);
            route.off = ordered.is_some();
            let state = || route.mask(now, path.is_direct(), in_use == Some(path));
            candidate.ineligible = ordered.or_else(state);
            let untried = matches!(candidate.ineligible, Some(Ineligible::Unmeasured | Ineligible::Dwelling));
            if untried && overrides.pin.is_some() {
                candidate.ineligible = None;
            }
            if candidate.rtt_ms.count == 0 {
                let guess = guess(instance, path, &hops, near).max(candidate.rtt_ms.value);
                candidate.rtt_ms.value = guess;
                candidate.tail_ms = guess;
            }
            into.push(candidate);
        }
        self.destinations.insert(instance.clone(), destination);
    }

    /// What the scouts expect of the path; without them, the round trip that the published legs of a single relay add up to.
    fn prior(&self, instance: &Instance, path: &Path, hops: &Hops<'_>) -> Option<Estimate> {
        if let Some(scouting) = &self.scouting {
            let relay = path.relays().first();
            return (path.relays().len() < 2).then(|| scouting.forecast(relay, &instance.node)).flatten();
        }
        let relay = hops[0].filter(|_| path.relays().len() == 1)?;
        let value = relay.legs_to(&instance.node)?;
        Some(Estimate { value, count: 1, source: Source::Claimed, ..Estimate::default() })
    }

    pub(super) fn empty(&self, now: Time, app: &AppName, class: Class) -> Arc<Snapshot> {
        Arc::new(Snapshot {
            at: now,
            class,
            security: self.security(app),
            needs: Needs::default(),
            priority: Priority::NORMAL,
            overrides: self.overrides(app),
            current: None,
            hold_until: Time::ZERO,
            candidates: Vec::new(),
        })
    }
}

/// What is known of the relays of a path, in order.
type Hops<'a> = [Option<&'a RelayInfo>; MAX_RELAYS];

/// Fills in what the relays add, and says what forbids the path before anything is measured.
fn cross(
    candidate: &mut Candidate,
    hops: &Hops<'_>,
    overrides: &Override,
    security: SecurityLevel,
) -> Option<Ineligible> {
    let path = &candidate.route.path;
    let mut mask = excluded(path, overrides).then_some(Ineligible::Excluded);
    for (node, relay) in path.relays().iter().zip(hops) {
        let Some(relay) = relay else {
            mask = mask.or(Some(Ineligible::Refused(format!("{node} is not a relay of this mesh now"))));
            continue;
        };
        candidate.load = candidate.load.max(relay.load);
        candidate.risk = candidate.risk.max(relay.risk);
        if relay.risk > f64::from(security.risk_ceiling()) {
            mask = mask.or(Some(Ineligible::TooRisky));
        } else if !relay.allowed {
            mask = mask.or_else(|| Some(Ineligible::Refused(format!("policy does not let us use {node}"))));
        } else if relay.draining {
            mask = mask.or_else(|| Some(Ineligible::Refused(format!("{node} is draining"))));
        } else if relay.full {
            mask = mask.or(Some(Ineligible::Full));
        }
    }
    mask
}

/// Round trip that an unmeasured path may have, milliseconds.
fn guess(instance: &Instance, path: &Path, hops: &Hops<'_>, near: bool) -> f64 {
    match path.relays() {
        [] if near => SAME_ZONE_MS,
        [] => ASSUMED_MS,
        [_] => hops[0].and_then(|relay| relay.legs_to(&instance.node)).unwrap_or(2.0 * ASSUMED_MS),
        more => ASSUMED_MS * (1 + more.len()) as f64,
    }
}

/// Does the user's order forbid this path?
fn excluded(path: &Path, overrides: &Override) -> bool {
    if let Some(pin) = &overrides.pin {
        return pin != path;
    }
    let avoided = path.relays().iter().any(|relay| overrides.avoid.contains(relay));
    avoided || (overrides.direct_only && !path.is_direct())
}
