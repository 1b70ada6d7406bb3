//! The command line.

mod admin;
mod args;
mod ask;
mod bundle;
mod demo;
mod doctor;
mod eval;
mod failure;
mod figures;
mod mesh;
mod model;
mod output;
mod policy;
mod run;
mod scrub;
mod table;
mod traces;
mod train;
mod usage;

use std::process::ExitCode;

use args::{Cli, Command};
use clap::Parser;
use failure::Failure;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage::report(&error),
    };
    match dispatch(cli.command) {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}

fn dispatch(command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Mesh(command) => mesh::execute(command),
        Command::Eval(asked) => eval::execute(&asked),
        Command::Traces(asked) => traces::execute(&asked),
        Command::Train(asked) => train::execute(&asked),
        Command::Model(asked) => model::execute(&asked),
        Command::Policy(args::Policy::Check { file }) => policy::check(&file),
        Command::Run(flags) => run::execute(*flags),
        Command::Doctor(asked) => doctor::execute(*asked),
        Command::Bundle(asked) => bundle::execute(&asked),
        Command::Demo { seconds, json } => demo::execute(seconds, json),
        Command::Status(ask) => ask::status(&ask),
        Command::Peers(ask) => ask::peers(&ask),
        Command::Apps(ask) => ask::apps(&ask),
        Command::Routes(ask) => ask::routes(&ask),
        Command::Streams(ask) => ask::streams(&ask),
        Command::Events { ask, follow } => ask::events(&ask, follow),
        Command::Explain { app, ask } => ask::explain(&ask, &app),
        Command::Ping { app, via, ask } => ask::ping(&ask, &app, via.as_ref()),
    }
}
