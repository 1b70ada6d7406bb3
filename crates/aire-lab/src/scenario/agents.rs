//! The agents of a scenario: a mesh made, joined and asked as an operator does it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::ScenarioError;
use super::actions::AgentAction;
use super::file::{Agent, AgentRole, Scenario};
use crate::wan::{Host, Process, Wan};

/// Where every agent listens for others.
const PORT: u16 = 7117;
/// How long an agent may take to be ready.
const READY: Duration = Duration::from_secs(30);

/// The agents and how to reach them.
pub(super) struct Agents {
    binary: PathBuf,
    folder: PathBuf,
    nodes: BTreeMap<String, Node>,
}

struct Node {
    host: Host,
    arguments: Vec<String>,
    process: Option<Process>,
}

impl Agents {
    /// Makes the mesh, starts everyone who is not to start later, and waits until they are ready.
    pub(super) fn start(scenario: &Scenario, wan: &Wan, binary: &Path) -> Result<Self, ScenarioError> {
        let mut agents =
            Agents { binary: binary.to_owned(), folder: wan.folder().to_owned(), nodes: BTreeMap::new() };
        let Some(authority) = scenario.agent.iter().find(|agent| agent.role == AgentRole::Authority) else {
            return Ok(agents);
        };
        let mesh = agents.folder.join("mesh");
        agents.aire("mesh", &["mesh", "create", "lab", "--dir", &text(&mesh)])?;
        let seed = format!("{}:{PORT}", wan.host(&authority.host)?.address());
        // The authority first: the others enrol with it.
        let others = scenario.agent.iter().filter(|agent| agent.role != AgentRole::Authority);
        for agent in std::iter::once(authority).chain(others) {
            let host = wan.host(&agent.host)?.clone();
            let arguments = agents.arguments(scenario, agent, &host, &mesh, &seed)?;
            agents.nodes.insert(agent.host.clone(), Node { host, arguments, process: None });
            if !agent.later {
                agents.launch(&agent.host)?;
            }
            if agent.role == AgentRole::Authority {
                agents.wait_ready(&agent.host)?;
            }
        }
        for agent in scenario.agent.iter().filter(|agent| !agent.later) {
            agents.wait_ready(&agent.host)?;
        }
        Ok(agents)
    }

    fn arguments(
        &self,
        scenario: &Scenario,
        agent: &Agent,
        host: &Host,
        mesh: &Path,
        seed: &str,
    ) -> Result<Vec<String>, ScenarioError> {
        let policy =
            self.write_policy(mesh, host.name(), agent.policy.as_ref().unwrap_or(&scenario.policy))?;
        let state = text(&self.folder.join(format!("{}.state", host.name())));
        let listen = format!("0.0.0.0:{PORT}");
        let fixed = [
            "run",
            "--node",
            host.name(),
            "--listen",
            &listen,
            "--state",
            &state,
            "--policy",
            &text(&policy),
        ];
        let mut arguments: Vec<String> = fixed.into_iter().map(str::to_owned).collect();
        let mesh = text(mesh);
        if agent.role == AgentRole::Authority {
            arguments.extend(["--authority".to_owned(), mesh]);
        } else {
            let mut invite = vec!["mesh", "invite", "--dir", &mesh, "--seed", seed];
            match agent.app.as_deref().and_then(|app| app.split('=').next()) {
                Some(app) => invite.extend(["--app", app]),
                None => invite.push("--relay"),
            }
            let token = self.aire(host.name(), &invite)?;
            arguments.extend(["--join".to_owned(), token.trim().to_owned()]);
        }
        if let Some(config) = &agent.config {
            let file = self.folder.join(format!("{}.toml", host.name()));
            let what = || format!("writing {}", file.display());
            fs::write(&file, config).map_err(|source| ScenarioError::io(what(), source))?;
            arguments.extend(["--config".to_owned(), text(&file)]);
        }
        if let Some(app) = &agent.app {
            arguments.extend(["--app".to_owned(), app.clone()]);
        }
        arguments.extend(agent.flags.iter().cloned());
        Ok(arguments)
    }

    /// The starter policy of the mesh, and what the scenario adds.
    fn write_policy(&self, mesh: &Path, node: &str, added: &str) -> Result<PathBuf, ScenarioError> {
        let (starter, own) = (mesh.join("policy.cedar"), self.folder.join(format!("{node}.cedar")));
        let what = || format!("writing {} from {}", own.display(), starter.display());
        fs::read_to_string(&starter)
            .and_then(|starter| fs::write(&own, format!("{starter}\n{added}\n")))
            .map_err(|source| ScenarioError::io(what(), source))?;
        Ok(own)
    }

    /// Runs the binary to its end, outside the hosts, and returns what it printed.
    fn aire(&self, node: &str, arguments: &[&str]) -> Result<String, ScenarioError> {
        let what = format!("running {} {}", self.binary.display(), arguments.join(" "));
        let output = Command::new(&self.binary)
            .args(arguments)
            .output()
            .map_err(|source| ScenarioError::io(what.as_str(), source))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let message = format!("{what}: {}", String::from_utf8_lossy(&output.stderr).trim());
        Err(ScenarioError::Agent { node: node.to_owned(), message })
    }

    fn launch(&mut self, name: &str) -> Result<(), ScenarioError> {
        let Some(node) = self.nodes.get_mut(name) else { return Ok(()) };
        let mut command = Command::new(&self.binary);
        command.args(&node.arguments);
        node.process = Some(node.host.spawn(name, command)?);
        Ok(())
    }

    /// Waits until the agent of a host answers and is ready.
    pub(super) fn wait_ready(&mut self, name: &str) -> Result<(), ScenarioError> {
        let deadline = Instant::now() + READY;
        loop {
            let Some(node) = self.nodes.get_mut(name) else { return Ok(()) };
            let Some(process) = &mut node.process else { return Ok(()) };
            let ended = process
                .wait(Duration::ZERO)
                .map_err(|source| ScenarioError::io(format!("waiting for {name}"), source))?;
            let log = || tail(&process.stderr().unwrap_or_default());
            let fail = |message: String| {
                Err(ScenarioError::Agent { node: name.to_owned(), message: message + &log() })
            };
            if let Some(status) = ended {
                return fail(format!("ended with {status} before it was ready; the end of its log:\n"));
            }
            if Instant::now() >= deadline {
                return fail(format!("was not ready after {} s; the end of its log:\n", READY.as_secs()));
            }
            if self.asker(name).and_then(|asker| asker.ask("status")).is_ok_and(|s| s["ready"] == true) {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Does to an agent what an event says.
    pub(super) fn act(&mut self, name: &str, action: AgentAction) -> Result<(), ScenarioError> {
        if action == AgentAction::Start {
            return self.launch(name);
        }
        let Some(process) = self.nodes.get_mut(name).and_then(|node| node.process.as_mut()) else {
            return Ok(());
        };
        match action {
            AgentAction::Kill => {
                let killed = process.kill();
                killed.map_err(|source| ScenarioError::io(format!("killing the agent of {name}"), source))?;
            }
            AgentAction::Terminate => process.terminate(),
            AgentAction::Stop => process.pause(),
            AgentAction::Continue => process.resume(),
            AgentAction::Start => {}
        }
        Ok(())
    }

    /// Asks the agent of a host, also from other threads.
    pub(super) fn asker(&self, name: &str) -> Result<Asker, String> {
        let node = self.nodes.get(name).ok_or_else(|| format!("the host '{name}' has no agent"))?;
        Ok(Asker { binary: self.binary.clone(), host: node.host.clone() })
    }
}

/// Asks one agent, by the command line on its host.
pub(super) struct Asker {
    binary: PathBuf,
    host: Host,
}

impl Asker {
    /// The answer to `aire COMMAND --json`; lines of documents become a list.
    pub(super) fn ask(&self, command: &str) -> Result<Value, String> {
        let mut asking = Command::new(&self.binary);
        asking.args(command.split_whitespace()).arg("--json");
        let output = self.host.output(asking).map_err(|error| error.to_string())?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
        }
        let text = String::from_utf8_lossy(&output.stdout);
        let lines = || text.lines().map(serde_json::from_str).collect::<Result<Vec<Value>, _>>();
        serde_json::from_str(&text)
            .or_else(|_| lines().map(Value::Array))
            .map_err(|error| format!("'aire {command} --json' printed no JSON: {error}"))
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}
