//! Tests, checks, lab runs and benchmarks of this repository.

mod bench;
mod check;
mod docs;
mod faults;
mod fuzz;
mod lab;
mod packages;
mod run_options;
mod sim;
mod steps;
mod test;
mod workspace;

use std::process::ExitCode;

/// What went wrong, in one line or a list.
type Failure = String;

const USAGE: &str = "usage:
  cargo xtask test [--no-install] [--no-lab]   everything that CI runs
  cargo xtask check                            the architecture alone
  cargo xtask docs                             whether the commands in the README exist
  cargo xtask lab SCENARIO [--runs N] [--json] [--keep DIR] [--binary FILE]
                                               run a scenario (a file, or a name in lab/); needs root
  cargo xtask faults [FAULT...] [--rounds N] [--json] [--keep DIR] [--binary FILE] [--release]
                                               what an application sees of each fault, as a table; needs root
  cargo xtask fuzz [TARGET...] [--seconds N] [--jobs N] [--json]
                                               run all fuzz targets, or some, for N seconds each (60)
  cargo xtask bench [--rounds N] [--json]      two agents against plain forwarders over a veth pair; needs root
  cargo xtask sim COMMAND [--json]             thousands of agents in virtual time: `cargo xtask sim help`";

/// The subcommands that users see, for the check of the documentation.
const COMMANDS: [&str; 8] = ["test", "check", "docs", "lab", "faults", "fuzz", "bench", "sim"];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.split_first() {
        Some((&"test", rest)) => test::run(rest),
        Some((&"check", [])) => check::run(),
        Some((&"docs", [])) => docs::run(),
        Some((&"lab", rest)) => lab::run(rest),
        Some((&"faults", rest)) => faults::run(rest),
        Some((&"fuzz", rest)) => fuzz::run(rest),
        Some((&"bench", rest)) => bench::run(rest),
        Some((&"sim", rest)) => sim::run(rest),
        // A forwarder of the benchmark, in a process of its own.
        Some((&"forward", [listen, target])) => bench::forward(listen, target),
        Some((&("help" | "--help" | "-h"), _)) => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("xtask: {failure}");
            ExitCode::FAILURE
        }
    }
}
