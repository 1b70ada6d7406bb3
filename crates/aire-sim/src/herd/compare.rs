//! The same scenes for several policies.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::Serialize;

use super::{Event, Observation, Scene, run};

/// Runs all scenes on so many threads; the answers are in the scenes' order.
pub fn run_all(scenes: Vec<Scene>, threads: usize) -> Vec<Observation> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(scene) = scenes.get(at) else { return done };
            done.extend(run(scene).map(|seen| (at, seen)));
        }
    };
    let mut all: Vec<(usize, Observation)> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.clamp(1, 64)).map(|_| scope.spawn(work)).collect();
        workers.into_iter().filter_map(|worker| worker.join().ok()).flatten().collect()
    });
    all.sort_by_key(|(at, _)| *at);
    all.into_iter().map(|(_, seen)| seen).collect()
}

/// Mean and half the width of its 95 % interval.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Interval {
    /// Mean.
    pub mean: f64,
    /// Half the width of the 95 % interval (Student's t); 0 for one value.
    pub half: f64,
}

/// Two-sided 95 % points of Student's t for 1 to 9 degrees of freedom, then the next ones roughly.
const STUDENT: [f64; 9] = [12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26];

impl Interval {
    /// Of these values.
    pub fn of(values: &[f64]) -> Self {
        let count = values.len() as f64;
        if values.is_empty() {
            return Interval::default();
        }
        let mean = values.iter().sum::<f64>() / count;
        if values.len() < 2 {
            return Interval { mean, half: 0.0 };
        }
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let point =
            STUDENT.get(values.len() - 2).copied().unwrap_or(if values.len() < 30 { 2.2 } else { 2.0 });
        Interval { mean, half: point * (squares / (count - 1.0) / count).sqrt() }
    }
}

/// One row of the table: a policy in an event, over all seeds.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// What happened.
    pub event: Event,
    /// To how many agents.
    pub agents: usize,
    /// Who decided.
    pub policy: &'static str,
    /// How many seeds.
    pub seeds: usize,
    /// 99th percentile of requests, milliseconds.
    pub p99_ms: Interval,
    /// Mean of requests, milliseconds.
    pub mean_ms: Interval,
    /// Share of what was wanted that arrived.
    pub goodput: Interval,
    /// Share of what was sent that was lost.
    pub loss: Interval,
    /// See [`Observation::amplitude`].
    pub amplitude: Interval,
    /// See [`Observation::max_over_mean`].
    pub max_over_mean: Interval,
    /// See [`Observation::settle_s`].
    pub settle_s: Interval,
    /// See [`Observation::moves_per_minute`].
    pub moves_per_minute: Interval,
}

impl Row {
    /// Sums up what was seen.
    pub fn new(event: Event, agents: usize, policy: &'static str, seen: &[Observation]) -> Self {
        let of = |value: fn(&Observation) -> f64| Interval::of(&seen.iter().map(value).collect::<Vec<_>>());
        Row {
            event,
            agents,
            policy,
            seeds: seen.len(),
            p99_ms: of(|seen| seen.p99_ms),
            mean_ms: of(|seen| seen.mean_ms),
            goodput: of(|seen| seen.goodput),
            loss: of(|seen| seen.loss),
            amplitude: of(|seen| seen.amplitude),
            max_over_mean: of(|seen| seen.max_over_mean),
            settle_s: of(|seen| seen.settle_s),
            moves_per_minute: of(|seen| seen.moves_per_minute),
        }
    }

    /// What stands above the columns.
    pub const HEADER: &str = "event           agents  policy    p99 ms        mean ms       goodput %    loss %       \
                              amplitude    max/mean     settle s     moves/min";
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cell = |interval: Interval, scale: f64, digits: usize| {
            format!("{:.digits$} ±{:.digits$}", interval.mean * scale, interval.half * scale)
        };
        write!(f, "{:14}  {:6}  {:8}", self.event.label(), self.agents, self.policy)?;
        write!(f, "  {:12}  {:12}", cell(self.p99_ms, 1.0, 0), cell(self.mean_ms, 1.0, 1))?;
        write!(f, "  {:11}  {:11}", cell(self.goodput, 100.0, 1), cell(self.loss, 100.0, 2))?;
        write!(f, "  {:11}  {:11}", cell(self.amplitude, 1.0, 2), cell(self.max_over_mean, 1.0, 2))?;
        write!(f, "  {:11}  {}", cell(self.settle_s, 1.0, 0), cell(self.moves_per_minute, 1.0, 2))
    }
}
