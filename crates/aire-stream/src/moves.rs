use aire_types::Time;
use aire_wire::StreamId;

use crate::carrier::Carrier;
use crate::control::Kinds;
use crate::stream::Stream;
use crate::{Association, CarrierId, Output, Side};

/// Carriers that come and go, and streams that move between them.
impl Association {
    /// A carrier can take frames: the source has written JOIN, or the destination JOINED. `sent` and `received` are
    /// the bytes of these two on the wire, as far as they have passed.
    pub fn handle_carrier_up(&mut self, now: Time, id: CarrierId, sent: usize, received: usize) {
        if self.carriers.get(id).is_some() {
            return;
        }
        let mut carrier = Carrier::new(now, id);
        if sent > 0 && carrier.departures.on_sent(now, sent as u64, true) {
            self.outputs.push_back(Output::Outstanding { carrier: id });
        }
        carrier.arrivals.on_joined(now, received as u64);
        self.timeout = self.timeout.into_iter().chain(carrier.arrivals.deadline()).min();
        self.carriers.all.insert(id, carrier);
        self.adopt(id);
    }

    /// A carrier was closed or failed. Its streams go elsewhere, and all that it may have lost is sent again there.
    pub fn handle_carrier_down(&mut self, _now: Time, id: CarrierId) {
        if self.carriers.get(id).is_some() {
            self.lose(id);
            self.carriers.all.remove(&id);
        }
    }

    /// A carrier is taken for dead though nothing says so: as `handle_carrier_down`, but what still arrives on it counts. It
    /// takes streams again once it makes progress, or when it is preferred.
    pub fn abandon(&mut self, _now: Time, id: CarrierId) {
        if self.carriers.is_usable(id) {
            self.lose(id);
        }
    }

    /// Source: all streams, and all to come, go over this carrier. What is under way elsewhere stays there unless it is
    /// overdue there; to leave a path that is bad without being dead, `hedge` it first.
    pub fn prefer(&mut self, now: Time, id: CarrierId) {
        if self.config.side == Side::Source && self.carriers.get(id).is_some() {
            self.revive(id);
            self.carriers.preferred = Some(id);
            self.epoch += 1;
            if let Some(carrier) = self.carriers.get_mut(id) {
                carrier.schedule.switch_all = Some(self.epoch);
                carrier.schedule.switches.clear();
            }
            self.move_all(now, id, u64::MAX);
            self.carriers.wake(id, &mut self.outputs);
        }
    }

    /// Source: streams to come go over this carrier; those that run stay.
    pub fn prefer_for_new(&mut self, id: CarrierId) {
        if self.config.side == Side::Source && self.carriers.get(id).is_some() {
            self.revive(id);
            self.carriers.preferred = Some(id);
        }
    }

    /// Source: one stream goes over this carrier.
    pub fn move_stream(&mut self, now: Time, id: StreamId, to: CarrierId) {
        if self.config.side == Side::Source
            && self.carriers.get(to).is_some()
            && self.streams.contains_key(&id)
        {
            self.revive(to);
            self.shift(now, id, to);
            self.announce(id, to);
        }
    }

    /// `from` is late: what is under way on it is sent on `onto` as well, and its streams go on there, until `from`
    /// makes progress.
    pub fn hedge(&mut self, _now: Time, from: CarrierId, onto: CarrierId) {
        if from == onto || !self.carriers.is_usable(from) || !self.carriers.is_usable(onto) {
            return;
        }
        self.carriers.trust(from);
        let mut delivered = 0;
        if let Some(carrier) = self.carriers.get_mut(from) {
            carrier.doubted = true;
            carrier.onto = Some(onto);
            delivered = carrier.departures.acked();
        }
        if let Some(carrier) = self.carriers.get_mut(onto) {
            carrier.covers.push(from);
        }
        for stream in self.streams.values_mut() {
            stream.send.flight.doubt(from);
            stream.leave_queues(from, delivered);
            self.carriers.schedule(stream, &mut self.outputs);
        }
    }

    /// Asks the peer for a sign of life on this carrier.
    pub fn ping(&mut self, _now: Time, id: CarrierId) {
        if let Some(carrier) = self.carriers.get_mut(id) {
            carrier.schedule.ping = true;
            self.carriers.wake(id, &mut self.outputs);
        }
    }

    /// The carrier delivered something after all.
    pub(crate) fn on_progress(&mut self, id: CarrierId) {
        if self.carriers.get(id).is_some_and(|carrier| carrier.abandoned || carrier.doubted) {
            self.revive(id);
        }
    }

    /// Ends abandonment and doubt.
    fn revive(&mut self, id: CarrierId) {
        let mut helper = None;
        if let Some(carrier) = self.carriers.get_mut(id) {
            carrier.abandoned = false;
            helper = carrier.onto;
        }
        if self.carriers.trust(id) {
            for stream in self.streams.values_mut() {
                stream.send.flight.trust(id);
                if stream.carrier == Some(id) && helper.is_some() {
                    stream.control_on = stream.control_on.filter(|on| Some(*on) != helper);
                    stream.data_on = stream.data_on.filter(|on| Some(*on) != helper);
                }
                self.carriers.schedule(stream, &mut self.outputs);
                let may_borrow = self.carriers.progresses(stream);
                if stream.blocked && stream.unblock(&self.config, &mut self.ledger, may_borrow) {
                    self.outputs.push_back(Output::Writable(stream.id));
                }
            }
        }
        self.adopt(id);
    }

    /// Streams without a carrier get this one.
    fn adopt(&mut self, id: CarrierId) {
        let first = self.carriers.preferred.is_none_or(|preferred| !self.carriers.is_usable(preferred));
        if first {
            self.carriers.preferred = Some(id);
        }
        for reply in std::mem::take(&mut self.carriers.homeless) {
            self.carriers.reply(None, reply, &mut self.outputs);
        }
        let mut orphans = false;
        for stream in self.streams.values_mut().filter(|stream| stream.carrier.is_none()) {
            orphans = true;
            self.carriers.assign(stream, Some(id), &mut self.outputs);
            self.carriers.schedule(stream, &mut self.outputs);
        }
        if orphans && self.config.side == Side::Source {
            self.announce_all(id);
        }
        self.carriers.wake(id, &mut self.outputs);
    }

    /// Takes everything off a carrier.
    fn lose(&mut self, id: CarrierId) {
        let Some(carrier) = self.carriers.get_mut(id) else {
            return;
        };
        carrier.abandoned = true;
        let delivered = carrier.departures.acked();
        let replies = std::mem::take(&mut carrier.schedule).replies;
        carrier.trim_farewells();
        let farewells = std::mem::take(&mut carrier.farewells);
        let (helper, covered) = (carrier.onto, carrier.covers.clone());
        self.carriers.unhedge(id);
        let to = helper.filter(|helper| self.carriers.is_usable(*helper)).or_else(|| self.carriers.best());
        let was_preferred = self.carriers.preferred == Some(id);
        if was_preferred {
            self.carriers.preferred = to;
        }
        self.hedge_anew(&covered, to);
        for reply in replies.into_iter().chain(farewells.into_iter().map(|(_, reply)| reply)) {
            self.carriers.reply(None, reply, &mut self.outputs);
        }
        let mut moved = Vec::new();
        for stream in self.streams.values_mut() {
            stream.send.flight.lose(id);
            stream.leave_queues(id, delivered);
            if stream.carrier == Some(id) {
                let heard = stream
                    .heard_on
                    .filter(|on| self.config.side == Side::Destination && self.carriers.is_usable(*on));
                self.carriers.assign(stream, heard.or(to), &mut self.outputs);
                moved.push(stream.id);
            }
            self.carriers.schedule(stream, &mut self.outputs);
        }
        if let Some(to) = to.filter(|_| self.config.side == Side::Source) {
            if was_preferred {
                self.announce_all(to);
            } else {
                moved.into_iter().for_each(|stream| self.announce(stream, to));
            }
        }
    }

    /// The helper of these doubted carriers is gone: another helps.
    fn hedge_anew(&mut self, covered: &[CarrierId], to: Option<CarrierId>) {
        let Some(to) = to else {
            return;
        };
        for from in covered.iter().copied().filter(|from| *from != to) {
            if let Some(carrier) = self.carriers.get_mut(from) {
                carrier.onto = Some(to);
            }
            if let Some(carrier) = self.carriers.get_mut(to) {
                carrier.covers.push(from);
            }
        }
    }

    /// Destination: the source names the carrier it prefers.
    pub(crate) fn on_switch(&mut self, now: Time, on: CarrierId, epoch: u64, stream: Option<StreamId>) {
        if let Some(id) = stream {
            let epochs = self.streams.get(&id).map(|stream| stream.epoch.max(self.epoch));
            if epochs.is_some_and(|seen| epoch > seen) {
                self.revive(on);
                self.shift(now, id, on);
                if let Some(stream) = self.streams.get_mut(&id) {
                    stream.epoch = epoch;
                }
            }
        } else if epoch > self.epoch {
            self.epoch = epoch;
            self.revive(on);
            self.carriers.preferred = Some(on);
            self.move_all(now, on, epoch);
        }
    }

    /// All streams whose last SWITCH is older than `epoch` go to `to`.
    fn move_all(&mut self, now: Time, to: CarrierId, epoch: u64) {
        let overdue = |carrier: &&mut Carrier| {
            carrier.id != to && (carrier.doubted || carrier.departures.is_overdue(now))
        };
        let mut suspects = Vec::new();
        for carrier in self.carriers.all.values_mut().filter(overdue) {
            carrier.doubted = true;
            suspects.push(carrier.id);
        }
        for stream in self.streams.values_mut().filter(|stream| stream.epoch < epoch) {
            for suspect in &suspects {
                stream.send.flight.doubt(*suspect);
            }
            if self.config.side == Side::Destination {
                stream.epoch = epoch;
            }
            self.carriers.assign(stream, Some(to), &mut self.outputs);
            self.carriers.schedule(stream, &mut self.outputs);
        }
    }

    fn shift(&mut self, now: Time, id: StreamId, to: CarrierId) {
        let Some(stream) = self.streams.get_mut(&id) else {
            return;
        };
        let late = stream.carrier.filter(|from| *from != to).and_then(|from| self.carriers.get_mut(from));
        if let Some(from) = late.filter(|from| from.doubted || from.departures.is_overdue(now)) {
            from.doubted = true;
            stream.send.flight.doubt(from.id);
        }
        self.carriers.assign(stream, Some(to), &mut self.outputs);
        self.carriers.schedule(stream, &mut self.outputs);
    }

    /// Source: tells the destination where one stream goes now.
    fn announce(&mut self, stream: StreamId, to: CarrierId) {
        self.epoch += 1;
        if let Some(carrier) = self.carriers.get_mut(to) {
            carrier.schedule.switches.push((self.epoch, stream));
            self.carriers.wake(to, &mut self.outputs);
        }
    }

    /// Source: tells the destination that all streams go over `to` now, except for those that do not.
    fn announce_all(&mut self, to: CarrierId) {
        self.epoch += 1;
        if let Some(carrier) = self.carriers.get_mut(to) {
            carrier.schedule.switch_all = Some(self.epoch);
        }
        self.carriers.wake(to, &mut self.outputs);
        let others = self.streams.values().filter(|stream| stream.carrier != Some(to));
        let others: Vec<_> = others.filter_map(|stream| Some((stream.id, stream.carrier?))).collect();
        others.into_iter().for_each(|(stream, on)| self.announce(stream, on));
    }
}

impl Stream {
    /// A carrier no longer sends for the stream. What it owed there is owed elsewhere.
    fn leave_queues(&mut self, id: CarrierId, delivered: u64) {
        let left = Some(id);
        self.control.lost(id, delivered);
        self.control_on = self.control_on.filter(|on| Some(*on) != left);
        self.data_on = self.data_on.filter(|on| Some(*on) != left);
        if self.ack_on == left {
            self.ack_on = None;
            self.control.demand(Kinds::ACK);
        }
    }
}
