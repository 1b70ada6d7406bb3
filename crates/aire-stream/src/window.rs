use std::time::Duration;

use aire_types::Time;
use aire_wire::ACK_DELAY;

/// Before anything was measured.
const INITIAL: u64 = 512 * 1024;
/// Never less: one acknowledgement's worth on the slowest path.
const FLOOR: u64 = 64 * 1024;
/// Startup stops here, so that a peer's acknowledgements alone cannot make this machine fill its memory.
const CEILING: u64 = 64 * 1024 * 1024;
/// Acknowledgements may come only every 256 KiB; two of those must fit beside the product.
const AGGREGATION: u64 = 512 * 1024;
/// How long the least round trip is believed.
const MIN_RTT_AGE: Duration = Duration::from_secs(10);
/// It is measured anew for at least this long.
const PROBE: Duration = Duration::from_millis(200);
/// Rounds that the greatest delivery rate is believed.
const RATE_ROUNDS: usize = 10;
/// Startup ends when so many rounds have not brought a quarter more.
const PLATEAU_ROUNDS: u8 = 3;

/// One measurement of the delivery rate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RateSample {
    pub(crate) bytes_per_second: u64,
    /// There was not enough to send: the path could have done more.
    pub(crate) app_limited: bool,
}

/// How much may be in flight on a carrier: twice the bandwidth-delay product, estimated as BBR does
/// (draft-ietf-ccwg-bbr): greatest delivery rate of ten rounds, least round trip of ten seconds. TCP below
/// decides about the pace; this only keeps the sender from filling the buffers of relays.
#[derive(Debug)]
pub(crate) struct Window {
    bytes: u64,
    startup: bool,
    plateau: u64,
    plateau_rounds: u8,
    rates: [u64; RATE_ROUNDS],
    slot: usize,
    round_end: u64,
    round_counts: bool,
    min_rtt: Option<(Duration, Time)>,
    probe: Option<Probe>,
}

/// The least round trip is being measured anew, with little in flight.
#[derive(Debug)]
struct Probe {
    until: Time,
    least: Duration,
}

impl Window {
    pub(crate) fn new() -> Self {
        Window {
            bytes: INITIAL,
            startup: true,
            plateau: 0,
            plateau_rounds: 0,
            rates: [0; RATE_ROUNDS],
            slot: 0,
            round_end: 0,
            round_counts: false,
            min_rtt: None,
            probe: None,
        }
    }

    /// Bytes that may be in flight.
    pub(crate) fn bytes(&self) -> u64 {
        if self.probe.is_some() { (self.bytes / 4).max(FLOOR).min(self.bytes) } else { self.bytes }
    }

    /// Bytes a second; 0 before the first measurement.
    pub(crate) fn rate(&self) -> u64 {
        self.rates.iter().copied().max().unwrap_or(0)
    }

    pub(crate) fn min_rtt(&self) -> Option<Duration> {
        self.min_rtt.map(|(rtt, _)| rtt)
    }

    /// Slow start is over.
    pub(crate) fn is_settled(&self) -> bool {
        !self.startup
    }

    /// A round trip was measured. When the least one is outdated, the queues on the path that this carrier itself keeps
    /// filled are drained for a moment: otherwise their delay would be taken for the path's, and grow for ever.
    pub(crate) fn on_rtt(&mut self, now: Time, rtt: Duration) {
        if let Some(probe) = &mut self.probe {
            probe.least = probe.least.min(rtt);
            if now >= probe.until {
                self.min_rtt = Some((probe.least, now));
                self.probe = None;
            }
            return;
        }
        let (least, at) = self.min_rtt.unwrap_or((Duration::MAX, now));
        let outdated = now.since(at) > MIN_RTT_AGE;
        if rtt <= least || (outdated && rtt <= ACK_DELAY) {
            self.min_rtt = Some((rtt, now));
        } else if outdated {
            self.probe = Some(Probe { until: now + PROBE.max(rtt * 2), least: rtt });
        }
    }

    /// `newly` more bytes were acknowledged, `acked` in all, when `sent` were sent in all.
    pub(crate) fn on_acknowledged(&mut self, newly: u64, acked: u64, sent: u64, sample: RateSample) {
        if !sample.app_limited || sample.bytes_per_second > self.rate() {
            self.rates[self.slot] = self.rates[self.slot].max(sample.bytes_per_second);
        }
        self.round_counts |= !sample.app_limited;
        if acked >= self.round_end {
            self.round_end = sent;
            if std::mem::take(&mut self.round_counts) {
                self.on_round();
            }
        }
        if !self.startup {
            self.bytes = self.target(2);
        } else if !sample.app_limited {
            self.bytes = self.bytes.max((self.bytes + newly).min(self.target(3)));
        }
    }

    fn on_round(&mut self) {
        let rate = self.rate();
        if rate > self.plateau + self.plateau / 4 {
            self.plateau = rate;
            self.plateau_rounds = 0;
        } else {
            self.plateau_rounds = self.plateau_rounds.saturating_add(1);
            let crowded = self.bytes > 2 * self.target(3);
            self.startup &= self.plateau_rounds < PLATEAU_ROUNDS && !crowded;
        }
        self.slot = (self.slot + 1) % RATE_ROUNDS;
        self.rates[self.slot] = 0;
    }

    /// The least round trip is taken as one acknowledgement delay at least: on a local network that, and the
    /// scheduling of processes, is what acknowledgements wait for.
    fn target(&self, gain: u64) -> u64 {
        let during = |time: Duration| {
            let bytes = u128::from(self.rate()) * time.as_micros() / 1_000_000;
            u64::try_from(bytes).unwrap_or(CEILING).min(CEILING)
        };
        let rtt = self.min_rtt().unwrap_or(ACK_DELAY).max(ACK_DELAY);
        (gain * during(rtt) + during(ACK_DELAY).min(AGGREGATION)).clamp(FLOOR, CEILING)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rounds of `rtt` over a path of `rate` bytes a second, always as much in flight as the window allows.
    fn run(window: &mut Window, rate: u64, rtt: Duration, rounds: u64) {
        let mut acked = window.round_end;
        for round in 0..rounds {
            let in_flight = window.bytes();
            let loaded = rtt.max(Duration::from_micros(in_flight * 1_000_000 / rate));
            window.on_rtt(Time::from_micros(round), if round == 0 { rtt } else { loaded });
            let achieved = (in_flight as f64 / loaded.as_secs_f64()) as u64;
            acked += in_flight;
            let sample = RateSample { bytes_per_second: achieved, app_limited: false };
            window.on_acknowledged(in_flight, acked, acked + in_flight, sample);
        }
    }

    #[test]
    fn the_window_settles_at_twice_the_product() {
        for (rate, rtt_ms) in [(1_250_000u64, 100), (12_500_000, 50), (125_000_000, 200)] {
            let mut window = Window::new();
            run(&mut window, rate, Duration::from_millis(rtt_ms), 40);
            let product = rate * rtt_ms / 1000;
            assert!(!window.startup);
            assert!(window.bytes() >= 19 * product / 10, "{} of {product}", window.bytes());
            assert!(window.bytes() <= 21 * product / 10 + AGGREGATION, "{} of {product}", window.bytes());
        }
    }

    #[test]
    fn a_slow_path_after_a_fast_one_shrinks_the_window() {
        let mut window = Window::new();
        run(&mut window, 12_500_000, Duration::from_millis(40), 30);
        run(&mut window, 1_250_000, Duration::from_millis(40), 60);
        assert!(window.bytes() < 300_000, "{}", window.bytes());
    }

    #[test]
    fn little_to_send_says_nothing_about_the_path() {
        let mut window = Window::new();
        run(&mut window, 12_500_000, Duration::from_millis(40), 30);
        let before = window.bytes();
        for round in 0..100 {
            let acked = window.round_end + 100 * round;
            let sample = RateSample { bytes_per_second: 5000, app_limited: true };
            window.on_acknowledged(100, acked, acked + 100, sample);
        }
        assert_eq!(window.bytes(), before);
    }

    #[test]
    fn an_outdated_round_trip_is_measured_with_little_in_flight() {
        let mut window = Window::new();
        run(&mut window, 12_500_000, Duration::from_millis(40), 30);
        let before = window.bytes();
        let at = Time::from_millis;
        window.on_rtt(at(10_500), Duration::from_millis(80));
        assert!(window.bytes() <= before / 4);
        window.on_rtt(at(10_600), Duration::from_millis(50));
        window.on_rtt(at(10_701), Duration::from_millis(60));
        assert_eq!((window.bytes(), window.min_rtt()), (before, Some(Duration::from_millis(50))));
        let mut local = Window::new();
        local.on_rtt(at(0), Duration::from_micros(50));
        local.on_rtt(at(11_000), Duration::from_millis(2));
        assert_eq!(local.bytes(), INITIAL, "a local network is left alone");
    }

    #[test]
    fn ten_gigabits_on_a_local_network_need_no_more() {
        let mut window = Window::new();
        run(&mut window, 1_250_000_000, Duration::from_micros(500), 40);
        assert!(window.bytes() >= 4 * 1024 * 1024, "{}", window.bytes());
    }
}
