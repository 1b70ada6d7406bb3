use std::time::Duration;

/// SplitMix64 (Steele, Lea, Flood 2014): enough for jitter and choices, reproducible from its seed.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Random(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Less than `bound`, which is not zero.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// From `low` to `high` times `duration`.
    pub(crate) fn jitter(&mut self, duration: Duration, low: f64, high: f64) -> Duration {
        let share = (self.next() >> 11) as f64 / (1u64 << 53) as f64;
        duration.mul_f64(low + (high - low) * share)
    }
}
