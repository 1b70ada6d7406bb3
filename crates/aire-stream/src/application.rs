use aire_types::{AppName, Class, Protocol, Time};
use aire_wire::{ACK_DELAY, ResetCode, StreamId};
use bytes::Bytes;

use crate::control::Kinds;
use crate::stream::Stream;
use crate::{Association, OpenRefused, Output, Read, Side, StreamError};

/// What applications do with streams.
impl Association {
    /// Source: opens a stream. Data may be written at once.
    ///
    /// # Errors
    /// Not the source, or as many streams as allowed.
    pub fn open(
        &mut self,
        now: Time,
        class: Class,
        protocol: Protocol,
        app: AppName,
    ) -> Result<StreamId, OpenRefused> {
        if self.config.side != Side::Source {
            return Err(OpenRefused::NotTheSource);
        }
        if self.streams.len() >= self.config.max_streams {
            return Err(OpenRefused::TooMany(self.streams.len()));
        }
        let id = StreamId(self.next_stream);
        self.next_stream += 1;
        let mut stream = Box::new(Stream::new(now, id));
        stream.class = class;
        stream.protocol = protocol;
        stream.app = Some(app);
        stream.control.demand(Kinds::OPEN);
        let to = self.carriers.best();
        self.carriers.assign(&mut stream, to, &mut self.outputs);
        self.carriers.schedule(&mut stream, &mut self.outputs);
        self.streams.insert(id, stream);
        Ok(id)
    }

    /// Destination: the application took the stream.
    pub fn accept(&mut self, _now: Time, id: StreamId) {
        if self.config.side == Side::Destination
            && let Some(stream) = self.streams.get_mut(&id)
            && stream.reset.is_none()
            && !stream.opened
        {
            stream.opened = true;
            stream.control.demand(Kinds::OPENED);
            self.carriers.schedule(stream, &mut self.outputs);
        }
    }

    /// Ends both directions at once and forgets what they hold. `Output::Ended` follows when the peer knows.
    pub fn reset(&mut self, _now: Time, id: StreamId, code: ResetCode) {
        if let Some(stream) = self.streams.get_mut(&id)
            && stream.reset.is_none()
        {
            stream.reset = Some(code);
            stream.discard(&mut self.ledger);
            stream.control.clear();
            stream.control.demand(Kinds::RESET);
            stream.control_on = None;
            stream.data_on = None;
            stream.ack_on = None;
            self.carriers.schedule(stream, &mut self.outputs);
        }
    }

    /// How many bytes `write` takes now; 0 for a stream that takes no more at all. After 0, `Output::Writable`
    /// tells when there is room.
    pub fn writable(&mut self, id: StreamId) -> usize {
        let Some(stream) = self.streams.get_mut(&id) else {
            return 0;
        };
        if stream.reset.is_some() || stream.send.is_finished() {
            return 0;
        }
        let may_borrow = self.carriers.progresses(stream);
        let room = stream.room(&self.config, &mut self.ledger, may_borrow);
        stream.blocked = room == 0;
        room
    }

    /// Takes bytes of the application, without copying them; at most what `writable` says. Keep chunks large where
    /// there is much, and let small ones not be slices of large buffers: they stay in memory until acknowledged.
    ///
    /// # Errors
    /// The stream was reset, ended, finished, or has less room.
    pub fn write(&mut self, _now: Time, id: StreamId, bytes: Bytes) -> Result<(), StreamError> {
        let stream = self.streams.get_mut(&id).ok_or(StreamError::Unknown(id))?;
        if let Some(code) = stream.reset {
            return Err(StreamError::Reset(id, code));
        }
        if stream.send.is_finished() {
            return Err(StreamError::Finished(id));
        }
        let may_borrow = self.carriers.progresses(stream);
        let room = stream.room(&self.config, &mut self.ledger, may_borrow);
        if bytes.len() > room {
            stream.blocked |= room == 0;
            return Err(StreamError::Full(id, room));
        }
        stream.blocked = bytes.len() == room;
        stream.send.write(bytes);
        self.carriers.schedule(stream, &mut self.outputs);
        Ok(())
    }

    /// The application writes no more. The other direction goes on.
    pub fn finish(&mut self, _now: Time, id: StreamId) {
        if let Some(stream) = self.streams.get_mut(&id)
            && stream.reset.is_none()
            && !stream.send.is_finished()
        {
            stream.send.finish();
            stream.blocked = false;
            if stream.send.is_fin_ready() {
                stream.control.demand(Kinds::FIN);
            }
            self.carriers.schedule(stream, &mut self.outputs);
        }
    }

    /// The next bytes for the application, at most `max`, without copying. Call `consumed` when the application has them.
    pub fn read(&mut self, _now: Time, id: StreamId, max: usize) -> Read {
        let Some(stream) = self.streams.get_mut(&id) else {
            return Read::Unknown;
        };
        if let Some(code) = stream.reset {
            return Read::Reset(code);
        }
        if let Some(bytes) = stream.receive.read(max.max(1)) {
            return Read::Data(bytes);
        }
        if stream.receive.read_end() {
            self.end_if_done(id);
            return Read::End;
        }
        stream.readable_told = false;
        Read::Pending
    }

    /// The application really took `bytes` of what was read: the peer may send more.
    pub fn consumed(&mut self, now: Time, id: StreamId, bytes: usize) {
        let Some(stream) = self.streams.get_mut(&id).filter(|stream| stream.reset.is_none()) else {
            return;
        };
        stream.receive.consume(bytes);
        let route = self.carriers.route(stream.carrier).and_then(|id| self.carriers.get(id));
        let smoothed = route.and_then(|carrier| carrier.departures.rtt.smoothed());
        let round_trip = smoothed.unwrap_or_default().max(ACK_DELAY);
        stream.grant(now, &self.config, &mut self.ledger, round_trip);
        self.carriers.schedule(stream, &mut self.outputs);
        self.end_if_done(id);
    }

    /// Tells the application that there is something to read.
    pub(crate) fn tell_readable(&mut self, id: StreamId) {
        if let Some(stream) = self.streams.get_mut(&id)
            && stream.app.is_some()
            && stream.receive.is_readable()
            && !stream.readable_told
        {
            stream.readable_told = true;
            self.outputs.push_back(Output::Readable(id));
        }
    }
}
