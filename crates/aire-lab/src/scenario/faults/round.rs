use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::super::ScenarioError;
use super::fault::{Fault, FaultKind, OUTAGE};
use super::world::{Hops, World};
use crate::workload::{Bulk, Flow, Messages};

/// Between two messages.
const INTERVAL: Duration = Duration::from_millis(10);
/// So much flows before the fault, so that there is something usual.
const WARM_UP: Duration = Duration::from_millis(1500);
/// How long is looked at after the fault, at least.
const WATCH: Duration = Duration::from_millis(2500);
/// How long a stall, and a better path, is waited for.
const PATIENCE: Duration = Duration::from_secs(45);
const LOOK: Duration = Duration::from_millis(20);
const BULK_BYTES: u64 = 2_000_000;

/// What came of one round.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Round {
    /// The fault's name.
    pub fault: String,
    /// From 0.
    pub number: u32,
    /// The relays of the path in use before.
    pub from: Vec<String>,
    /// The relays of the path in use after.
    pub to: Vec<String>,
    /// The longest time without a message beyond the interval, and beyond the outage, milliseconds. Where streams are to
    /// be reset: when that happened after the fault.
    pub stall_ms: f64,
    /// Four round trips of the slower path and 100 ms.
    pub aim_ms: f64,
    /// When another path was in use after the fault, seconds; only where a better one appears.
    pub taken_s: Option<f64>,
    /// Messages that came back.
    pub received: u64,
    /// Messages and transfers lost, repeated, overtaken or damaged.
    pub harmed: u64,
    /// Connections reset or ended.
    pub resets: u64,
    /// What went wrong, for people.
    pub error: Option<String>,
}

impl Round {
    /// Did the application get what it is promised?
    pub fn is_unharmed(&self, fault: &Fault) -> bool {
        self.harmed == 0 && self.resets == u64::from(fault.kind.resets())
    }
}

/// Plays one round; it ends with the mesh mended.
pub(super) fn play(world: &mut World<'_>, fault: &Fault, number: u32) -> Result<Round, ScenarioError> {
    let from = world.settle()?;
    let host = world.host(&world.caller)?;
    let io = |source| ScenarioError::io("starting the messages", source);
    let messages = Messages { interval: INTERVAL, ..Messages::new(world.entry, Duration::from_secs(600)) };
    let flow = host.within(move || Flow::start(messages)).map_err(io)?;
    let bulk = if fault.bulk { Some(Transfers::start(world)?) } else { None };
    let before = world.server_faults();
    thread::sleep(WARM_UP);
    let from = world.path().unwrap_or(from);
    let mut round = Round { fault: fault.name.to_owned(), number, from: from.clone(), ..Round::default() };
    let slower = world.round_trip(&from);
    let struck = Instant::now();
    world.strike(fault, &from, number)?;
    round.to = watch(world, fault, &flow, struck, &from, &mut round.taken_s)?;
    round.aim_ms = 4.0 * slower.max(world.round_trip(&round.to)).as_secs_f64() * 1000.0 + 100.0;
    let stall = if fault.kind.resets() {
        flow.ended().map_or(PATIENCE, |at| at.saturating_duration_since(struck))
    } else {
        flow.longest_gap(struck).saturating_sub(INTERVAL + fault.kind.own())
    };
    round.stall_ms = stall.as_secs_f64() * 1000.0;
    world.mend(fault, &from)?;
    finish(world, &mut round, flow, bulk, before, fault);
    Ok(round)
}

/// Looks at the messages until what is to be seen has been seen; the path that is in use then.
fn watch(
    world: &World<'_>,
    fault: &Fault,
    flow: &Flow,
    struck: Instant,
    from: &Hops,
    taken: &mut Option<f64>,
) -> Result<Hops, ScenarioError> {
    let mut mended = fault.kind != FaultKind::Outage;
    let mut path = from.clone();
    loop {
        let passed = struck.elapsed();
        if !mended && passed >= OUTAGE {
            world.restore()?;
            mended = true;
        }
        let quiet = flow.quiet_for();
        let over = match fault.kind {
            FaultKind::LongOutage => flow.ended().is_some(),
            FaultKind::Better => {
                path = world.path().unwrap_or(path);
                if path != *from && taken.is_none() {
                    *taken = Some(passed.as_secs_f64());
                }
                taken.is_some_and(|at| passed.as_secs_f64() >= at + 1.0)
            }
            _ => mended && passed >= WATCH + fault.kind.own() && quiet < Duration::from_millis(500),
        };
        if over || flow.ended().is_some() || passed > PATIENCE {
            return Ok(world.path().unwrap_or(path));
        }
        thread::sleep(LOOK);
    }
}

fn finish(
    world: &World<'_>,
    round: &mut Round,
    flow: Flow,
    bulk: Option<Transfers>,
    before: u64,
    fault: &Fault,
) {
    match flow.stop() {
        Ok(report) => {
            round.received = report.received;
            round.harmed = report.repeated + report.reordered + report.corrupt;
            round.resets = report.resets + report.early_ends;
            // What a reset takes with it is not lost in silence.
            if !fault.kind.resets() {
                round.harmed += report.lost;
            }
            round.error = report.error;
        }
        Err(error) => {
            round.harmed += 1;
            round.error = Some(error.to_string());
        }
    }
    round.harmed += world.server_faults().saturating_sub(before);
    if let Some(error) = bulk.and_then(Transfers::stop) {
        round.harmed += 1;
        round.error.get_or_insert(error);
    }
}

/// Verified transfers, one after the other.
struct Transfers {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<std::io::Result<Option<String>>>,
}

impl Transfers {
    fn start(world: &World<'_>) -> Result<Self, ScenarioError> {
        let stop = Arc::new(AtomicBool::new(false));
        let (told, to) = (Arc::clone(&stop), world.entry);
        let transfers = move || {
            while !told.load(Ordering::Acquire) {
                match Bulk::new(to, BULK_BYTES).run() {
                    Ok(report) if report.intact => {}
                    Ok(_) => return Some("a transfer arrived damaged".to_owned()),
                    Err(error) => return Some(format!("a transfer failed: {error}")),
                }
            }
            None
        };
        let io = |source| ScenarioError::io("starting the transfers", source);
        let thread = world.host(&world.caller)?.enter(transfers).map_err(io)?;
        Ok(Transfers { stop, thread })
    }

    /// Ends after the present transfer; what went wrong.
    fn stop(self) -> Option<String> {
        self.stop.store(true, Ordering::Release);
        match self.thread.join() {
            Ok(Ok(error)) => error,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some("the transfers panicked".to_owned()),
        }
    }
}
