//! Incoming records (RFC 8446 §5.2), decrypted in place.

use std::collections::VecDeque;

use bytes::{Buf, BytesMut};
use ring::aead::Aad;
use rustls::{AlertDescription, Error, InvalidMessage};

use super::keys::Direction;
use crate::tls::record_length;

const HEADER: usize = 5;
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const DATA: u8 = 23;
/// The longest record: RFC 8446 allows 256 bytes beside the application bytes.
const MAX_RECORD: usize = HEADER + 16 * 1024 + 256;
/// An idle carrier reads into little memory; one whose reads fill it gets more, up to the largest.
const SMALLEST: usize = 32 * 1024;
const LARGEST: usize = 512 * 1024;
/// Buffers that wait until the application has taken what it holds of them.
const MAX_SPARE: usize = 4;

/// One buffer: decrypted bytes, then a gap, then ciphertext. Each record is decrypted to the place behind the one
/// before it, so that application bytes lie in one piece and are never copied.
pub(super) struct Inbox {
    buffer: BytesMut,
    /// Where the decrypted bytes end.
    plain: usize,
    /// Where the ciphertext begins.
    cipher: usize,
    capacity: usize,
    spare: VecDeque<BytesMut>,
}

/// What the record before was.
pub(super) enum Opened {
    /// No whole record is here.
    Nothing,
    /// Application bytes, or something without meaning for the caller.
    Record,
    /// The peer wants this end to renew its key.
    UpdateRequested,
    /// The peer has ended the session in order.
    Closed,
}

impl Inbox {
    /// Begins with ciphertext that is here already.
    pub(super) fn new(ciphertext: BytesMut) -> Self {
        Inbox { buffer: ciphertext, plain: 0, cipher: 0, capacity: SMALLEST, spare: VecDeque::new() }
    }

    /// The buffer to read ciphertext into, with room for a whole record at least.
    pub(super) fn room(&mut self) -> &mut BytesMut {
        if self.buffer.capacity() - self.buffer.len() < MAX_RECORD {
            self.replace_buffer();
        }
        &mut self.buffer
    }

    /// Bytes of memory that its buffers have.
    #[cfg(feature = "fuzzing")]
    pub(super) fn held(&self) -> usize {
        self.buffer.capacity() + self.spare.iter().map(BytesMut::capacity).sum::<usize>()
    }

    /// How a read went: `room` bytes were asked for and `taken` came.
    pub(super) fn adapt(&mut self, taken: usize, room: usize) {
        if taken == room && self.capacity < LARGEST {
            self.capacity *= 2;
        }
    }

    /// Nothing has come for a while: give memory back.
    pub(super) fn shrink(&mut self) {
        self.capacity = SMALLEST;
        self.spare.clear();
        if self.buffer.is_empty() {
            self.buffer = BytesMut::new();
        }
    }

    fn replace_buffer(&mut self) {
        let kept = self.plain + self.buffer.len() - self.cipher;
        let wanted = self.capacity.max(kept + MAX_RECORD);
        // where nobody holds bytes of this one it begins at its front again
        if self.buffer.try_reclaim(wanted.saturating_sub(self.buffer.len()).max(MAX_RECORD)) {
            return;
        }
        let found =
            self.spare.iter_mut().position(|spare| spare.capacity() >= wanted || spare.try_reclaim(wanted));
        let mut fresh = found.and_then(|at| self.spare.remove(at)).unwrap_or_default();
        fresh.reserve(wanted);
        fresh.extend_from_slice(&self.buffer[..self.plain]);
        fresh.extend_from_slice(&self.buffer[self.cipher..]);
        self.cipher = self.plain;
        let mut old = std::mem::replace(&mut self.buffer, fresh);
        old.clear();
        if self.spare.len() == MAX_SPARE {
            self.spare.pop_front();
        }
        self.spare.push_back(old);
    }

    /// Application bytes shorter than this are copied, so that few of them do not hold a large buffer.
    pub(super) fn copy_below(&self) -> usize {
        self.capacity / 16
    }

    /// Lends the decrypted bytes to `parse`, which takes from the front what it can use.
    pub(super) fn with_plain<E>(
        &mut self,
        parse: impl FnOnce(&mut BytesMut) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.plain == 0 {
            return Ok(());
        }
        let mut front = self.buffer.split_to(self.plain);
        let outcome = parse(&mut front);
        let taken = self.plain - front.len();
        self.plain -= taken;
        self.cipher -= taken;
        front.unsplit(std::mem::take(&mut self.buffer));
        self.buffer = front;
        if self.plain == 0 {
            // nothing to stay behind of: the gap is of no use
            self.buffer.advance(self.cipher);
            self.cipher = 0;
        }
        outcome
    }

    /// Decrypts the next record.
    pub(super) fn open(&mut self, keys: &mut Direction) -> Result<Opened, Error> {
        let ciphertext = &self.buffer[self.cipher..];
        let Some((header, length)) =
            ciphertext.first_chunk::<HEADER>().copied().zip(record_length(ciphertext))
        else {
            return Ok(Opened::Nothing);
        };
        if header[0] != DATA {
            return Err(Error::InvalidMessage(InvalidMessage::InvalidContentType));
        }
        if length > MAX_RECORD {
            return Err(Error::PeerSentOversizedRecord);
        }
        if ciphertext.len() < length {
            return Ok(Opened::Nothing);
        }
        let end = self.cipher + length;
        let begin = self.cipher + HEADER - self.plain;
        let nonce = keys.nonce();
        let record = &mut self.buffer[self.plain..end];
        let opened = keys.key().open_within(nonce, Aad::from(header), record, begin..);
        let opened = opened.map_err(|_| Error::DecryptError)?;
        self.cipher = end;
        // the type is the last byte that is not padding
        let length = opened.iter().rposition(|byte| *byte != 0).ok_or(Error::DecryptError)?;
        match opened[length] {
            DATA => {
                self.plain += length;
                Ok(Opened::Record)
            }
            ALERT => alert(&opened[..length]),
            HANDSHAKE => handshake(&opened[..length], keys),
            _ => Err(Error::InvalidMessage(InvalidMessage::InvalidContentType)),
        }
    }
}

fn alert(body: &[u8]) -> Result<Opened, Error> {
    match body {
        [_, 0] => Ok(Opened::Closed),
        [_, description] => Err(Error::AlertReceived(AlertDescription::from(*description))),
        _ => Err(Error::InvalidMessage(InvalidMessage::MessageTooShort)),
    }
}

/// Key updates; tickets are passed over, because carriers never resume.
fn handshake(body: &[u8], keys: &mut Direction) -> Result<Opened, Error> {
    match body {
        [24, 0, 0, 1, request @ 0..=1] => {
            keys.update()?;
            Ok(if *request == 1 { Opened::UpdateRequested } else { Opened::Record })
        }
        [4, ..] => Ok(Opened::Record),
        _ => Err(Error::InvalidMessage(InvalidMessage::InvalidKeyUpdate)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::keys::Keys;
    use super::super::seal::Outbox;
    use super::*;

    fn opened(inbox: &mut Inbox, keys: &mut Direction) -> Vec<u8> {
        let mut out = Vec::new();
        while !matches!(inbox.open(keys).unwrap(), Opened::Nothing) {}
        inbox
            .with_plain(|plain| {
                out.extend_from_slice(&plain.split());
                Ok::<(), ()>(())
            })
            .unwrap();
        out
    }

    #[test]
    fn records_of_all_sizes_and_fragments_come_out_as_they_went_in() {
        for fragment in [1, 4, 1000, 20_000, 200_000] {
            let (mut send, mut receive) = Keys::both_ends();
            let (mut outbox, mut inbox) = (Outbox::default(), Inbox::new(BytesMut::new()));
            let (mut sent, mut received) = (Vec::new(), Vec::new());
            for (at, length) in [1, 16_383, 16_384, 16_385, 100_000, 5].into_iter().enumerate() {
                let bytes: Vec<u8> = (0..length).map(|n| (n + at) as u8).collect();
                outbox.put(&mut send, &bytes).unwrap();
                outbox.finish(&mut send).unwrap();
                sent.extend_from_slice(&bytes);
                if at == 3 {
                    outbox.update_key(&mut send).unwrap();
                }
            }
            for chunk in outbox.pending().chunks(fragment) {
                for chunk in chunk.chunks(MAX_RECORD) {
                    inbox.room().extend_from_slice(chunk);
                    received.extend(opened(&mut inbox, &mut receive));
                }
            }
            assert!(received == sent, "fragments of {fragment}");
        }
    }

    #[test]
    fn what_is_not_a_record_of_this_session_is_refused() {
        let (mut send, mut receive) = Keys::both_ends();
        let mut outbox = Outbox::default();
        outbox.put(&mut send, b"hello").unwrap();
        outbox.finish(&mut send).unwrap();
        let good = outbox.pending().to_vec();
        let changed = |at: usize, to: u8| {
            let mut bytes = good.clone();
            bytes[at] = to;
            bytes
        };
        for bad in [changed(0, 22), changed(3, 0xff), changed(8, !good[8]), vec![23, 3, 3, 0, 0]] {
            let mut inbox = Inbox::new(BytesMut::from(&bad[..]));
            assert!(inbox.open(&mut Keys::both_ends().1).is_err(), "{bad:?}");
        }
        let mut inbox = Inbox::new(BytesMut::from(&[&good[..], &good[..]].concat()[..]));
        assert!(matches!(inbox.open(&mut receive), Ok(Opened::Record)));
        assert!(inbox.open(&mut receive).is_err(), "a replayed record");
    }

    #[test]
    fn close_notify_is_the_end() {
        let (mut send, mut receive) = Keys::both_ends();
        let mut outbox = Outbox::default();
        outbox.close_notify(&mut send).unwrap();
        let mut inbox = Inbox::new(BytesMut::from(outbox.pending()));
        assert!(matches!(inbox.open(&mut receive), Ok(Opened::Closed)));
    }
}
