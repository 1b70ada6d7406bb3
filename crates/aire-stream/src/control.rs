use crate::CarrierId;

/// A set of control frames of one stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Kinds(u8);

impl Kinds {
    pub(crate) const OPEN: Kinds = Kinds(1);
    pub(crate) const OPENED: Kinds = Kinds(2);
    pub(crate) const FIN: Kinds = Kinds(4);
    pub(crate) const RESET: Kinds = Kinds(8);
    pub(crate) const ACK: Kinds = Kinds(16);
    pub(crate) const CREDIT: Kinds = Kinds(32);
    /// Those that only an answer in kind settles; for the others it is enough that the carrier delivered them.
    const ANSWERED: Kinds = Kinds(1 | 4 | 8);

    pub(crate) const fn has(self, other: Kinds) -> bool {
        self.0 & other.0 != 0
    }
}

/// Which control frames of a stream must be sent, and which were sent but may be lost with their carrier.
#[derive(Debug, Default)]
pub(crate) struct Control {
    due: Kinds,
    /// Sent on `carrier`, the last of them ending at `position`.
    flying: Kinds,
    carrier: Option<CarrierId>,
    position: u64,
}

impl Control {
    pub(crate) fn is_due(&self) -> bool {
        self.due.0 != 0
    }

    pub(crate) fn due(&self) -> Kinds {
        self.due
    }

    /// `kinds` must be sent.
    pub(crate) fn demand(&mut self, kinds: Kinds) {
        self.due.0 |= kinds.0;
    }

    /// `kinds` need be sent no more: the peer answered, or they became pointless.
    pub(crate) fn settle(&mut self, kinds: Kinds) {
        self.due.0 &= !kinds.0;
        self.flying.0 &= !kinds.0;
    }

    /// Nothing is wanted any more.
    pub(crate) fn clear(&mut self) {
        *self = Control::default();
    }

    /// `kinds` were sent on `carrier` and end at `position`; it has delivered all up to `delivered`. What flies
    /// on another carrier is demanded again, as only one carrier is remembered.
    pub(crate) fn sent(&mut self, kinds: Kinds, carrier: CarrierId, position: u64, delivered: u64) {
        self.due.0 &= !kinds.0;
        if self.carrier != Some(carrier) {
            self.due.0 |= self.flying.0 & !kinds.0;
            self.flying = Kinds::default();
        } else if self.position <= delivered {
            self.flying.0 &= Kinds::ANSWERED.0;
        }
        self.flying.0 |= kinds.0;
        self.carrier = Some(carrier);
        self.position = position;
    }

    /// The carrier of a STREAM_ACK that may not have arrived, and where it ends there at the latest.
    pub(crate) fn flying_ack(&self) -> Option<(CarrierId, u64)> {
        self.carrier.filter(|_| self.flying.has(Kinds::ACK)).map(|carrier| (carrier, self.position))
    }

    /// `carrier` is lost or in doubt and has delivered all up to `delivered`.
    pub(crate) fn lost(&mut self, carrier: CarrierId, delivered: u64) {
        if self.carrier != Some(carrier) {
            return;
        }
        if self.position <= delivered {
            self.flying.0 &= Kinds::ANSWERED.0;
        }
        self.due.0 |= self.flying.0;
        self.flying = Kinds::default();
        self.carrier = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: CarrierId = CarrierId(1);
    const B: CarrierId = CarrierId(2);

    #[test]
    fn what_may_be_lost_is_sent_again_and_what_arrived_is_not() {
        let mut control = Control::default();
        control.demand(Kinds::FIN);
        control.sent(Kinds::FIN, A, 10, 0);
        control.sent(Kinds::CREDIT, A, 20, 0);
        assert!(!control.is_due());
        control.lost(B, 0);
        assert!(!control.is_due());
        control.lost(A, 20);
        assert_eq!(control.due(), Kinds::FIN, "only the peer's answer settles FIN");
        control.sent(Kinds::FIN, B, 5, 0);
        control.settle(Kinds::FIN);
        control.lost(B, 0);
        assert!(!control.is_due());
    }

    #[test]
    fn a_second_carrier_takes_all_that_still_flies() {
        let mut control = Control::default();
        control.sent(Kinds::OPENED, A, 10, 0);
        control.sent(Kinds::ACK, B, 7, 0);
        assert_eq!(control.due(), Kinds::OPENED);
    }
}
