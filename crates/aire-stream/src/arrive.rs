use std::time::Duration;

use aire_types::{AppName, Class, Protocol, Time};
use aire_wire::{Frame, ResetCode, StreamId};
use bytes::Bytes;

use crate::control::Kinds;
use crate::schedule::Reply;
use crate::stream::Stream;
use crate::{Association, CarrierId, Output, Side, Violation};

/// What the peer sends.
impl Association {
    /// A frame arrived on a carrier and took `length` bytes there. The driver handles JOIN, and JOINED and CLOSE too,
    /// but hands the latter two in so that they are counted. Frames on a carrier that is not up are ignored.
    ///
    /// # Errors
    /// The peer broke the protocol: close the carrier with `CarrierClose::Protocol` and `abort` the association.
    pub fn handle_frame(
        &mut self,
        now: Time,
        id: CarrierId,
        frame: Frame,
        length: usize,
    ) -> Result<(), Violation> {
        let Some(carrier) = self.carriers.get_mut(id) else {
            return Ok(());
        };
        carrier.arrivals.on_frame(now, &frame, length as u64);
        self.timeout = self.timeout.into_iter().chain(carrier.arrivals.deadline()).min();
        let taken = self.dispatch(now, id, frame);
        // Also of a peer that broke the protocol: what the frame made due must not go unsaid.
        self.carriers.wake(id, &mut self.outputs);
        taken
    }

    fn dispatch(&mut self, now: Time, id: CarrierId, frame: Frame) -> Result<(), Violation> {
        match (frame, self.config.side) {
            (Frame::Data { stream, offset, bytes }, _) => self.on_data(now, id, stream, offset, bytes),
            (Frame::CarrierAck { bytes, delay_us }, _) => {
                self.on_carrier_ack(now, id, bytes, Duration::from_micros(delay_us))
            }
            (Frame::StreamAck { stream, offset, fin, reset }, _) => {
                self.on_stream_ack(stream, offset, fin, reset)
            }
            (Frame::Credit { stream, offset }, _) => self.on_credit(stream, offset),
            (Frame::Fin { stream, offset }, _) => self.on_fin(now, id, stream, offset),
            (Frame::Reset { stream, code }, _) => self.on_reset(id, stream, code),
            (Frame::Open { stream, class, protocol, app }, Side::Destination) => {
                self.on_open(now, id, stream, (class, protocol, app))
            }
            (Frame::Open { .. }, Side::Source) => Err(Violation::WrongSide("OPEN")),
            (Frame::Opened { stream }, Side::Source) => self.on_opened(stream),
            (Frame::Opened { .. }, Side::Destination) => Err(Violation::WrongSide("OPENED")),
            (Frame::Switch { epoch, stream }, Side::Destination) => {
                self.on_switch(now, id, epoch, stream);
                Ok(())
            }
            (Frame::Switch { .. }, Side::Source) => Err(Violation::WrongSide("SWITCH")),
            (Frame::Ping | Frame::Close { .. }, _) | (Frame::Joined { .. }, Side::Source) => Ok(()),
            (Frame::Joined { .. }, Side::Destination) => Err(Violation::Unexpected("JOINED")),
            (Frame::Join { .. }, _) => Err(Violation::Unexpected("JOIN")),
        }
    }

    /// Makes sure that a stream that the peer speaks of exists, where it may; false when it has ended.
    fn meet(&mut self, now: Time, from: CarrierId, id: StreamId) -> Result<bool, Violation> {
        if self.streams.contains_key(&id) {
            return Ok(true);
        }
        self.check_opened(id)?;
        if self.config.side == Side::Source || self.ended.contains(id) {
            return Ok(false);
        }
        let most = self.config.max_streams;
        if self.streams.len() >= 2 * most || self.ended.ranges() > 4 * most {
            return Err(Violation::TooManyStreams);
        }
        let mut stream = Box::new(Stream::new(now, id));
        let to = Some(from).filter(|from| self.carriers.is_usable(*from)).or_else(|| self.carriers.best());
        self.carriers.assign(&mut stream, to, &mut self.outputs);
        self.streams.insert(id, stream);
        if self.streams.len() > most {
            self.reset(now, id, ResetCode::Limit);
        }
        Ok(true)
    }

    /// Answers a frame for a stream that has ended, so that the peer can forget it, too.
    fn reply(&mut self, on: CarrierId, stream: StreamId, offset: u64, fin: bool, reset: bool) {
        self.carriers.reply(Some(on), Reply { stream, offset, fin, reset }, &mut self.outputs);
    }

    fn on_data(
        &mut self,
        now: Time,
        on: CarrierId,
        id: StreamId,
        offset: u64,
        bytes: Bytes,
    ) -> Result<(), Violation> {
        let length = bytes.len();
        if !self.meet(now, on, id)? {
            self.reply(on, id, offset + length as u64, false, false);
            return Ok(());
        }
        let Some(stream) = self.streams.get_mut(&id).filter(|stream| stream.reset.is_none()) else {
            return Ok(());
        };
        if stream.receive.insert(id, offset, bytes)? {
            stream.heard_on = Some(on);
            if self.config.side == Side::Destination && stream.epoch == 0 && self.carriers.is_usable(on) {
                self.carriers.assign(stream, Some(on), &mut self.outputs);
            }
        } else if stream.receive.limit() > aire_wire::INITIAL_CREDIT {
            // A repetition: the peer may have heard neither acknowledgement nor credit.
            stream.control.demand(Kinds::CREDIT);
        }
        self.carriers.owe_ack(stream, on);
        self.carriers.schedule(stream, &mut self.outputs);
        if self.config.side == Side::Source
            && let Some(carrier) = stream.carrier.and_then(|id| self.carriers.get_mut(id))
        {
            carrier.on_transfer(now, stream, length, &mut self.outputs);
        }
        self.tell_readable(id);
        Ok(())
    }

    fn on_fin(&mut self, now: Time, on: CarrierId, id: StreamId, offset: u64) -> Result<(), Violation> {
        if !self.meet(now, on, id)? {
            self.reply(on, id, offset, true, false);
            return Ok(());
        }
        let Some(stream) = self.streams.get_mut(&id).filter(|stream| stream.reset.is_none()) else {
            return Ok(());
        };
        if stream.receive.finish(id, offset)? {
            stream.control.settle(Kinds::CREDIT);
        }
        self.carriers.owe_ack(stream, on);
        self.carriers.schedule(stream, &mut self.outputs);
        self.tell_readable(id);
        Ok(())
    }

    fn on_reset(&mut self, on: CarrierId, id: StreamId, code: ResetCode) -> Result<(), Violation> {
        self.check_opened(id)?;
        if let Some(stream) = self.streams.get(&id) {
            if stream.reset.is_none() && stream.app.is_some() {
                self.outputs.push_back(Output::Reset { stream: id, code });
            }
            self.end(id, Some(code));
        } else if self.ended.ranges() > 4 * self.config.max_streams {
            return Err(Violation::TooManyStreams);
        } else {
            // Its OPEN may still come, and must open nothing any more.
            self.ended.insert(id);
        }
        self.reply(on, id, 0, false, true);
        Ok(())
    }

    fn on_open(
        &mut self,
        now: Time,
        on: CarrierId,
        id: StreamId,
        (class, protocol, app): (Class, Protocol, AppName),
    ) -> Result<(), Violation> {
        if !self.meet(now, on, id)? {
            self.reply(on, id, 0, false, false);
            return Ok(());
        }
        let Some(stream) = self.streams.get_mut(&id).filter(|stream| stream.reset.is_none()) else {
            return Ok(());
        };
        if stream.app.is_none() {
            stream.class = class;
            stream.protocol = protocol;
            stream.app = Some(app.clone());
            self.outputs.push_back(Output::Incoming { stream: id, class, protocol, app });
        } else if stream.opened {
            stream.control.demand(Kinds::OPENED);
        }
        self.carriers.owe_ack(stream, on);
        self.carriers.schedule(stream, &mut self.outputs);
        self.tell_readable(id);
        Ok(())
    }

    fn on_opened(&mut self, id: StreamId) -> Result<(), Violation> {
        self.check_opened(id)?;
        let Some(stream) = self.streams.get_mut(&id) else {
            return Ok(());
        };
        stream.control.settle(Kinds::OPEN);
        if !stream.opened && stream.reset.is_none() {
            stream.opened = true;
            self.outputs.push_back(Output::Opened(id));
        }
        Ok(())
    }

    fn on_stream_ack(&mut self, id: StreamId, offset: u64, fin: bool, reset: bool) -> Result<(), Violation> {
        self.check_opened(id)?;
        let Some(stream) = self.streams.get_mut(&id) else {
            return Ok(());
        };
        stream.control.settle(Kinds::OPEN);
        if let Some(code) = stream.reset {
            if reset {
                self.end(id, Some(code));
            }
            return Ok(());
        }
        if reset || !stream.send.acknowledge(offset, fin) {
            return Err(Violation::StreamAck(id));
        }
        if fin {
            stream.control.settle(Kinds::FIN);
        }
        stream.repay(&self.config, &mut self.ledger);
        let may_borrow = self.carriers.progresses(stream);
        if stream.blocked && stream.unblock(&self.config, &mut self.ledger, may_borrow) {
            self.outputs.push_back(Output::Writable(id));
        }
        self.end_if_done(id);
        Ok(())
    }

    fn on_credit(&mut self, id: StreamId, offset: u64) -> Result<(), Violation> {
        self.check_opened(id)?;
        let Some(stream) = self.streams.get_mut(&id) else {
            return Ok(());
        };
        stream.control.settle(Kinds::OPEN);
        if stream.send.allow(offset) {
            self.carriers.schedule(stream, &mut self.outputs);
        }
        Ok(())
    }

    /// A source knows which streams the peer can answer on; others may have ended.
    fn check_opened(&self, id: StreamId) -> Result<(), Violation> {
        let opened = self.config.side == Side::Destination || id.0 < self.next_stream;
        if opened { Ok(()) } else { Err(Violation::UnknownStream(id)) }
    }

    fn on_carrier_ack(
        &mut self,
        now: Time,
        id: CarrierId,
        bytes: u64,
        delay: Duration,
    ) -> Result<(), Violation> {
        let Some(carrier) = self.carriers.get_mut(id) else {
            return Ok(());
        };
        let acknowledged = carrier.departures.on_acknowledged(now, bytes, delay)?;
        if let Some(rtt) = acknowledged.rtt {
            self.outputs.push_back(Output::Rtt { carrier: id, rtt });
        }
        if acknowledged.progress {
            carrier.trim_farewells();
            self.outputs.push_back(Output::Progress { carrier: id });
            self.on_progress(id);
        }
        Ok(())
    }
}
