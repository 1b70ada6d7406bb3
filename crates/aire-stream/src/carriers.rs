use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::carrier::Carrier;
use crate::control::Kinds;
use crate::schedule::{Reply, Turn};
use crate::stream::{Busy, Stream};
use crate::{CarrierId, Output};
use aire_types::Class;

/// So many last words wait for a carrier at most.
const HOMELESS: usize = 16 * 1024;

/// All carriers of an association.
#[derive(Debug, Default)]
pub(crate) struct Carriers {
    pub(crate) all: BTreeMap<CarrierId, Carrier>,
    /// Where streams go that have no other wish.
    pub(crate) preferred: Option<CarrierId>,
    /// Last words that wait for a carrier.
    pub(crate) homeless: Vec<Reply>,
}

impl Carriers {
    pub(crate) fn get(&self, id: CarrierId) -> Option<&Carrier> {
        self.all.get(&id)
    }

    pub(crate) fn get_mut(&mut self, id: CarrierId) -> Option<&mut Carrier> {
        self.all.get_mut(&id)
    }

    pub(crate) fn is_usable(&self, id: CarrierId) -> bool {
        self.get(id).is_some_and(Carrier::is_usable)
    }

    /// The carrier that a stream assigned to `assigned` sends on now.
    pub(crate) fn route(&self, assigned: Option<CarrierId>) -> Option<CarrierId> {
        let carrier = self.get(assigned?)?;
        Some(carrier.onto.unwrap_or(carrier.id))
    }

    /// The preferred carrier, or else the usable one that looks best.
    pub(crate) fn best(&self) -> Option<CarrierId> {
        let preferred = self.preferred.and_then(|id| self.get(id));
        if let Some(carrier) = preferred.filter(|carrier| carrier.is_usable() && !carrier.doubted) {
            return Some(carrier.id);
        }
        let rank = |carrier: &&Carrier| {
            (carrier.doubted, carrier.departures.rtt.smoothed().unwrap_or(Duration::MAX), carrier.id)
        };
        self.all.values().filter(|carrier| carrier.is_usable()).min_by_key(rank).map(|carrier| carrier.id)
    }

    /// Tells the driver when the carrier has something to send.
    pub(crate) fn wake(&mut self, id: CarrierId, outputs: &mut VecDeque<Output>) {
        if let Some(carrier) = self.all.get_mut(&id)
            && !carrier.told
            && carrier.has_work()
        {
            carrier.told = true;
            outputs.push_back(Output::Ready(id));
        }
    }

    /// Queues whatever the stream has to send where it sends now.
    pub(crate) fn schedule(&mut self, stream: &mut Stream, outputs: &mut VecDeque<Output>) {
        let Some(carrier) = self.route(stream.carrier).and_then(|id| self.all.get_mut(&id)) else {
            return;
        };
        let id = Some(carrier.id);
        if stream.control.is_due() && stream.control_on != id {
            stream.control_on = id;
            carrier.schedule.control.push_back(stream.id);
        }
        if stream.send.is_sendable() && stream.data_on != id {
            stream.data_on = id;
            let turn = if stream.class == Class::Bulk { Turn::Busy } else { Turn::Quiet };
            carrier.schedule.push(stream.id, turn);
        }
        let id = carrier.id;
        self.wake(id, outputs);
    }

    /// The stream owes a STREAM_ACK for what came on `from`: it goes back there with the next CARRIER_ACK, or, if
    /// that carrier is in doubt, at once where the stream sends. Not before OPEN has come: an acknowledgement of
    /// anything acknowledges that, too.
    pub(crate) fn owe_ack(&mut self, stream: &mut Stream, from: CarrierId) {
        if stream.ack_on == Some(from) || stream.app.is_none() {
            return;
        }
        match self.get_mut(from).filter(|carrier| carrier.is_trusted()) {
            Some(carrier) => {
                stream.ack_on = Some(from);
                carrier.schedule.push_ack(stream.id);
            }
            None => stream.control.demand(Kinds::ACK),
        }
    }

    /// Says a last word about a stream: with the next CARRIER_ACK on `with`, or, if that carrier is in doubt or there is
    /// none, at once on another, or else on the next that comes.
    pub(crate) fn reply(&mut self, with: Option<CarrierId>, reply: Reply, outputs: &mut VecDeque<Output>) {
        let with = with.and_then(|id| self.get(id)).filter(|carrier| carrier.is_trusted());
        let with = with.map(|carrier| carrier.id);
        let Some(carrier) = with.or_else(|| self.best()).and_then(|id| self.all.get_mut(&id)) else {
            if self.homeless.len() < HOMELESS {
                self.homeless.push(reply);
            }
            return;
        };
        carrier.schedule.push_reply(reply);
        if with.is_none() {
            carrier.arrivals.demand();
        }
        let id = carrier.id;
        self.wake(id, outputs);
    }

    /// The stream's own carrier is not in doubt: it may borrow memory.
    pub(crate) fn progresses(&self, stream: &Stream) -> bool {
        stream.carrier.and_then(|id| self.get(id)).is_some_and(|carrier| !carrier.doubted)
    }

    /// Makes `to` the stream's carrier. What it sent and nobody confirmed is sent again there, except for data,
    /// which stays where it is until that carrier is lost or in doubt.
    pub(crate) fn assign(
        &mut self,
        stream: &mut Stream,
        to: Option<CarrierId>,
        outputs: &mut VecDeque<Output>,
    ) {
        let from = stream.carrier;
        if from == to {
            return;
        }
        if let Some(old) = from.and_then(|id| self.all.get_mut(&id)) {
            old.streams -= 1;
            stream.control.lost(old.id, old.departures.acked());
        }
        if from.is_some() && stream.ack_on == from {
            stream.ack_on = None;
            stream.control.demand(Kinds::ACK);
        }
        stream.carrier = to;
        stream.control_on = None;
        stream.data_on = None;
        stream.busy = Busy::default();
        let Some(new) = to.and_then(|id| self.all.get_mut(&id)) else {
            return;
        };
        new.streams += 1;
        if std::mem::replace(&mut stream.placed, true) {
            stream.moves += 1;
            outputs.push_back(Output::Moved { stream: stream.id, from, to: new.id });
        }
    }

    /// Ends the doubt in a carrier; true when there was any.
    pub(crate) fn trust(&mut self, id: CarrierId) -> bool {
        let Some(carrier) = self.all.get_mut(&id) else {
            return false;
        };
        let onto = carrier.onto.take();
        let doubted = std::mem::take(&mut carrier.doubted);
        if let Some(onto) = onto.and_then(|id| self.all.get_mut(&id)) {
            onto.covers.retain(|covered| *covered != id);
        }
        doubted
    }

    /// Removes all traces of `id` as a helper or a helped one.
    pub(crate) fn unhedge(&mut self, id: CarrierId) {
        self.trust(id);
        for carrier in self.all.values_mut().filter(|carrier| carrier.onto == Some(id)) {
            carrier.onto = None;
        }
        if let Some(carrier) = self.all.get_mut(&id) {
            carrier.covers.clear();
        }
    }
}
