use std::collections::VecDeque;
use std::time::Duration;

use aire_types::Time;

use crate::Violation;
use crate::rtt::RoundTrip;
use crate::window::{RateSample, Window};

/// Frames closer together than this share a record, up to `RECORD_BYTES`.
const RECORD_SPAN: Duration = Duration::from_micros(50);
const RECORD_BYTES: u64 = 64 * 1024;
/// Shorter intervals say more about this machine's timers than about the path.
const LEAST_INTERVAL: Duration = Duration::from_micros(50);

/// Bytes that were sent together, with what the delivery rate needs
/// (draft-cheng-iccrg-delivery-rate-estimation).
#[derive(Clone, Copy, Debug)]
struct Record {
    end: u64,
    sent_at: Time,
    elicits: bool,
    app_limited: bool,
    acked: u64,
    acked_at: Time,
    first_sent: Time,
}

/// What an acknowledgement brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Acknowledged {
    /// Something new.
    pub(crate) progress: bool,
    /// A round trip, without the peer's delay.
    pub(crate) rtt: Option<Duration>,
}

/// What was sent on a carrier and what its peer says has arrived.
#[derive(Debug)]
pub(crate) struct Departures {
    sent: u64,
    acked: u64,
    acked_at: Time,
    first_sent: Time,
    /// Where the last frame ends that must be acknowledged.
    elicited: u64,
    /// Where the first such frame began after all before were acknowledged.
    base: u64,
    app_limited_until: u64,
    records: VecDeque<Record>,
    last_progress: Option<Time>,
    pub(crate) rtt: RoundTrip,
    pub(crate) window: Window,
}

impl Departures {
    pub(crate) fn new(now: Time) -> Self {
        Departures {
            sent: 0,
            acked: 0,
            acked_at: now,
            first_sent: now,
            elicited: 0,
            base: 0,
            app_limited_until: 0,
            records: VecDeque::new(),
            last_progress: None,
            rtt: RoundTrip::default(),
            window: Window::new(),
        }
    }

    /// Bytes sent so far, all frames but CARRIER_ACK.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    /// Bytes that have arrived for sure.
    pub(crate) fn acked(&self) -> u64 {
        self.acked
    }

    pub(crate) fn is_outstanding(&self) -> bool {
        self.acked < self.elicited
    }

    pub(crate) fn last_progress(&self) -> Option<Time> {
        self.last_progress
    }

    /// When the oldest frame was sent that must be acknowledged and is not.
    pub(crate) fn outstanding_since(&self) -> Option<Time> {
        self.records.iter().find(|record| record.elicits).map(|record| record.sent_at)
    }

    /// The oldest outstanding frame is older than a probe timeout.
    pub(crate) fn is_overdue(&self, now: Time) -> bool {
        self.outstanding_since().is_some_and(|since| now.since(since) > self.rtt.probe_timeout())
    }

    /// Bytes in flight; those that nobody must acknowledge count only among others.
    pub(crate) fn in_flight(&self) -> u64 {
        if self.is_outstanding() { self.sent - self.acked.max(self.base) } else { 0 }
    }

    pub(crate) fn has_room(&self) -> bool {
        self.in_flight() < self.window.bytes()
    }

    /// A counted frame of `bytes` goes out; true when now something is outstanding and was not before.
    pub(crate) fn on_sent(&mut self, now: Time, bytes: u64, elicits: bool) -> bool {
        let first = elicits && !self.is_outstanding();
        if first {
            self.base = self.sent;
            self.first_sent = now;
            self.acked_at = now;
        }
        self.sent += bytes;
        if elicits {
            self.elicited = self.sent;
        }
        let app_limited = self.acked < self.app_limited_until;
        let start = self.records.iter().nth_back(1).map_or(self.acked, |before| before.end);
        match self.records.back_mut() {
            Some(last)
                if last.elicits == elicits
                    && (!elicits
                        || (now.since(last.sent_at) <= RECORD_SPAN && self.sent - start <= RECORD_BYTES)) =>
            {
                last.end = self.sent;
                if !elicits {
                    last.sent_at = now;
                }
            }
            _ => self.records.push_back(Record {
                end: self.sent,
                sent_at: now,
                elicits,
                app_limited,
                acked: self.acked,
                acked_at: self.acked_at,
                first_sent: self.first_sent,
            }),
        }
        first
    }

    /// Nothing is left to send though more could be.
    pub(crate) fn on_app_limited(&mut self) {
        self.app_limited_until = self.sent;
    }

    pub(crate) fn on_acknowledged(
        &mut self,
        now: Time,
        bytes: u64,
        delay: Duration,
    ) -> Result<Acknowledged, Violation> {
        if bytes > self.sent {
            return Err(Violation::CarrierAck { acked: bytes, sent: self.sent });
        }
        if bytes <= self.acked {
            return Ok(Acknowledged { progress: false, rtt: None });
        }
        let newly = bytes - self.acked;
        self.acked = bytes;
        self.last_progress = Some(now);
        let Some(record) = self.take_record(bytes).filter(|record| record.elicits) else {
            return Ok(Acknowledged { progress: true, rtt: None });
        };
        let rtt = now.since(record.sent_at).saturating_sub(delay).max(Duration::from_micros(1));
        self.rtt.on_sample(rtt);
        self.window.on_rtt(now, rtt);
        let sending = record.sent_at.since(record.first_sent);
        let interval = now.since(record.acked_at).max(sending).max(LEAST_INTERVAL);
        let delivered = bytes.saturating_sub(record.acked.max(self.base));
        let rate = u128::from(delivered) * 1_000_000 / interval.as_micros();
        let sample = RateSample {
            bytes_per_second: u64::try_from(rate).unwrap_or(u64::MAX),
            app_limited: record.app_limited,
        };
        self.first_sent = record.sent_at;
        self.acked_at = now;
        self.window.on_acknowledged(newly, bytes, self.sent, sample);
        Ok(Acknowledged { progress: true, rtt: Some(rtt) })
    }

    /// Forgets the records before position `bytes`; returns the one that the byte before it belongs to.
    fn take_record(&mut self, bytes: u64) -> Option<Record> {
        let mut newest = None;
        while let Some(front) = self.records.front().copied() {
            newest = Some(front);
            if front.end > bytes {
                break;
            }
            self.records.pop_front();
            if front.end == bytes {
                break;
            }
        }
        newest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Time {
        Time::from_millis(millis)
    }

    fn ack(departures: &mut Departures, now: Time, bytes: u64, delay_ms: u64) -> Acknowledged {
        departures.on_acknowledged(now, bytes, Duration::from_millis(delay_ms)).unwrap()
    }

    #[test]
    fn round_trips_leave_out_the_delay_of_the_peer() {
        let mut departures = Departures::new(at(0));
        assert!(departures.on_sent(at(0), 100, true));
        assert!(!departures.on_sent(at(10), 100, true));
        let first = ack(&mut departures, at(45), 100, 5);
        assert_eq!(first.rtt, Some(Duration::from_millis(40)));
        assert_eq!(departures.outstanding_since(), Some(at(10)));
        let second = ack(&mut departures, at(51), 200, 1);
        assert_eq!(second.rtt, Some(Duration::from_millis(40)));
        assert_eq!((departures.outstanding_since(), departures.in_flight()), (None, 0));
    }

    #[test]
    fn what_need_not_be_acknowledged_is_neither_outstanding_nor_in_flight() {
        let mut departures = Departures::new(at(0));
        for millis in 0..1000 {
            assert!(!departures.on_sent(at(millis), 1000, false));
        }
        assert_eq!((departures.in_flight(), departures.is_outstanding()), (0, false));
        assert!(departures.records.len() <= 1);
        assert!(departures.on_sent(at(2000), 1, true));
        assert_eq!((departures.in_flight(), departures.outstanding_since()), (1, Some(at(2000))));
        assert!(!departures.is_overdue(at(2999)));
        assert!(departures.is_overdue(at(3001)));
        ack(&mut departures, at(2020), 1_000_001, 0);
        assert!(!departures.is_overdue(at(9000)));
        assert!(departures.window.rate() < 1000, "one byte in 20 ms is no megabyte");
    }

    #[test]
    fn acknowledging_what_was_not_sent_is_a_violation() {
        let mut departures = Departures::new(at(0));
        departures.on_sent(at(0), 10, true);
        assert!(departures.on_acknowledged(at(1), 11, Duration::ZERO).is_err());
    }

    #[test]
    fn the_delivery_rate_is_that_of_the_path() {
        let mut departures = Departures::new(at(0));
        // 1 MB/s: a thousand bytes each millisecond, acknowledged 20 ms later.
        for millis in 0..500 {
            departures.on_sent(at(millis), 1000, true);
            if millis >= 20 {
                ack(&mut departures, at(millis), (millis - 19) * 1000, 0);
            }
        }
        let rate = departures.window.rate();
        assert!((950_000..1_060_000).contains(&rate), "{rate}");
    }
}
