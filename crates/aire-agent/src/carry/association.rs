use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use aire_circuit::{LeftBecause, Pool, PoolEvent, Wants};
use aire_stream::datagram::Datagrams;
use aire_stream::{Association as Core, Budget, CarrierId, Config, OpenRefused, Side};
use aire_types::{AppName, Class, NodeName, Path, Protocol, Time};
use aire_wire::{CarrierClose, CircuitId, ResetCode, StreamId};
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};

use super::counts::{Counted, Counts};
use super::datagrams::Along;
use super::flow::Delivery;
use super::inner::{Inner, tick};
use super::keeper::Keeper;
use crate::clock::Clock;

/// What an association tells its owner.
#[derive(Debug)]
pub(crate) enum Report {
    /// Destination: a stream wants to reach the app.
    Incoming { stream: StreamId, class: Class, protocol: Protocol, app: AppName },
    /// A stream is over at this end. Of one that was reset here it is said again once the peer knows.
    Ended { stream: StreamId, reset: Option<ResetCode>, moves: u32, bytes_in: u64, bytes_out: u64 },
    /// A carrier's round trip, measured on payload, and what was counted on it since the last report.
    Measured { path: Path, neighbour: NodeName, rtt: Duration, counted: Counted },
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
    /// Source: streams wait and nothing is open, or has been silent since.
    NoPath { since: Time },
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
    pub(super) timer: Notify,
}

/// Why no stream was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OpenError {
    /// Its peer came back without memory of it, or broke the protocol; there is, or will be, another one.
    #[error("the association has ended")]
    Over,
    /// The core's limits.
    #[error(transparent)]
    Refused(#[from] OpenRefused),
}

pub(super) struct CarrierSlot {
    pub(super) path: Path,
    pub(super) circuit: CircuitId,
    /// The next node on the path.
    pub(super) neighbour: NodeName,
    /// Called when there is something to send.
    pub(super) waker: Option<Waker>,
    /// Called when the carrier is to end, also while its socket takes nothing.
    pub(super) closer: Option<Waker>,
    pub(super) closing: Option<(CarrierClose, String)>,
    pub(super) reported: Time,
    /// Not reported yet.
    pub(super) counted: Counted,
    pub(super) counts: Counts,
    /// The address of this end.
    pub(super) local: Option<IpAddr>,
}

#[derive(Default)]
pub(super) struct StreamSlot {
    pub(super) waker: Option<Waker>,
    pub(super) opened: bool,
    pub(super) ended: bool,
    pub(super) reset: Option<ResetCode>,
    /// Of a flow: where its datagrams go.
    pub(super) delivery: Option<Arc<Delivery>>,
    /// Datagrams that came before there was a delivery: over another way than OPENED, they may overtake it.
    pub(super) early: Vec<Bytes>,
}

impl Association {
    /// An association without carriers, and where its reports arrive.
    pub(crate) fn new(
        clock: Clock,
        keeper: Keeper,
        budget: Budget,
    ) -> (Arc<Self>, mpsc::UnboundedReceiver<Report>) {
        let side = match keeper {
            Keeper::Source(_) => Side::Source,
            Keeper::Destination(_) => Side::Destination,
        };
        let (reports, receiver) = mpsc::unbounded_channel();
        let inner = Inner {
            core: Core::new(Config::new(side), budget),
            datagrams: Datagrams::new(side),
            keeper,
            crowded: Vec::new(),
            carriers: BTreeMap::new(),
            shortcut: None,
            prefers_direct: false,
            flowed: Time::ZERO,
            streams: HashMap::new(),
            woken: Vec::new(),
            reports: Some(reports),
            warm: false,
            joined: false,
            told: Wants::default(),
            armed: Time::NEVER,
        };
        let association = Arc::new(Association { clock, inner: Mutex::new(inner), timer: Notify::new() });
        tokio::spawn(tick(Arc::clone(&association)));
        (association, receiver)
    }

    /// Does something with the core under the lock, and what follows from it.
    pub(super) fn with<R>(&self, act: impl FnOnce(Time, &mut Inner) -> R) -> R {
        let mut inner = self.inner.lock();
        // Under the lock, so that it never goes back for the core.
        let now = self.clock.now();
        let result = act(now, &mut inner);
        inner.pump(now);
        let deadline = inner.deadline();
        let earlier = deadline < inner.armed;
        if earlier {
            inner.armed = deadline;
        }
        let woken = std::mem::take(&mut inner.woken);
        drop(inner);
        woken.into_iter().for_each(Waker::wake);
        if earlier {
            self.timer.notify_one();
        }
        result
    }

    /// A stream of the source; its task finds it open or reset.
    ///
    /// # Errors
    /// The association takes no more streams.
    pub(crate) fn open(&self, class: Class, protocol: Protocol, app: AppName) -> Result<StreamId, OpenError> {
        self.with(|now, inner| {
            if inner.is_over() {
                return Err(OpenError::Over);
            }
            let stream = inner.core.open(now, class, protocol, app)?;
            inner.streams.insert(stream, StreamSlot::default());
            Ok(stream)
        })
    }

    /// Resets a stream: its task ends at once, and the peer is told.
    pub(crate) fn reset(&self, stream: StreamId, code: ResetCode) {
        self.with(|now, inner| inner.reset(now, stream, code));
    }

    /// The destination's application took the stream.
    pub(crate) fn accept(&self, stream: StreamId) {
        self.with(|now, inner| inner.core.accept(now, stream));
    }

    /// Resets all streams; the peer is told.
    pub(crate) fn reset_all(&self, code: ResetCode) {
        self.with(|now, inner| {
            for stream in inner.streams.keys().copied().collect::<Vec<_>>() {
                inner.reset(now, stream, code);
            }
        });
    }

    /// Resets the streams that the destination's application has not taken yet.
    pub(crate) fn reset_unopened(&self, code: ResetCode) {
        self.with(|now, inner| {
            let waiting = inner.streams.iter().filter(|(_, slot)| !slot.opened);
            for stream in waiting.map(|(stream, _)| *stream).collect::<Vec<_>>() {
                inner.reset(now, stream, code);
            }
        });
    }

    /// The peer has no memory of the association, or broke the protocol: streams end without a word to the peer,
    /// carriers are closed, the tasks end, and the last report was given.
    pub(crate) fn end(&self, streams: ResetCode, close: CarrierClose, reason: &str) {
        self.with(|now, inner| inner.end(now, streams, close, reason));
        self.leave_shortcut(None);
        self.timer.notify_one();
    }

    /// Ends it if nobody at this end uses it and it has no carriers.
    pub(crate) fn end_if_bare(&self) -> bool {
        let ended = self.with(|now, inner| {
            let bare = inner.is_bare();
            if bare {
                inner.end(now, ResetCode::NoPath, CarrierClose::Done, "nobody uses it");
            }
            bare
        });
        if ended {
            self.leave_shortcut(None);
        }
        self.timer.notify_one();
        ended
    }

    /// Adds a carrier, whose certificates hold until `expires`; its task is [`super::carrier::run`]. `sent` and
    /// `received` are the bytes of the frames that joined it. False where nobody wants it any more.
    #[must_use]
    pub(crate) fn carrier_up(
        &self,
        carrier: CarrierId,
        along: Along,
        expires: Time,
        (sent, received): (usize, usize),
    ) -> bool {
        let Along { circuit, path, neighbour, key } = along;
        self.with(|now, inner| {
            if inner.is_over() || !inner.keeper.awaits(carrier) {
                return false;
            }
            let slot = CarrierSlot {
                path: path.clone(),
                circuit,
                neighbour,
                waker: None,
                closer: None,
                closing: None,
                reported: Time::ZERO,
                counted: Counted::default(),
                counts: Counts::default(),
                local: None,
            };
            inner.carriers.insert(carrier, slot);
            inner.datagrams.handle_carrier_up(carrier, key);
            inner.core.handle_carrier_up(now, carrier, sent, received);
            inner.keeper.up(now, carrier, &path, expires);
            inner.relieve(now, carrier, &path);
            true
        })
    }

    /// Ends one carrier in order; its streams go on over others.
    pub(crate) fn close_carrier(&self, carrier: CarrierId, code: CarrierClose, reason: &str) {
        self.with(|_, inner| {
            if let Some(slot) = inner.carriers.get_mut(&carrier) {
                slot.closing = Some((code, reason.to_owned()));
                inner.woken.extend(slot.closer.take());
            }
        });
    }

    /// A carrier has ended; `close` is what the peer said, if it said something.
    pub(super) fn carrier_down(&self, carrier: CarrierId, close: Option<CarrierClose>, why: String) {
        self.with(|now, inner| {
            inner.carriers.remove(&carrier);
            inner.datagrams.handle_carrier_down(carrier);
            inner.keeper.down(now, carrier);
            inner.core.handle_carrier_down(now, carrier);
            inner.report(Report::CarrierDown { carrier, close, why });
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
        self.with(|_, inner| inner.close_all(code, reason));
    }

    /// Does the destination know the association?
    pub(crate) fn is_joined(&self) -> bool {
        self.inner.lock().joined
    }

    /// Reads the core.
    pub(crate) fn read<R>(&self, look: impl FnOnce(&Core) -> R) -> R {
        look(&self.inner.lock().core)
    }

    /// Was it ended as a whole?
    pub(crate) fn is_over(&self) -> bool {
        self.inner.lock().is_over()
    }

    /// Has the stream ended at this end, or was there none?
    pub(crate) fn has_ended(&self, stream: StreamId) -> bool {
        self.inner.lock().core.stream(stream).is_none_or(|state| state.reset.is_some())
    }

    /// Has the peer heard the end of all streams?
    pub(crate) fn is_settled(&self) -> bool {
        self.inner.lock().core.stream_count() == 0
    }

    /// Does nobody at this end use it, and is there no carrier to tell the peer anything?
    pub(crate) fn is_bare(&self) -> bool {
        self.inner.lock().is_bare()
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
}
