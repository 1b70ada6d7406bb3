use std::collections::{BTreeMap, VecDeque};

use aire_types::Time;
use aire_wire::{Frame, ResetCode, StreamId};

use crate::budget::Ledger;
use crate::carrier::Carrier;
use crate::control::Kinds;
use crate::schedule::{QUIET_TURN, Turn};
use crate::stream::Stream;
use crate::{Association, CarrierId, Config, Output, Side};

/// A frame is not cut shorter than this to fit into what the driver takes.
const LEAST_FRAME: usize = 2048;

type Streams = BTreeMap<StreamId, Box<Stream>>;

impl Association {
    /// Appends to `out` what the carrier should send now, about `budget` bytes of it, and returns how many they are on
    /// the wire. After `Output::Ready`, call whenever the carrier can be written to, until it returns 0.
    pub fn poll_transmit(&mut self, now: Time, id: CarrierId, budget: usize, out: &mut Vec<Frame>) -> usize {
        let Some(carrier) = self.carriers.all.get_mut(&id) else {
            return 0;
        };
        let mut batch = Batch {
            now,
            budget,
            bytes: 0,
            credits: false,
            strays: Vec::new(),
            carrier,
            out,
            config: &self.config,
            ledger: &mut self.ledger,
            outputs: &mut self.outputs,
        };
        batch.acknowledgements(&mut self.streams);
        batch.control(&mut self.streams);
        batch.data(&mut self.streams);
        batch.close();
        let (bytes, strays) = (batch.bytes, std::mem::take(&mut batch.strays));
        for stray in strays {
            if let Some(stream) = self.streams.get_mut(&stray) {
                self.carriers.schedule(stream, &mut self.outputs);
            }
        }
        if let Some(carrier) = self.carriers.get_mut(id) {
            carrier.told = carrier.has_work();
        }
        bytes
    }
}

/// What one call gives to one carrier.
struct Batch<'a> {
    now: Time,
    budget: usize,
    bytes: usize,
    /// CREDIT is among it.
    credits: bool,
    /// Streams that must be queued again, perhaps elsewhere.
    strays: Vec<StreamId>,
    carrier: &'a mut Carrier,
    out: &'a mut Vec<Frame>,
    config: &'a Config,
    ledger: &'a mut Ledger,
    outputs: &'a mut VecDeque<Output>,
}

impl Batch<'_> {
    fn is_full(&self) -> bool {
        self.bytes >= self.budget
    }

    fn push(&mut self, frame: Frame) {
        let length = frame.encoded_len();
        self.bytes += length;
        if frame.counts() && self.carrier.departures.on_sent(self.now, length as u64, frame.elicits()) {
            self.outputs.push_back(Output::Outstanding { carrier: self.carrier.id });
        }
        self.out.push(frame);
    }

    /// Sends on this carrier what belongs here: the carrier's own streams, and those that it covers.
    fn serves(&self, stream: &Stream) -> bool {
        stream.carrier.is_some_and(|assigned| {
            (assigned == self.carrier.id && self.carrier.onto.is_none())
                || self.carrier.covers.contains(&assigned)
        })
    }

    /// CARRIER_ACK and the STREAM_ACKs that go with it: when due, and whenever anything else goes out.
    fn acknowledgements(&mut self, streams: &mut Streams) {
        let schedule = &self.carrier.schedule;
        let company = schedule.has_control() || (schedule.has_data() && self.carrier.departures.has_room());
        if self.is_full() || !(self.carrier.arrivals.is_due() || (company && self.carrier.arrivals.is_owed()))
        {
            return;
        }
        let frame = self.carrier.arrivals.acknowledge(self.now);
        self.push(frame);
        let id = self.carrier.id;
        for stream in std::mem::take(&mut self.carrier.schedule.acks) {
            let Some(stream) = streams.get_mut(&stream).filter(|stream| stream.ack_on == Some(id)) else {
                continue;
            };
            stream.ack_on = None;
            if stream.reset.is_none() {
                self.push_stream(stream, Kinds::ACK);
                if stream.control.is_due() {
                    self.strays.push(stream.id);
                }
            }
        }
        for reply in std::mem::take(&mut self.carrier.schedule.replies) {
            let (stream, offset, fin, reset) = (reply.stream, reply.offset, reply.fin, reply.reset);
            self.push(Frame::StreamAck { stream, offset, fin, reset });
            let position = self.carrier.departures.sent();
            self.carrier.on_farewell(position, reply);
        }
    }

    /// What neither window nor fairness holds back.
    fn control(&mut self, streams: &mut Streams) {
        if std::mem::take(&mut self.carrier.schedule.ping) {
            self.push(Frame::Ping);
        }
        if let Some(epoch) = self.carrier.schedule.switch_all.take() {
            self.push(Frame::Switch { epoch, stream: None });
        }
        let id = Some(self.carrier.id);
        while !self.is_full()
            && let Some(stream) = self.carrier.schedule.control.pop_front()
        {
            let Some(stream) = streams.get_mut(&stream).filter(|stream| stream.control_on == id) else {
                continue;
            };
            stream.control_on = None;
            if self.serves(stream) {
                self.control_of(stream);
            }
            if stream.control.is_due() {
                self.strays.push(stream.id);
            }
        }
        if self.carrier.schedule.control.is_empty() {
            for (epoch, stream) in std::mem::take(&mut self.carrier.schedule.switches) {
                self.push(Frame::Switch { epoch, stream: Some(stream) });
            }
        }
    }

    fn control_of(&mut self, stream: &mut Stream) {
        let due = stream.control.due();
        for kind in [Kinds::OPEN, Kinds::OPENED, Kinds::ACK, Kinds::CREDIT, Kinds::FIN, Kinds::RESET] {
            if due.has(kind) {
                self.push_stream(stream, kind);
            }
        }
    }

    /// One control frame of a stream.
    fn push_stream(&mut self, stream: &mut Stream, kind: Kinds) {
        let id = stream.id;
        let frame = match kind {
            Kinds::OPEN => match stream.app.clone() {
                Some(app) => Frame::Open { stream: id, class: stream.class, protocol: stream.protocol, app },
                None => return,
            },
            Kinds::OPENED => Frame::Opened { stream: id },
            Kinds::CREDIT => Frame::Credit { stream: id, offset: stream.receive.limit() },
            Kinds::FIN => Frame::Fin { stream: id, offset: stream.send.end() },
            Kinds::RESET => Frame::Reset { stream: id, code: stream.reset.unwrap_or(ResetCode::Application) },
            _ => Frame::StreamAck {
                stream: id,
                offset: stream.receive.contiguous(),
                fin: stream.receive.fin().is_some(),
                reset: false,
            },
        };
        self.credits |= kind == Kinds::CREDIT;
        self.push(frame);
        let departures = &self.carrier.departures;
        stream.control.sent(kind, self.carrier.id, departures.sent(), departures.acked());
    }

    /// Streams in turn, while the window has room.
    fn data(&mut self, streams: &mut Streams) {
        let id = Some(self.carrier.id);
        while !self.is_full()
            && self.carrier.departures.has_room()
            && let Some((stream, quantum)) = self.carrier.schedule.pop()
        {
            let Some(stream) = streams.get_mut(&stream).filter(|stream| stream.data_on == id) else {
                continue;
            };
            stream.data_on = None;
            if !self.serves(stream) {
                self.strays.push(stream.id);
                continue;
            }
            let sent = self.turn(stream, quantum);
            if quantum == QUIET_TURN {
                self.carrier.schedule.on_quiet_sent(sent);
            }
            if stream.send.is_sendable() {
                stream.data_on = id;
                self.carrier.schedule.push(stream.id, Turn::Busy);
            }
            self.after_turn(stream, sent);
        }
    }

    fn turn(&mut self, stream: &mut Stream, quantum: usize) -> usize {
        let was_ready = stream.send.is_fin_ready();
        let mut sent = 0;
        while sent < quantum && !self.is_full() && self.carrier.departures.has_room() {
            let fits = (self.budget - self.bytes).max(LEAST_FRAME);
            let limit = self.config.max_frame.min(quantum - sent).min(fits);
            let Some((offset, bytes)) = stream.send.take(limit, self.carrier.id) else {
                break;
            };
            sent += bytes.len();
            self.push(Frame::Data { stream: stream.id, offset, bytes });
        }
        if stream.send.is_fin_ready() && !was_ready {
            self.push_stream(stream, Kinds::FIN);
            if stream.control.is_due() {
                self.strays.push(stream.id);
            }
        }
        sent
    }

    fn after_turn(&mut self, stream: &mut Stream, sent: usize) {
        let own = stream.carrier == Some(self.carrier.id) && !self.carrier.doubted;
        if stream.blocked && stream.unblock(self.config, self.ledger, own) {
            self.outputs.push_back(Output::Writable(stream.id));
        }
        if own && self.config.side == Side::Source {
            self.carrier.on_transfer(self.now, stream, sent, self.outputs);
        }
    }

    /// CREDIT that gets lost would stop the peer in silence: when nothing else proves that the carrier lives, a PING does.
    fn close(&mut self) {
        if self.credits && !self.carrier.departures.is_outstanding() {
            self.push(Frame::Ping);
        }
        if !self.carrier.schedule.has_data() && self.carrier.departures.has_room() {
            self.carrier.departures.on_app_limited();
        }
    }
}
