use std::time::Duration;

/// Before anything is known (RFC 9002 §6.2.2).
const UNKNOWN: Duration = Duration::from_millis(333);
/// What scheduling on a busy machine adds to a round trip now and then.
const GRANULARITY: Duration = Duration::from_millis(15);

/// Smoothed round trip and its variation (RFC 6298).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rtt {
    smoothed: Option<Duration>,
    variation: Duration,
}

impl Rtt {
    /// Starts from what is known of the path.
    pub(crate) fn new(hint: Option<Duration>) -> Self {
        Rtt { smoothed: hint, variation: hint.unwrap_or(UNKNOWN) / 4 }
    }

    pub(crate) fn sample(&mut self, rtt: Duration) {
        let Some(smoothed) = self.smoothed else {
            *self = Rtt { smoothed: Some(rtt), variation: rtt / 2 };
            return;
        };
        // One stall must not make the loop blind to the next.
        let rtt = rtt.min(3 * smoothed + GRANULARITY);
        self.variation = (3 * self.variation + rtt.abs_diff(smoothed)) / 4;
        self.smoothed = Some((7 * smoothed + rtt) / 8);
    }

    pub(crate) const fn smoothed(&self) -> Option<Duration> {
        self.smoothed
    }

    /// How old an unanswered byte may be before help is called (RFC 9002 §6.2.1), at most about two round trips.
    pub(crate) fn probe_timeout(&self, ack_delay: Duration) -> Duration {
        let Some(smoothed) = self.smoothed else { return 3 * UNKNOWN };
        let spread = (4 * self.variation).clamp(GRANULARITY, smoothed.max(Duration::from_millis(50)));
        smoothed + spread + ack_delay
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn a_steady_path_has_a_tight_timeout_and_a_stall_does_not_loosen_it_for_long() {
        let mut rtt = Rtt::new(None);
        assert!(rtt.probe_timeout(ms(5)) >= ms(900));
        for _ in 0..30 {
            rtt.sample(ms(60));
        }
        assert!(rtt.probe_timeout(ms(5)) <= ms(81), "{:?}", rtt.probe_timeout(ms(5)));
        rtt.sample(ms(3000));
        assert!(rtt.probe_timeout(ms(5)) <= ms(165));
        for _ in 0..30 {
            rtt.sample(ms(60));
        }
        assert!(rtt.probe_timeout(ms(5)) <= ms(82));
    }

    #[test]
    fn a_fast_path_is_not_judged_by_scheduling_noise() {
        let mut rtt = Rtt::new(Some(Duration::from_micros(200)));
        for _ in 0..100 {
            rtt.sample(Duration::from_micros(200));
        }
        assert!(rtt.probe_timeout(ms(5)) >= ms(20));
    }
}
