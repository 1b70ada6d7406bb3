use std::collections::VecDeque;

use aire_types::Time;

use crate::arrivals::Arrivals;
use crate::departures::Departures;
use crate::schedule::{Reply, Schedule};
use crate::stream::Stream;
use crate::{CarrierId, CarrierState, Output};

/// So many last words may wait for any acknowledgement.
const FAREWELLS: usize = 512;

/// One carrier as the streams see it: what goes over it, what came, and whether it is to be trusted.
#[derive(Debug)]
pub(crate) struct Carrier {
    pub(crate) id: CarrierId,
    pub(crate) departures: Departures,
    pub(crate) arrivals: Arrivals,
    pub(crate) schedule: Schedule,
    /// Streams that are assigned to it.
    pub(crate) streams: usize,
    /// What was outstanding is also sent elsewhere, until there is progress.
    pub(crate) doubted: bool,
    /// While doubted: its streams send here.
    pub(crate) onto: Option<CarrierId>,
    /// The carriers whose streams send here.
    pub(crate) covers: Vec<CarrierId>,
    /// Last words about streams that have ended, and where they end on the carrier: nobody else would repeat them.
    pub(crate) farewells: VecDeque<(u64, Reply)>,
    /// Takes no streams.
    pub(crate) abandoned: bool,
    /// `Output::Ready` was given and not yet answered.
    pub(crate) told: bool,
}

impl Carrier {
    pub(crate) fn new(now: Time, id: CarrierId) -> Self {
        Carrier {
            id,
            departures: Departures::new(now),
            arrivals: Arrivals::default(),
            schedule: Schedule::default(),
            streams: 0,
            doubted: false,
            onto: None,
            covers: Vec::new(),
            farewells: VecDeque::new(),
            abandoned: false,
            told: false,
        }
    }

    /// A last word was sent and ends at `position`. It asks for no acknowledgement, so when many wait for one, a PING does.
    pub(crate) fn on_farewell(&mut self, position: u64, reply: Reply) {
        self.farewells.push_back((position, reply));
        if self.farewells.len() > 32 * FAREWELLS {
            // The peer acknowledges nothing for long: it has other worries than the end of its streams.
            self.farewells.pop_front();
        }
        self.schedule.ping |= self.farewells.len().is_multiple_of(FAREWELLS);
    }

    /// Forgets the last words that have arrived.
    pub(crate) fn trim_farewells(&mut self) {
        let acked = self.departures.acked();
        while self.farewells.front().is_some_and(|(position, _)| *position <= acked) {
            self.farewells.pop_front();
        }
    }

    /// `poll_transmit` would find something.
    pub(crate) fn has_work(&self) -> bool {
        self.arrivals.is_due()
            || self.schedule.has_control()
            || (self.schedule.has_data() && self.departures.has_room())
    }

    /// New bytes may be entrusted to it.
    pub(crate) fn is_usable(&self) -> bool {
        !self.abandoned
    }

    /// What the peer must get soon may be entrusted to it.
    pub(crate) fn is_trusted(&self) -> bool {
        !self.abandoned && !self.doubted
    }

    /// `bytes` of a stream passed: one that is busy among others should have a carrier of its own.
    pub(crate) fn on_transfer(
        &mut self,
        now: Time,
        stream: &mut Stream,
        bytes: usize,
        outputs: &mut VecDeque<Output>,
    ) {
        if stream.busy.count(now, bytes) && self.streams > 1 && !stream.busy.told {
            stream.busy.told = true;
            outputs.push_back(Output::WantCarrier { stream: stream.id });
        }
    }

    pub(crate) fn state(&self) -> CarrierState {
        let window = &self.departures.window;
        CarrierState {
            outstanding_since: self.departures.outstanding_since(),
            last_progress: self.departures.last_progress(),
            last_arrival: self.arrivals.last(),
            in_flight: self.departures.in_flight(),
            window: window.bytes(),
            acknowledged: self.departures.acked(),
            settled: window.is_settled(),
            delivery_rate: window.rate(),
            min_rtt: window.min_rtt(),
            srtt: self.departures.rtt.smoothed(),
            rtt_variation: self.departures.rtt.variation(),
            streams: self.streams,
            doubted: self.doubted,
            abandoned: self.abandoned,
        }
    }
}
