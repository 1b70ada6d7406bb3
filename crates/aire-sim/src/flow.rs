//! What an application sends to one destination, and what it gets.
//!
//! A flow stands for the streams of an application to one destination. It wants a rate that wanders, and sends what the
//! path lets through: it backs off by what it loses and grows back slowly, as congestion control does, so that
//! overload shows as queues, a few per cent of loss and less goodput, and not as endless loss.
//!
//! It also stands in for the agent's leave loop, which lives on carriers that are not simulated: a path on which nothing
//! passes is dead after three probe timeouts; one whose delay or loss is far from its own level for a second is left,
//! and may come back after a dwell that doubles with every time.

use std::time::Duration;

use aire_types::{Class, Instance, Path, Random, RouteId, Time};

use crate::meter::Meter;
use crate::network::{Network, PathState, Route};

/// A second of the wandering rate keeps so much of the second before.
const MEMORY: f64 = 0.9;
/// Standard deviation of the logarithm of the wandering rate.
const WANDER: f64 = 0.4;
/// What a flow grows back in a second, as a share of what it wants.
const GROWTH: f64 = 0.3;
/// What a flow sends at least, as a share of what it wants.
const LEAST: f64 = 0.05;
/// A request on a path that is dead takes at least so long, milliseconds.
const DEAD_MS: f64 = 3000.0;
/// TCP's least retransmission timer, milliseconds.
const TIMER_MS: f64 = 200.0;
/// Delay of so many times its level, or this loss, for so long, and the path is left.
const DEGRADED_TIMES: f64 = 4.0;
const DEGRADED_LOSS: f64 = 0.1;
const DEGRADED_FOR_S: f64 = 1.0;
/// The dwell of a path that was left, and the longest.
const DWELL: Duration = Duration::from_secs(10);
const DWELL_MOST: Duration = Duration::from_secs(300);
/// Bits of a full packet.
const PACKET_BITS: f64 = 12_000.0;

/// Why a flow leaves its path without asking what would be better.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Leave {
    /// Nothing passes.
    Dead,
    /// It is not what it was; it may come back after this time.
    Degraded(Duration),
}

/// What an application sends to one destination.
#[derive(Clone, Debug)]
pub struct Flow {
    /// To which instance.
    pub instance: Instance,
    /// On which node that runs.
    pub to: usize,
    /// For which class it asks.
    pub class: Class,
    /// What it wants on average, megabits a second.
    pub mean_mbps: f64,
    path: Option<Path>,
    route: Route,
    wander: f64,
    share: f64,
    level_ms: f64,
    silent_s: f64,
    bad_s: f64,
    lefts: u32,
    since: Time,
    rtt_sum: f64,
    rtt_count: u32,
    packets: f64,
    lost: f64,
}

impl Flow {
    /// A flow without a path yet.
    pub fn new(
        network: &Network,
        from: usize,
        to: usize,
        instance: Instance,
        class: Class,
        mbps: f64,
    ) -> Self {
        Flow {
            instance,
            to,
            class,
            mean_mbps: mbps,
            path: None,
            route: network.route(from, &[], to),
            wander: 0.0,
            share: 1.0,
            level_ms: 0.0,
            silent_s: 0.0,
            bad_s: 0.0,
            lefts: 0,
            since: Time::ZERO,
            rtt_sum: 0.0,
            rtt_count: 0,
            packets: 0.0,
            lost: 0.0,
        }
    }

    /// The path in use.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_ref()
    }

    /// The way through the network that is in use.
    pub fn route(&self) -> &Route {
        &self.route
    }

    /// The name of the route in use.
    pub(crate) fn route_id(&self) -> Option<RouteId> {
        Some(RouteId { instance: self.instance.clone(), path: self.path.clone()? })
    }

    /// Takes another path. True where it had one before.
    pub(crate) fn take(&mut self, now: Time, path: Path, route: Route) -> bool {
        let moved = self.path.is_some();
        if now.since(self.since) > DWELL * 10 {
            self.lefts = 0;
        }
        self.path = Some(path);
        self.route = route;
        self.since = now;
        (self.level_ms, self.silent_s, self.bad_s) = (0.0, 0.0, 0.0);
        (self.rtt_sum, self.rtt_count, self.packets, self.lost) = (0.0, 0, 0.0, 0.0);
        moved
    }

    /// What it wants now, megabits a second.
    fn wanted(&self) -> f64 {
        self.mean_mbps * (WANDER * self.wander - WANDER * WANDER / 2.0).exp()
    }

    /// What it sends now, megabits a second.
    pub fn offered(&self) -> f64 {
        if self.path.is_some() { self.wanted() * self.share } else { 0.0 }
    }

    /// The rate wanders on by a second.
    pub(crate) fn wander(&mut self, random: &mut Random) {
        // a sum of uniforms is normal enough for a rate
        let normal: f64 = (0..6).map(|_| random.unit()).sum::<f64>() - 3.0;
        self.wander =
            MEMORY * self.wander + (1.0 - MEMORY * MEMORY).sqrt() * normal * std::f64::consts::SQRT_2;
    }

    /// One step in which the path was like `state`: what the application got, and whether the path must be left.
    pub(crate) fn live(
        &mut self,
        state: &PathState,
        step: Duration,
        random: &mut Random,
        meter: &mut Meter,
        counts: bool,
    ) -> Option<Leave> {
        let seconds = step.as_secs_f64();
        let (wanted, sent) = (self.wanted() * seconds, self.offered() * seconds);
        let passes = if state.down { 0.0 } else { 1.0 - state.loss };
        let request = state.draw(random).map(|rtt| rtt.as_secs_f64() * 1000.0);
        if counts {
            meter.wanted += wanted;
            meter.sent += sent;
            meter.arrived += sent * passes;
            let timer = state.rtt_ms.max(TIMER_MS);
            let latency = match request {
                _ if state.down => DEAD_MS.max(self.silent_s * 1000.0),
                Some(ms) => ms,
                None => state.rtt_ms + timer * (1.0 + state.loss / (1.0 - state.loss).max(0.05)),
            };
            meter.latency.add(latency, wanted);
            meter.dead_s += if state.down { seconds } else { 0.0 };
        }
        if state.down {
            self.silent_s += seconds;
            let timeout = 1.3 * self.level_ms.max(50.0) / 1000.0 + 0.025;
            return (self.silent_s > (3.0 * timeout).max(0.25)).then_some(Leave::Dead);
        }
        self.silent_s = 0.0;
        let growth = GROWTH * seconds;
        self.share = (self.share * (1.0 - state.loss.min(0.5)) + growth).clamp(LEAST, 1.0);
        if let Some(ms) = request {
            self.rtt_sum += ms;
            self.rtt_count += 1;
        }
        let packets = sent * 1e6 / PACKET_BITS;
        self.packets += packets;
        self.lost += packets * state.loss;
        self.judge(state, seconds)
    }

    fn judge(&mut self, state: &PathState, seconds: f64) -> Option<Leave> {
        if self.level_ms == 0.0 || state.rtt_ms < self.level_ms {
            self.level_ms = state.rtt_ms;
        }
        // the level is learned slowly, so that a queue does not become usual
        self.level_ms += (state.rtt_ms - self.level_ms) * (seconds / 120.0).min(1.0);
        let bad = state.rtt_ms > DEGRADED_TIMES * self.level_ms || state.loss > DEGRADED_LOSS;
        self.bad_s = if bad { self.bad_s + seconds } else { 0.0 };
        if self.bad_s < DEGRADED_FOR_S {
            return None;
        }
        self.bad_s = 0.0;
        let dwell = (DWELL * (1 << self.lefts.min(5))).min(DWELL_MOST);
        self.lefts += 1;
        Some(Leave::Degraded(dwell))
    }

    /// Mean round trip and packets (sent, lost) since the last call; `None` where nothing was sent.
    pub(crate) fn payload(&mut self, random: &mut Random) -> Option<(Option<Duration>, u32, u32)> {
        if self.path.is_none() || self.packets < 1.0 {
            return None;
        }
        let rtt = self.rtt_sum / f64::from(self.rtt_count.max(1));
        let rtt = (self.rtt_count > 0).then(|| Duration::from_secs_f64(rtt / 1000.0));
        // a fraction of a packet is one packet now and then
        let lost = (self.lost + random.unit()).floor().min(self.packets);
        let counted = (rtt, self.packets as u32, lost as u32);
        (self.rtt_sum, self.rtt_count, self.packets, self.lost) = (0.0, 0, 0.0, 0.0);
        Some(counted)
    }
}
