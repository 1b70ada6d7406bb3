//! Accesses, relays and trunks as fluid queues.
//!
//! A resource with capacity C and arrivals A keeps a backlog q with dq/dt = A − C, bounded by its buffer; what does not
//! fit is lost. To the wait q/C comes the mean wait of a queue with batch arrivals below saturation, ρ/(1−ρ) × S/2
//! (Pollaczek and Khinchine, with S the time that one burst takes).

use std::time::Duration;

use aire_types::{Random, Time};

use crate::condition::{Condition, Strain, Target};
use crate::underlay::Underlay;

/// What one sender sends at once, megabits: about eight full packets.
const BURST_MBIT: f64 = 0.1;
/// A relay's own work for a packet, milliseconds a round trip.
const FORWARD_MS: f64 = 0.1;
/// Noise on a round trip, as a share of it (mean of an exponential).
const JITTER: f64 = 0.02;
/// Share of round trips that are heavy-tailed whatever the load, and the least that these take more.
const HEAVY_SHARE: f64 = 0.002;
const HEAVY_MS: f64 = 200.0;
/// Resources of a path with the most relays.
const MOST: usize = 8;

/// What the capacities are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Capacities {
    /// Of a node's access, megabits a second.
    pub access_mbps: f64,
    /// Of a node as a relay, megabits a second.
    pub relay_mbps: f64,
    /// Of the trunk between two zones, megabits a second; within a zone ten times that.
    pub trunk_mbps: f64,
    /// The longest wait in a full buffer, seconds.
    pub buffer_s: f64,
}

#[derive(Clone, Copy, Debug)]
struct Resource {
    capacity_mbps: f64,
    backlog_mbit: f64,
    wait_ms: f64,
    overflow: f64,
    load: f64,
    strain: Strain,
}

/// A path through the resources of the network.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Route {
    stops: [u32; 4],
    stop_count: u8,
    resources: [u32; MOST],
    count: u8,
}

impl Route {
    /// The resources that it takes, as indices into what [`Network::advance`] is given.
    pub fn resources(&self) -> &[u32] {
        &self.resources[..usize::from(self.count)]
    }

    fn take(&mut self, resource: usize) {
        self.resources[usize::from(self.count)] = resource as u32;
        self.count += 1;
    }
}

/// What a path is like at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PathState {
    /// Round trip with all queues, without noise, milliseconds.
    pub rtt_ms: f64,
    /// Share of packets that vanish, 0 to 1.
    pub loss: f64,
    /// Nothing passes.
    pub down: bool,
    spike_share: f64,
    spike_ms: f64,
}

impl PathState {
    /// One round trip with its noise; `None` is lost.
    pub fn draw(&self, random: &mut Random) -> Option<Duration> {
        let (lost, spike, heavy) = (random.unit(), random.unit(), random.unit());
        let noise = -(1.0 - random.unit()).ln() * JITTER * self.rtt_ms;
        if self.down || lost < self.loss {
            return None;
        }
        let mut ms = self.rtt_ms + noise;
        if spike < self.spike_share {
            ms += self.spike_ms;
        }
        if heavy < HEAVY_SHARE {
            ms += HEAVY_MS / (heavy / HEAVY_SHARE).max(0.1);
        }
        Some(Duration::from_secs_f64(ms / 1000.0))
    }
}

/// The network: base round trips, queues and what strains them.
pub struct Network {
    underlay: Box<dyn Underlay>,
    resources: Vec<Resource>,
    conditions: Vec<Condition>,
    buffer_s: f64,
    at: Time,
}

impl Network {
    /// A network at rest.
    pub fn new(underlay: Box<dyn Underlay>, capacities: Capacities, conditions: Vec<Condition>) -> Self {
        let resource = |capacity_mbps: f64| Resource {
            capacity_mbps,
            backlog_mbit: 0.0,
            wait_ms: 0.0,
            overflow: 0.0,
            load: 0.0,
            strain: Strain::NONE,
        };
        let (nodes, zones) = (underlay.nodes(), underlay.zones());
        let mut resources = vec![resource(capacities.access_mbps); nodes];
        resources.extend(vec![resource(capacities.relay_mbps); nodes]);
        for a in 0..zones {
            for b in 0..zones {
                let share = if a == b { 10.0 } else { 1.0 };
                resources.push(resource(share * capacities.trunk_mbps));
            }
        }
        let mut network =
            Network { underlay, resources, conditions, buffer_s: capacities.buffer_s, at: Time::ZERO };
        network.strain();
        network
    }

    /// Sets one capacity, megabits a second.
    pub fn set_capacity(&mut self, of: Target, mbps: f64) {
        let index = self.index(of);
        self.resources[index].capacity_mbps = mbps;
    }

    /// How many nodes there are.
    pub fn nodes(&self) -> usize {
        self.underlay.nodes()
    }

    /// The zone of `node`.
    pub fn zone(&self, node: usize) -> usize {
        self.underlay.zone(node)
    }

    /// How many resources there are.
    pub fn resources(&self) -> usize {
        self.resources.len()
    }

    fn index(&self, target: Target) -> usize {
        let nodes = self.underlay.nodes();
        match target {
            Target::Access(node) => node,
            Target::Relay(node) => nodes + node,
            Target::Trunk(a, b) => 2 * nodes + a.min(b) * self.underlay.zones() + a.max(b),
        }
    }

    /// The path from `from` over `relays` to `to`.
    pub fn route(&self, from: usize, relays: &[usize], to: usize) -> Route {
        let mut route = Route { stops: [0; 4], stop_count: 0, resources: [0; MOST], count: 0 };
        let stops = std::iter::once(from).chain(relays.iter().copied().take(2)).chain(std::iter::once(to));
        let mut before: Option<usize> = None;
        for stop in stops {
            route.stops[usize::from(route.stop_count)] = stop as u32;
            route.stop_count += 1;
            if let Some(before) = before {
                let (a, b) = (self.underlay.zone(before), self.underlay.zone(stop));
                route.take(self.index(Target::Trunk(a, b)));
            }
            let end = before.is_none() || stop == to;
            route.take(self.index(if end { Target::Access(stop) } else { Target::Relay(stop) }));
            before = Some(stop);
        }
        route
    }

    /// What `route` is like now.
    pub fn state(&self, route: &Route) -> PathState {
        let stops = &route.stops[..usize::from(route.stop_count)];
        let legs = stops.windows(2).map(|leg| (leg[0] as usize, leg[1] as usize));
        let base: f64 = legs.clone().map(|(from, to)| self.underlay.rtt_ms(from, to, self.at)).sum();
        let kept = legs.map(|(from, to)| 1.0 - self.underlay.loss(from, to, self.at));
        let mut state = PathState {
            rtt_ms: base + FORWARD_MS * stops.len().saturating_sub(2) as f64,
            loss: 0.0,
            down: !base.is_finite(),
            spike_share: 0.0,
            spike_ms: 0.0,
        };
        let mut passes: f64 = kept.product();
        for index in route.resources() {
            let resource = &self.resources[*index as usize];
            state.rtt_ms += resource.wait_ms + resource.strain.shift_ms;
            passes *= (1.0 - resource.overflow) * (1.0 - resource.strain.loss);
            state.down |= resource.strain.down;
            state.spike_share = state.spike_share.max(resource.strain.spike_share);
            state.spike_ms = state.spike_ms.max(resource.strain.spike_ms);
        }
        state.rtt_ms = if state.rtt_ms.is_finite() { state.rtt_ms.max(0.1) } else { 1e6 };
        state.loss = 1.0 - passes;
        state
    }

    /// Round trip of a bare link between two nodes, milliseconds.
    pub fn link_ms(&self, from: usize, to: usize) -> Option<f64> {
        let state = self.state(&self.route(from, &[], to));
        (!state.down).then_some(state.rtt_ms)
    }

    /// Load of a resource: what it was offered in the last step over its capacity; above 1 it overflows.
    pub fn load(&self, of: Target) -> f64 {
        self.resources[self.index(of)].load
    }

    /// Does anything pass?
    pub fn is_down(&self, of: Target) -> bool {
        self.resources[self.index(of)].strain.down
    }

    /// Moves the queues on by `step`, in which `offered` megabits a second arrived at each resource.
    pub fn advance(&mut self, step: Duration, offered: &[f64]) {
        let seconds = step.as_secs_f64();
        for (resource, offered) in self.resources.iter_mut().zip(offered) {
            let capacity = (resource.capacity_mbps * resource.strain.capacity).max(1e-6);
            let room = capacity * self.buffer_s;
            let arrived = offered * seconds;
            let backlog = (resource.backlog_mbit + arrived - capacity * seconds).max(0.0);
            resource.backlog_mbit = backlog.min(room);
            resource.overflow =
                if arrived > 0.0 { ((backlog - room) / arrived).clamp(0.0, 1.0) } else { 0.0 };
            resource.load = offered / capacity;
            let busy = resource.load.min(0.98);
            let burst = BURST_MBIT / capacity * busy / (1.0 - busy) / 2.0;
            let wait = resource.backlog_mbit / capacity + burst;
            resource.wait_ms = 1000.0 * wait.min(self.buffer_s);
        }
        self.at += step;
        self.strain();
    }

    fn strain(&mut self) {
        for index in 0..self.conditions.len() {
            let at = self.index(self.conditions[index].on);
            self.resources[at].strain = Strain::NONE;
        }
        for index in 0..self.conditions.len() {
            let at = self.index(self.conditions[index].on);
            let condition = &self.conditions[index];
            condition.apply(self.at, &mut self.resources[at].strain);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::condition::Effect;
    use crate::underlay::Matrix;

    fn network(conditions: Vec<Condition>) -> Network {
        let frame = vec![0.0, 100.0, 30.0, 100.0, 0.0, 30.0, 30.0, 30.0, 0.0];
        let matrix = Matrix::new(vec![0, 1, 2], Duration::from_secs(1), vec![frame]).unwrap();
        let capacities =
            Capacities { access_mbps: 1000.0, relay_mbps: 10.0, trunk_mbps: 1000.0, buffer_s: 0.2 };
        Network::new(Box::new(matrix), capacities, conditions)
    }

    fn load(network: &mut Network, route: &Route, mbps: f64, steps: u32) {
        let mut offered = vec![0.0; network.resources()];
        route.resources().iter().for_each(|index| offered[*index as usize] += mbps);
        (0..steps).for_each(|_| network.advance(Duration::from_millis(100), &offered));
    }

    #[test]
    fn an_overloaded_relay_delays_then_loses_and_recovers() {
        let mut network = network(Vec::new());
        let route = network.route(0, &[2], 1);
        let rest = network.state(&route);
        assert!((rest.rtt_ms - 60.1).abs() < 1e-9 && rest.loss == 0.0);
        load(&mut network, &route, 20.0, 1);
        assert!((100.0..250.0).contains(&(network.state(&route).rtt_ms - rest.rtt_ms)));
        load(&mut network, &route, 20.0, 10);
        let full = network.state(&route);
        assert!((full.loss - 0.5).abs() < 0.01 && full.rtt_ms > 255.0, "{full:?}");
        assert!(network.load(Target::Relay(2)) > 1.9);
        load(&mut network, &route, 0.0, 10);
        assert!(network.state(&route).rtt_ms < 61.0);
    }

    #[test]
    fn conditions_hold_from_their_beginning_to_their_end() {
        let rule = |from, until, on, effect| Condition {
            from: Time::from_millis(from),
            until: Time::from_millis(until),
            on,
            effect,
        };
        let mut network = network(vec![
            rule(1000, 2000, Target::Relay(2), Effect::Outage),
            rule(0, 1000, Target::Trunk(1, 0), Effect::Shift(50.0)),
            rule(
                2000,
                9000,
                Target::Trunk(0, 1),
                Effect::ShiftSeries { step: Duration::from_secs(1), ms: vec![1.0, 2.0] },
            ),
        ]);
        let (direct, relayed) = (network.route(0, &[], 1), network.route(0, &[2], 1));
        assert_eq!(network.state(&direct).rtt_ms, 150.0);
        load(&mut network, &direct, 0.0, 10);
        assert_eq!(network.state(&direct).rtt_ms, 100.0);
        assert!(network.state(&relayed).down && network.state(&relayed).draw(&mut Random::new(1)).is_none());
        load(&mut network, &direct, 0.0, 10);
        assert!(!network.state(&relayed).down && network.state(&direct).rtt_ms == 101.0);
        load(&mut network, &direct, 0.0, 30);
        assert_eq!(network.state(&direct).rtt_ms, 102.0);
    }
}
