//! Recorded networks in the simulator, with the load that the agents' own decisions cause: `cargo xtask sim replay`.
//!
//! It stands here because the importers do, and the simulator must not know them.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use aire_sim::replay::{Recorded, ReplayArgs, execute};
use aire_train::data::{self, Matrix, Quantity};
use clap::Parser;

/// Agents on a recorded network that their own traffic loads.
#[derive(Parser)]
#[command(name = "cargo xtask sim replay", bin_name = "cargo xtask sim replay")]
struct Cli {
    #[command(flatten)]
    replay: ReplayArgs,
}

fn main() -> ExitCode {
    match execute(&Cli::parse().replay, load) {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            eprintln!("{text}");
            ExitCode::from(2)
        }
    }
}

/// All networks of round trips below `dir`; what is none is named and left out.
fn load(dir: &Path) -> Result<Vec<Recorded>, String> {
    let mut networks = Vec::new();
    for source in data::sources(dir).map_err(|error| error.to_string())? {
        let Some(frames) = source.read_pairs().map_err(|error| error.to_string())? else {
            eprintln!("{}: single links, among which there is nothing to choose", source.name);
            continue;
        };
        if frames.quantity != Quantity::Rtt {
            eprintln!("{}: throughput, not round trips", source.name);
            continue;
        }
        let losses = source.read_losses().map_err(|error| error.to_string())?;
        let step = Duration::try_from_secs_f64(frames.step_s).unwrap_or(Duration::MAX);
        let rows = |frames: &[Matrix]| frames.iter().map(numbers).collect::<Vec<_>>();
        let nodes = frames.nodes.len();
        let recorded = Recorded::new(&frames.name, nodes, step, rows(&frames.frames), rows(&losses));
        networks.push(recorded.ok_or(format!("{}: nothing was recorded", source.name))?);
    }
    if networks.is_empty() {
        Err(format!("{} holds no round trips between nodes", dir.display()))
    } else {
        Ok(networks)
    }
}

fn numbers(matrix: &Matrix) -> Vec<f32> {
    (0..matrix.size()).flat_map(|from| matrix.row(from)).copied().collect()
}
