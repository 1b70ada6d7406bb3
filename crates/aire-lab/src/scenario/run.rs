//! Running a scenario from before time zero to its last expectation.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::ScenarioError;
use super::actions::{self, Action, AgentAction};
use super::agents::{Agents, Asker};
use super::expect::{Expect, Verdict};
use super::file::{Ask, Reach, Scenario};
use super::prepare::prepare;
use super::workloads::{self, Running, Serving};
use crate::wan::{Wan, WanConfig};

/// How long a relay to be killed is waited for, seconds.
const RELAY_PATIENCE: f64 = 5.0;

/// How a scenario is run.
#[derive(Clone, Debug)]
pub struct Options {
    /// The `aire` binary. Not needed where there are no agents.
    pub binary: PathBuf,
    /// Where logs and state go; `None` for a folder that is removed at the end.
    pub folder: Option<PathBuf>,
}

/// An event that took place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Happened {
    /// When, seconds after time zero.
    pub at_s: f64,
    /// What.
    pub what: String,
}

/// What came of a scenario.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Every expectation held.
    pub passed: bool,
    /// From the start until time zero, seconds.
    pub preparation_s: f64,
    /// The events, in order.
    pub events: Vec<Happened>,
    /// The reports of the workloads, by name.
    pub workloads: BTreeMap<String, Value>,
    /// The expectations, in the order of the file.
    pub expectations: Vec<Verdict>,
}

/// Runs a scenario. What it started is gone when this returns.
///
/// # Errors
/// The machine cannot, an agent does not become ready, or a condition does not come about before time zero. An
/// expectation that does not hold is no error; it is in the outcome.
pub fn run(scenario: &Scenario, options: &Options) -> Result<Outcome, ScenarioError> {
    let begun = Instant::now();
    let wan = network(scenario, options.folder.as_deref())?;
    let scenario = &prepare(scenario, wan.folder(), &options.binary)?;
    let mut servers = BTreeMap::new();
    for workload in &scenario.workload {
        if let Some(server) = workloads::serve(workload, wan.host(&workload.host)?)? {
            servers.insert(workload.name.clone(), server);
        }
    }
    let agents = Agents::start(scenario, &wan, &options.binary)?;
    for expect in &scenario.before {
        let verdict = ask_until(expect, asker(expect, &agents));
        if !verdict.held {
            let (that, within, got) = (expect.that.clone(), expect.within, verdict.got);
            return Err(ScenarioError::NotBefore { that, within, got });
        }
    }
    let zero = Instant::now();
    let mut timeline = Timeline {
        scenario,
        wan: &wan,
        agents,
        zero,
        clients: Vec::new(),
        asked: Vec::new(),
        events: Vec::new(),
        samples: vec![Vec::new(); scenario.watch.len()],
    };
    timeline.run()?;
    let preparation_s = (zero - begun).as_secs_f64();
    Ok(timeline.finish(preparation_s, &servers))
}

pub(super) fn network(scenario: &Scenario, folder: Option<&Path>) -> Result<Wan, ScenarioError> {
    let hosts = scenario.hosts.clone();
    let folder = folder.map(Path::to_owned);
    let gates = scenario.agent.iter().map(|agent| (agent.host.clone(), agent.gate())).collect();
    let wan = Wan::start(WanConfig { hosts, gates, default: scenario.shape, seed: scenario.seed, folder })?;
    for link in &scenario.link {
        let ways = link.ways();
        actions::change(&wan, &ways, &link.set)?;
    }
    Ok(wan)
}

struct Timeline<'a> {
    scenario: &'a Scenario,
    wan: &'a Wan,
    agents: Agents,
    zero: Instant,
    clients: Vec<(String, Running)>,
    /// Expectations with a time, by their number.
    asked: Vec<(usize, JoinHandle<Verdict>)>,
    events: Vec<Happened>,
    /// For each watch, the bytes that had arrived on its ways after each second.
    samples: Vec<Vec<Vec<u64>>>,
}

/// Something due at a time; the number is that of the entry in the file.
#[derive(Clone, Copy)]
enum Due {
    Workload(usize),
    Event(usize),
    Ask(usize),
}

impl Timeline<'_> {
    fn run(&mut self) -> Result<(), ScenarioError> {
        let scenario = self.scenario;
        let workloads = scenario.workload.iter().enumerate().map(|(i, w)| (w.start, Due::Workload(i)));
        let events = scenario.event.iter().enumerate().map(|(i, e)| (e.at, Due::Event(i)));
        let asks = scenario.expect.iter().enumerate().filter_map(|(i, e)| Some((e.at?, Due::Ask(i))));
        let mut due: Vec<(f64, Due)> = workloads.chain(events).chain(asks).collect();
        due.sort_by(|a, b| a.0.total_cmp(&b.0));
        for (at, what) in due {
            self.wait_until(at);
            match what {
                Due::Workload(i) => {
                    let workload = &scenario.workload[i];
                    let rest = (scenario.seconds - at).max(0.0);
                    if let Some(running) = workloads::start(workload, self.wan.host(&workload.host)?, rest)? {
                        self.clients.push((workload.name.clone(), running));
                    }
                }
                Due::Event(i) => self.happen(i)?,
                Due::Ask(i) => {
                    let expect = scenario.expect[i].clone();
                    let asker = asker(&expect, &self.agents);
                    self.asked.push((i, thread::spawn(move || ask_until(&expect, asker))));
                }
            }
        }
        self.wait_until(scenario.seconds);
        Ok(())
    }

    /// Waits, and looks at what is watched once a second.
    fn wait_until(&mut self, seconds: f64) {
        while let Some(samples) = self.samples.first().map(Vec::len)
            && (samples as f64) < seconds
        {
            self.sleep_until(samples as f64);
            self.look();
        }
        self.sleep_until(seconds);
    }

    fn sleep_until(&self, seconds: f64) {
        let at = self.zero + Duration::try_from_secs_f64(seconds).unwrap_or_default();
        thread::sleep(at.saturating_duration_since(Instant::now()));
    }

    fn look(&mut self) {
        for (watch, samples) in self.scenario.watch.iter().zip(&mut self.samples) {
            // Checked when the file was read.
            let ends = watch.ends().unwrap_or_default();
            let bytes = |(from, to)| self.wan.counters(from, to).map_or(0, |counters| counters.bytes);
            samples.push(ends.into_iter().map(bytes).collect());
        }
    }

    fn happen(&mut self, number: usize) -> Result<(), ScenarioError> {
        let event = &self.scenario.event[number];
        // Checked when the file was read.
        let Ok(action) = Action::of(event, self.scenario) else { return Ok(()) };
        let at_s = self.zero.elapsed().as_secs_f64();
        match &action {
            Action::Change { ways, set } => actions::change(self.wan, ways, set)?,
            Action::Isolate { host, down } => self.wan.isolate(host, *down)?,
            Action::Agent { host, what } => self.agents.act(host, *what)?,
            Action::KillRelay(reach) => {
                let relay = self.relay(reach)?;
                self.agents.act(&relay, AgentAction::Kill)?;
                self.events.push(Happened { at_s, what: format!("{action}: {relay}") });
                return Ok(());
            }
        }
        self.events.push(Happened { at_s, what: action.to_string() });
        Ok(())
    }

    /// The first relay by which an app is reached; waits for one where the path is direct.
    fn relay(&self, reach: &Reach) -> Result<String, ScenarioError> {
        let in_use = Expect {
            ask: Some(Ask { host: reach.host.clone(), command: "routes".to_owned() }),
            field: format!("app={}.path.0", reach.app),
            differs: Some(toml::Value::String(String::new())),
            within: RELAY_PATIENCE,
            ..Expect::default()
        };
        let verdict = ask_until(&in_use, asker(&in_use, &self.agents));
        if verdict.held {
            return Ok(verdict.got.trim_matches('"').to_owned());
        }
        let message = format!("no relay to {} is in use: {}", reach.app, verdict.got);
        Err(ScenarioError::Agent { node: reach.host.clone(), message })
    }

    /// When a workload started, seconds after time zero.
    fn started(&self, name: &str) -> f64 {
        self.scenario.workload.iter().find(|workload| workload.name == name).map_or(0.0, |w| w.start)
    }

    /// Collects reports and verdicts.
    fn finish(mut self, preparation_s: f64, servers: &BTreeMap<String, Serving>) -> Outcome {
        let mut reports = BTreeMap::new();
        for (name, running) in std::mem::take(&mut self.clients) {
            let report = match running.join() {
                Ok(Ok(report)) => report,
                Ok(Err(error)) => json!({"error": error.to_string()}),
                Err(_) => json!({"error": "it panicked"}),
            };
            reports.insert(name, report);
        }
        for (name, server) in servers {
            reports.insert(name.clone(), server.report());
        }
        for (watch, samples) in self.scenario.watch.iter().zip(&self.samples) {
            reports.insert(watch.name.clone(), watch.report(samples));
        }
        let mut asked: BTreeMap<usize, JoinHandle<Verdict>> =
            std::mem::take(&mut self.asked).into_iter().collect();
        let mut expectations = Vec::new();
        for (number, expect) in self.scenario.expect.iter().enumerate() {
            let verdict = match (&expect.workload, asked.remove(&number)) {
                (Some(workload), _) => {
                    let report = reports.get(workload).unwrap_or(&Value::Null);
                    let (held, got) = match expect.since {
                        Some(since) => expect.holds(&workloads::since(report, self.started(workload), since)),
                        None => expect.holds(report),
                    };
                    Verdict { that: expect.that.clone(), held, got, after_s: None }
                }
                (None, Some(asked)) => asked.join().unwrap_or_else(|_| failed(expect, "asking panicked")),
                (None, None) => ask_until(expect, asker(expect, &self.agents)),
            };
            expectations.push(verdict);
        }
        let passed = expectations.iter().all(|verdict| verdict.held);
        Outcome { passed, preparation_s, events: self.events, workloads: reports, expectations }
    }
}

/// Whom an expectation asks.
fn asker(expect: &Expect, agents: &Agents) -> Result<(Asker, String), String> {
    let ask = expect.ask.as_ref().ok_or("nobody is asked")?;
    Ok((agents.asker(&ask.host)?, ask.command.clone()))
}

fn failed(expect: &Expect, why: &str) -> Verdict {
    Verdict { that: expect.that.clone(), held: false, got: why.to_owned(), after_s: None }
}

/// Asks until the expectation holds or its time is over; at least once.
fn ask_until(expect: &Expect, asker: Result<(Asker, String), String>) -> Verdict {
    let (asker, command) = match asker {
        Ok(asker) => asker,
        Err(why) => return failed(expect, &why),
    };
    let start = Instant::now();
    loop {
        let asked_after = start.elapsed().as_secs_f64();
        let (held, got) = match asker.ask(&command) {
            Ok(document) => expect.holds(&document),
            Err(error) => (false, error),
        };
        if held || start.elapsed().as_secs_f64() >= expect.within {
            return Verdict { that: expect.that.clone(), held, got, after_s: Some(asked_after) };
        }
        thread::sleep(Duration::from_millis(20));
    }
}
