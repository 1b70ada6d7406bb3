use std::collections::VecDeque;

use crate::CarrierId;

/// Where bytes are that were sent and not acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// They were written to this carrier.
    On(CarrierId),
    /// They wait to be sent again. If they still travel on a carrier in doubt, this names it.
    Pending(Option<CarrierId>),
}

#[derive(Clone, Copy, Debug)]
struct Span {
    end: u64,
    place: Place,
}

/// Accounts for every byte between the acknowledged and the first unsent offset of a stream: it is on a carrier that
/// lives, or waits to be sent again. Hence nothing is lost with a carrier.
#[derive(Debug, Default)]
pub(crate) struct Flight {
    acked: u64,
    spans: VecDeque<Span>,
    pending: usize,
}

impl Flight {
    /// All below is acknowledged.
    pub(crate) fn acked(&self) -> u64 {
        self.acked
    }

    /// All below was sent at least once.
    pub(crate) fn sent(&self) -> u64 {
        self.spans.back().map_or(self.acked, |span| span.end)
    }

    pub(crate) fn has_pending(&self) -> bool {
        self.pending > 0
    }

    /// Bytes up to `end` were written to `carrier` for the first time.
    pub(crate) fn extend(&mut self, end: u64, carrier: CarrierId) {
        let place = Place::On(carrier);
        match self.spans.back_mut() {
            Some(last) if last.place == place => last.end = end,
            _ => self.spans.push_back(Span { end, place }),
        }
    }

    /// The peer has all below `offset`.
    pub(crate) fn acknowledge(&mut self, offset: u64) {
        self.acked = self.acked.max(offset);
        while let Some(front) = self.spans.front().filter(|span| span.end <= self.acked) {
            self.pending -= usize::from(matches!(front.place, Place::Pending(_)));
            self.spans.pop_front();
        }
        if self.spans.is_empty() && self.spans.capacity() > 8 {
            self.spans = VecDeque::new();
        }
    }

    /// Forgets what was sent and not acknowledged.
    pub(crate) fn discard(&mut self) {
        self.spans = VecDeque::new();
        self.pending = 0;
    }

    /// The first bytes that wait to be sent again, as start and end.
    pub(crate) fn first_pending(&self) -> Option<(u64, u64)> {
        if self.pending == 0 {
            return None;
        }
        let mut start = self.acked;
        for span in &self.spans {
            if matches!(span.place, Place::Pending(_)) {
                return Some((start, span.end));
            }
            start = span.end;
        }
        None
    }

    /// The first waiting bytes, up to `end`, were written to `carrier`.
    pub(crate) fn resent(&mut self, end: u64, carrier: CarrierId) {
        let Some(at) = self.spans.iter().position(|span| matches!(span.place, Place::Pending(_))) else {
            return;
        };
        let place = Place::On(carrier);
        if end >= self.spans[at].end {
            self.spans[at].place = place;
            self.pending -= 1;
        } else if at > 0 && self.spans[at - 1].place == place {
            self.spans[at - 1].end = end;
            return;
        } else {
            self.spans.insert(at, Span { end, place });
        }
        self.coalesce();
    }

    /// The carrier is gone: what was on it must be sent again.
    pub(crate) fn lose(&mut self, carrier: CarrierId) -> bool {
        self.relocate(|place| match place {
            Place::On(on) if on == carrier => Place::Pending(None),
            Place::Pending(Some(on)) if on == carrier => Place::Pending(None),
            other => other,
        })
    }

    /// The carrier is in doubt: what is on it is also sent elsewhere.
    pub(crate) fn doubt(&mut self, carrier: CarrierId) -> bool {
        self.relocate(|place| match place {
            Place::On(on) if on == carrier => Place::Pending(Some(carrier)),
            other => other,
        })
    }

    /// The carrier lives after all: what was not yet sent elsewhere stays on it.
    pub(crate) fn trust(&mut self, carrier: CarrierId) -> bool {
        self.relocate(|place| match place {
            Place::Pending(Some(on)) if on == carrier => Place::On(carrier),
            other => other,
        })
    }

    fn relocate(&mut self, to: impl Fn(Place) -> Place) -> bool {
        let mut changed = false;
        for span in &mut self.spans {
            let place = to(span.place);
            changed |= place != span.place;
            span.place = place;
        }
        if changed {
            self.coalesce();
        }
        changed
    }

    fn coalesce(&mut self) {
        let mut kept = 0;
        for at in 1..self.spans.len() {
            if self.spans[at].place == self.spans[kept].place {
                self.spans[kept].end = self.spans[at].end;
            } else {
                kept += 1;
                self.spans[kept] = self.spans[at];
            }
        }
        self.spans.truncate(kept + 1);
        self.pending = self.spans.iter().filter(|span| matches!(span.place, Place::Pending(_))).count();
    }

    /// Panics where the account does not add up, or a byte is on a carrier that `lives` denies.
    pub(crate) fn check_invariants(&self, lives: impl Fn(CarrierId) -> bool) {
        let mut start = self.acked;
        for span in &self.spans {
            assert!(span.end > start, "spans are not empty and rise: {self:?}");
            start = span.end;
            if let Place::On(carrier) = span.place {
                assert!(lives(carrier), "bytes on a dead {carrier:?}: {self:?}");
            }
        }
        let pending = self.spans.iter().filter(|span| matches!(span.place, Place::Pending(_))).count();
        assert_eq!(pending, self.pending, "{self:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: CarrierId = CarrierId(1);
    const B: CarrierId = CarrierId(2);

    fn flight() -> Flight {
        let mut flight = Flight::default();
        flight.extend(100, A);
        flight.extend(150, B);
        flight.extend(200, A);
        flight
    }

    #[test]
    fn what_was_on_a_lost_carrier_is_sent_again_in_order() {
        let mut flight = flight();
        flight.acknowledge(30);
        assert!(flight.lose(A));
        assert_eq!(flight.first_pending(), Some((30, 100)));
        flight.resent(60, B);
        assert_eq!(flight.first_pending(), Some((60, 100)));
        flight.resent(100, B);
        assert_eq!(flight.first_pending(), Some((150, 200)));
        flight.acknowledge(180);
        assert_eq!(flight.first_pending(), Some((180, 200)));
        flight.resent(200, B);
        assert!(!flight.has_pending());
        flight.check_invariants(|carrier| carrier == B);
        assert_eq!((flight.acked(), flight.sent()), (180, 200));
    }

    #[test]
    fn doubt_that_ends_sends_no_more_twice() {
        let mut flight = flight();
        assert!(flight.doubt(A));
        flight.resent(40, B);
        assert!(flight.trust(A));
        assert!(!flight.has_pending());
        assert!(flight.lose(B));
        assert_eq!(flight.first_pending(), Some((0, 40)));
        flight.check_invariants(|carrier| carrier == A);
    }

    #[test]
    fn doubt_that_was_right_loses_nothing() {
        let mut flight = flight();
        flight.doubt(A);
        flight.resent(40, B);
        flight.lose(A);
        assert_eq!(flight.first_pending(), Some((40, 100)));
        assert!(!flight.trust(A));
    }
}
