//! What happens to routes in time: queues, daily swing, level shifts, outages. Spikes fall on measurements.

use std::f64::consts::TAU;

use aire_types::Random;

use super::draw::{exponential, heavy, lognormal, normal, part};
use super::geography::Geography;
use super::shape::Shape;

const DAY_S: f64 = 86_400.0;
/// A bottleneck whose queue is so many times its mean loses packets.
const OVERFLOW: f64 = 3.0;

/// The state of the network at one moment.
#[derive(Clone, Debug)]
pub(super) struct Sky {
    shape: Shape,
    random: Random,
    nodes: Vec<Node>,
    /// Factor of each pair's level.
    levels: Vec<f64>,
    shifts: usize,
    /// Logarithm of each queue against its mean.
    queues: Vec<f64>,
    /// Which bottleneck each pair crosses.
    crossing: Vec<Option<usize>>,
    at_s: f64,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    longitude: f64,
    /// Height of its daily swing.
    swing: f64,
    /// Chance of a spike, relative to the others'.
    burden: f64,
    /// All that it measures now is late.
    busy: bool,
    down_until_s: f64,
}

/// One measurement.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measured {
    /// Milliseconds; NaN where nothing answers.
    pub(super) rtt_ms: f64,
    /// Share of packets lost on the way, 0 to 1.
    pub(super) loss: f64,
}

impl Sky {
    pub(super) fn new(shape: &Shape, geography: &Geography, seed: u64) -> Self {
        let mut random = part(seed, 2);
        let weather = &shape.weather;
        let placed = &geography.nodes;
        let mut node = |longitude: f64| Node {
            longitude,
            swing: weather.daily * lognormal(&mut random, 0.7),
            burden: lognormal(&mut random, weather.spike_unevenness),
            busy: false,
            down_until_s: 0.0,
        };
        let nodes = placed.iter().map(|placed| node(placed.longitude)).collect();
        let queues = (0..weather.bottlenecks).map(|_| normal(&mut random)).collect();
        let crossing = (0..placed.len() * placed.len()).map(|at| {
            let (from, to) = (placed[at / placed.len()], placed[at % placed.len()]);
            let ends = [from, to].map(|end| end.cluster * 64 + end.provider);
            let mut draw = part(seed ^ 0x53, (ends[0].min(ends[1]) * 65_536 + ends[0].max(ends[1])) as u64);
            // Half of the traffic between two (cluster, provider) crosses a bottleneck.
            (weather.bottlenecks > 0 && draw.chance(0.5)).then(|| draw.below(weather.bottlenecks))
        });
        let crossing = crossing.collect();
        let levels = vec![1.0; placed.len() * placed.len()];
        Sky { shape: shape.clone(), nodes, levels, shifts: 0, queues, crossing, at_s: 0.0, random }
    }

    /// Lets one frame pass.
    pub(super) fn advance(&mut self) {
        let step_s = self.shape.step_s;
        self.at_s += step_s;
        let weather = self.shape.weather;
        let kept = (-step_s / weather.queue_s.max(1e-9)).exp();
        for queue in &mut self.queues {
            *queue = *queue * kept + normal(&mut self.random) * (1.0 - kept * kept).sqrt();
        }
        for node in &mut self.nodes {
            if self.random.chance(weather.outages_a_day * step_s / DAY_S) {
                node.down_until_s = self.at_s + exponential(&mut self.random, weather.outage_s);
            }
            node.busy = self.random.chance(weather.spike * weather.spike_together * node.burden);
        }
        self.shift_levels(weather.shifts_a_day * step_s / DAY_S);
    }

    fn shift_levels(&mut self, chance: f64) {
        let count = self.nodes.len();
        for at in 0..count * count {
            let (from, to) = (at / count, at % count);
            let follows = self.shape.symmetric && from > to;
            if from == to || follows || !self.random.chance(chance) {
                continue;
            }
            self.shifts += 1;
            // A route comes back to what it was as often as it finds a new way.
            let new = match self.levels[at] != 1.0 && self.random.chance(0.5) {
                true => 1.0,
                false => 1.0 + heavy(&mut self.random, self.shape.weather.shift, 3.0),
            };
            self.levels[at] = new;
            if self.shape.symmetric {
                self.levels[to * count + from] = new;
            }
        }
    }

    /// How many lasting changes there were.
    pub(super) fn shifts(&self) -> usize {
        self.shifts
    }

    /// Measures one pair now.
    pub(super) fn measure(&mut self, from: usize, to: usize, quiet_ms: f64) -> Measured {
        let weather = self.shape.weather;
        let at = from * self.nodes.len() + to;
        let ends = [self.nodes[from], self.nodes[to]];
        if ends.iter().any(|node| node.down_until_s > self.at_s) {
            return Measured { rtt_ms: f64::NAN, loss: 1.0 };
        }
        let swing: f64 = ends.iter().map(|node| node.swing * daytime(self.at_s, node.longitude)).sum();
        let mut rtt_ms = quiet_ms * self.levels[at] * (1.0 + swing);
        rtt_ms *= 1.0 + exponential(&mut self.random, weather.jitter);
        let mut loss = 0.0;
        if let Some(queue) = self.crossing[at].map(|bottleneck| self.queues[bottleneck].exp()) {
            rtt_ms += weather.queue_ms * queue;
            loss = ((queue - OVERFLOW) / 100.0).clamp(0.0, 0.3);
        }
        let burden = (ends[0].burden * ends[1].burden).sqrt();
        let alone = weather.spike * (1.0 - weather.spike_together) * burden;
        if ends[0].busy || ends[1].busy || self.random.chance(alone) {
            rtt_ms += heavy(&mut self.random, weather.spike_ms, weather.spike_tail).min(60_000.0);
            loss = f64::max(loss, 0.01);
        }
        Measured { rtt_ms, loss }
    }

    pub(super) fn random(&mut self) -> &mut Random {
        &mut self.random
    }
}

/// From 0 in the small hours to 1 in the evening, local time.
fn daytime(at_s: f64, longitude: f64) -> f64 {
    (1.0 - (TAU * (at_s / DAY_S + longitude / 360.0 - 0.125)).cos()) / 2.0
}
