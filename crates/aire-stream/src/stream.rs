use aire_types::{AppName, Class, Protocol, Time};
use aire_wire::{ResetCode, StreamId};

use crate::budget::Ledger;
use crate::config::GUARANTEE;
use crate::control::{Control, Kinds};
use crate::receive::ReceiveBuffer;
use crate::send::SendBuffer;
use crate::{CarrierId, Config, StreamState};

/// Loans change in steps of this size.
const LOAN_STEP: usize = 64 * 1024;

/// One application connection.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) id: StreamId,
    pub(crate) class: Class,
    pub(crate) protocol: Protocol,
    /// Known once OPEN has arrived.
    pub(crate) app: Option<AppName>,
    /// The carrier that it is assigned to.
    pub(crate) carrier: Option<CarrierId>,
    /// Of the SWITCH that assigned it; 0 for none.
    pub(crate) epoch: u64,
    /// Where new data last came from.
    pub(crate) heard_on: Option<CarrierId>,
    pub(crate) send: SendBuffer,
    pub(crate) receive: ReceiveBuffer,
    pub(crate) control: Control,
    /// The carriers in whose queues it stands: for control, for data, for its STREAM_ACK.
    pub(crate) control_on: Option<CarrierId>,
    pub(crate) data_on: Option<CarrierId>,
    pub(crate) ack_on: Option<CarrierId>,
    /// It was reset on this side; the peer has not acknowledged.
    pub(crate) reset: Option<ResetCode>,
    /// The destination's application took it.
    pub(crate) opened: bool,
    /// `Output::Readable` was given and not yet answered.
    pub(crate) readable_told: bool,
    /// The application waits for `Output::Writable`.
    pub(crate) blocked: bool,
    pub(crate) moves: u32,
    /// It has had a carrier.
    pub(crate) placed: bool,
    pub(crate) busy: Busy,
    /// Bytes between the application's position and the granted credit that grants aim at.
    window: usize,
    granted_at: Time,
    send_loan: usize,
    receive_loan: usize,
}

/// How much a stream transfers, to see whether it deserves a carrier of its own.
#[derive(Debug, Default)]
pub(crate) struct Busy {
    bytes: u64,
    since: Time,
    /// `Output::WantCarrier` was given since the last move.
    pub(crate) told: bool,
}

impl Busy {
    /// This much within a second makes a stream busy.
    const BYTES: u64 = 1024 * 1024;

    /// Counts a transfer; true each time that a second has seen enough.
    pub(crate) fn count(&mut self, now: Time, bytes: usize) -> bool {
        if now.since(self.since).as_secs() >= 1 {
            self.since = now;
            self.bytes = 0;
        }
        self.bytes += bytes as u64;
        let busy = self.bytes >= Self::BYTES;
        if busy {
            self.bytes = 0;
        }
        busy
    }
}

impl Stream {
    pub(crate) fn new(now: Time, id: StreamId) -> Self {
        Stream {
            id,
            class: Class::Interactive,
            protocol: Protocol::Tcp,
            app: None,
            carrier: None,
            epoch: 0,
            heard_on: None,
            send: SendBuffer::new(),
            receive: ReceiveBuffer::new(),
            control: Control::default(),
            control_on: None,
            data_on: None,
            ack_on: None,
            reset: None,
            opened: false,
            readable_told: false,
            blocked: false,
            moves: 0,
            placed: false,
            busy: Busy::default(),
            window: GUARANTEE,
            granted_at: now,
            send_loan: 0,
            receive_loan: 0,
        }
    }

    /// Both directions are over and both applications know it.
    pub(crate) fn is_done(&self) -> bool {
        self.reset.is_none() && self.send.is_done() && self.receive.is_done()
    }

    /// Bytes that the application may write now. `may_borrow`: its path makes progress.
    pub(crate) fn room(&mut self, config: &Config, ledger: &mut Ledger, may_borrow: bool) -> usize {
        let (held, unsent) = (self.send.held(), self.send.unsent());
        let ahead = config.send_ahead.saturating_sub(unsent);
        if may_borrow && held > GUARANTEE / 2 {
            let wanted = (held + ahead).min(config.stream_max);
            let loan = wanted.saturating_sub(GUARANTEE).next_multiple_of(LOAN_STEP);
            if loan > self.send_loan {
                ledger.resize(&mut self.send_loan, loan);
            }
        }
        let total = (GUARANTEE + self.send_loan).min(config.stream_max);
        ahead.min(total.saturating_sub(held))
    }

    /// The application may go on writing: half of what it can ever have is free.
    pub(crate) fn unblock(&mut self, config: &Config, ledger: &mut Ledger, may_borrow: bool) -> bool {
        let room = self.room(config, ledger, may_borrow);
        let most = config.send_ahead.min(GUARANTEE + self.send_loan);
        let free = self.blocked && room >= most / 2;
        self.blocked &= !free;
        free
    }

    /// Gives back what the sending direction no longer needs.
    pub(crate) fn repay(&mut self, config: &Config, ledger: &mut Ledger) {
        let held = self.send.held();
        if held <= GUARANTEE / 2 {
            ledger.resize(&mut self.send_loan, 0);
            return;
        }
        let needed = (held + config.send_ahead).saturating_sub(GUARANTEE).next_multiple_of(LOAN_STEP);
        if self.send_loan > 2 * needed {
            ledger.resize(&mut self.send_loan, needed);
        }
    }

    /// The application has taken bytes: grants credit once it is worth a frame. A window whose quarter is taken within
    /// `round_trip` is doubled while the budget allows; it shrinks again when the budget is short.
    pub(crate) fn grant(
        &mut self,
        now: Time,
        config: &Config,
        ledger: &mut Ledger,
        round_trip: std::time::Duration,
    ) {
        let consumed = self.receive.consumed();
        let granted = self.receive.limit();
        let worth = (consumed + self.window as u64).saturating_sub(granted) >= self.window as u64 / 4;
        if worth && self.receive.fin().is_none() {
            let quick = now.since(self.granted_at) < round_trip;
            if ledger.budget().pressed() {
                self.window = (self.window / 2).max(GUARANTEE);
            } else if quick {
                let wider = (self.window * 2).min(config.stream_max);
                let loan = wider.max(self.lent(granted)) - GUARANTEE;
                if ledger.resize(&mut self.receive_loan, loan) {
                    self.window = wider;
                }
            }
            let limit = consumed + self.window as u64;
            if limit > granted {
                self.receive.raise_limit(limit);
                self.control.demand(Kinds::CREDIT);
                self.granted_at = now;
            }
        }
        let needed = if self.receive.fin().is_some() { 0 } else { self.window };
        let needed = needed.max(self.lent(self.receive.limit())).max(GUARANTEE) - GUARANTEE;
        if needed < self.receive_loan {
            ledger.resize(&mut self.receive_loan, needed);
        }
    }

    /// Bytes that the peer may still make this side hold; the end bounds them, too.
    fn lent(&self, limit: u64) -> usize {
        let limit = self.receive.fin().unwrap_or(limit);
        (limit - self.receive.consumed()) as usize
    }

    /// Gives up all memory.
    pub(crate) fn discard(&mut self, ledger: &mut Ledger) {
        self.send.discard();
        self.receive.discard();
        ledger.resize(&mut self.send_loan, 0);
        ledger.resize(&mut self.receive_loan, 0);
    }

    pub(crate) fn state(&self) -> StreamState {
        StreamState {
            stream: self.id,
            app: self.app.clone(),
            class: self.class,
            protocol: self.protocol,
            carrier: self.carrier,
            opened: self.opened,
            reset: self.reset,
            moves: self.moves,
            bytes_in: self.receive.consumed(),
            bytes_out: self.send.end(),
            unacknowledged: self.send.held() as u64,
            unread: self.receive.contiguous() - self.receive.consumed(),
        }
    }

    /// Bytes on loan.
    pub(crate) fn loans(&self) -> usize {
        self.send_loan + self.receive_loan
    }

    pub(crate) fn check_invariants(&self, config: &Config, lives: impl Fn(CarrierId) -> bool) {
        self.send.check_invariants(&lives);
        if self.reset.is_none() {
            self.receive.check_invariants();
            assert!(self.send.held() <= GUARANTEE + self.send_loan, "held beyond the loan: {self:?}");
            assert!(
                self.lent(self.receive.limit()) <= GUARANTEE + self.receive_loan,
                "credit beyond the loan: {self:?}"
            );
        } else {
            assert_eq!(self.loans(), 0);
        }
        assert!(self.send.held() <= config.stream_max && self.window <= config.stream_max);
        assert!(self.carrier.is_none_or(&lives), "assigned to a dead carrier");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_stream_is_small() {
        assert!(size_of::<Stream>() <= 768, "{}", size_of::<Stream>());
    }

    #[test]
    fn a_window_grows_for_a_quick_reader_and_only_within_the_budget() {
        let config = Config::new(crate::Side::Destination);
        for (budget, expected) in [(0, GUARANTEE), (100_000, 2 * GUARANTEE), (64 << 20, config.stream_max)] {
            let mut ledger = Ledger::new(crate::Budget::new(budget));
            let mut stream = Stream::new(Time::ZERO, StreamId(1));
            for at in 1..200 {
                let missing = (stream.receive.limit() - stream.receive.contiguous()) as usize;
                let bytes = bytes::Bytes::from(vec![0; missing]);
                stream.receive.insert(stream.id, stream.receive.contiguous(), bytes).unwrap();
                while let Some(bytes) = stream.receive.read(usize::MAX) {
                    stream.receive.consume(bytes.len());
                }
                let round_trip = std::time::Duration::from_millis(5);
                stream.grant(Time::from_millis(at), &config, &mut ledger, round_trip);
                stream.check_invariants(&config, |_| true);
            }
            assert_eq!(stream.window, expected);
            stream.discard(&mut ledger);
            assert_eq!(ledger.borrowed(), 0);
        }
    }
}
