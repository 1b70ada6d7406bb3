//! The simulator's commands; `cargo xtask sim` builds it in release and runs it.

use std::process::ExitCode;
use std::time::Duration;

use aire_brain::Rule;
use aire_sim::Contender;
use aire_sim::compare::Comparison;
use aire_sim::herd::{Event, Scene, compare};
use aire_sim::learn::{Action, DIMENSIONS, NAMES, Search, SearchConfig};
use aire_sim::scale::Scale;

const USAGE: &str = "usage: cargo xtask sim COMMAND [--json] [--seed N] [--threads N]
  scale [--nodes N]... [--seconds N]    what a node costs, from 10 nodes to 10,000, in one simulated hour
  herd [--agents N]... [--seeds N]      many agents and one piece of news: greedy, the rule, the learned herd control
       [--registries]                   news of load by the real registries, not after four seconds
       [--tuned NAME=VALUE,...]         and the rule with other parameters: pull, wary, push, strain,
                                        near_share, load, dwell, errors, least
       [--scouts]                       and both ways of using scouts
  replay --traces DIR|--synthetic KIND  agents on a recorded or synthetic network that their traffic loads
  scouts [--nodes N]... [--seeds N]     who finds the better relays, with nothing scarce: chance or scouts
       [--seconds N]
  learn                                 learn the herd control again; prints every generation";

const ELSEWHERE: &str = "recorded traces are read by aire-replay: cargo xtask sim replay --traces DIR";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.split_first() {
        Some((&"scale", rest)) => Options::parse(rest).map(|options| scale(&options)),
        Some((&"herd", rest)) => Options::parse(rest).map(|options| herd(&options)),
        Some((&"replay", rest)) => aire_sim::replay::execute(rest, |_| Err(ELSEWHERE.to_owned())),
        Some((&"scouts", rest)) => Options::parse(rest).map(|options| scouts(&options)),
        Some((&"learn", rest)) => Options::parse(rest).map(|options| learn(&options)),
        Some((&("help" | "--help" | "-h"), _)) => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => Err(USAGE.to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            eprintln!("{text}");
            ExitCode::from(2)
        }
    }
}

struct Options {
    json: bool,
    registries: bool,
    seed: u64,
    threads: usize,
    seconds: Option<u64>,
    nodes: Vec<usize>,
    agents: Vec<usize>,
    seeds: u64,
    tuned: Vec<Action>,
    scouts: bool,
    only: Option<[bool; DIMENSIONS]>,
}

impl Options {
    fn parse(words: &[&str]) -> Result<Self, String> {
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
        let mut options = Options {
            json: false,
            registries: false,
            seed: 1,
            threads: cores,
            seconds: None,
            nodes: Vec::new(),
            agents: Vec::new(),
            seeds: 5,
            tuned: Vec::new(),
            scouts: false,
            only: None,
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            if *word == "--json" {
                options.json = true;
                continue;
            }
            if *word == "--registries" {
                options.registries = true;
                continue;
            }
            if *word == "--scouts" {
                options.scouts = true;
                continue;
            }
            if *word == "--tuned" {
                options.tuned.push(tuned(words.next().copied().unwrap_or_default())?);
                continue;
            }
            if *word == "--only" {
                let names: Vec<&str> = words.next().copied().unwrap_or_default().split(',').collect();
                options.only = Some(NAMES.map(|name| names.contains(&name)));
                continue;
            }
            let number = words.next().and_then(|text| text.parse::<u64>().ok());
            let number =
                number.filter(|number| *number > 0).ok_or(format!("{word} needs a number from 1"))?;
            match *word {
                "--seed" => options.seed = number,
                "--threads" => options.threads = number as usize,
                "--seconds" => options.seconds = Some(number),
                "--agents" => options.agents.push(number as usize),
                "--seeds" => options.seeds = number,
                "--nodes" => options.nodes.push(number as usize),
                other => return Err(format!("'{other}' is not known\n{USAGE}")),
            }
        }
        Ok(options)
    }
}

/// `NAME=VALUE,...` on top of the rule.
fn tuned(text: &str) -> Result<Action, String> {
    let mut action = Action::of(&Rule::default());
    for pair in text.split(',') {
        let wrong = || format!("'{pair}' is not a parameter and its value\n{USAGE}");
        let (name, value) = pair.split_once('=').ok_or_else(wrong)?;
        let value = value.parse().map_err(|_| wrong())?;
        action = action.with(name, value).ok_or_else(wrong)?;
    }
    Ok(action)
}

fn scale(options: &Options) {
    let sizes = if options.nodes.is_empty() { vec![10, 100, 1000, 10_000] } else { options.nodes.clone() };
    if !options.json {
        println!("nodes   probes/node/s  kbit/s/node  moves/dest/h  mean ms  p99 ms  run s");
    }
    let mut reports = Vec::new();
    for nodes in sizes.into_iter().filter(|nodes| *nodes > 1) {
        let report = Scale {
            nodes,
            destinations: 3,
            view: 32,
            duration: Duration::from_secs(options.seconds.unwrap_or(3600).max(60)),
            seed: options.seed,
            threads: options.threads,
        }
        .run();
        if !options.json {
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
    if options.json {
        println!("{}", serde_json::json!({ "scale": reports }));
    }
}

fn herd(options: &Options) {
    let sizes = if options.agents.is_empty() { vec![200] } else { options.agents.clone() };
    let mut contenders = vec![Contender::Direct, Contender::Greedy, Contender::Rule, Contender::Learned];
    contenders.extend(options.tuned.iter().map(|action| Contender::Tuned(Box::new(action.rule()))));
    if options.scouts {
        contenders.extend([Contender::Proposed, Contender::Guided]);
    }
    if !options.json {
        println!("{}", compare::Row::HEADER);
    }
    let mut rows = Vec::new();
    for agents in sizes {
        for event in Event::ALL {
            for contender in &contenders {
                let seeds = options.seed..options.seed + options.seeds;
                let scene = |seed| Scene::new(event, agents, contender.clone(), seed);
                let scene = |seed| Scene { registries: options.registries, ..scene(seed) };
                let scenes = seeds.map(scene).collect();
                let seen = compare::run_all(scenes, options.threads);
                rows.push(compare::Row::new(event, agents, contender.label(), &seen));
                if !options.json {
                    rows.last().into_iter().for_each(|row| println!("{row}"));
                }
            }
        }
    }
    if options.json {
        println!("{}", serde_json::json!({ "herd": rows }));
    }
}

fn scouts(options: &Options) {
    let sizes = if options.nodes.is_empty() { vec![60, 200] } else { options.nodes.clone() };
    let contenders = [Contender::Direct, Contender::Rule, Contender::Proposed, Contender::Guided];
    if !options.json {
        println!("nodes  seed  policy   mean ms  p99 ms  probes/node/s  moves/dest/h");
    }
    let mut rows = Vec::new();
    for nodes in sizes.into_iter().filter(|nodes| *nodes > 3) {
        for seed in options.seed..options.seed + options.seeds {
            let mesh = Comparison {
                nodes,
                destinations: 3,
                links: 8,
                warm: Duration::from_secs(120),
                counted: Duration::from_secs(options.seconds.unwrap_or(600)),
                seed,
                threads: options.threads,
            };
            for contender in &contenders {
                let found = mesh.run(contender);
                if !options.json {
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
    if options.json {
        println!("{}", serde_json::json!({ "scouts": rows }));
    }
}

fn learn(options: &Options) {
    let mut config = SearchConfig::new(options.seed, options.threads);
    config.learned = options.only.unwrap_or(config.learned);
    let mut search = Search::new(config);
    while let Some(generation) = search.advance() {
        if options.json {
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
