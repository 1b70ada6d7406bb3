//! What a scenario file may say.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::ScenarioError;
use super::expect::Expect;
use super::group::Group;
use super::watch::Watch;
use crate::software::Program;
use crate::wan::{Gate, Nat};
use crate::{LinkShape, ShapeChange};

/// How long a chain of files may be, each like the next.
const MAX_LIKE: u32 = 4;

/// A scenario as written.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Scenario {
    /// A scenario file, relative to this one, that this one goes on from: its lists come first, and its other values
    /// hold where this one says nothing.
    pub like: Option<PathBuf>,
    /// What it shows, for people.
    pub about: String,
    /// The hosts.
    pub hosts: Vec<String>,
    /// Hosts of which there are several.
    pub group: Vec<Group>,
    /// Seconds from time zero to the end; workloads that still run then are waited for.
    pub seconds: f64,
    /// Decides which packets are lost.
    pub seed: u64,
    /// Cedar text that every agent gets after the starter policy.
    pub policy: String,
    /// How ways behave where nothing else is said.
    pub shape: LinkShape,
    /// Ways that behave otherwise.
    pub link: Vec<Link>,
    /// What is made before the agents start, in this order.
    pub prepare: Vec<Preparation>,
    /// The agents.
    pub agent: Vec<Agent>,
    /// What runs on the hosts.
    pub workload: Vec<Workload>,
    /// Ways whose traffic is compared.
    pub watch: Vec<Watch>,
    /// What must hold before time zero.
    pub before: Vec<Expect>,
    /// What happens.
    pub event: Vec<Event>,
    /// What must come of it.
    pub expect: Vec<Expect>,
}

/// Ways that behave otherwise: both directions `between` two hosts, or one `from` a host `to` another.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// Both directions.
    pub between: Option<[String; 2]>,
    /// One direction.
    pub from: Option<String>,
    /// One direction.
    pub to: Option<String>,
    /// What is other.
    pub set: ShapeChange,
}

/// What an agent is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AgentRole {
    /// Holds the authority. There is exactly one when there are agents.
    Authority,
    /// Relays.
    Relay,
    /// Serves an app.
    App,
}

/// What a host's firewall lets in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Inbound {
    /// Everything.
    #[default]
    Open,
    /// Only answers.
    Blocked,
}

/// An agent; its node has the name of the host.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agent {
    /// On which host.
    pub host: String,
    /// What it is.
    pub role: AgentRole,
    /// `NAME=HOST:PORT` for the role `app`.
    pub app: Option<String>,
    /// A configuration file for `aire run`, besides the flags.
    pub config: Option<String>,
    /// More flags of `aire run`.
    #[serde(default)]
    pub flags: Vec<String>,
    /// Cedar text in place of the scenario's (still after the starter policy).
    pub policy: Option<String>,
    /// Its host is behind a NAT of this kind.
    pub nat: Option<Nat>,
    /// What comes in to its host.
    #[serde(default)]
    pub inbound: Inbound,
    /// Start it by an event, not before time zero.
    #[serde(default)]
    pub later: bool,
}

/// Which program of [`crate::workload`] or of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WorkloadKind {
    /// Serves the others, `at` an address, from before the agents start.
    Server,
    /// Serves `datagrams`, `at` an address, from before the agents start.
    DatagramServer,
    /// Numbered messages.
    Messages,
    /// Numbered datagrams.
    Datagrams,
    /// Many bytes.
    Bulk,
    /// 64-byte requests.
    PingPong,
    /// New connections.
    ConnectRate,
    /// Any program; its report has `exit`, `stdout` and `stderr`.
    Command,
    /// A `program` that the lab knows to start and to judge; servers `at` an address, from before the agents start.
    Software,
}

impl WorkloadKind {
    pub(super) const fn is_server(self) -> bool {
        matches!(self, WorkloadKind::Server | WorkloadKind::DatagramServer)
    }

    /// Does its report tell of each message?
    pub(super) const fn is_numbered(self) -> bool {
        matches!(self, WorkloadKind::Messages | WorkloadKind::Datagrams)
    }
}

/// A program that is run to its end before the agents start.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preparation {
    /// `{NAME}` stands for what it prints.
    pub name: String,
    /// Program and arguments.
    pub command: Vec<String>,
}

/// Something that runs on a host.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Workload {
    /// Under which name its report is found.
    pub name: String,
    /// On which host.
    pub host: String,
    /// What it is.
    pub kind: WorkloadKind,
    /// Where a server listens.
    pub at: Option<SocketAddr>,
    /// Where a client connects.
    pub to: Option<SocketAddr>,
    /// When a client starts, seconds after time zero.
    #[serde(default)]
    pub start: f64,
    /// How long a client goes on, seconds; the rest of the scenario where not given.
    pub seconds: Option<f64>,
    /// Between two messages, milliseconds.
    pub interval_ms: Option<u64>,
    /// How much `bulk` sends, how long the files of `software` are.
    pub bytes: Option<u64>,
    /// Requests that `software` makes: a second for dnsperf, in all for redis-benchmark.
    pub requests: Option<u64>,
    /// Connections at a time for `connect-rate` and `software`.
    pub parallel: Option<usize>,
    /// Which `software`.
    pub program: Option<Program>,
    /// The app that curl names to the proxy.
    pub app: Option<String>,
    /// More arguments of `software`.
    #[serde(default)]
    pub flags: Vec<String>,
    /// Program and arguments for `command`.
    #[serde(default)]
    pub command: Vec<String>,
}

/// Something that happens; exactly one of the actions.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Event {
    /// When, seconds after time zero.
    pub at: f64,
    /// `A->B` or `A<->B`: a way that changes, by `set`.
    pub link: Option<String>,
    /// What changes.
    pub set: Option<ShapeChange>,
    /// Cut every way of a host; packets vanish, nobody is told.
    pub isolate: Option<String>,
    /// Mend every way of a host.
    pub mend: Option<String>,
    /// Kill the agent of a host (SIGKILL).
    pub kill: Option<String>,
    /// Kill the first relay by which an app is reached, whichever that is by then; awaited for a few seconds.
    pub kill_relay: Option<Reach>,
    /// Ask the agent of a host to end (SIGTERM).
    pub terminate: Option<String>,
    /// Stop the agent of a host where it stands (SIGSTOP).
    pub stop: Option<String>,
    /// Let it go on (SIGCONT).
    #[serde(rename = "continue")]
    pub resume: Option<String>,
    /// Start the agent of a host, again or for the first time.
    pub start: Option<String>,
}

/// From where an app is reached.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reach {
    /// The host whose agent reaches it.
    pub host: String,
    /// The app.
    pub app: String,
}

/// A question to an agent, asked as an operator asks it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ask {
    /// Whose agent.
    pub host: String,
    /// The words after `aire`, without `--json`: `routes`, `explain echo`.
    pub command: String,
}

impl Scenario {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// It cannot be read, or says something that makes no sense; the message names the line or the entry.
    pub fn load(path: &Path) -> Result<Self, ScenarioError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ScenarioError::Unreadable { path: path.to_owned(), source })?;
        Scenario::parse(&text, path)
    }

    /// Reads and checks a text; `path` is for messages, and where `like` is looked for.
    ///
    /// # Errors
    /// As [`Scenario::load`].
    pub fn parse(text: &str, path: &Path) -> Result<Self, ScenarioError> {
        let scenario = Scenario::assemble(text, path, 0)?.ungrouped();
        scenario.check().map_err(|message| ScenarioError::Malformed { path: path.to_owned(), message })?;
        Ok(scenario)
    }

    /// The text with what it is like.
    fn assemble(text: &str, path: &Path, depth: u32) -> Result<Self, ScenarioError> {
        let malformed = |message| ScenarioError::Malformed { path: path.to_owned(), message };
        let own: Scenario =
            toml::from_str(text).map_err(|error| malformed(error.to_string().trim_end().to_owned()))?;
        let Some(like) = &own.like else { return Ok(own) };
        if depth == MAX_LIKE {
            return Err(malformed(format!("'like' goes on for more than {MAX_LIKE} files")));
        }
        let file = path.parent().unwrap_or(Path::new("")).join(like);
        let text = std::fs::read_to_string(&file)
            .map_err(|source| ScenarioError::Unreadable { path: file.clone(), source })?;
        Ok(own.over(Scenario::assemble(&text, &file, depth + 1)?))
    }

    fn over(self, base: Scenario) -> Self {
        fn one<T: Default + PartialEq>(own: T, base: T) -> T {
            if own == T::default() { base } else { own }
        }
        fn all<T>(own: Vec<T>, mut base: Vec<T>) -> Vec<T> {
            base.extend(own);
            base
        }
        Scenario {
            like: None,
            about: one(self.about, base.about),
            hosts: all(self.hosts, base.hosts),
            seconds: one(self.seconds, base.seconds),
            seed: one(self.seed, base.seed),
            policy: one(self.policy, base.policy),
            shape: one(self.shape, base.shape),
            link: all(self.link, base.link),
            group: all(self.group, base.group),
            watch: all(self.watch, base.watch),
            prepare: all(self.prepare, base.prepare),
            agent: all(self.agent, base.agent),
            workload: all(self.workload, base.workload),
            before: all(self.before, base.before),
            event: all(self.event, base.event),
            expect: all(self.expect, base.expect),
        }
    }

    fn check(&self) -> Result<(), String> {
        if self.hosts.is_empty() {
            return Err("'hosts' names no host".to_owned());
        }
        self.shape.check().map_err(|error| format!("[shape]: {error}"))?;
        for link in &self.link {
            let ways = link.ways();
            if ways.is_empty() {
                return Err("[[link]] needs either 'between' or 'from' and 'to'".to_owned());
            }
            ways.iter().try_for_each(|(from, to)| {
                self.known(from).and(self.known(to)).map_err(|error| format!("[[link]]: {error}"))
            })?;
            let shape = link.set.apply(self.shape);
            shape.check().map_err(|error| format!("[[link]] {} → {}: {error}", ways[0].0, ways[0].1))?;
        }
        if let Some(empty) = self.prepare.iter().find(|step| step.command.is_empty()) {
            return Err(format!("[[prepare]] '{}' needs 'command'", empty.name));
        }
        for watch in &self.watch {
            let ends = watch.ends().map_err(|error| format!("[[watch]] '{}': {error}", watch.name))?;
            ends.into_iter().try_for_each(|(from, to)| self.known(from).and(self.known(to)))?;
        }
        self.check_workloads()?;
        self.check_agents()?;
        for event in &self.event {
            super::actions::Action::of(event, self)
                .map_err(|error| format!("[[event]] at {}: {error}", event.at))?;
        }
        for expect in self.before.iter().chain(&self.expect) {
            expect.check(self).map_err(|error| format!("expectation '{}': {error}", expect.that))?;
        }
        for expect in &self.before {
            if expect.workload.is_some() || expect.at.is_some() {
                return Err(format!(
                    "[[before]] '{}': only 'ask', without 'at', makes sense here",
                    expect.that
                ));
            }
        }
        Ok(())
    }

    fn check_workloads(&self) -> Result<(), String> {
        let mut names = BTreeSet::new();
        for workload in &self.workload {
            workload.check().map_err(|error| format!("[[workload]] '{}': {error}", workload.name))?;
            self.known(&workload.host)
                .map_err(|error| format!("[[workload]] '{}': {error}", workload.name))?;
            if !names.insert(workload.name.as_str()) {
                return Err(format!("two workloads are named '{}'", workload.name));
            }
        }
        Ok(())
    }

    fn check_agents(&self) -> Result<(), String> {
        for agent in &self.agent {
            self.known(&agent.host).map_err(|error| format!("[[agent]]: {error}"))?;
            if (agent.role == AgentRole::App) != agent.app.is_some() {
                return Err(format!("[[agent]] on '{}': the role app, and only it, needs 'app'", agent.host));
            }
            if agent.role == AgentRole::Authority && agent.gate() != Gate::Open {
                return Err(format!(
                    "[[agent]] on '{}': others enrol with the authority, so it must be reachable",
                    agent.host
                ));
            }
        }
        let authorities = self.agent.iter().filter(|agent| agent.role == AgentRole::Authority).count();
        if !self.agent.is_empty() && authorities != 1 {
            return Err(format!("one agent must have the role authority, not {authorities}"));
        }
        Ok(())
    }

    pub(super) fn known(&self, host: &str) -> Result<(), String> {
        if self.hosts.iter().any(|known| known == host) {
            return Ok(());
        }
        Err(format!("there is no host '{host}'; there are: {}", self.hosts.join(", ")))
    }

    pub(super) fn agent_of(&self, host: &str) -> Result<(), String> {
        if self.agent.iter().any(|agent| agent.host == host) {
            return Ok(());
        }
        Err(format!("the host '{host}' has no agent"))
    }
}

impl Link {
    /// The directions that it speaks of; empty when it names neither.
    pub(super) fn ways(&self) -> Vec<(String, String)> {
        match (&self.between, &self.from, &self.to) {
            (Some([a, b]), None, None) => vec![(a.clone(), b.clone()), (b.clone(), a.clone())],
            (None, Some(from), Some(to)) => vec![(from.clone(), to.clone())],
            _ => Vec::new(),
        }
    }
}

impl Agent {
    /// How its host is joined to the network.
    pub(super) fn gate(&self) -> Gate {
        match (self.nat, self.inbound) {
            (Some(nat), _) => Gate::Nat(nat),
            (None, Inbound::Blocked) => Gate::InboundBlocked,
            (None, Inbound::Open) => Gate::Open,
        }
    }
}

impl Workload {
    fn check(&self) -> Result<(), String> {
        let needs = |key: &str, given: bool| if given { Ok(()) } else { Err(format!("it needs '{key}'")) };
        match self.kind {
            WorkloadKind::Server | WorkloadKind::DatagramServer => needs("at", self.at.is_some()),
            WorkloadKind::Command => needs("command", !self.command.is_empty()),
            WorkloadKind::Software => match self.program {
                None => needs("program", false),
                Some(program) if program.is_server() => needs("at", self.at.is_some()),
                Some(Program::CurlGet | Program::CurlPut) => {
                    needs("to", self.to.is_some()).and(needs("app", self.app.is_some()))
                }
                Some(_) => needs("to", self.to.is_some()),
            },
            WorkloadKind::Bulk => needs("to", self.to.is_some()).and(needs("bytes", self.bytes.is_some())),
            _ => needs("to", self.to.is_some()),
        }
    }
}
