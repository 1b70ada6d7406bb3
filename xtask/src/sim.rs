//! The simulator, built for speed and run.

use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::Failure;
use crate::workspace::Workspace;

pub(crate) fn run(arguments: &[&str]) -> Result<(), Failure> {
    let program = Workspace::load()?.build("aire-sim", true)?;
    let error = Command::new(program).args(arguments).exec();
    Err(format!("cannot run the simulator: {error}"))
}
