//! What is made before the agents start, and words of a scenario that are known only then.

use std::path::Path;
use std::process::Command;

use super::ScenarioError;
use super::file::Scenario;

/// Names that stand for the run's folder and the binary.
const FOLDER: &str = "folder";
const BINARY: &str = "aire";

/// The scenario with `{folder}`, `{aire}` and the names of its preparations replaced by what they are in this run: in
/// preparations, in agents' configurations and flags, and in commands.
///
/// # Errors
/// A preparation cannot be run or fails.
pub(super) fn prepare(scenario: &Scenario, folder: &Path, binary: &Path) -> Result<Scenario, ScenarioError> {
    let mut words = Words::default();
    words.add(FOLDER, &folder.display().to_string());
    words.add(BINARY, &binary.display().to_string());
    for step in &scenario.prepare {
        let command: Vec<String> = step.command.iter().map(|word| words.fill(word)).collect();
        words.add(&step.name, run(&step.name, &command)?.trim());
    }
    let mut filled = scenario.clone();
    for agent in &mut filled.agent {
        agent.config = agent.config.take().map(|config| words.fill(&config));
        agent.flags.iter_mut().for_each(|flag| *flag = words.fill(flag));
    }
    for workload in &mut filled.workload {
        workload.command.iter_mut().for_each(|word| *word = words.fill(word));
    }
    Ok(filled)
}

/// The program's standard output.
fn run(name: &str, command: &[String]) -> Result<String, ScenarioError> {
    let (program, arguments) = command.split_first().map_or(("", &[][..]), |(p, rest)| (p.as_str(), rest));
    let output = Command::new(program)
        .args(arguments)
        .output()
        .map_err(|source| ScenarioError::io(format!("preparing '{name}' with {program}"), source))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(ScenarioError::Preparation { name: name.to_owned(), message })
}

/// Names and what they stand for.
#[derive(Default)]
struct Words(Vec<(String, String)>);

impl Words {
    fn add(&mut self, name: &str, text: &str) {
        self.0.push((format!("{{{name}}}"), text.to_owned()));
    }

    fn fill(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (name, word)| text.replace(name, word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_replaced_by_what_was_prepared() {
        let text = "hosts = ['a']\n[[prepare]]\nname = 'x'\ncommand = ['echo', '{folder}/y']\n\
            [[workload]]\nname = 'w'\nhost = 'a'\nkind = 'command'\ncommand = ['{aire}', '{x}', '{other}']\n";
        let scenario = Scenario::parse(text, Path::new("x.toml")).unwrap();
        let filled = prepare(&scenario, Path::new("/run"), Path::new("/bin/aire")).unwrap();
        assert_eq!(filled.workload[0].command, ["/bin/aire", "/run/y", "{other}"]);
        let failing = Scenario::parse(&text.replace("'echo', '{folder}/y'", "'false'"), Path::new("x.toml"));
        let error = prepare(&failing.unwrap(), Path::new("/run"), Path::new("/bin/aire")).unwrap_err();
        assert!(error.to_string().contains("'x'"), "{error}");
    }
}
