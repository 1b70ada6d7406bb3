//! Faults in rounds: the same mesh is hurt in one way after another, again and again, and what an application saw of each
//! is summed up in a table.
//!
//! A round: numbered messages flow both ways over the path in use; it is hurt; the longest time without a message is
//! measured; what was hurt is mended; and the round ends when the mesh has settled again.

mod fault;
mod round;
mod table;
mod world;

use std::path::PathBuf;

pub use fault::{Fault, FaultKind};
pub use round::Round;
pub use table::{Row, Table};

use super::{Scenario, ScenarioError};
use world::World;

/// How faults are measured.
#[derive(Clone, Debug)]
pub struct FaultOptions {
    /// The `aire` binary.
    pub binary: PathBuf,
    /// Rounds of each fault.
    pub rounds: u32,
    /// Where logs and state go; `None` for a folder that is removed at the end.
    pub folder: Option<PathBuf>,
}

/// Measures `faults` on the mesh that `scenario` describes; `tell` hears of every round.
///
/// # Errors
/// The machine cannot, or the mesh does not come up. What goes wrong within a round is in the table.
pub fn measure(
    scenario: &Scenario,
    faults: &[Fault],
    options: &FaultOptions,
    mut tell: impl FnMut(&Round),
) -> Result<Table, ScenarioError> {
    let mut world = World::start(scenario, &options.binary, options.folder.as_deref())?;
    let mut table = Table::default();
    for fault in faults {
        let mut rounds = Vec::new();
        for number in 0..options.rounds {
            let round = round::play(&mut world, fault, number)?;
            tell(&round);
            rounds.push(round);
        }
        table.rows.push(Row::of(fault, rounds));
    }
    Ok(table)
}
