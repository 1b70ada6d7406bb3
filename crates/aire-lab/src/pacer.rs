//! When a packet that enters one direction of a link leaves it, if it does.

use std::time::{Duration, Instant};

use aire_types::Random;

use crate::LinkShape;

/// Why a packet vanished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dropped {
    /// The link is down or filters this protocol.
    Closed,
    /// Chance.
    Lost,
    /// The queue was full.
    Overflow,
}

/// What a packet carries, as far as filters care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Tcp,
    Udp,
    Other,
}

/// When a piece of a stream has left its sender, and when it arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StreamPiece {
    pub(crate) sent: Instant,
    pub(crate) arrives: Instant,
}

/// The state of one direction of a link: a drop-tail queue served at the rate, then the delay.
///
/// The queue is kept as the moment at which it will be empty, so a changed rate counts for what enters afterwards.
#[derive(Debug)]
pub(crate) struct Pacer {
    random: Random,
    free_at: Instant,
    last_exit: Instant,
}

impl Pacer {
    /// The direction `from` → `to` of a network with this seed.
    pub(crate) fn for_link(seed: u64, from: usize, to: usize, now: Instant) -> Self {
        let link = ((from as u64) << 32 | to as u64).wrapping_mul(0xd129_0d3e_b6a5_1c45);
        Pacer { random: Random::new(seed ^ link), free_at: now, last_exit: now }
    }

    /// When `bytes` that enter now leave at the other end.
    pub(crate) fn admit(
        &mut self,
        now: Instant,
        bytes: usize,
        protocol: Protocol,
        shape: &LinkShape,
    ) -> Result<Instant, Dropped> {
        let filtered = match protocol {
            Protocol::Tcp => shape.drop_tcp,
            Protocol::Udp => shape.drop_udp,
            Protocol::Other => false,
        };
        if shape.down || filtered {
            return Err(Dropped::Closed);
        }
        if self.random.chance(shape.loss) {
            return Err(Dropped::Lost);
        }
        let sent = self.serve(now, bytes, shape)?;
        Ok(self.travel(sent, shape))
    }

    /// When the last of `bytes` has passed the rate; fails when they find no room in the queue.
    fn serve(&mut self, now: Instant, bytes: usize, shape: &LinkShape) -> Result<Instant, Dropped> {
        let Some(rate) = shape.bytes_per_second() else { return Ok(now) };
        let waiting = self.free_at.saturating_duration_since(now).as_secs_f64() * rate;
        if waiting + bytes as f64 > shape.queue_limit(rate) {
            return Err(Dropped::Overflow);
        }
        self.free_at = self.free_at.max(now) + Duration::from_secs_f64(bytes as f64 / rate);
        Ok(self.free_at)
    }

    /// Like [`Pacer::admit`] for a piece of a reliable stream: nothing is lost, loss costs time instead. Many streams may
    /// share the rate, so the caller keeps the order within its own.
    ///
    /// Each lost segment of 1400 bytes holds the piece for about one round trip (the retransmission), and loss takes its
    /// share of the rate: 1 / (1 + 20 × loss), between what CUBIC and BBR get.
    pub(crate) fn admit_stream(
        &mut self,
        now: Instant,
        bytes: usize,
        round_trip: Duration,
        shape: &LinkShape,
    ) -> StreamPiece {
        const SEGMENT: usize = 1400;
        const UNLIMITED: f64 = 125_000_000.0;
        let slower = 1.0 + 20.0 * shape.loss;
        let rate = match shape.bytes_per_second() {
            Some(rate) => Some(rate / slower),
            None => (shape.loss > 0.0).then_some(UNLIMITED / slower),
        };
        let mut sent = now;
        if let Some(rate) = rate {
            self.free_at = self.free_at.max(now) + Duration::from_secs_f64(bytes as f64 / rate);
            sent = self.free_at;
        }
        let segments = i32::try_from(bytes.div_ceil(SEGMENT)).unwrap_or(i32::MAX);
        let lost = self.random.chance(1.0 - (1.0 - shape.loss).powi(segments));
        let repair = if lost { round_trip } else { Duration::ZERO };
        let arrives = self.travel(sent + repair, &LinkShape { reorder: true, ..*shape });
        StreamPiece { sent, arrives }
    }

    fn travel(&mut self, sent: Instant, shape: &LinkShape) -> Instant {
        let jitter = if shape.jitter_ms > 0.0 { shape.jitter_ms * self.random.unit() / 1000.0 } else { 0.0 };
        let exit = sent + shape.one_way() + Duration::try_from_secs_f64(jitter).unwrap_or_default();
        if shape.reorder {
            return exit;
        }
        self.last_exit = self.last_exit.max(exit);
        self.last_exit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pacer() -> (Pacer, Instant) {
        let now = Instant::now();
        (Pacer::for_link(7, 0, 1, now), now)
    }

    #[test]
    fn the_rate_spaces_packets_and_the_queue_ends() {
        let (mut pacer, now) = pacer();
        let shape = LinkShape { queue_bytes: 3000, ..LinkShape::delay(10.0).mbps(12.0) };
        let exits: Vec<_> = (0..3).map(|_| pacer.admit(now, 1500, Protocol::Udp, &shape)).collect();
        assert_eq!(exits[0], Ok(now + Duration::from_millis(11)));
        assert_eq!(exits[1], Ok(now + Duration::from_millis(12)));
        assert_eq!(exits[2], Err(Dropped::Overflow));
    }

    #[test]
    fn jitter_keeps_the_order_unless_told_otherwise() {
        let (mut pacer, now) = pacer();
        let mut shape = LinkShape::delay(10.0).jitter(5.0);
        let mut exits = |shape: &LinkShape| -> Vec<Instant> {
            (0..100).map(|_| pacer.admit(now, 100, Protocol::Udp, shape).unwrap()).collect()
        };
        assert!(exits(&shape).is_sorted());
        shape.reorder = true;
        let loose = exits(&shape);
        assert!(!loose.is_sorted());
        assert!(loose.iter().all(|exit| (10.0..=15.0).contains(&((*exit - now).as_secs_f64() * 1000.0))));
    }

    #[test]
    fn loss_has_its_share_and_repeats_with_its_seed() {
        let run = || {
            let (mut pacer, now) = pacer();
            let shape = LinkShape::default().loss(0.2);
            (0..10_000).filter(|_| pacer.admit(now, 100, Protocol::Tcp, &shape).is_err()).count()
        };
        let lost = run();
        assert!((1800..2200).contains(&lost), "{lost}");
        assert_eq!(lost, run());
    }

    #[test]
    fn filters_let_the_other_protocol_pass() {
        let (mut pacer, now) = pacer();
        let shape = LinkShape { drop_udp: true, ..LinkShape::default() };
        assert_eq!(pacer.admit(now, 9, Protocol::Udp, &shape), Err(Dropped::Closed));
        assert!(pacer.admit(now, 9, Protocol::Tcp, &shape).is_ok());
        assert!(pacer.admit(now, 9, Protocol::Other, &shape).is_ok());
    }

    #[test]
    fn a_stream_pays_for_loss_in_time() {
        let (mut pacer, now) = pacer();
        let round_trip = Duration::from_millis(40);
        let shape = LinkShape::delay(20.0).loss(1.0);
        assert!(pacer.admit_stream(now, 1400, round_trip, &shape).arrives >= now + Duration::from_millis(60));
        let clean = LinkShape::delay(20.0);
        let (mut pacer, now) = self::pacer();
        let piece = pacer.admit_stream(now, 1400, round_trip, &clean);
        assert_eq!(piece, StreamPiece { sent: now, arrives: now + Duration::from_millis(20) });
    }
}
