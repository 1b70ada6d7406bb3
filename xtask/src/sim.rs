//! The simulator, built for speed and run.

use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::Failure;
use crate::workspace::Workspace;

pub(crate) fn run(arguments: &[&str]) -> Result<(), Failure> {
    let workspace = Workspace::load()?;
    // recorded traces are read by the importers, which the simulator does not know
    let (program, arguments) = match arguments {
        ["replay", rest @ ..] if rest.contains(&"--traces") => {
            (workspace.build_program("aire-train", "aire-replay", true)?, rest)
        }
        _ => (workspace.build("aire-sim", true)?, arguments),
    };
    let error = Command::new(program).args(arguments).exec();
    Err(format!("cannot run the simulator: {error}"))
}
