//! What a herd does to relays and requests.

use std::time::Duration;

use serde::Serialize;

use crate::condition::Target;
use crate::meter::Meter;
use crate::simulation::Simulation;

/// So many moves of one agent in a second are rest.
const REST: f64 = 0.01;
/// Moves are averaged over so many seconds for that.
const WINDOW: usize = 5;

/// What was seen from the event to the end.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Observation {
    /// Mean latency of requests, milliseconds.
    pub mean_ms: f64,
    /// Median.
    pub p50_ms: f64,
    /// 99th percentile.
    pub p99_ms: f64,
    /// Share of what applications wanted that arrived.
    pub goodput: f64,
    /// Share of what was sent that was lost.
    pub loss: f64,
    /// Changes of path of one agent in a minute.
    pub moves_per_minute: f64,
    /// Swing of the relay that swings most, in the second half: the 95th minus the 5th percentile of its load.
    pub amplitude: f64,
    /// The most loaded relay's load over that of the average one, averaged over time.
    pub max_over_mean: f64,
    /// Seconds until agents move less than once in a hundred seconds, for good.
    pub settle_s: f64,
}

/// Watches a run, second by second.
#[derive(Clone, Debug)]
pub struct Observer {
    agents: f64,
    sum: Meter,
    moves: Vec<u64>,
    loads: Vec<Vec<f64>>,
}

impl Observer {
    /// An observer of so many agents.
    pub fn new(agents: usize) -> Self {
        Observer { agents: agents.max(1) as f64, sum: Meter::default(), moves: Vec::new(), loads: Vec::new() }
    }

    /// Lets `simulation` live through one interval, which is a second where figures are to be per second.
    pub fn second(&mut self, simulation: &mut Simulation, interval: Duration) {
        simulation.run(interval, true);
        let meter = simulation.take_meter();
        self.moves.push(meter.moves);
        self.sum.merge(&meter);
        let relays = simulation.relays().iter();
        let load = |node: &usize| {
            let on = Target::Relay(*node);
            if simulation.network.is_down(on) { 0.0 } else { simulation.network.load(on) }
        };
        self.loads.push(relays.map(load).collect());
    }

    /// Adds what another one saw after this one.
    pub fn append(&mut self, later: &Observer) {
        self.sum.merge(&later.sum);
        self.moves.extend(&later.moves);
        self.loads.extend(later.loads.iter().cloned());
    }

    /// The sum of it all.
    pub fn finish(&self) -> Observation {
        let minutes = self.moves.len() as f64 / 60.0;
        Observation {
            mean_ms: self.sum.latency.mean(),
            p50_ms: self.sum.latency.quantile(0.5),
            p99_ms: self.sum.latency.quantile(0.99),
            goodput: self.sum.goodput(),
            loss: self.sum.loss(),
            moves_per_minute: self.sum.moves as f64 / self.agents / minutes.max(1e-9),
            amplitude: self.amplitude(),
            max_over_mean: self.max_over_mean(),
            settle_s: self.settle(),
        }
    }

    fn settle(&self) -> f64 {
        let rate = |window: &[u64]| window.iter().sum::<u64>() as f64 / window.len() as f64 / self.agents;
        let last = self.moves.windows(WINDOW).rposition(|window| rate(window) > REST);
        last.map_or(0.0, |at| (at + WINDOW) as f64)
    }

    fn amplitude(&self) -> f64 {
        let late = &self.loads[self.loads.len() / 2..];
        let relays = late.first().map_or(0, Vec::len);
        (0..relays)
            .map(|relay| {
                let mut series: Vec<f64> = late.iter().map(|loads| loads[relay]).collect();
                series.sort_by(f64::total_cmp);
                let at = |share: f64| series[((series.len() - 1) as f64 * share) as usize];
                at(0.95) - at(0.05)
            })
            .fold(0.0, f64::max)
    }

    fn max_over_mean(&self) -> f64 {
        let ratio = |loads: &Vec<f64>| {
            let mean = loads.iter().sum::<f64>() / loads.len().max(1) as f64;
            let most = loads.iter().copied().fold(0.0, f64::max);
            // hardly used relays say nothing
            (mean > 0.02).then_some(most / mean)
        };
        let ratios: Vec<f64> = self.loads.iter().filter_map(ratio).collect();
        ratios.iter().sum::<f64>() / ratios.len().max(1) as f64
    }
}
