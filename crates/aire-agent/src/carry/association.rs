use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use aire_circuit::{LeftBecause, Pool, PoolEvent, Progress, Wants};
use aire_stream::{Association as Core, Budget, CarrierId, Config, Output, Side};
use aire_types::{AppName, Class, Path, Time};
use aire_wire::{CarrierClose, CircuitId, ResetCode, StreamId};
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};

use super::keeper::Keeper;
use crate::clock::Clock;

/// Payload round trips of one carrier are reported at most so often.
const RTT_REPORT: Duration = Duration::from_millis(100);

/// From this rate on a full window counts as our own load on the path, bytes a second.
const BULK_RATE: u64 = 64 * 1024;

/// What an association tells its owner.
#[derive(Debug)]
pub(crate) enum Report {
    /// Destination: a stream wants to reach the app.
    Incoming { stream: StreamId, class: Class, app: AppName },
    /// A stream is over.
    Ended { stream: StreamId, reset: Option<ResetCode>, moves: u32, bytes_in: u64, bytes_out: u64 },
    /// A carrier's round trip, measured on payload.
    Rtt { path: Path, rtt: Duration },
    /// Source: a circuit along the path is wanted.
    Negotiate { path: Path },
    /// Source: a circuit is not wanted any more.
    Release { circuit: CircuitId },
    /// Source: a carrier is to be dialled.
    Dial { carrier: CarrierId, circuit: CircuitId, path: Path, class: Class },
    /// Source: a carrier is given up; its dial too.
    Abandoned { carrier: CarrierId },
    /// Source: a path changed for the worse, or was left.
    Rerank { path: Path, because: LeftBecause },
    /// Source: streams wait and nothing is open.
    NoPath,
    /// Source: something for the operator.
    Path(PoolEvent),
    /// A carrier is gone, and why.
    CarrierDown { carrier: CarrierId, close: Option<CarrierClose>, why: String },
}

/// One association of this agent: the core, its leave loop, and the tasks that wait for it.
///
/// Every call takes the lock once, pumps the core, and wakes who has something to do after the lock is released.
pub(crate) struct Association {
    pub(super) clock: Clock,
    pub(super) inner: Mutex<Inner>,
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
    pub(super) keeper: Keeper,
    /// Busy streams that share a carrier.
    crowded: Vec<StreamId>,
    pub(super) carriers: BTreeMap<CarrierId, CarrierSlot>,
    pub(super) streams: HashMap<StreamId, StreamSlot>,
    pub(super) woken: Vec<Waker>,
    pub(super) reports: Vec<Report>,
    /// Keep carriers open without streams too.
    warm: bool,
    /// The destination has taken a carrier: it knows the association.
    pub(super) joined: bool,
    told: Wants,
    /// What the timer task sleeps until.
    armed: Time,
    over: bool,
}

impl Association {
    /// An association without carriers, and where its reports arrive.
    pub(crate) fn new(clock: Clock, keeper: Keeper, budget: Budget) -> (Arc<Self>, mpsc::UnboundedReceiver<Report>) {
        let side = match keeper {
            Keeper::Source(_) => Side::Source,
            Keeper::Destination(_) => Side::Destination,
        };
        let (reports, receiver) = mpsc::unbounded_channel();
        let inner = Inner {
            core: Core::new(Config::new(side), budget),
            keeper,
            crowded: Vec::new(),
            carriers: BTreeMap::new(),
            streams: HashMap::new(),
            woken: Vec::new(),
            reports: Vec::new(),
            warm: false,
            joined: false,
            told: Wants::default(),
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

    /// Adds a carrier; its task is [`super::carrier::run`]. `sent` and `received` are the bytes of the frames that
    /// joined it.
    pub(crate) fn carrier_up(&self, carrier: CarrierId, path: Path, sent: usize, received: usize) {
        self.with(|now, inner| {
            let slot = CarrierSlot { path: path.clone(), waker: None, closing: None, reported: Time::ZERO };
            inner.carriers.insert(carrier, slot);
            inner.core.handle_carrier_up(now, carrier, sent, received);
            inner.keeper.up(now, carrier, &path);
            inner.relieve(now, carrier, &path);
        });
    }

    /// A carrier has ended; `close` is what the peer said, if it said something.
    pub(super) fn carrier_down(&self, carrier: CarrierId, close: Option<CarrierClose>, why: String) {
        self.with(|now, inner| {
            inner.carriers.remove(&carrier);
            inner.keeper.down(now, carrier);
            inner.core.handle_carrier_down(now, carrier);
            inner.reports.push(Report::CarrierDown { carrier, close, why });
        });
    }

    /// A probe of a path's circuit was answered or lost.
    pub(crate) fn probed(&self, path: &Path, rtt: Option<Duration>) {
        self.with_pool(|now, pool| pool.handle_probe(now, path, rtt));
    }

    /// Does something with the pool of a source.
    pub(crate) fn with_pool(&self, act: impl FnOnce(Time, &mut Pool)) {
        self.with(|now, inner| {
            if let Some(pool) = inner.keeper.pool() {
                act(now, pool);
            }
        });
    }

    /// Keeps carriers open without streams too, or not.
    pub(crate) fn keep_warm(&self, warm: bool) {
        self.with(|_, inner| inner.warm = warm);
    }

    /// Ends all carriers in order.
    pub(crate) fn close_all(&self, code: CarrierClose, reason: &str) {
        self.with(|_, inner| {
            for slot in inner.carriers.values_mut() {
                slot.closing = Some((code, reason.to_owned()));
                inner.woken.extend(slot.waker.take());
            }
        });
    }

    /// Does the destination know the association?
    pub(crate) fn is_joined(&self) -> bool {
        self.inner.lock().joined
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

    /// The streams with their classes.
    pub(crate) fn streams(&self) -> Vec<(StreamId, Class)> {
        let inner = self.inner.lock();
        let state = |stream: &StreamId| Some((*stream, inner.core.stream(*stream)?.class));
        inner.streams.keys().filter_map(state).collect()
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
            while self.follow_keeper(now) {
                quiet = false;
            }
            if quiet && !self.tell_wants(now) {
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
                self.keeper.outstanding(now, carrier, since.unwrap_or(now));
            }
            Output::Moved { .. } => {}
            Output::WantCarrier { stream } => self.crowded.push(stream),
        }
    }

    fn progress(&mut self, now: Time, carrier: CarrierId, rtt: Option<Duration>) {
        let Some(state) = self.core.carrier(carrier) else { return };
        let loaded = state.in_flight * 2 > state.window && state.delivery_rate >= BULK_RATE;
        let progress = Progress { rtt, outstanding_since: state.outstanding_since, loaded };
        self.keeper.progress(now, carrier, progress);
        let Some(slot) = self.carriers.get_mut(&carrier) else { return };
        if let Some(rtt) = rtt
            && now.since(slot.reported) >= RTT_REPORT
        {
            slot.reported = now;
            self.reports.push(Report::Rtt { path: slot.path.clone(), rtt });
        }
    }

    /// Tells the pool what the streams need; false when nothing changed.
    fn tell_wants(&mut self, now: Time) -> bool {
        self.crowded.retain(|stream| self.streams.contains_key(stream));
        let busy = if self.crowded.is_empty() { 0 } else { self.crowded.len() + 1 };
        let wants = Wants { streams: self.streams.len(), busy, warm: self.warm };
        if wants == self.told {
            return false;
        }
        self.told = wants;
        self.keeper.wants(now, wants);
        true
    }

    /// A further carrier on a path takes over one of the busy streams that share another.
    fn relieve(&mut self, now: Time, carrier: CarrierId, path: &Path) {
        let on_path = |inner: &Self, stream: &StreamId| {
            let used = inner.core.stream(*stream).and_then(|state| state.carrier);
            used.is_some_and(|used| used != carrier && inner.carriers.get(&used).is_some_and(|s| s.path == *path))
        };
        if let Some(at) = self.crowded.iter().position(|stream| on_path(self, stream)) {
            let stream = self.crowded.remove(at);
            self.core.move_stream(now, stream, carrier);
        }
    }

    /// Ends a carrier: in order, or, where it is held for dead, as soon as its task can.
    pub(super) fn close(&mut self, carrier: CarrierId, dead: bool) {
        if let Some(slot) = self.carriers.get_mut(&carrier) {
            let reason = if dead { "it does not answer" } else { "not needed" };
            slot.closing = Some((CarrierClose::Done, reason.to_owned()));
            self.woken.extend(slot.waker.take());
        }
    }

    fn wake_stream(&mut self, stream: StreamId) {
        let waker = self.streams.get_mut(&stream).and_then(|slot| slot.waker.take());
        self.woken.extend(waker);
    }

    fn deadline(&self) -> Time {
        let deadlines = [self.core.poll_timeout(), self.keeper.poll_timeout()];
        deadlines.into_iter().flatten().min().unwrap_or(Time::NEVER)
    }
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
                    inner.keeper.timeout(now);
                });
            }
            () = association.timer.notified() => {}
        }
    }
}
