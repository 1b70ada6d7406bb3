//! Wrong usage of the command line, told in one line.

use std::process::ExitCode;

use clap::CommandFactory;
use clap::error::ErrorKind;

use crate::args::Cli;
use crate::failure::Failure;

/// Prints help and version where they were asked for; else says what is wrong, and gives 2.
pub(crate) fn report(error: &clap::Error) -> ExitCode {
    let bare = error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
    if error.use_stderr() && !bare {
        let asked = command_of(std::env::args().skip(1));
        return Failure::Usage(line(&error.render().to_string(), &asked)).report();
    }
    // Whoever asked for help and went away has no use for an error.
    let _ = error.print();
    if bare { ExitCode::from(2) } else { ExitCode::SUCCESS }
}

/// The command that the arguments begin with, such as `aire mesh invite`.
fn command_of(arguments: impl Iterator<Item = String>) -> String {
    let (mut command, mut path) = (Cli::command(), "aire".to_owned());
    for argument in arguments {
        let Some(found) = command.find_subcommand(&argument).cloned() else { break };
        path = format!("{path} {}", found.get_name());
        command = found;
    }
    path
}

/// What clap says on several lines, without its usage, which `--help` has.
fn line(text: &str, command: &str) -> String {
    let said = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let said =
        said.take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more information"));
    let mut all = String::new();
    for part in said {
        let part = part.strip_prefix("error: ").unwrap_or(part);
        let part = part.strip_prefix("tip: ").unwrap_or(part);
        match all.chars().last() {
            None => {}
            Some(':') => all.push(' '),
            Some(_) => all.push_str("; "),
        }
        all.push_str(part);
    }
    format!("{all}; see '{command} --help'")
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn told(arguments: &[&str]) -> String {
        let error = Cli::try_parse_from([&["aire"], arguments].concat()).unwrap_err();
        let asked = command_of(arguments.iter().map(|argument| (*argument).to_owned()));
        line(&error.render().to_string(), &asked)
    }

    #[test]
    fn one_line_says_what_is_wrong_and_where_to_look() {
        for (arguments, says) in [
            (
                &["run", "--lisen", "x"][..],
                "unexpected argument '--lisen' found; a similar argument exists: '--listen'; see 'aire run --help'",
            ),
            (
                &["explain"],
                "the following required arguments were not provided: <APP>; see 'aire explain --help'",
            ),
            (
                &["status", "--admin", "7118"],
                "invalid value '7118' for '--admin <ADDR:PORT>': '7118' is not HOST:PORT; see 'aire status --help'",
            ),
            (
                &["explian"],
                "unrecognized subcommand 'explian'; a similar subcommand exists: 'explain'; see 'aire --help'",
            ),
            (
                &["mesh", "invite", "--dir", "d", "--relay", "--uses", "0"],
                "invalid value '0' for '--uses <USES>': 0 is not in 1..=4294967295; see 'aire mesh invite --help'",
            ),
        ] {
            assert_eq!(told(arguments), says);
        }
    }
}
