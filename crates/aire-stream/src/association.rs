use std::collections::{BTreeMap, VecDeque};

use aire_types::Time;
use aire_wire::{ResetCode, StreamId};

use crate::budget::Ledger;
use crate::carriers::Carriers;
use crate::control::Kinds;
use crate::ended::Ended;
use crate::schedule::Reply;
use crate::stream::Stream;
use crate::{Budget, CarrierId, CarrierState, Config, Output, StreamState};

/// One end of what two application instances share while they talk: streams, and the carriers that take them.
///
/// The driver tells what happens (`handle_*` and the calls of the application), then takes all of `poll_output`, and calls
/// `handle_timeout` when `poll_timeout` has come. All times must come from one clock that does not go back.
///
/// * applications: [`open`](Self::open), [`accept`](Self::accept), [`writable`](Self::writable), [`write`](Self::write),
///   [`finish`](Self::finish), [`read`](Self::read), [`consumed`](Self::consumed), [`reset`](Self::reset);
/// * carriers: [`handle_carrier_up`](Self::handle_carrier_up), [`handle_frame`](Self::handle_frame),
///   [`poll_transmit`](Self::poll_transmit), [`handle_carrier_down`](Self::handle_carrier_down);
/// * moves: [`prefer`](Self::prefer), [`move_stream`](Self::move_stream), [`hedge`](Self::hedge),
///   [`abandon`](Self::abandon), [`ping`](Self::ping).
#[derive(Debug)]
pub struct Association {
    pub(crate) config: Config,
    pub(crate) streams: BTreeMap<StreamId, Box<Stream>>,
    pub(crate) carriers: Carriers,
    pub(crate) outputs: VecDeque<Output>,
    pub(crate) ended: Ended,
    pub(crate) ledger: Ledger,
    /// Source: the next stream's id.
    pub(crate) next_stream: u64,
    /// Source: of the last SWITCH given. Destination: of the highest SWITCH for all streams seen.
    pub(crate) epoch: u64,
    /// Not later than the next acknowledgement is due.
    pub(crate) timeout: Option<Time>,
}

impl Association {
    /// A new end without carriers and streams. `budget` is what all associations of the agent share.
    pub fn new(config: Config, budget: Budget) -> Self {
        Association {
            config: config.bounded(),
            streams: BTreeMap::new(),
            carriers: Carriers::default(),
            outputs: VecDeque::new(),
            ended: Ended::new(),
            ledger: Ledger::new(budget),
            next_stream: 1,
            epoch: 0,
            timeout: None,
        }
    }

    /// The next effect; call until `None` after every call that changes something.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// `poll_output` would return something.
    pub fn has_output(&self) -> bool {
        !self.outputs.is_empty()
    }

    /// When to call `handle_timeout`, at the latest.
    pub fn poll_timeout(&self) -> Option<Time> {
        self.timeout
    }

    /// Acknowledgements that have waited long enough become due.
    pub fn handle_timeout(&mut self, now: Time) {
        self.timeout = None;
        for carrier in self.carriers.all.values_mut() {
            carrier.arrivals.on_timeout(now);
            if !carrier.told && carrier.has_work() {
                carrier.told = true;
                self.outputs.push_back(Output::Ready(carrier.id));
            }
            let deadline = carrier.arrivals.deadline();
            self.timeout = self.timeout.into_iter().chain(deadline).min();
        }
    }

    /// Facts about a carrier; `None` when it is not up.
    pub fn carrier(&self, id: CarrierId) -> Option<CarrierState> {
        self.carriers.get(id).map(crate::carrier::Carrier::state)
    }

    /// The carriers that are up, in order.
    pub fn carriers(&self) -> impl Iterator<Item = CarrierId> + '_ {
        self.carriers.all.keys().copied()
    }

    /// The carrier where new streams begin.
    pub fn preferred(&self) -> Option<CarrierId> {
        self.carriers.preferred
    }

    /// Facts about a stream; `None` when it has ended.
    pub fn stream(&self, id: StreamId) -> Option<StreamState> {
        self.streams.get(&id).map(|stream| stream.state())
    }

    /// The carrier that the stream's bytes take now: its own, or the one that helps while its own is in doubt.
    pub fn route_of(&self, id: StreamId) -> Option<CarrierId> {
        self.carriers.route(self.streams.get(&id)?.carrier)
    }

    /// Facts about all streams that have not ended, in order.
    pub fn streams(&self) -> impl Iterator<Item = StreamState> + '_ {
        self.streams.values().map(|stream| stream.state())
    }

    /// How many streams have not ended.
    pub fn stream_count(&self) -> usize {
        self.streams.len()
    }

    /// Ends all streams at once without a word to the peer, which is gone, came back without its memory, or
    /// broke the protocol. Every stream that the application still holds gets `Output::Reset`.
    pub fn abort(&mut self, code: ResetCode) {
        let ids: Vec<StreamId> = self.streams.keys().copied().collect();
        for id in ids {
            let held = self.streams.get(&id).is_some_and(|stream| stream.reset.is_none());
            if held {
                self.outputs.push_back(Output::Reset { stream: id, code });
            }
            self.end(id, Some(code));
        }
    }

    /// Forgets a stream.
    pub(crate) fn end(&mut self, id: StreamId, reset: Option<ResetCode>) {
        let Some(mut stream) = self.streams.remove(&id) else {
            return;
        };
        if let Some(carrier) = stream.carrier.and_then(|id| self.carriers.get_mut(id)) {
            carrier.streams -= 1;
        }
        if reset.is_none() {
            self.bid_farewell(&stream);
        }
        let bytes_in = stream.receive.consumed();
        let bytes_out = stream.send.flight.acked();
        stream.discard(&mut self.ledger);
        self.ended.insert(id);
        if stream.app.is_some() {
            let moves = stream.moves;
            self.outputs.push_back(Output::Ended { stream: id, reset, moves, bytes_in, bytes_out });
        }
    }

    /// The peer must learn that all has arrived, though nobody will be left to repeat it.
    fn bid_farewell(&mut self, stream: &Stream) {
        let offset = stream.receive.contiguous();
        let reply = Reply { stream: stream.id, offset, fin: true, reset: false };
        if stream.ack_on.is_some() || stream.control.due().has(Kinds::ACK) {
            self.carriers.reply(stream.ack_on, reply, &mut self.outputs);
        } else if let Some((on, position)) = stream.control.flying_ack()
            && let Some(carrier) = self.carriers.get_mut(on)
            && position > carrier.departures.acked()
        {
            carrier.on_farewell(position, reply);
            self.carriers.wake(on, &mut self.outputs);
        }
    }

    /// Ends the stream if nothing is left to do for it.
    pub(crate) fn end_if_done(&mut self, id: StreamId) {
        if self.streams.get(&id).is_some_and(|stream| stream.is_done()) {
            self.end(id, None);
        }
    }

    /// Panics where the association contradicts itself. For tests, after every step.
    pub fn check_invariants(&self) {
        let lives = |id| self.carriers.get(id).is_some_and(crate::carrier::Carrier::is_usable);
        let mut loans = 0;
        for (id, stream) in &self.streams {
            assert_eq!(*id, stream.id);
            assert!(!self.ended.contains(*id), "{id} lives and has ended");
            stream.check_invariants(&self.config, lives);
            loans += stream.loans();
            self.check_scheduled(stream);
        }
        assert_eq!(loans, self.ledger.borrowed(), "loans add up");
        for (id, carrier) in &self.carriers.all {
            let streams = self.streams.values().filter(|stream| stream.carrier == Some(*id)).count();
            assert_eq!(streams, carrier.streams, "streams of {id:?}");
            assert!(!carrier.has_work() || carrier.told, "{id:?} has work and nobody knows: {carrier:?}");
            let deadline = carrier.arrivals.deadline();
            assert!(deadline.is_none() || self.timeout <= deadline, "an acknowledgement without a timer");
            let covers = self.carriers.all.values().filter(|other| other.onto == Some(*id)).count();
            assert_eq!(covers, carrier.covers.len());
        }
    }

    fn check_scheduled(&self, stream: &Stream) {
        let route = self.carriers.route(stream.carrier);
        assert!(
            route.is_some() || self.carriers.best().is_none(),
            "{:?} waits though a carrier is up",
            stream.id
        );
        if route.is_some() {
            assert!(!stream.control.is_due() || stream.control_on == route, "control waits: {stream:?}");
            assert!(!stream.send.is_sendable() || stream.data_on == route, "data waits: {stream:?}");
        }
        if stream.app.is_some() && stream.reset.is_none() {
            assert!(!stream.receive.is_readable() || stream.readable_told, "nobody knows: {stream:?}");
        }
    }
}
