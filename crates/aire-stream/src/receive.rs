use std::collections::{BTreeMap, VecDeque};

use aire_wire::{INITIAL_CREDIT, StreamId};
use bytes::{Bytes, BytesMut};

use crate::Violation;

/// Pieces below this size are copied together where they must wait: a slice would keep the whole buffer that it was
/// read into alive.
const SMALL: usize = 4096;
/// Copied pieces grow up to this size.
const GATHER: usize = 16 * 1024;
/// Pieces beside the contiguous bytes that are always accepted.
const PIECES: usize = 256;

#[derive(Debug)]
enum Piece {
    Whole(Bytes),
    Copied(BytesMut),
}

impl Piece {
    fn new(bytes: Bytes) -> Self {
        if bytes.len() < SMALL { Piece::Copied(BytesMut::from(&bytes[..])) } else { Piece::Whole(bytes) }
    }

    fn len(&self) -> usize {
        match self {
            Piece::Whole(bytes) => bytes.len(),
            Piece::Copied(bytes) => bytes.len(),
        }
    }

    fn into_bytes(self) -> Bytes {
        match self {
            Piece::Whole(bytes) => bytes,
            Piece::Copied(bytes) => bytes.freeze(),
        }
    }
}

/// One direction of a stream at its receiver: what arrived and the application has not taken.
#[derive(Debug)]
pub(crate) struct ReceiveBuffer {
    /// In order, not read.
    ready: VecDeque<Bytes>,
    /// In order behind `ready`: small pieces, copied together.
    tail: BytesMut,
    /// Beyond the first gap; they do not overlap.
    beyond: BTreeMap<u64, Piece>,
    read: u64,
    consumed: u64,
    contiguous: u64,
    limit: u64,
    fin: Option<u64>,
    end_read: bool,
}

impl ReceiveBuffer {
    pub(crate) fn new() -> Self {
        ReceiveBuffer {
            ready: VecDeque::new(),
            tail: BytesMut::new(),
            beyond: BTreeMap::new(),
            read: 0,
            consumed: 0,
            contiguous: 0,
            limit: INITIAL_CREDIT,
            fin: None,
            end_read: false,
        }
    }

    /// All below is in memory or was taken.
    pub(crate) fn contiguous(&self) -> u64 {
        self.contiguous
    }

    pub(crate) fn consumed(&self) -> u64 {
        self.consumed
    }

    /// Up to where the peer may send.
    pub(crate) fn limit(&self) -> u64 {
        self.limit
    }

    pub(crate) fn raise_limit(&mut self, limit: u64) {
        self.limit = self.limit.max(limit);
    }

    pub(crate) fn fin(&self) -> Option<u64> {
        self.fin
    }

    /// `read` has something: bytes or the end.
    pub(crate) fn is_readable(&self) -> bool {
        self.read < self.contiguous || (self.is_at_end() && !self.end_read)
    }

    fn is_at_end(&self) -> bool {
        self.fin == Some(self.read)
    }

    /// The application has taken everything and knows that it was everything.
    pub(crate) fn is_done(&self) -> bool {
        self.end_read && self.fin == Some(self.consumed)
    }

    fn highest(&self) -> u64 {
        self.beyond.last_key_value().map_or(self.contiguous, |(at, piece)| at + piece.len() as u64)
    }

    /// Stores what is new of a piece; true when anything was.
    pub(crate) fn insert(
        &mut self,
        stream: StreamId,
        offset: u64,
        mut bytes: Bytes,
    ) -> Result<bool, Violation> {
        let end = offset.saturating_add(bytes.len() as u64);
        if end > self.limit {
            return Err(Violation::Credit { stream, end, limit: self.limit });
        }
        if self.fin.is_some_and(|fin| end > fin) {
            return Err(Violation::FinalSize(stream));
        }
        if end <= self.contiguous {
            return Ok(false);
        }
        if offset > self.contiguous {
            return self.insert_beyond(stream, offset, bytes);
        }
        let known = (self.contiguous - offset) as usize;
        if known > 0 {
            bytes = bytes.slice(known..);
        }
        self.append(bytes);
        self.join();
        Ok(true)
    }

    fn append(&mut self, bytes: Bytes) {
        self.contiguous += bytes.len() as u64;
        if bytes.len() < SMALL && (!self.ready.is_empty() || !self.tail.is_empty()) {
            self.tail.extend_from_slice(&bytes);
            if self.tail.len() >= GATHER {
                self.ready.push_back(std::mem::take(&mut self.tail).freeze());
            }
            return;
        }
        if !self.tail.is_empty() {
            self.ready.push_back(std::mem::take(&mut self.tail).freeze());
        }
        self.ready.push_back(bytes);
    }

    /// Takes over the pieces that the contiguous bytes have reached.
    fn join(&mut self) {
        while let Some(entry) = self.beyond.first_entry().filter(|entry| *entry.key() <= self.contiguous) {
            let (at, piece) = entry.remove_entry();
            let mut bytes = piece.into_bytes();
            let known = (self.contiguous - at) as usize;
            if known < bytes.len() {
                self.append(bytes.split_off(known));
            }
        }
    }

    fn insert_beyond(&mut self, stream: StreamId, mut at: u64, mut bytes: Bytes) -> Result<bool, Violation> {
        let mut new = false;
        if let Some((start, piece)) = self.beyond.range(..=at).next_back() {
            let known = (start + piece.len() as u64).saturating_sub(at).min(bytes.len() as u64);
            at += known;
            bytes = bytes.slice(known as usize..);
        }
        while !bytes.is_empty() {
            let next = self.beyond.range(at..).next().map(|(start, piece)| (*start, piece.len() as u64));
            let gap = next.map_or(u64::MAX, |(start, _)| start - at);
            let part = bytes.split_to(bytes.len().min(usize::try_from(gap).unwrap_or(usize::MAX)));
            if !part.is_empty() {
                new = true;
                self.store_beyond(at, part);
            }
            if let Some((start, length)) = next.filter(|_| !bytes.is_empty()) {
                at = start + length;
                bytes = bytes.slice((length as usize).min(bytes.len())..);
            }
        }
        if self.beyond.len() > PIECES + (self.limit - self.consumed) as usize / 1024 {
            return Err(Violation::Fragments(stream));
        }
        Ok(new)
    }

    fn store_beyond(&mut self, at: u64, bytes: Bytes) {
        if bytes.len() < SMALL
            && let Some((start, Piece::Copied(before))) = self.beyond.range_mut(..at).next_back()
            && start + before.len() as u64 == at
            && before.len() + bytes.len() <= GATHER
        {
            before.extend_from_slice(&bytes);
        } else {
            self.beyond.insert(at, Piece::new(bytes));
        }
    }

    /// The direction ends at `offset`; true when that is news.
    pub(crate) fn finish(&mut self, stream: StreamId, offset: u64) -> Result<bool, Violation> {
        if self.fin.is_some_and(|fin| fin != offset) || offset < self.highest() {
            return Err(Violation::FinalSize(stream));
        }
        if offset > self.limit {
            return Err(Violation::Credit { stream, end: offset, limit: self.limit });
        }
        let new = self.fin.is_none();
        self.fin = Some(offset);
        Ok(new)
    }

    /// The next bytes in order, at most `max`.
    pub(crate) fn read(&mut self, max: usize) -> Option<Bytes> {
        if self.ready.is_empty() && !self.tail.is_empty() {
            self.ready.push_back(std::mem::take(&mut self.tail).freeze());
        }
        let front = self.ready.front_mut()?;
        let bytes = if front.len() > max { front.split_to(max) } else { self.ready.pop_front()? };
        if self.ready.is_empty() && self.ready.capacity() > 8 {
            self.ready = VecDeque::new();
        }
        self.read += bytes.len() as u64;
        Some(bytes)
    }

    /// All was read; the application learns it now.
    pub(crate) fn read_end(&mut self) -> bool {
        self.end_read |= self.is_at_end();
        self.end_read
    }

    /// The application took `bytes` of what was read.
    pub(crate) fn consume(&mut self, bytes: usize) {
        self.consumed = self.consumed.saturating_add(bytes as u64).min(self.read);
    }

    /// Forgets all bytes: the stream is being reset.
    pub(crate) fn discard(&mut self) {
        self.ready = VecDeque::new();
        self.tail = BytesMut::new();
        self.beyond = BTreeMap::new();
    }

    pub(crate) fn check_invariants(&self) {
        assert!(self.consumed <= self.read && self.read <= self.contiguous);
        assert!(self.highest() <= self.limit, "never more than the credit");
        let ready = self.ready.iter().map(Bytes::len).sum::<usize>() + self.tail.len();
        assert_eq!(self.read + ready as u64, self.contiguous);
        let mut end = self.contiguous;
        for (at, piece) in &self.beyond {
            assert!(*at >= end && (*at > self.contiguous) && piece.len() > 0, "{self:?}");
            end = at + piece.len() as u64;
        }
        assert!(self.fin.is_none_or(|fin| fin >= self.highest()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: StreamId = StreamId(1);

    fn source() -> Bytes {
        (0..60_000u32).map(|at| (at * 7 % 251) as u8).collect::<Vec<_>>().into()
    }

    fn drain(receive: &mut ReceiveBuffer) -> Vec<u8> {
        let mut all = Vec::new();
        while let Some(bytes) = receive.read(7000) {
            receive.consume(bytes.len());
            all.extend_from_slice(&bytes);
        }
        all
    }

    #[test]
    fn overlapping_pieces_in_any_order_give_the_bytes_once() {
        let all = source();
        let mut state = 1u64;
        let mut random = |below: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % below
        };
        for _ in 0..50 {
            let mut receive = ReceiveBuffer::new();
            for _ in 0..100 {
                let at = random(all.len());
                let end = (at + 1 + random(9000)).min(all.len());
                receive.insert(S, at as u64, all.slice(at..end)).unwrap();
                receive.check_invariants();
            }
            let mut got = drain(&mut receive);
            for at in (0..all.len()).step_by(500) {
                receive.insert(S, at as u64, all.slice(at..at + 500)).unwrap();
            }
            assert!(receive.finish(S, all.len() as u64).unwrap());
            got.extend(drain(&mut receive));
            assert_eq!(got, all);
            assert!(receive.read_end() && receive.is_done());
        }
    }

    #[test]
    fn a_peer_that_breaks_the_rules_is_found_out() {
        let all = source();
        let mut receive = ReceiveBuffer::new();
        assert!(matches!(receive.insert(S, 60_000, all.clone()), Err(Violation::Credit { .. })));
        assert!(matches!(receive.insert(S, u64::MAX, all.clone()), Err(Violation::Credit { .. })));
        receive.insert(S, 100, all.slice(..50)).unwrap();
        assert_eq!(receive.finish(S, 149), Err(Violation::FinalSize(S)));
        assert_eq!(receive.finish(S, 150), Ok(true));
        assert_eq!(receive.finish(S, 150), Ok(false));
        assert_eq!(receive.finish(S, 151), Err(Violation::FinalSize(S)));
        assert_eq!(receive.insert(S, 140, all.slice(..11)), Err(Violation::FinalSize(S)));
    }

    #[test]
    fn single_bytes_do_not_pile_up() {
        let all = source();
        let mut receive = ReceiveBuffer::new();
        for at in 1..all.len() {
            receive.insert(S, at as u64, all.slice(at..=at)).unwrap();
        }
        assert!(receive.beyond.len() <= 4);
        receive.insert(S, 0, all.slice(..1)).unwrap();
        assert_eq!(drain(&mut receive), all);
        let mut receive = ReceiveBuffer::new();
        let scattered = (1..60_000).step_by(2).map(|at| receive.insert(S, at, all.slice(..1)));
        assert!(scattered.into_iter().any(|result| result == Err(Violation::Fragments(S))));
    }
}
