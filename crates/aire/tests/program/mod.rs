//! The program under test as its users run it.

use std::process::{Command, Output, Stdio};

/// The command, without the environment's opinion about which agent to ask.
pub(crate) fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_aire"));
    command.env_remove("AIRE_ADMIN").stdin(Stdio::null());
    command
}

/// Runs the program to its end.
pub(crate) fn aire(arguments: &[&str]) -> Output {
    command().args(arguments).output().unwrap()
}

/// What a successful run printed.
pub(crate) fn done(arguments: &[&str]) -> String {
    let output = aire(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
