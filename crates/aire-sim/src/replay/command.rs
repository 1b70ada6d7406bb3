//! The command `replay`: what was recorded, all policies, one table.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::{Recorded, Replay, Seen};
use crate::herd::compare::Interval;
use crate::policy::Contender;
use crate::synthetic::Shape;

/// What the command takes.
pub const USAGE: &str =
    "usage: cargo xtask sim replay --traces DIR | --synthetic planetlab|seattle|cloud|atlas
           [--nodes N] [--agents N] [--destinations N] [--relay-mbps N] [--frame SECONDS] [--seconds N]
           [--seeds N] [--seed N] [--threads N] [--json]";

const CONTENDERS: [Contender; 5] =
    [Contender::Direct, Contender::Greedy, Contender::Rule, Contender::Learned, Contender::Scouts];

struct Asked {
    traces: Option<String>,
    shape: Option<Shape>,
    nodes: Option<usize>,
    agents: usize,
    destinations: usize,
    relay_mbps: f64,
    frame: Duration,
    duration: Duration,
    seeds: u64,
    seed: u64,
    threads: usize,
    json: bool,
}

impl Asked {
    fn parse(words: &[&str]) -> Result<Self, String> {
        let mut asked = Asked {
            traces: None,
            shape: None,
            nodes: None,
            agents: 100,
            destinations: 3,
            relay_mbps: 10.0,
            frame: Duration::from_secs(120),
            duration: Duration::from_secs(900),
            seeds: 3,
            seed: 1,
            threads: std::thread::available_parallelism().map_or(1, |cores| cores.get()),
            json: false,
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            if *word == "--json" {
                asked.json = true;
                continue;
            }
            let value = words.next().copied().ok_or(format!("{word} needs a value\n{USAGE}"))?;
            asked.set(word, value)?;
        }
        match asked.traces.is_some() == asked.shape.is_some() {
            true => Err(format!("either --traces or --synthetic\n{USAGE}")),
            false => Ok(asked),
        }
    }

    fn set(&mut self, word: &str, value: &str) -> Result<(), String> {
        let number = || value.parse::<u32>().ok().filter(|number| *number > 0);
        let number = || number().ok_or(format!("{word} needs a number from 1, not '{value}'"));
        let count = || number().map(|number| number as usize);
        let seconds = || number().map(|number| Duration::from_secs(u64::from(number)));
        match word {
            "--traces" => self.traces = Some(value.to_owned()),
            "--synthetic" => self.shape = Some(shape(value)?),
            "--nodes" => self.nodes = Some(count()?),
            "--agents" => self.agents = count()?,
            "--destinations" => self.destinations = count()?,
            "--relay-mbps" => self.relay_mbps = f64::from(number()?),
            "--frame" => self.frame = seconds()?,
            "--seconds" => self.duration = seconds()?,
            "--seeds" => self.seeds = u64::from(number()?),
            "--seed" => self.seed = u64::from(number()?),
            "--threads" => self.threads = count()?,
            other => return Err(format!("'{other}' is not known\n{USAGE}")),
        }
        Ok(())
    }

    fn networks(
        &self,
        load: impl Fn(&str) -> Result<Vec<Recorded>, String>,
    ) -> Result<Vec<Recorded>, String> {
        let Some(shape) = &self.shape else {
            return load(self.traces.as_deref().unwrap_or_default());
        };
        let shape = shape.clone().with_nodes(self.nodes.unwrap_or(shape.nodes).max(2));
        // no more frames than are run
        let step = shape.step_s.min(self.frame.as_secs_f64()).max(1e-3);
        let most = (self.duration.as_secs_f64() / step).ceil() as usize + 1;
        let frames = shape.frames.min(most);
        let recorded = Recorded::synthetic(&shape.with_frames(frames), self.seed);
        recorded.map(|recorded| vec![recorded]).ok_or("the mesh has no nodes".to_owned())
    }
}

fn shape(kind: &str) -> Result<Shape, String> {
    let all = [Shape::planetlab(), Shape::seattle(), Shape::cloud(), Shape::atlas()];
    let found = all.into_iter().find(|shape| shape.name == kind);
    found.ok_or(format!("'{kind}' is no kind of synthetic mesh\n{USAGE}"))
}

/// One row of the table: a policy on one network, over all seeds.
#[derive(Clone, Debug, Serialize)]
struct Row {
    trace: String,
    policy: &'static str,
    seeds: usize,
    mean_ms: Interval,
    p95_ms: Interval,
    p99_ms: Interval,
    goodput: Interval,
    switches_per_hour: Interval,
    probe_bytes_per_s: Interval,
}

impl Row {
    const HEADER: &str =
        "policy    mean ms       p95 ms       p99 ms       goodput %    switches/h    probe B/s";

    fn new(trace: &str, policy: &'static str, seen: &[Seen]) -> Self {
        let of = |value: fn(&Seen) -> f64| Interval::of(&seen.iter().map(value).collect::<Vec<_>>());
        Row {
            trace: trace.to_owned(),
            policy,
            seeds: seen.len(),
            mean_ms: of(|seen| seen.mean_ms),
            p95_ms: of(|seen| seen.p95_ms),
            p99_ms: of(|seen| seen.p99_ms),
            goodput: of(|seen| seen.goodput),
            switches_per_hour: of(|seen| seen.switches_per_hour),
            probe_bytes_per_s: of(|seen| seen.probe_bytes_per_s),
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cell = |interval: Interval, scale: f64, digits: usize| {
            format!("{:.digits$} ±{:.digits$}", interval.mean * scale, interval.half * scale)
        };
        write!(f, "{:8}  {:12}", self.policy, cell(self.mean_ms, 1.0, 1))?;
        write!(f, "  {:11}  {:11}", cell(self.p95_ms, 1.0, 0), cell(self.p99_ms, 1.0, 0))?;
        write!(f, "  {:11}  {:12}", cell(self.goodput, 100.0, 1), cell(self.switches_per_hour, 1.0, 1))?;
        write!(f, "  {}", cell(self.probe_bytes_per_s, 1.0, 0))
    }
}

/// Runs the command on these words. `load` reads the recorded networks of a folder.
///
/// # Errors
/// What is wrong with the words, or with what was recorded.
pub fn execute(words: &[&str], load: impl Fn(&str) -> Result<Vec<Recorded>, String>) -> Result<(), String> {
    let asked = Asked::parse(words)?;
    let mut rows = Vec::new();
    for recorded in asked.networks(load)? {
        let recorded = Arc::new(recorded.hurried(asked.frame));
        if !asked.json {
            let loss = if recorded.has_loss() { "with its loss" } else { "no loss recorded" };
            let (name, nodes) = (recorded.name(), recorded.nodes());
            println!(
                "{name}: {nodes} nodes, {loss}, each forwards {} Mbit/s\n{}",
                asked.relay_mbps,
                Row::HEADER
            );
        }
        for contender in &CONTENDERS {
            let replay = |seed: u64| Replay {
                contender: contender.clone(),
                agents: asked.agents,
                destinations: asked.destinations,
                relay_mbps: asked.relay_mbps,
                duration: asked.duration.min(recorded.duration()),
                seed,
                threads: asked.threads,
            };
            let seeds = asked.seed..asked.seed + asked.seeds;
            let seen: Option<Vec<Seen>> = seeds.map(|seed| replay(seed).run(&recorded)).collect();
            let seen = seen.ok_or(format!("{}: no node has a way to another", recorded.name()))?;
            rows.push(Row::new(recorded.name(), contender.label(), &seen));
            if !asked.json {
                rows.last().into_iter().for_each(|row| println!("{row}"));
            }
        }
    }
    if asked.json {
        println!("{}", serde_json::json!({ "replay": rows }));
    }
    Ok(())
}
