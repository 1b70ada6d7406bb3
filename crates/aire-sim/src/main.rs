//! The simulator's commands; `cargo xtask sim` builds it in release and runs it.

use std::process::ExitCode;
use std::time::Duration;

use aire_brain::Rule;
use aire_sim::Contender;
use aire_sim::compare::Comparison;
use aire_sim::herd::{Event, Scene, compare};
use aire_sim::learn::{Action, NAMES, Search, SearchConfig};
use aire_sim::replay::{self, RunArgs};
use aire_sim::scale::Scale;
use clap::{Args, Parser, Subcommand};

/// Thousands of agents in virtual time.
#[derive(Parser)]
#[command(name = "cargo xtask sim", bin_name = "cargo xtask sim")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// What a node costs, from 10 nodes to 10,000, in one simulated hour.
    Scale(ScaleArgs),
    /// Many agents and one piece of news: greedy, the rule, the learned herd control.
    Herd(HerdArgs),
    /// Agents on a recorded or synthetic network that their own traffic loads.
    Replay(replay::ReplayArgs),
    /// Who finds the better relays, with nothing scarce: chance or scouts.
    Scouts(ScoutsArgs),
    /// Learns the herd control again and prints every generation.
    Learn(LearnArgs),
}

#[derive(Args)]
struct ScaleArgs {
    /// Sizes of the mesh.
    #[arg(long = "nodes", default_values_t = [10, 100, 1000, 10_000], value_name = "N")]
    sizes: Vec<usize>,
    /// Simulated time, at least 60.
    #[arg(long, default_value_t = 3600, value_parser = clap::value_parser!(u64).range(60..))]
    seconds: u64,
    #[command(flatten)]
    run: RunArgs,
}

#[derive(Args)]
struct HerdArgs {
    /// How many there are.
    #[arg(long = "agents", default_values_t = [200], value_name = "N")]
    sizes: Vec<usize>,
    /// Scenes of each kind.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
    /// News of load by the real registries, not after four seconds.
    #[arg(long)]
    registries: bool,
    /// And the rule with other parameters: pull, wary, push, strain, near_share, load, dwell, errors, least.
    #[arg(long, value_name = "NAME=VALUE,...", value_parser = tuned)]
    tuned: Vec<Action>,
    /// And both ways of using scouts.
    #[arg(long)]
    scouts: bool,
    #[command(flatten)]
    run: RunArgs,
}

#[derive(Args)]
struct ScoutsArgs {
    /// Sizes of the mesh, at least 4.
    #[arg(long = "nodes", default_values_t = [60, 200], value_name = "N")]
    sizes: Vec<usize>,
    /// Meshes of each size.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
    /// Simulated time that counts.
    #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    #[command(flatten)]
    run: RunArgs,
}

#[derive(Args)]
struct LearnArgs {
    /// The parameters that are searched for; the others stay as they are.
    #[arg(long, value_name = "NAME,...", value_delimiter = ',', value_parser = NAMES)]
    only: Vec<String>,
    #[command(flatten)]
    run: RunArgs,
}

const ELSEWHERE: &str = "recorded traces are read by aire-replay: cargo xtask sim replay --traces DIR";

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Scale(args) => scale(&args),
        Command::Herd(args) => herd(&args),
        Command::Replay(args) => {
            if let Err(text) = replay::execute(&args, |_| Err(ELSEWHERE.to_owned())) {
                eprintln!("{text}");
                return ExitCode::from(2);
            }
        }
        Command::Scouts(args) => scouts(&args),
        Command::Learn(args) => learn(&args),
    }
    ExitCode::SUCCESS
}

/// `NAME=VALUE,...` on top of the rule.
fn tuned(text: &str) -> Result<Action, String> {
    let mut action = Action::of(&Rule::default());
    for pair in text.split(',') {
        let wrong = || format!("'{pair}' is not a parameter and its value");
        let (name, value) = pair.split_once('=').ok_or_else(wrong)?;
        let value = value.parse().map_err(|_| wrong())?;
        action = action.with(name, value).ok_or_else(wrong)?;
    }
    Ok(action)
}

fn scale(args: &ScaleArgs) {
    if !args.run.json {
        println!("nodes   probes/node/s  kbit/s/node  moves/dest/h  mean ms  p99 ms  run s");
    }
    let mut reports = Vec::new();
    for nodes in args.sizes.iter().copied().filter(|nodes| *nodes > 1) {
        let report = Scale {
            nodes,
            destinations: 3,
            view: 32,
            duration: Duration::from_secs(args.seconds),
            seed: args.run.seed,
            threads: args.run.threads,
        }
        .run();
        if !args.run.json {
            println!(
                "{:6}  {:13.3}  {:11.3}  {:12.2}  {:7.1}  {:6.1}  {:5.1}",
                report.nodes,
                report.probes_per_node_s,
                report.probe_bits_per_node_s / 1000.0,
                report.moves_per_hour,
                report.mean_ms,
                report.p99_ms,
                report.wall_s
            );
        }
        reports.push(report);
    }
    if args.run.json {
        println!("{}", serde_json::json!({ "scale": reports }));
    }
}

fn herd(args: &HerdArgs) {
    let mut contenders = vec![Contender::Direct, Contender::Greedy, Contender::Rule, Contender::Learned];
    contenders.extend(args.tuned.iter().map(|action| Contender::Tuned(Box::new(action.rule()))));
    if args.scouts {
        contenders.extend([Contender::Proposed, Contender::Guided]);
    }
    if !args.run.json {
        println!("{}", compare::Row::HEADER);
    }
    let mut rows = Vec::new();
    for &agents in &args.sizes {
        for event in Event::ALL {
            for contender in &contenders {
                let seeds = args.run.seed..args.run.seed + args.seeds;
                let scene = |seed| Scene::new(event, agents, contender.clone(), seed);
                let scene = |seed| Scene { registries: args.registries, ..scene(seed) };
                let scenes = seeds.map(scene).collect();
                let seen = compare::run_all(scenes, args.run.threads);
                rows.push(compare::Row::new(event, agents, contender.label(), &seen));
                if !args.run.json {
                    rows.last().into_iter().for_each(|row| println!("{row}"));
                }
            }
        }
    }
    if args.run.json {
        println!("{}", serde_json::json!({ "herd": rows }));
    }
}

fn scouts(args: &ScoutsArgs) {
    let contenders = [Contender::Direct, Contender::Rule, Contender::Proposed, Contender::Guided];
    if !args.run.json {
        println!("nodes  seed  policy   mean ms  p99 ms  probes/node/s  moves/dest/h");
    }
    let mut rows = Vec::new();
    for nodes in args.sizes.iter().copied().filter(|nodes| *nodes > 3) {
        for seed in args.run.seed..args.run.seed + args.seeds {
            let mesh = Comparison {
                nodes,
                destinations: 3,
                links: 8,
                warm: Duration::from_secs(120),
                counted: Duration::from_secs(args.seconds),
                seed,
                threads: args.run.threads,
            };
            for contender in &contenders {
                let found = mesh.run(contender);
                if !args.run.json {
                    println!(
                        "{nodes:5}  {seed:4}  {:7}  {:7.1}  {:6.1}  {:13.2}  {:12.2}",
                        contender.label(),
                        found.mean_ms,
                        found.p99_ms,
                        found.probes_per_node_s,
                        found.moves_per_hour
                    );
                }
                rows.push(serde_json::json!({ "nodes": nodes, "seed": seed, "policy": contender.label(), "found": found }));
            }
        }
    }
    if args.run.json {
        println!("{}", serde_json::json!({ "scouts": rows }));
    }
}

fn learn(args: &LearnArgs) {
    let mut config = SearchConfig::new(args.run.seed, args.run.threads);
    if !args.only.is_empty() {
        config.learned = NAMES.map(|name| args.only.iter().any(|only| only == name));
    }
    let mut search = Search::new(config);
    while let Some(generation) = search.advance() {
        if args.run.json {
            println!("{}", serde_json::json!(generation));
            continue;
        }
        let values = NAMES.iter().zip(generation.values).map(|(name, value)| format!("{name} {value:.3}"));
        println!(
            "{:3}: elite {:.3}, rule {:.3}; {}",
            generation.number,
            generation.elite_cost,
            generation.rule_cost,
            values.collect::<Vec<_>>().join(", ")
        );
    }
}
