//! `aire demo`: a mesh on this machine over an emulated wide-area network, told as a story.

mod attack;
mod cast;
mod live;
mod load;
mod narrator;
mod relay_death;
mod stage;
mod summary;
mod web;

use std::process::ExitCode;
use std::time::Duration;

use aire_admin::documents::{AppRow, Event, Explanation, Route, Status};

use crate::admin::{Admin, parse};
use crate::ask;
use crate::failure::Failure;
use crate::figures;
use crate::output::say;
use attack::Outcome;
use cast::{Actor, Cast};
use load::Measured;
use narrator::{Narrator, wait_for};
use stage::Stage;
use summary::Summary;

/// Connections that the guest tries.
const GUEST_TRIES: u64 = 3;
/// The demo ends at the latest this long after its time.
const GRACE: Duration = Duration::from_secs(15);
/// How long an agent may take to answer a question of its operator.
const MOMENT: Duration = Duration::from_secs(5);

/// Runs the demo within about `seconds`; fails when it cannot be told to its end or a promise broke.
pub(crate) fn execute(seconds: u64, json: bool) -> Result<ExitCode, Failure> {
    let time = Duration::from_secs(seconds);
    let stage = Stage::open(time + GRACE)?;
    let service =
        web::start().map_err(|error| Failure::Failed(format!("no port for the demo's app: {error}")))?;
    let cast = Cast::assemble(service)?;
    let mut demo = Demo { stage, cast, narrator: Narrator::new(json), time, summary: Summary::default() };
    let told = demo.tell();
    let Demo { stage, summary, .. } = demo;
    drop(stage);
    told?;
    say(&if json { format!("{}\n", json_line(&summary)?) } else { format!("\n{}", summary.text()) })?;
    match summary.broken.as_slice() {
        [] => Ok(ExitCode::SUCCESS),
        broken => Err(Failure::Failed(format!("broken: {}", broken.join("; ")))),
    }
}

fn json_line(summary: &Summary) -> Result<String, Failure> {
    serde_json::to_string(summary).map_err(|error| Failure::Failed(format!("a figure is no number: {error}")))
}

struct Demo {
    stage: Stage,
    cast: Cast,
    narrator: Narrator,
    time: Duration,
    summary: Summary,
}

impl Demo {
    /// The acts in their order.
    fn tell(&mut self) -> Result<(), Failure> {
        self.gather()?;
        let direct = self.load("without the mesh, the direct way", self.cast.plain)?;
        self.await_better_path()?;
        let mesh = self.load("the same over the mesh", self.actor(cast::CLIENT)?.door)?;
        self.summary.direct_p50_ms = direct.p50_ms;
        self.summary.direct_mbps = direct.mbps;
        self.summary.mesh_p50_ms = mesh.p50_ms;
        self.summary.mesh_mbps = mesh.mbps;
        self.explain()?;
        self.kill_the_relay()?;
        self.deny_the_guest()?;
        self.block_the_strangers()?;
        self.summary.alive = load::ask(&load::client(MOMENT), self.actor(cast::CLIENT)?.door).is_ok();
        self.summary.judge();
        Ok(())
    }

    /// A share of the time, within bounds.
    fn share(&self, share: f64, least: u64, most: u64) -> Duration {
        self.time.mul_f64(share).clamp(Duration::from_secs(least), Duration::from_secs(most))
    }

    fn actor(&self, node: &str) -> Result<&Actor, Failure> {
        self.cast.actor(node)
    }

    fn admin(&self, node: &str) -> Result<Admin, Failure> {
        Ok(Admin::at(&self.actor(node)?.admin.to_string()))
    }

    fn status(&self, node: &str) -> Result<Status, Failure> {
        self.admin(node)?.document("/api/v1/status")
    }

    /// The route of the client to the app.
    fn route(&self) -> Result<Option<Route>, Failure> {
        let routes: Vec<Route> = self.admin(cast::CLIENT)?.document("/api/v1/routes")?;
        Ok(routes.into_iter().find(|route| route.app.as_str() == cast::APP))
    }

    fn events(&self, node: &str, since: u64) -> Result<Vec<Event>, Failure> {
        let text = self.admin(node)?.get(&format!("/api/v1/events?since={since}"))?;
        text.lines().filter(|line| !line.is_empty()).map(parse).collect()
    }

    fn latest_event(&self, node: &str) -> Result<u64, Failure> {
        Ok(self.events(node, 0)?.last().map_or(0, |event| event.cursor))
    }

    /// The agents start and find each other.
    fn gather(&mut self) -> Result<(), Failure> {
        let invited = self.cast.invitations(&self.stage)?;
        self.summary.agents = invited.len();
        self.narrator
            .tell(&format!("{} agents start as processes of their own, on an emulated WAN", invited.len()))?;
        let patience = self.share(0.4, 12, 30);
        let mut invited = invited.iter();
        // The authority first: the others enrol with it.
        for (node, arguments) in invited.by_ref().take(1) {
            self.stage.start(node, arguments)?;
            self.await_ready(node, patience)?;
        }
        let others: Vec<_> = invited.collect();
        for (node, arguments) in &others {
            self.stage.start(node, arguments)?;
        }
        for (node, _) in &others {
            self.await_ready(node, patience)?;
        }
        let apps = wait_for(patience, "the client's knowledge of the app", || {
            self.stage.check()?;
            let apps: Vec<AppRow> = self.admin(cast::CLIENT)?.document("/api/v1/apps")?;
            let known = apps.iter().any(|row| row.app.as_str() == cast::APP && !row.instances.is_empty());
            let linked = self.status(cast::CLIENT)?.peers + 1 >= self.summary.agents as u64;
            Ok((known && linked).then_some(apps.len()))
        })?;
        let text = format!(
            "all are enrolled and ready; {} is linked with all of them and knows {apps} apps",
            cast::CLIENT
        );
        self.narrator.tell(&text)
    }

    fn await_ready(&self, node: &str, patience: Duration) -> Result<(), Failure> {
        let admin = self.admin(node)?;
        let mut why = String::new();
        let ready = wait_for(patience, "readiness", || {
            self.stage.check()?;
            match admin.get_within("/readyz", MOMENT) {
                Ok(_) => return Ok(Some(())),
                Err(failure) => why = failure.to_string(),
            }
            Ok(None)
        });
        ready.map_err(|failure| match failure {
            Failure::Failed(text) if text.starts_with("readiness") => {
                let words = self.stage.last_words(node);
                Failure::Failed(format!(
                    "the agent {node} is not ready after {} s: {why}; {words}",
                    patience.as_secs()
                ))
            }
            other => other,
        })
    }

    /// HTTP requests and a download from Frankfurt to Singapore.
    fn load(&self, what: &str, at: std::net::SocketAddr) -> Result<Measured, Failure> {
        let measured = load::run(at, self.share(0.075, 2, 20), self.share(0.2, 6, 30))
            .map_err(|failure| Failure::Failed(format!("{what}: {failure}")))?;
        let Measured { requests, p50_ms, mbps } = measured;
        let (median, rate) = (figures::ms(Some(p50_ms)), figures::mbps(Some(mbps)));
        self.narrator.tell(&format!("HTTP {what}: {requests} requests, median {median}; download {rate}"))?;
        Ok(measured)
    }

    /// The mesh measures the ways and takes one over a relay.
    fn await_better_path(&self) -> Result<(), Failure> {
        let door = self.actor(cast::CLIENT)?.door;
        let agent = load::client(MOMENT);
        let route = wait_for(self.share(0.25, 8, 30), "a path over a relay", || {
            self.stage.check()?;
            // Something has to flow for the paths to matter.
            load::ask(&agent, door).map_err(|error| Failure::Failed(format!("over the mesh: {error}")))?;
            Ok(self.route()?.filter(|route| !route.path.is_direct()))
        })?;
        self.narrator.tell(&format!("the client goes {}: {}", route.path, route.reason))
    }

    fn explain(&self) -> Result<(), Failure> {
        let path = format!("/api/v1/explain/{}", cast::APP);
        let explanation: Explanation = self.admin(cast::CLIENT)?.document(&path)?;
        let Some(route) = explanation.routes.first() else { return Ok(()) };
        self.narrator.tell(&format!("aire explain {}: {}", cast::APP, route.reason))?;
        let table = ask::candidates(route);
        self.narrator.put(&table.lines().map(|line| format!("          {line}\n")).collect::<String>())
    }

    /// An app that no policy permits tries to connect.
    fn deny_the_guest(&mut self) -> Result<(), Failure> {
        let door = self.actor(cast::GUEST)?.door;
        let before = self.latest_event(cast::WEB)?;
        let mut turned_away = 0;
        for _ in 0..GUEST_TRIES {
            turned_away += u64::from(load::ask(&load::client(MOMENT), door).is_err());
        }
        let seen = wait_for(MOMENT, "the denial in the events", || {
            let events = self.events(cast::WEB, before)?;
            Ok(events.into_iter().find(is_denial))
        });
        self.summary.denials_due = GUEST_TRIES;
        match seen {
            Ok(event) => {
                self.summary.denied = turned_away;
                self.narrator
                    .tell(&format!("a guest tried {GUEST_TRIES} times, denied {turned_away}: {}", event.what))
            }
            Err(failure) => {
                self.narrator.tell(&format!("a guest was denied {turned_away} times, but {failure}"))
            }
        }
    }

    /// Strangers try an agent's door, and an agent of another mesh tries to join.
    fn block_the_strangers(&mut self) -> Result<(), Failure> {
        let door = self.actor(cast::WEB)?.listen;
        let before = self.latest_event(cast::WEB)?;
        attack::send_rogue(&self.stage, door)?;
        let outcome = attack::knock(door);
        // One more than the knocks: the rogue agent.
        let due = outcome.tried + 1;
        let count = || -> Result<u64, Failure> {
            let events = self.events(cast::WEB, before)?;
            Ok(events
                .iter()
                .filter(|event| event.kind == "stranger-rejected")
                .map(|event| 1 + event.suppressed)
                .sum())
        };
        let patience = self.share(0.2, 6, 20);
        let seen = wait_for(patience, "the strangers in the events", || {
            Ok(Some(count()?).filter(|seen| *seen >= due))
        });
        let seen = seen.or_else(|_| count())?;
        let joined = self.status(cast::WEB)?.peers + 1 > self.summary.agents as u64;
        self.summary.blocks_due = due;
        self.summary.blocked = if outcome.closed == outcome.tried && !joined { seen } else { 0 };
        let Outcome { tried, closed } = outcome;
        let text = format!(
            "strangers knocked {tried} times and a rogue agent tried to join: {closed} doors closed, {seen} events"
        );
        self.narrator.tell(&text)
    }
}

/// Whether an event tells of a caller that no policy permits.
fn is_denial(event: &Event) -> bool {
    matches!(event.kind.as_str(), "stream-denied" | "circuit-denied")
}
