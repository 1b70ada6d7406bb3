use std::time::Duration;

use aire_types::{Estimate, Source, Time};

const BUCKETS: usize = 4;
const BUCKET: Duration = Duration::from_secs(15);
/// A shorter transfer measures the start of a connection, not the path.
const SHORTEST: u64 = 32 * 1024;

/// What one connection gets: the highest rate of the last minute of transfers.
///
/// The highest, because an application or a slow start only ever makes a transfer slower than the path.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Bandwidth {
    best: [f64; BUCKETS],
    bucket: usize,
    bucket_at: Time,
    deviation: f64,
    count: u32,
    at: Time,
}

impl Bandwidth {
    pub(crate) const fn new() -> Self {
        Bandwidth {
            best: [0.0; BUCKETS],
            bucket: 0,
            bucket_at: Time::ZERO,
            deviation: 0.0,
            count: 0,
            at: Time::ZERO,
        }
    }

    pub(crate) fn add(&mut self, now: Time, bytes: u64, elapsed: Duration) {
        if bytes < SHORTEST || elapsed.is_zero() {
            return;
        }
        let rate = (bytes as f64 * 8.0 / elapsed.as_secs_f64() / 1e6).min(1e6);
        let passed = now.since(self.bucket_at).as_micros() / BUCKET.as_micros();
        if self.count == 0 || passed > 0 {
            for _ in 0..passed.min(BUCKETS as u128) {
                self.bucket = (self.bucket + 1) % BUCKETS;
                self.best[self.bucket] = 0.0;
            }
            self.bucket_at = now;
        }
        self.best[self.bucket] = self.best[self.bucket].max(rate);
        let error = (rate - self.value()).abs();
        self.deviation += (error - self.deviation) / f64::from(self.count.min(9) + 1);
        self.count = self.count.saturating_add(1);
        self.at = now;
    }

    fn value(&self) -> f64 {
        self.best.iter().copied().fold(0.0, f64::max)
    }

    /// Megabits a second; count 0 where nothing was measured.
    pub(crate) fn estimate(&self, source: Source) -> Estimate {
        Estimate {
            value: self.value(),
            deviation: self.deviation,
            at: self.at,
            count: self.count,
            censored: false,
            source,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_recent_rate_counts_and_is_forgotten() {
        let mut bandwidth = Bandwidth::default();
        let second = Duration::from_secs(1);
        bandwidth.add(Time::from_millis(1000), 12_500_000, second);
        bandwidth.add(Time::from_millis(2000), 1_250_000, second);
        assert!((bandwidth.estimate(Source::Payload).value - 100.0).abs() < 1e-6);
        for i in 1..8 {
            bandwidth.add(Time::from_millis(2000 + i * 15_000), 1_250_000, second);
        }
        assert!((bandwidth.estimate(Source::Payload).value - 10.0).abs() < 1e-6);
    }

    #[test]
    fn short_and_instant_transfers_say_nothing() {
        let mut bandwidth = Bandwidth::default();
        bandwidth.add(Time::ZERO, 1000, Duration::from_millis(1));
        bandwidth.add(Time::ZERO, 1_000_000, Duration::ZERO);
        assert_eq!(bandwidth.estimate(Source::Payload).count, 0);
    }
}
