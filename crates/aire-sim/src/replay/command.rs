//! The command `replay`: what was recorded, all policies, one table.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use serde::Serialize;

use super::{Recorded, Replay, Seen};
use crate::herd::compare::Interval;
use crate::policy::Contender;
use crate::synthetic::Shape;

const CONTENDERS: [Contender; 5] =
    [Contender::Direct, Contender::Greedy, Contender::Rule, Contender::Learned, Contender::Scouts];

/// What every run of the simulator takes.
#[derive(Args, Clone, Debug)]
pub struct RunArgs {
    /// One document instead of tables.
    #[arg(long)]
    pub json: bool,
    /// Everything that is drawn follows from it; the first of several.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// The result does not depend on it.
    #[arg(long, default_value_t = cores(), value_name = "N")]
    pub threads: usize,
}

/// What the command `replay` takes.
#[derive(Args, Clone, Debug)]
#[group(skip)]
pub struct ReplayArgs {
    #[command(flatten)]
    network: NetworkArgs,
    /// How many nodes a synthetic mesh has.
    #[arg(long, value_name = "N", requires = "synthetic", value_parser = number())]
    nodes: Option<u32>,
    /// How many nodes send.
    #[arg(long, default_value_t = 100, value_name = "N", value_parser = number())]
    agents: u32,
    /// To how many others each of them sends.
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = number())]
    destinations: u32,
    /// What each node forwards for others, Mbit/s.
    #[arg(long, default_value_t = 10, value_name = "MBIT/S", value_parser = number())]
    relay_mbps: u32,
    /// The longest that a frame lasts, seconds.
    #[arg(long, default_value_t = 120, value_name = "SECONDS", value_parser = number())]
    frame: u32,
    /// Simulated time.
    #[arg(long, default_value_t = 900, value_parser = number())]
    seconds: u32,
    /// How many runs of each policy.
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = number())]
    seeds: u32,
    #[command(flatten)]
    run: RunArgs,
}

#[derive(Args, Clone, Debug)]
#[group(required = true, multiple = false)]
struct NetworkArgs {
    /// A folder with recorded networks, each described by its trace.toml.
    #[arg(long, value_name = "DIR")]
    traces: Option<PathBuf>,
    /// A mesh of the seeded generator.
    #[arg(long, value_name = "KIND", value_parser = Shape::NAMES)]
    synthetic: Option<String>,
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get())
}

fn number() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..)
}

impl ReplayArgs {
    fn frame(&self) -> Duration {
        Duration::from_secs(self.frame.into())
    }

    fn duration(&self) -> Duration {
        Duration::from_secs(self.seconds.into())
    }

    fn networks(
        &self,
        load: impl Fn(&Path) -> Result<Vec<Recorded>, String>,
    ) -> Result<Vec<Recorded>, String> {
        if let Some(dir) = &self.network.traces {
            return load(dir);
        }
        let named = self.network.synthetic.as_deref().and_then(Shape::named);
        let shape = named.ok_or("neither --traces nor --synthetic")?;
        let nodes = self.nodes.map_or(shape.nodes, |nodes| nodes as usize);
        let shape = shape.with_nodes(nodes.max(2));
        // no more frames than are run
        let step = shape.step_s.min(self.frame().as_secs_f64()).max(1e-3);
        let most = (self.duration().as_secs_f64() / step).ceil() as usize + 1;
        let frames = shape.frames.min(most);
        let recorded = Recorded::synthetic(&shape.with_frames(frames), self.run.seed);
        recorded.map(|recorded| vec![recorded]).ok_or("the mesh has no nodes".to_owned())
    }
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

/// Runs the command. `load` reads the recorded networks of a folder.
///
/// # Errors
/// What is wrong with what was recorded.
pub fn execute(
    asked: &ReplayArgs,
    load: impl Fn(&Path) -> Result<Vec<Recorded>, String>,
) -> Result<(), String> {
    let RunArgs { json, seed: first, threads } = asked.run;
    let mut rows = Vec::new();
    for recorded in asked.networks(load)? {
        let recorded = Arc::new(recorded.hurried(asked.frame()));
        if !json {
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
                agents: asked.agents as usize,
                destinations: asked.destinations as usize,
                relay_mbps: f64::from(asked.relay_mbps),
                duration: asked.duration().min(recorded.duration()),
                seed,
                threads,
            };
            let seeds = first..first + u64::from(asked.seeds);
            let seen: Option<Vec<Seen>> = seeds.map(|seed| replay(seed).run(&recorded)).collect();
            let seen = seen.ok_or(format!("{}: no node has a way to another", recorded.name()))?;
            rows.push(Row::new(recorded.name(), contender.label(), &seen));
            if !json {
                rows.last().into_iter().for_each(|row| println!("{row}"));
            }
        }
    }
    if json {
        println!("{}", serde_json::json!({ "replay": rows }));
    }
    Ok(())
}
