//! Numbered records at a steady pace, each with a checksum over everything before it: whatever is lost, repeated or out
//! of place shows, and so does every pause.

use std::io::{self, ErrorKind, Read, Write};
use std::thread;
use std::time::{Duration, Instant};

use aire_types::fnv;
use serde::{Deserialize, Serialize};

/// Bytes of one record: number, filler, checksum.
pub(super) const RECORD: usize = 128;
/// From one record to the next.
pub(super) const PACE: Duration = Duration::from_millis(20);

/// What the receiving end saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Receipt {
    /// Records that should have come.
    pub(super) expected: u64,
    /// Records that came, whole and in order.
    pub(super) good: u64,
    /// The longest time without a record, beyond the pace, milliseconds.
    pub(super) stall_ms: f64,
    /// The connection was reset.
    pub(super) reset: bool,
}

impl Receipt {
    /// Bytes that did not come as they should.
    pub(super) fn bytes_lost(&self) -> u64 {
        (self.expected - self.good.min(self.expected)) * RECORD as u64
    }
}

/// The records in order, each sealed with the ones before it.
#[derive(Debug, Default)]
struct Chain {
    next: u64,
    seal: u64,
}

impl Chain {
    fn record(&mut self) -> [u8; RECORD] {
        let mut record = [0; RECORD];
        let (body, seal) = record.split_at_mut(RECORD - 8);
        for (i, byte) in body.iter_mut().enumerate() {
            *byte = (self.next as u8).wrapping_mul(31).wrapping_add(i as u8);
        }
        body[..8].copy_from_slice(&self.next.to_le_bytes());
        self.seal = chain(self.seal, body);
        seal.copy_from_slice(&self.seal.to_le_bytes());
        self.next += 1;
        record
    }
}

/// A hash begun with what came before.
fn chain(before: u64, bytes: &[u8]) -> u64 {
    fnv::extend(fnv::OFFSET ^ before, bytes)
}

/// Writes `count` records at the pace.
pub(super) fn send(out: &mut impl Write, count: u64) -> io::Result<()> {
    let mut chain = Chain::default();
    let mut due = Instant::now();
    for _ in 0..count {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        out.write_all(&chain.record())?;
        due += PACE;
    }
    out.flush()
}

/// Reads `count` records, or until the connection ends or one is wrong.
pub(super) fn receive(input: &mut impl Read, count: u64) -> Receipt {
    let mut receipt = Receipt { expected: count, ..Receipt::default() };
    let mut chain = Chain::default();
    let mut record = [0; RECORD];
    let mut last: Option<Instant> = None;
    while receipt.good < count {
        let read = input.read_exact(&mut record);
        let now = Instant::now();
        if let Some(last) = last {
            let stall = now.duration_since(last).saturating_sub(PACE).as_secs_f64() * 1000.0;
            receipt.stall_ms = receipt.stall_ms.max(stall);
        }
        last = Some(now);
        if let Err(error) = read {
            receipt.reset = !matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::WouldBlock);
            break;
        }
        if record != chain.record() {
            break;
        }
        receipt.good += 1;
    }
    receipt
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(count: u64) -> Vec<u8> {
        let mut chain = Chain::default();
        (0..count).flat_map(|_| chain.record()).collect()
    }

    #[test]
    fn whole_and_in_order() {
        let receipt = receive(&mut records(9).as_slice(), 9);
        assert_eq!((receipt.good, receipt.bytes_lost(), receipt.reset), (9, 0, false));
    }

    #[test]
    fn a_missing_a_changed_and_a_repeated_record_are_lost_with_what_follows() {
        let whole = records(9);
        let cut = [&whole[..3 * RECORD], &whole[4 * RECORD..]].concat();
        assert_eq!(receive(&mut cut.as_slice(), 9).bytes_lost(), 6 * RECORD as u64);
        let mut changed = whole.clone();
        changed[5 * RECORD + 40] ^= 1;
        assert_eq!(receive(&mut changed.as_slice(), 9).good, 5);
        let repeated = [&whole[..RECORD], &whole[..]].concat();
        assert_eq!(receive(&mut repeated.as_slice(), 9).good, 1);
        let early = receive(&mut &whole[..RECORD + 5], 9);
        assert_eq!((early.good, early.reset), (1, false));
    }

    #[test]
    fn the_sender_keeps_the_pace() {
        let start = Instant::now();
        let mut sent = Vec::new();
        send(&mut sent, 4).unwrap();
        assert_eq!(sent, records(4));
        assert!(start.elapsed() >= 3 * PACE);
    }
}
