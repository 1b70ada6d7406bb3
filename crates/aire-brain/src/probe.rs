//! What exploration may cost, and which route is looked at next.

use std::collections::BTreeMap;
use std::time::Duration;

use aire_types::{Path, RouteId, Time};

use crate::destination::{Role, Route};

/// A probe and its echo on the wire, headers of IP, UDP and QUIC included, bytes.
const ROUND_BYTES: f64 = 220.0;
/// Probes of a new route follow each other in this.
const QUICK: Duration = Duration::from_millis(60);
/// Every route gets so many quick probes.
const FIRST: u32 = 3;
/// A route that may win gets quick probes until it has answered as often as the rule wants proof …
const PROOF: u32 = 8;
/// … or was asked so often.
const PATIENCE: u32 = 16;
/// A relay that was just chosen is observed so closely …
const OBSERVED: Duration = Duration::from_secs(1);
/// … until it was asked so often.
const TRUSTED: u32 = 40;
/// Probes after a loss on a path that matters follow each other in this.
const ALERTED: Duration = Duration::from_millis(500);
/// Payload this young is better than a probe.
const PASSIVE: Duration = Duration::from_secs(5);

#[derive(Clone, Debug)]
pub(crate) struct Flight {
    pub(crate) route: RouteId,
    pub(crate) give_up: Time,
    /// What remains of the patience once it is on the wire.
    pub(crate) patience: Duration,
}

/// Token bucket and the probes that are under way.
#[derive(Clone, Debug)]
pub(crate) struct Prober {
    tokens: f64,
    at: Time,
    per_second: f64,
    burst: f64,
    last_id: u64,
    flights: BTreeMap<u64, Flight>,
    give_up_at: Time,
    /// When the next route is due.
    pub(crate) due_at: Time,
}

impl Prober {
    pub(crate) fn new(bits_per_second: u32, burst: u32) -> Self {
        let burst = f64::from(burst.max(1));
        Prober {
            tokens: burst,
            at: Time::ZERO,
            per_second: f64::from(bits_per_second.max(1)) / 8.0 / ROUND_BYTES,
            burst,
            last_id: 0,
            flights: BTreeMap::new(),
            give_up_at: Time::NEVER,
            due_at: Time::NEVER,
        }
    }

    fn refill(&mut self, now: Time) {
        let gained = now.since(self.at).as_secs_f64() * self.per_second;
        self.tokens = (self.tokens + gained).min(self.burst);
        self.at = self.at.max(now);
    }

    pub(crate) fn has_token(&mut self, now: Time) -> bool {
        self.refill(now);
        // rounding of times must not keep the caller waking up for the last thousandth
        self.tokens >= 0.999
    }

    /// Something else than a probe of a route costs as much as one.
    pub(crate) fn spend(&mut self) {
        self.tokens = (self.tokens - 1.0).max(0.0);
    }

    /// When the next probe may leave.
    fn token_at(&self) -> Time {
        let missing = ((1.0 - self.tokens) / self.per_second).max(0.0);
        self.at + Duration::from_secs_f64(missing)
    }

    pub(crate) fn launch(&mut self, now: Time, route: RouteId, patience: Duration) -> u64 {
        self.spend();
        self.last_id += 1;
        let give_up = now + Duration::from_secs(3);
        self.give_up_at = self.give_up_at.min(give_up);
        self.flights.insert(self.last_id, Flight { route, give_up, patience });
        self.last_id
    }

    /// The probe has left only now: its clock begins anew.
    pub(crate) fn departs(&mut self, now: Time, id: u64) -> Option<&RouteId> {
        let flight = self.flights.get_mut(&id)?;
        flight.give_up = now + flight.patience;
        self.give_up_at = self.give_up_at.min(flight.give_up);
        Some(&flight.route)
    }

    pub(crate) fn land(&mut self, id: u64) -> Option<Flight> {
        let flight = self.flights.remove(&id)?;
        self.give_up_at = self.flights.values().map(|flight| flight.give_up).min().unwrap_or(Time::NEVER);
        Some(flight)
    }

    /// A probe that never left costs nothing.
    pub(crate) fn refund(&mut self) {
        self.tokens = (self.tokens + 1.0).min(self.burst);
    }

    /// Probes that nobody will answer any more.
    pub(crate) fn given_up(&mut self, now: Time) -> Vec<(u64, RouteId)> {
        if self.give_up_at > now {
            return Vec::new();
        }
        let over = self.flights.iter().filter(|(_, flight)| flight.give_up <= now);
        let over: Vec<(u64, RouteId)> = over.map(|(id, flight)| (*id, flight.route.clone())).collect();
        self.flights.retain(|_, flight| flight.give_up > now);
        // also where nothing is over: a probe that left late moved its end
        self.give_up_at = self.flights.values().map(|flight| flight.give_up).min().unwrap_or(Time::NEVER);
        over
    }

    pub(crate) fn poll_timeout(&self) -> Time {
        let next = if self.due_at == Time::NEVER { Time::NEVER } else { self.due_at.max(self.token_at()) };
        next.min(self.give_up_at)
    }

    pub(crate) fn check_invariants(&self) {
        assert!((0.0..=self.burst).contains(&self.tokens), "tokens {} of {}", self.tokens, self.burst);
        let first = self.flights.values().map(|flight| flight.give_up).min().unwrap_or(Time::NEVER);
        assert!(self.give_up_at <= first, "a probe would never be given up");
    }
}

/// How long after its last probe a route is due for the next. `rival_ms` is what a challenger has to beat; `eager`
/// is false for destinations that are only usual, not wanted now.
pub(crate) fn interval(
    path: &Path,
    route: &Route,
    now: Time,
    rival_ms: Option<f64>,
    eager: bool,
) -> Duration {
    let misses = route.evidence.misses();
    if route.silent {
        return Duration::from_secs(5) * misses.clamp(1, 12);
    }
    if route.probed < FIRST || route.evidence.may_be_better() {
        return QUICK;
    }
    let count = route.evidence.count();
    let may_win = path.is_direct()
        || route.role == Role::Used
        || (count > 0 && rival_ms.is_none_or(|rival| route.evidence.mean_ms(now) < rival));
    if count < PROOF && route.probed < PATIENCE && may_win {
        return QUICK;
    }
    if route.role == Role::Used && !path.is_direct() && route.probed < TRUSTED {
        return OBSERVED;
    }
    if route.alert > 0 && route.role >= Role::Standby {
        return ALERTED;
    }
    let passive = route.evidence.payload_at().is_some_and(|at| now.since(at) <= PASSIVE);
    let steady = match route.role {
        _ if passive => Duration::from_secs(20),
        Role::Used | Role::Standby | Role::Close => Duration::from_secs(5),
        Role::Far => Duration::from_secs(30),
    };
    if eager { steady } else { steady * 4 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aire_types::{AppName, Instance, NodeName};

    fn route() -> RouteId {
        let instance = Instance { app: AppName::new("a").unwrap(), node: NodeName::new("n").unwrap() };
        RouteId { instance, path: Path::DIRECT }
    }

    #[test]
    fn the_bucket_allows_a_burst_and_then_the_rate() {
        let mut prober = Prober::new(4000, 10);
        let mut sent = 0;
        for ms in 0..60_000 {
            while prober.has_token(Time::from_millis(ms)) {
                prober.launch(Time::from_millis(ms), route(), Duration::from_secs(1));
                sent += 1;
            }
            prober.check_invariants();
        }
        assert!((140..=10 + 137).contains(&sent), "{sent}");
    }

    #[test]
    fn a_probe_that_left_late_is_given_up_late() {
        let mut prober = Prober::new(4000, 10);
        let id = prober.launch(Time::ZERO, route(), Duration::from_secs(1));
        assert!(prober.departs(Time::from_millis(2500), id).is_some());
        assert!(prober.given_up(Time::from_millis(3000)).is_empty());
        assert_eq!(prober.poll_timeout(), Time::from_millis(3500), "the timer waits for what is to come");
        assert_eq!(prober.given_up(Time::from_millis(3500)).len(), 1);
        assert!(prober.land(id).is_none());
    }
}
