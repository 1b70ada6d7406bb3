use std::time::Duration;

use aire_types::Time;
use aire_wire::{ACK_DELAY, Frame};

/// So much unacknowledged does not wait for the timer.
const ACK_BYTES: u64 = 256 * 1024;

/// What arrived on a carrier and when that must be acknowledged.
#[derive(Debug, Default)]
pub(crate) struct Arrivals {
    received: u64,
    reported: u64,
    newest: Option<Time>,
    last: Option<Time>,
    deadline: Option<Time>,
    now: bool,
}

impl Arrivals {
    /// Counts a frame. An acknowledgement may be due by now or at a deadline.
    pub(crate) fn on_frame(&mut self, now: Time, frame: &Frame, bytes: u64) {
        self.last = Some(now);
        if !frame.counts() {
            return;
        }
        self.received += bytes;
        self.newest = Some(now);
        if frame.elicits() {
            self.deadline.get_or_insert(now + ACK_DELAY);
            self.now |= matches!(frame, Frame::Ping) || self.received - self.reported >= ACK_BYTES;
        }
    }

    /// Bytes that were exchanged before the association took the carrier over.
    pub(crate) fn on_joined(&mut self, now: Time, bytes: u64) {
        if bytes > 0 {
            self.received += bytes;
            self.newest = Some(now);
            self.last = Some(now);
            self.deadline = Some(now + ACK_DELAY);
        }
    }

    pub(crate) fn last(&self) -> Option<Time> {
        self.last
    }

    pub(crate) fn deadline(&self) -> Option<Time> {
        self.deadline.filter(|_| !self.now)
    }

    pub(crate) fn on_timeout(&mut self, now: Time) {
        self.now |= self.deadline.is_some_and(|deadline| deadline <= now);
    }

    /// An acknowledgement goes out at once, with what travels along.
    pub(crate) fn demand(&mut self) {
        self.now = true;
    }

    /// An acknowledgement must go out.
    pub(crate) fn is_due(&self) -> bool {
        self.now
    }

    /// There is something to acknowledge when anything else goes out.
    pub(crate) fn is_owed(&self) -> bool {
        self.received > self.reported
    }

    /// The acknowledgement.
    pub(crate) fn acknowledge(&mut self, now: Time) -> Frame {
        self.reported = self.received;
        self.deadline = None;
        self.now = false;
        let delay = self.newest.map_or(Duration::ZERO, |newest| now.since(newest));
        Frame::CarrierAck {
            bytes: self.received,
            delay_us: u64::try_from(delay.as_micros()).unwrap_or(u64::MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aire_wire::StreamId;

    #[test]
    fn an_acknowledgement_waits_for_the_timer_much_data_or_a_ping() {
        let data = Frame::Opened { stream: StreamId(1) };
        let credit = Frame::Credit { stream: StreamId(1), offset: 1 };
        let at = Time::from_millis;
        let mut arrivals = Arrivals::default();
        arrivals.on_frame(at(0), &credit, 10);
        assert_eq!((arrivals.deadline(), arrivals.is_due(), arrivals.is_owed()), (None, false, true));
        arrivals.on_frame(at(1), &data, 10);
        arrivals.on_frame(at(3), &data, 10);
        assert_eq!(arrivals.deadline(), Some(at(6)));
        arrivals.on_timeout(at(5));
        assert!(!arrivals.is_due());
        arrivals.on_timeout(at(6));
        assert!(arrivals.is_due());
        assert_eq!(arrivals.acknowledge(at(7)), Frame::CarrierAck { bytes: 30, delay_us: 4000 });
        assert!(!arrivals.is_due() && !arrivals.is_owed() && arrivals.deadline().is_none());
        arrivals.on_frame(at(8), &data, ACK_BYTES);
        assert!(arrivals.is_due());
        arrivals.acknowledge(at(8));
        arrivals.on_frame(at(9), &Frame::Ping, 1);
        assert!(arrivals.is_due());
    }
}
