//! Outgoing records (RFC 8446 §5.2).

use ring::aead::Aad;
use rustls::Error;

use super::keys::Direction;

/// The most application bytes of one record.
pub(super) const MAX_PLAIN: usize = 16 * 1024;
const HEADER: usize = 5;
const TAG: usize = 16;
/// What a record has beside its application bytes: header, inner type, tag.
const AROUND: usize = HEADER + 1 + TAG;

const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const DATA: u8 = 23;

/// Keys are renewed after so many records, well below the 2^24 that AES-GCM allows for full ones (RFC 8446 §5.5).
const KEY_LIFE: u64 = 1 << 22;

/// Gathers bytes into records and keeps them until the socket takes them.
#[derive(Default)]
pub(super) struct Outbox {
    sealed: Vec<u8>,
    /// How much of `sealed` the socket has taken.
    written: usize,
    /// Where the record that is being filled begins.
    open: Option<usize>,
}

impl Outbox {
    /// What the socket has not taken yet. Complete records only.
    pub(super) fn pending(&self) -> &[u8] {
        &self.sealed[self.written..]
    }

    /// The socket has taken `count` bytes.
    pub(super) fn taken(&mut self, count: usize) {
        self.written += count;
        if self.written == self.sealed.len() {
            self.sealed.clear();
            self.written = 0;
        }
    }

    /// Gives memory back once nothing is pending.
    pub(super) fn shrink(&mut self) {
        if self.sealed.is_empty() {
            self.sealed = Vec::new();
        }
    }

    /// Appends application bytes; [`Self::finish`] seals what is left.
    pub(super) fn put(&mut self, keys: &mut Direction, mut bytes: &[u8]) -> Result<(), Error> {
        while !bytes.is_empty() {
            let begin = self.begin(bytes.len());
            let room = HEADER + MAX_PLAIN - (self.sealed.len() - begin);
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.sealed.extend_from_slice(now);
            bytes = later;
            if now.len() == room {
                self.finish(keys)?;
            }
        }
        Ok(())
    }

    fn begin(&mut self, expected: usize) -> usize {
        *self.open.get_or_insert_with(|| {
            self.sealed.reserve(expected.min(MAX_PLAIN) + AROUND);
            self.sealed.extend_from_slice(&[0; HEADER]);
            self.sealed.len() - HEADER
        })
    }

    /// Seals the record that is being filled, and renews the key when it is due.
    pub(super) fn finish(&mut self, keys: &mut Direction) -> Result<(), Error> {
        if let Some(begin) = self.open.take() {
            self.seal(keys, begin, DATA)?;
        }
        if keys.records() >= KEY_LIFE {
            self.update_key(keys)?;
        }
        Ok(())
    }

    /// Tells the peer that the next record has a new key.
    pub(super) fn update_key(&mut self, keys: &mut Direction) -> Result<(), Error> {
        const KEY_UPDATE: [u8; 5] = [24, 0, 0, 1, 0];
        self.put_other(keys, HANDSHAKE, &KEY_UPDATE)?;
        keys.update()
    }

    /// Says that nothing follows.
    pub(super) fn close_notify(&mut self, keys: &mut Direction) -> Result<(), Error> {
        const CLOSE_NOTIFY: [u8; 2] = [1, 0];
        self.put_other(keys, ALERT, &CLOSE_NOTIFY)
    }

    /// A record of another type than application data.
    pub(super) fn put_other(&mut self, keys: &mut Direction, kind: u8, body: &[u8]) -> Result<(), Error> {
        let begin = self.begin(body.len());
        self.sealed.extend_from_slice(body);
        self.open = None;
        self.seal(keys, begin, kind)
    }

    fn seal(&mut self, keys: &mut Direction, begin: usize, kind: u8) -> Result<(), Error> {
        self.sealed.push(kind);
        let [high, low] = ((self.sealed.len() - begin - HEADER + TAG) as u16).to_be_bytes();
        let header = [DATA, 3, 3, high, low];
        self.sealed[begin..begin + HEADER].copy_from_slice(&header);
        let nonce = keys.nonce();
        let tag = keys
            .key()
            .seal_in_place_separate_tag(nonce, Aad::from(header), &mut self.sealed[begin + HEADER..])
            .map_err(|_| Error::EncryptError)?;
        self.sealed.extend_from_slice(tag.as_ref());
        Ok(())
    }
}
