//! The architecture, as far as a program can check it.

mod arrows;
mod scan;
mod sources;

use crate::Failure;
use crate::workspace::Workspace;

pub(crate) fn run() -> Result<(), Failure> {
    let workspace = Workspace::load()?;
    let mut faults = arrows::faults(&workspace);
    faults.extend(sources::faults(&workspace)?);
    if faults.is_empty() {
        println!("architecture: {} crates, nothing to object to", workspace.packages.len());
        return Ok(());
    }
    Err(format!("{} faults in the architecture:\n  {}", faults.len(), faults.join("\n  ")))
}
