//! The command line.

mod args;
mod failure;
mod mesh;
mod policy;
mod run;

use std::process::ExitCode;

use args::{Cli, Command};
use clap::Parser;
use failure::Failure;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match dispatch(cli.command) {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("aire: {failure}");
            failure.exit_code()
        }
    }
}

fn dispatch(command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Mesh(command) => mesh::execute(command),
        Command::Policy(args::Policy::Check { file }) => policy::check(&file),
        Command::Run(flags) => run::execute(*flags),
        _ => unreachable!(),
    }
}
