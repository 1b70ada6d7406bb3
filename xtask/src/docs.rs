//! Whether the commands that the README shows exist.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use crate::workspace::Workspace;
use crate::{COMMANDS, Failure};

pub(crate) fn run() -> Result<(), Failure> {
    let workspace = Workspace::load()?;
    let file = workspace.workspace_root.join("README.md");
    let text = std::fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    let shown = commands(&text);
    let binary = workspace.build("aire", false)?;
    let mut help = Help { binary: &binary, known: BTreeMap::new() };
    let faults: Vec<String> = shown
        .iter()
        .filter_map(|(line, command)| {
            help.fault(command).map(|why| format!("README.md:{line}: '{command}': {why}"))
        })
        .collect();
    if faults.is_empty() {
        println!("README.md: {} commands, all of them exist", shown.len());
        return Ok(());
    }
    Err(format!("commands that do not exist:\n  {}", faults.join("\n  ")))
}

/// The commands of ours in fenced blocks, with their lines; continued lines are joined.
fn commands(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let (mut fenced, mut pending) = (false, None::<(usize, String)>);
    for (number, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
            pending = None;
            continue;
        }
        if !fenced {
            continue;
        }
        let line = line.trim().trim_start_matches("$ ").trim_start_matches("sudo ");
        let (start, mut command) = pending.take().unwrap_or((number + 1, String::new()));
        command.push_str(line.trim_end_matches('\\'));
        if line.ends_with('\\') {
            pending = Some((start, command));
        } else if ["aire ", "cargo xtask ", "./aire "].iter().any(|ours| command.starts_with(ours)) {
            found.push((start, command));
        }
    }
    found
}

struct Help<'a> {
    binary: &'a Path,
    known: BTreeMap<Vec<String>, Option<String>>,
}

impl Help<'_> {
    /// What is wrong with a command, if anything is.
    fn fault(&mut self, command: &str) -> Option<String> {
        let end = command.find(['#', '|', '>', '&', ';']).unwrap_or(command.len());
        let words: Vec<&str> = command[..end].split_whitespace().collect();
        if words.starts_with(&["cargo", "xtask"]) {
            let known = words.get(2).is_some_and(|word| COMMANDS.contains(word));
            return (!known).then(|| "xtask does not know it".to_owned());
        }
        let verb: Vec<String> = verb(&words[1..]);
        let Some(help) = self.of(&verb) else {
            return Some(format!("'aire {}' does not exist", verb.join(" ")));
        };
        let flags = words
            .iter()
            .filter(|word| word.starts_with("--"))
            .map(|word| word.split('=').next().unwrap_or(word));
        let unknown =
            flags.filter(|flag| !help.split([' ', ',', '\n', '[', ']', '=']).any(|word| word == *flag));
        let unknown: Vec<&str> = unknown.collect();
        (!unknown.is_empty()).then(|| format!("no flag {}", unknown.join(" ")))
    }

    fn of(&mut self, verb: &[String]) -> Option<String> {
        let ask = || {
            let output = Command::new(self.binary).args(verb).arg("--help").output().ok()?;
            output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
        };
        self.known.entry(verb.to_vec()).or_insert_with(ask).clone()
    }
}

/// The subcommand: one word, or more for the commands that have commands.
fn verb(words: &[&str]) -> Vec<String> {
    let length = match words {
        ["mesh", "policy", ..] => 3,
        ["mesh" | "policy", ..] => 2,
        _ => 1,
    };
    words.iter().take(length).filter(|word| !word.starts_with('-')).map(|word| (*word).to_owned()).collect()
}

#[cfg(test)]
#[path = "docs_tests.rs"]
mod tests;
