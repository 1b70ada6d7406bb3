use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use aire_circuit::{Leave, LeaveConfig, LeaveOutput, Progress, Symptom};
use aire_stream::{Association as Core, Budget, CarrierId, Config, Output, Side};
use aire_types::{AppName, Class, Path, Time};
use aire_wire::{CarrierClose, ResetCode, StreamId};
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};

use crate::clock::Clock;

/// Payload round trips of one carrier are reported at most so often.
const RTT_REPORT: Duration = Duration::from_millis(100);

/// What an association tells its owner.
#[derive(Debug)]
pub(crate) enum Report {
    /// Destination: a stream wants to reach the app.
    Incoming { stream: StreamId, class: Class, app: AppName },
    /// A stream is over.
    Ended { stream: StreamId, reset: Option<ResetCode>, moves: u32, bytes_in: u64, bytes_out: u64 },
    /// A carrier's round trip, measured on payload.
    Rtt { path: Path, rtt: Duration },
    /// A carrier is late; its bytes go over another one as well.
    Hedge { carrier: CarrierId },
    /// A late carrier shows life again.
    Recovered { carrier: CarrierId },
    /// A carrier is dead.
    Dead { carrier: CarrierId, silent: Duration },
    /// A path is not what it used to be.
    Degraded { path: Path, symptom: Symptom },
    /// A busy stream shares its carrier.
    WantCarrier { stream: StreamId },
    /// A carrier is gone, and why.
    CarrierDown { carrier: CarrierId, close: Option<CarrierClose>, why: String },
}

/// One association of this agent: the core, its leave loop, and the tasks that wait for it.
///
/// Every call takes the lock once, pumps the core, and wakes who has something to do after the lock is released.
pub(crate) struct Association {
    pub(super) clock: Clock,
    inner: Mutex<Inner>,
    timer: Notify,
    reports: mpsc::UnboundedSender<Report>,
}

pub(super) struct CarrierSlot {
    pub(super) path: Path,
    pub(super) waker: Option<Waker>,
    pub(super) closing: Option<(CarrierClose, String)>,
    reported: Time,
}

#[derive(Default)]
pub(super) struct StreamSlot {
    pub(super) waker: Option<Waker>,
    pub(super) opened: bool,
    pub(super) ended: bool,
    pub(super) reset: Option<ResetCode>,
}

pub(super) struct Inner {
    pub(super) core: Core,
    pub(super) leave: Leave,
    pub(super) carriers: BTreeMap<CarrierId, CarrierSlot>,
    pub(super) streams: HashMap<StreamId, StreamSlot>,
    woken: Vec<Waker>,
    reports: Vec<Report>,
    /// What the timer task sleeps until.
    armed: Time,
    over: bool,
}

impl Association {
    /// An association without carriers, and where its reports arrive.
    pub(crate) fn new(clock: Clock, side: Side, budget: Budget, seed: u64) -> (Arc<Self>, mpsc::UnboundedReceiver<Report>) {
        let leave = match side {
            Side::Source => LeaveConfig::source(seed),
            Side::Destination => LeaveConfig::destination(seed),
        };
        let (reports, receiver) = mpsc::unbounded_channel();
        let inner = Inner {
            core: Core::new(Config::new(side), budget, clock.now()),
            leave: Leave::new(leave),
            carriers: BTreeMap::new(),
            streams: HashMap::new(),
            woken: Vec::new(),
            reports: Vec::new(),
            armed: Time::NEVER,
            over: false,
        };
        let association =
            Arc::new(Association { clock, inner: Mutex::new(inner), timer: Notify::new(), reports });
        tokio::spawn(tick(Arc::clone(&association)));
        (association, receiver)
    }

    /// Does something with the core under the lock, and what follows from it.
    pub(super) fn with<R>(&self, act: impl FnOnce(Time, &mut Inner) -> R) -> R {
        let now = self.clock.now();
        let mut inner = self.inner.lock();
        let result = act(now, &mut inner);
        inner.pump(now);
        let deadline = inner.deadline();
        let earlier = deadline < inner.armed;
        if earlier {
            inner.armed = deadline;
        }
        let woken = std::mem::take(&mut inner.woken);
        let reports = std::mem::take(&mut inner.reports);
        drop(inner);
        woken.into_iter().for_each(Waker::wake);
        for report in reports {
            // Without its owner an association has nobody to tell.
            let _ = self.reports.send(report);
        }
        if earlier {
            self.timer.notify_one();
        }
        result
    }

    /// A stream of the source; its task finds it open or reset.
    pub(crate) fn open(&self, class: Class, app: AppName) -> Result<StreamId, aire_stream::OpenRefused> {
        self.with(|now, inner| {
            let stream = inner.core.open(now, class, app)?;
            inner.streams.insert(stream, StreamSlot::default());
            Ok(stream)
        })
    }

    /// Resets a stream.
    pub(crate) fn reset(&self, stream: StreamId, code: ResetCode) {
        self.with(|now, inner| inner.core.reset(now, stream, code));
    }

    /// The destination's application took the stream.
    pub(crate) fn accept(&self, stream: StreamId) {
        self.with(|now, inner| inner.core.accept(now, stream));
    }

    /// Resets all streams.
    pub(crate) fn reset_all(&self, code: ResetCode) {
        self.with(|now, inner| {
            for stream in inner.streams.keys().copied().collect::<Vec<_>>() {
                inner.core.reset(now, stream, code);
            }
        });
    }

    /// Adds a carrier; its task is [`super::carrier::run`].
    pub(crate) fn carrier_up(&self, carrier: CarrierId, path: Path, hint: Option<Duration>) {
        self.with(|now, inner| {
            inner.leave.handle_up(now, circuit_id(carrier), path.clone(), hint);
            inner.carriers.insert(
                carrier,
                CarrierSlot { path, waker: None, closing: None, reported: Time::ZERO },
            );
            inner.core.handle_carrier_up(now, carrier);
        });
    }

    /// A carrier has ended; `close` is what the peer said, if it said something.
    pub(super) fn carrier_down(&self, carrier: CarrierId, close: Option<CarrierClose>, why: String) {
        self.with(|now, inner| {
            inner.leave.handle_down(circuit_id(carrier));
            inner.carriers.remove(&carrier);
            inner.core.handle_carrier_down(now, carrier);
            inner.reports.push(Report::CarrierDown { carrier, close, why });
        });
    }

    /// Ends a carrier in order.
    pub(crate) fn close_carrier(&self, carrier: CarrierId, code: CarrierClose, reason: &str) {
        self.with(|_, inner| {
            if let Some(slot) = inner.carriers.get_mut(&carrier) {
                slot.closing = Some((code, reason.to_owned()));
                inner.woken.extend(slot.waker.take());
            }
        });
    }

    /// Ends all carriers in order.
    pub(crate) fn close_all(&self, code: CarrierClose, reason: &str) {
        let carriers: Vec<CarrierId> = self.with(|_, inner| inner.carriers.keys().copied().collect());
        carriers.into_iter().for_each(|carrier| self.close_carrier(carrier, code, reason));
    }

    /// New streams and running ones go over this carrier.
    pub(crate) fn prefer(&self, carrier: CarrierId) {
        self.with(|now, inner| inner.core.prefer(now, carrier));
    }

    /// Sends what one carrier has not acknowledged over another one as well.
    pub(crate) fn hedge(&self, from: CarrierId, onto: CarrierId) {
        self.with(|now, inner| inner.core.hedge(now, from, onto));
    }

    /// Moves everything off a carrier that is held for dead; what still arrives on it counts.
    pub(crate) fn abandon(&self, carrier: CarrierId) {
        self.with(|now, inner| inner.core.abandon(now, carrier));
    }

    /// Moves a share (0 to 1) of the streams from one carrier to another; how many went.
    pub(crate) fn move_share(&self, from: CarrierId, to: CarrierId, share: f64) -> usize {
        self.with(|now, inner| {
            let streams = inner.core.streams_on(from);
            let count = (streams.len() as f64 * share).ceil() as usize;
            for stream in streams.into_iter().take(count) {
                inner.core.move_stream(now, stream, to);
            }
            count
        })
    }

    /// Asks for a sign of life.
    pub(crate) fn ping(&self, carrier: CarrierId) {
        self.with(|now, inner| inner.core.ping(now, carrier));
    }

    /// A probe of a path's circuit was answered or lost.
    pub(crate) fn probed(&self, path: &Path, rtt: Option<Duration>) {
        self.with(|now, inner| inner.leave.handle_probe(now, path, rtt));
    }

    /// Reads the core.
    pub(crate) fn read<R>(&self, look: impl FnOnce(&Core) -> R) -> R {
        look(&self.inner.lock().core)
    }

    /// The path of a carrier.
    pub(crate) fn path_of(&self, carrier: CarrierId) -> Option<Path> {
        self.inner.lock().carriers.get(&carrier).map(|slot| slot.path.clone())
    }

    /// Open carriers with their paths.
    pub(crate) fn carriers(&self) -> Vec<(CarrierId, Path)> {
        let inner = self.inner.lock();
        inner.carriers.iter().map(|(id, slot)| (*id, slot.path.clone())).collect()
    }

    /// How many streams are open.
    pub(crate) fn stream_count(&self) -> usize {
        self.inner.lock().streams.len()
    }

    /// Lets the timer task go; the association is of no more use.
    pub(crate) fn end(&self) {
        self.inner.lock().over = true;
        self.timer.notify_one();
    }
}

impl Inner {
    fn pump(&mut self, now: Time) {
        loop {
            let mut quiet = true;
            while let Some(output) = self.core.poll_output() {
                quiet = false;
                self.handle_output(now, output);
            }
            while let Some(output) = self.leave.poll_output() {
                quiet = false;
                self.handle_leave(now, output);
            }
            if quiet {
                return;
            }
        }
    }

    fn handle_output(&mut self, now: Time, output: Output) {
        match output {
            Output::Ready(carrier) => {
                let waker = self.carriers.get_mut(&carrier).and_then(|slot| slot.waker.take());
                self.woken.extend(waker);
            }
            Output::Readable(stream) | Output::Writable(stream) => self.wake_stream(stream),
            Output::Opened(stream) => {
                self.streams.entry(stream).or_default().opened = true;
                self.wake_stream(stream);
            }
            Output::Incoming { stream, class, app } => {
                self.streams.insert(stream, StreamSlot { opened: true, ..StreamSlot::default() });
                self.reports.push(Report::Incoming { stream, class, app });
            }
            Output::Reset { stream, code } => {
                if let Some(slot) = self.streams.get_mut(&stream) {
                    slot.reset = Some(code);
                }
                self.wake_stream(stream);
            }
            Output::Ended { stream, reset, moves, bytes_in, bytes_out } => {
                if let Some(slot) = self.streams.get_mut(&stream) {
                    slot.ended = true;
                    slot.reset = slot.reset.or(reset);
                }
                self.wake_stream(stream);
                self.reports.push(Report::Ended { stream, reset, moves, bytes_in, bytes_out });
            }
            Output::Rtt { carrier, rtt } => self.progress(now, carrier, Some(rtt)),
            Output::Progress { carrier } => self.progress(now, carrier, None),
            Output::Outstanding { carrier } => {
                let since = self.core.carrier(carrier).and_then(|state| state.outstanding_since);
                self.leave.handle_outstanding(circuit_id(carrier), since.unwrap_or(now));
            }
            Output::Moved { .. } => {}
            Output::WantCarrier { stream } => self.reports.push(Report::WantCarrier { stream }),
        }
    }

    fn progress(&mut self, now: Time, carrier: CarrierId, rtt: Option<Duration>) {
        let Some(state) = self.core.carrier(carrier) else { return };
        let loaded = state.window > 0 && state.in_flight * 2 > state.window;
        let progress = Progress { rtt, outstanding_since: state.outstanding_since, loaded };
        self.leave.handle_progress(now, circuit_id(carrier), progress);
        let Some(slot) = self.carriers.get_mut(&carrier) else { return };
        if let Some(rtt) = rtt
            && now.since(slot.reported) >= RTT_REPORT
        {
            slot.reported = now;
            self.reports.push(Report::Rtt { path: slot.path.clone(), rtt });
        }
    }

    fn handle_leave(&mut self, now: Time, output: LeaveOutput) {
        match output {
            LeaveOutput::Ping { carrier } => self.core.ping(now, stream_id(carrier)),
            LeaveOutput::Hedge { carrier } => self.reports.push(Report::Hedge { carrier: stream_id(carrier) }),
            LeaveOutput::Recovered { carrier } => {
                self.reports.push(Report::Recovered { carrier: stream_id(carrier) });
            }
            LeaveOutput::Dead { carrier, silent } => {
                self.reports.push(Report::Dead { carrier: stream_id(carrier), silent });
            }
            LeaveOutput::Degraded { path, symptom } => self.reports.push(Report::Degraded { path, symptom }),
        }
    }

    fn wake_stream(&mut self, stream: StreamId) {
        let waker = self.streams.get_mut(&stream).and_then(|slot| slot.waker.take());
        self.woken.extend(waker);
    }

    fn deadline(&self) -> Time {
        let deadlines = [self.core.poll_timeout(), self.leave.poll_timeout()];
        deadlines.into_iter().flatten().min().unwrap_or(Time::NEVER)
    }
}

/// The two cores do not know each other; a carrier has one number in both.
const fn circuit_id(carrier: CarrierId) -> aire_circuit::CarrierId {
    aire_circuit::CarrierId(carrier.0)
}

const fn stream_id(carrier: aire_circuit::CarrierId) -> CarrierId {
    CarrierId(carrier.0)
}

/// Tells an association when its time has come.
async fn tick(association: Arc<Association>) {
    loop {
        let deadline = {
            let mut inner = association.inner.lock();
            if inner.over {
                return;
            }
            inner.armed = inner.deadline();
            inner.armed
        };
        tokio::select! {
            () = tokio::time::sleep_until(association.clock.instant(deadline)), if deadline != Time::NEVER => {
                association.with(|now, inner| {
                    if inner.core.poll_timeout().is_some_and(|at| at <= now) {
                        inner.core.handle_timeout(now);
                    }
                    if inner.leave.poll_timeout().is_some_and(|at| at <= now) {
                        inner.leave.handle_timeout(now);
                    }
                });
            }
            () = association.timer.notified() => {}
        }
    }
}
