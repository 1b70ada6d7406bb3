use std::collections::VecDeque;

use aire_wire::INITIAL_CREDIT;
use bytes::Bytes;

use crate::CarrierId;
use crate::flight::Flight;

/// Small writes are gathered into chunks of this size while they wait to be sent.
const GATHER: usize = 4096;

#[derive(Debug)]
struct Chunk {
    start: u64,
    bytes: Bytes,
}

/// One direction of a stream at its sender: what the application wrote and the peer has not acknowledged.
#[derive(Debug)]
pub(crate) struct SendBuffer {
    chunks: VecDeque<Chunk>,
    end: u64,
    credit: u64,
    finished: bool,
    fin_acked: bool,
    pub(crate) flight: Flight,
}

impl SendBuffer {
    pub(crate) fn new() -> Self {
        SendBuffer {
            chunks: VecDeque::new(),
            end: 0,
            credit: INITIAL_CREDIT,
            finished: false,
            fin_acked: false,
            flight: Flight::default(),
        }
    }

    /// Bytes held: written and not acknowledged.
    pub(crate) fn held(&self) -> usize {
        (self.end - self.flight.acked()) as usize
    }

    /// Bytes written and never sent.
    pub(crate) fn unsent(&self) -> usize {
        (self.end - self.flight.sent()) as usize
    }

    /// Bytes written in all.
    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.finished
    }

    /// The direction is over and the peer knows all of it.
    pub(crate) fn is_done(&self) -> bool {
        self.fin_acked && self.flight.acked() == self.end
    }

    /// FIN may travel: all bytes were sent at least once.
    pub(crate) fn is_fin_ready(&self) -> bool {
        self.finished && !self.fin_acked && self.flight.sent() == self.end
    }

    pub(crate) fn write(&mut self, bytes: Bytes) {
        let start = self.end;
        self.end += bytes.len() as u64;
        if let Some(last) = self.chunks.back_mut()
            && last.start >= self.flight.sent()
            && last.bytes.len() + bytes.len() <= GATHER
        {
            let taken = std::mem::take(&mut last.bytes);
            let mut gathered = taken.try_into_mut().unwrap_or_else(|shared| shared[..].into());
            gathered.extend_from_slice(&bytes);
            last.bytes = gathered.freeze();
        } else if !bytes.is_empty() {
            self.chunks.push_back(Chunk { start, bytes });
        }
    }

    pub(crate) fn finish(&mut self) {
        self.finished = true;
    }

    /// The peer allows more; false when it is old news.
    pub(crate) fn allow(&mut self, credit: u64) -> bool {
        let more = credit > self.credit;
        self.credit = self.credit.max(credit);
        more
    }

    /// There is data that may be sent now.
    pub(crate) fn is_sendable(&self) -> bool {
        self.flight.has_pending() || self.flight.sent() < self.end.min(self.credit)
    }

    /// Takes the next bytes for `carrier`, at most `limit`: those to be sent again first.
    pub(crate) fn take(&mut self, limit: usize, carrier: CarrierId) -> Option<(u64, Bytes)> {
        if let Some((start, end)) = self.flight.first_pending() {
            let bytes = self.slice(start, limit.min((end - start) as usize))?;
            self.flight.resent(start + bytes.len() as u64, carrier);
            return Some((start, bytes));
        }
        let start = self.flight.sent();
        let allowed = self.end.min(self.credit).saturating_sub(start);
        if allowed == 0 {
            return None;
        }
        let bytes = self.slice(start, limit.min(allowed as usize))?;
        self.flight.extend(start + bytes.len() as u64, carrier);
        Some((start, bytes))
    }

    fn slice(&self, from: u64, limit: usize) -> Option<Bytes> {
        let after = self.chunks.partition_point(|chunk| chunk.start <= from);
        let chunk = self.chunks.get(after.checked_sub(1)?)?;
        let skip = (from - chunk.start) as usize;
        let end = chunk.bytes.len().min(skip.saturating_add(limit));
        (skip < end).then(|| chunk.bytes.slice(skip..end))
    }

    /// The peer holds all below `offset`; false when that was never sent.
    pub(crate) fn acknowledge(&mut self, offset: u64, fin: bool) -> bool {
        if offset > self.flight.sent() || (fin && !(self.finished && self.flight.sent() == self.end)) {
            return false;
        }
        self.fin_acked |= fin;
        self.flight.acknowledge(offset);
        let acked = self.flight.acked();
        while self.chunks.front().is_some_and(|chunk| chunk.start + chunk.bytes.len() as u64 <= acked) {
            self.chunks.pop_front();
        }
        if self.chunks.is_empty() && self.chunks.capacity() > 8 {
            self.chunks = VecDeque::new();
        }
        true
    }

    /// Forgets all bytes: the stream is being reset.
    pub(crate) fn discard(&mut self) {
        self.chunks = VecDeque::new();
        self.flight.discard();
        self.end = self.flight.acked();
    }

    pub(crate) fn check_invariants(&self, lives: impl Fn(CarrierId) -> bool) {
        self.flight.check_invariants(lives);
        assert!(self.flight.sent() <= self.end && self.flight.sent() <= self.credit);
        let mut at = self.chunks.front().map_or(self.end, |chunk| chunk.start);
        assert!(at <= self.flight.acked(), "all that is not acknowledged is in memory");
        for chunk in &self.chunks {
            assert_eq!(chunk.start, at);
            assert!(!chunk.bytes.is_empty());
            at += chunk.bytes.len() as u64;
        }
        assert_eq!(at, self.end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: CarrierId = CarrierId(1);
    const B: CarrierId = CarrierId(2);

    #[test]
    fn chunks_are_cut_into_frames_and_freed_by_acknowledgements() {
        let mut send = SendBuffer::new();
        send.write(Bytes::from(vec![1; 5000]));
        send.write(Bytes::from(vec![2; 5000]));
        assert_eq!(send.take(4000, A).map(|(at, b)| (at, b.len())), Some((0, 4000)));
        assert_eq!(send.take(4000, A).map(|(at, b)| (at, b.len())), Some((4000, 1000)));
        assert_eq!(send.take(9000, A).map(|(at, b)| (at, b.len())), Some((5000, 5000)));
        assert_eq!(send.take(9000, A), None);
        assert!(send.acknowledge(6000, false));
        assert_eq!((send.held(), send.chunks.len()), (4000, 1));
        assert!(!send.acknowledge(10_001, false), "never sent");
        assert!(!send.acknowledge(10_000, true), "no FIN was sent");
        send.flight.lose(A);
        assert_eq!(send.take(9000, B).map(|(at, b)| (at, b.len())), Some((6000, 4000)));
        send.finish();
        assert!(send.is_fin_ready());
        assert!(send.acknowledge(10_000, true));
        assert!(send.is_done());
        send.check_invariants(|_| true);
    }

    #[test]
    fn small_writes_that_wait_travel_together() {
        let mut send = SendBuffer::new();
        for byte in 0..100 {
            send.write(Bytes::copy_from_slice(&[byte; 10]));
        }
        assert_eq!(send.take(4096, A).map(|(_, b)| b.len()), Some(1000));
        send.write(Bytes::from_static(b"x"));
        send.check_invariants(|_| true);
        assert_eq!(send.take(4096, A), Some((1000, Bytes::from_static(b"x"))));
    }

    #[test]
    fn credit_stops_the_sender() {
        let mut send = SendBuffer::new();
        send.write(Bytes::from(vec![0; 100_000]));
        assert_eq!(send.take(usize::MAX, A).map(|(_, b)| b.len()), Some(65_536));
        assert!(!send.is_sendable());
        assert!(send.allow(70_000));
        assert!(!send.allow(60_000));
        assert_eq!(send.take(usize::MAX, A).map(|(_, b)| b.len()), Some(70_000 - 65_536));
    }
}
