use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use aire_circuit::{Progress, Wants};
use aire_stream::datagram::Datagrams;
use aire_stream::{Association as Core, CarrierId, Output, StreamState};
use aire_types::{Path, Time};
use aire_wire::{CarrierClose, ResetCode, StreamId};
use tokio::sync::mpsc;

use super::association::{Association, CarrierSlot, Report, StreamSlot};
use super::cipher::Seal;
use super::keeper::Keeper;
use super::shortcut::Shortcut;

/// Payload round trips of one carrier are reported at most so often.
const RTT_REPORT: Duration = Duration::from_millis(100);

/// From this rate on a full window counts as our own load on the path, bytes a second.
const BULK_RATE: u64 = 64 * 1024;

/// What the lock of an association guards.
pub(super) struct Inner {
    pub(super) core: Core,
    pub(super) datagrams: Datagrams<Seal>,
    pub(super) keeper: Keeper,
    /// Busy streams that share a carrier.
    pub(super) crowded: Vec<StreamId>,
    pub(super) carriers: BTreeMap<CarrierId, CarrierSlot>,
    pub(super) shortcut: Option<Shortcut>,
    /// Source: the ranking has the straight way first.
    pub(super) prefers_direct: bool,
    /// When a datagram last passed.
    pub(super) flowed: Time,
    pub(super) streams: HashMap<StreamId, StreamSlot>,
    pub(super) woken: Vec<Waker>,
    /// To the owner; `None` when the association is over. Reports are sent under the lock, so that they arrive in
    /// the order in which things happened.
    pub(super) reports: Option<mpsc::UnboundedSender<Report>>,
    /// Keep carriers open without streams too.
    pub(super) warm: bool,
    /// The destination has taken a carrier: it knows the association.
    pub(super) joined: bool,
    pub(super) told: Wants,
    /// What the timer task sleeps until.
    pub(super) armed: Time,
}

impl Inner {
    /// Tells the owner; one that has gone does not mind.
    pub(super) fn report(&self, report: Report) {
        if let Some(reports) = &self.reports {
            let _ = reports.send(report);
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.reports.is_none()
    }

    /// A peer that never comes back never hears of resets, and they are no use of the association.
    pub(super) fn is_bare(&self) -> bool {
        self.carriers.is_empty() && self.core.streams().all(|stream| stream.reset.is_some())
    }

    /// See [`Association::end`].
    pub(super) fn end(&mut self, now: Time, streams: ResetCode, close: CarrierClose, reason: &str) {
        self.core.abort(streams);
        self.warm = false;
        self.pump(now);
        self.close_all(close, reason);
        self.reports = None;
    }

    /// Resets a stream. The core tells of resets by the peer only, and of the end when the peer knows, who may be gone:
    /// our own task and the owner are told here.
    pub(super) fn reset(&mut self, now: Time, stream: StreamId, code: ResetCode) {
        let before = self.core.stream(stream).filter(|state| state.reset.is_none());
        self.core.reset(now, stream, code);
        if let Some(StreamState { moves, bytes_in, bytes_out, unacknowledged, .. }) = before {
            self.report_ended(stream, Some(code), moves, (bytes_in, bytes_out - unacknowledged));
        }
        if let Some(slot) = self.streams.get_mut(&stream)
            && !slot.ended
            && slot.reset.is_none()
        {
            slot.reset = Some(code);
            self.wake_stream(stream);
        }
    }

    /// Datagrams count as bytes of their flow.
    fn report_ended(
        &self,
        stream: StreamId,
        reset: Option<ResetCode>,
        moves: u32,
        (bytes_in, bytes_out): (u64, u64),
    ) {
        let delivery = self.streams.get(&stream).and_then(|slot| slot.delivery.as_ref());
        let (more_in, more_out) = delivery.map_or((0, 0), |flow| flow.bytes());
        let (bytes_in, bytes_out) = (bytes_in + more_in, bytes_out + more_out);
        self.report(Report::Ended { stream, reset, moves, bytes_in, bytes_out });
    }

    /// Ends all carriers in order.
    pub(super) fn close_all(&mut self, code: CarrierClose, reason: &str) {
        for slot in self.carriers.values_mut() {
            slot.closing = Some((code, reason.to_owned()));
            self.woken.extend(slot.closer.take());
        }
    }

    pub(super) fn pump(&mut self, now: Time) {
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
            Output::Incoming { stream, class, protocol, app } => {
                self.streams.insert(stream, StreamSlot { opened: true, ..StreamSlot::default() });
                self.report(Report::Incoming { stream, class, protocol, app });
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
                self.report_ended(stream, reset, moves, (bytes_in, bytes_out));
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
        let path_sets_the_pace = loaded && state.settled;
        let Some(slot) = self.carriers.get_mut(&carrier) else { return };
        slot.counts.arrived(now, state.acknowledged, path_sets_the_pace, &mut slot.counted);
        if let Some(rtt) = rtt
            && now.since(slot.reported) >= RTT_REPORT
        {
            slot.reported = now;
            let (path, neighbour) = (slot.path.clone(), slot.neighbour.clone());
            let counted = std::mem::take(&mut slot.counted);
            self.report(Report::Measured { path, neighbour, rtt, counted });
        }
    }

    /// Tells the pool what the streams need; false when nothing changed.
    fn tell_wants(&mut self, now: Time) -> bool {
        self.crowded.retain(|stream| self.streams.contains_key(stream));
        let busy = if self.crowded.is_empty() { 0 } else { self.crowded.len() + 1 };
        let wants = Wants { streams: self.core.stream_count(), busy, warm: self.warm };
        if wants == self.told {
            return false;
        }
        self.told = wants;
        self.keeper.wants(now, wants);
        true
    }

    /// A further carrier on a path takes over one of the busy streams that share another.
    pub(super) fn relieve(&mut self, now: Time, carrier: CarrierId, path: &Path) {
        let on_path = |inner: &Self, stream: &StreamId| {
            let used = inner.core.stream(*stream).and_then(|state| state.carrier);
            used.is_some_and(|used| {
                used != carrier && inner.carriers.get(&used).is_some_and(|s| s.path == *path)
            })
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
            self.woken.extend(slot.closer.take());
        }
    }

    fn wake_stream(&mut self, stream: StreamId) {
        let waker = self.streams.get_mut(&stream).and_then(|slot| slot.waker.take());
        self.woken.extend(waker);
    }

    pub(super) fn deadline(&self) -> Time {
        let deadlines = [self.core.poll_timeout(), self.keeper.poll_timeout()];
        deadlines.into_iter().flatten().min().unwrap_or(Time::NEVER)
    }
}

/// Tells an association when its time has come.
pub(super) async fn tick(association: Arc<Association>) {
    loop {
        let deadline = {
            let mut inner = association.inner.lock();
            if inner.is_over() {
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
