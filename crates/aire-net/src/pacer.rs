use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

/// How much may pass at once after a pause.
const BURST: Duration = Duration::from_millis(5);
const MIN_BURST: f64 = 64.0 * 1024.0;

/// Keeps what passes to a rate. Shared by everything that one lease covers.
#[derive(Debug)]
pub struct Pacer {
    bytes_per_second: f64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Bytes that may pass now; below zero, how many passed too early.
    tokens: f64,
    at: Instant,
}

impl Pacer {
    /// Lets `bits_per_second` through (at least one).
    pub fn new(bits_per_second: u64) -> Self {
        let bytes_per_second = bits_per_second.max(8) as f64 / 8.0;
        let state = Mutex::new(State { tokens: burst(bytes_per_second), at: Instant::now() });
        Pacer { bytes_per_second, state }
    }

    /// May `bytes` that cannot wait pass now? If so they are accounted for.
    pub fn admits(&self, bytes: usize) -> bool {
        let mut state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        self.earn(&mut state);
        let admitted = state.tokens >= 0.0;
        if admitted {
            state.tokens -= bytes as f64;
        }
        admitted
    }

    /// Accounts for `bytes` that passed and says how long to wait before the next may.
    pub fn passed(&self, bytes: usize) -> Duration {
        let mut state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        self.earn(&mut state);
        state.tokens -= bytes as f64;
        if state.tokens >= 0.0 {
            return Duration::ZERO;
        }
        Duration::try_from_secs_f64(-state.tokens / self.bytes_per_second).unwrap_or(Duration::MAX)
    }

    fn earn(&self, state: &mut State) {
        let now = Instant::now();
        let earned = now.duration_since(state.at).as_secs_f64() * self.bytes_per_second;
        state.at = now;
        state.tokens = (state.tokens + earned).min(burst(self.bytes_per_second));
    }
}

fn burst(bytes_per_second: f64) -> f64 {
    (bytes_per_second * BURST.as_secs_f64()).max(MIN_BURST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_rate_is_kept_after_the_burst() {
        let pacer = Pacer::new(80_000_000);
        let start = Instant::now();
        for _ in 0..100 {
            tokio::time::sleep(pacer.passed(100_000)).await;
        }
        let seconds = start.elapsed().as_secs_f64();
        assert!((0.98..=1.12).contains(&seconds), "10 MB at 10 MB/s took {seconds} s");
    }
}
