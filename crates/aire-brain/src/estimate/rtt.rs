use std::time::Duration;

use aire_types::{Estimate, Source, Time};

use super::millis;

const WINDOW: usize = 32;
/// Slow average: the newest of far-apart samples weighs at most this much.
const WEIGHT: f64 = 0.1;
/// Samples closer together than this share that weight, so that a busy path does not forget within milliseconds.
const MEMORY: Duration = Duration::from_secs(5);
/// The window takes at most one sample of this long, so that it covers seconds even on a busy path.
const SPACING: Duration = Duration::from_millis(50);
/// A sample further from the average than so many deviations counts in it as if it were so far.
const OUTLIER: f64 = 6.0;
/// This many samples in a row far to one side of the average are a new level, not noise.
const SHIFT: usize = 3;

/// Round trips of one path from one source: average, deviation, and a window for tail and minimum.
#[derive(Clone, Debug)]
pub(crate) struct Rtt {
    mean: f64,
    deviation: f64,
    count: u32,
    at: Time,
    window: [f32; WINDOW],
    filled: usize,
    next: usize,
    window_at: Time,
    far: [f64; SHIFT],
    far_count: usize,
    far_above: bool,
}

impl Rtt {
    pub(crate) const fn new() -> Self {
        Rtt {
            mean: 0.0,
            deviation: 0.0,
            count: 0,
            at: Time::ZERO,
            window: [0.0; WINDOW],
            filled: 0,
            next: 0,
            window_at: Time::ZERO,
            far: [0.0; SHIFT],
            far_count: 0,
            far_above: false,
        }
    }

    pub(crate) fn add(&mut self, now: Time, rtt: Duration) {
        let value = millis(rtt);
        if self.shifted(value) {
            return self.restart(now);
        }
        let gap = now.since(self.at).as_secs_f64();
        let slow = (gap / (gap + MEMORY.as_secs_f64())).clamp(0.002, WEIGHT);
        let weight = slow.max(1.0 / (f64::from(self.count) + 1.0));
        let mut error = value - self.mean;
        // an outlier shows in the tail; in the average it would only be noise, and a new level is seen as such
        if self.count >= 4 {
            let most = OUTLIER * self.deviation.max(0.02 * self.mean);
            error = error.clamp(-most, most);
        }
        // the first error is the value itself, not a deviation
        if self.count == 1 {
            self.deviation = error.abs() / 2.0;
        } else if self.count > 1 {
            self.deviation += weight * (error.abs() - self.deviation);
        }
        self.mean += weight * error;
        self.count = self.count.saturating_add(1);
        self.remember(now, value);
        self.at = now;
    }

    fn remember(&mut self, now: Time, value: f64) {
        if self.filled > 0 && now.since(self.window_at) < SPACING {
            return;
        }
        self.window[self.next] = value as f32;
        self.next = (self.next + 1) % WINDOW;
        self.filled = (self.filled + 1).min(WINDOW);
        self.window_at = now;
    }

    /// Is `value` the last of a row that shows a new level?
    fn shifted(&mut self, value: f64) -> bool {
        let error = value - self.mean;
        let far = self.count >= 4 && error.abs() > (4.0 * self.deviation).max(0.2 * self.mean).max(5.0);
        if !far || (self.far_count > 0 && self.far_above != (error > 0.0)) {
            self.far_count = 0;
        }
        if !far {
            return false;
        }
        self.far_above = error > 0.0;
        self.far[self.far_count] = value;
        self.far_count += 1;
        self.far_count == SHIFT
    }

    /// Were the last samples so far below the average that a better level may have begun?
    pub(crate) fn may_be_better(&self) -> bool {
        self.far_count > 0 && !self.far_above
    }

    /// Begins anew with the samples that showed the shift.
    fn restart(&mut self, now: Time) {
        let far = self.far;
        *self = Rtt::new();
        self.mean = far.iter().sum::<f64>() / SHIFT as f64;
        self.deviation = far.iter().map(|value| (value - self.mean).abs()).sum::<f64>() / SHIFT as f64;
        self.count = SHIFT as u32;
        self.at = now;
        for value in far {
            self.window_at = Time::ZERO;
            self.filled = self.filled.min(WINDOW);
            self.window[self.next] = value as f32;
            self.next = (self.next + 1) % WINDOW;
            self.filled += 1;
        }
        self.window_at = now;
    }

    /// Average round trip, milliseconds.
    pub(crate) fn mean(&self) -> f64 {
        self.mean
    }

    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    /// When the last round trip came.
    pub(crate) fn at(&self) -> Time {
        self.at
    }

    /// Average round trip, milliseconds, with all that belongs to it.
    pub(crate) fn estimate(&self, source: Source) -> Estimate {
        Estimate {
            value: self.mean,
            deviation: self.deviation,
            at: self.at,
            count: self.count,
            censored: false,
            source,
        }
    }

    /// Mean of the worst tenth of the window (CVaR at 0.9), milliseconds; the average while the window is empty.
    pub(crate) fn tail(&self) -> f64 {
        if self.filled == 0 {
            return self.mean;
        }
        let worst = self.filled.div_ceil(10);
        // the few worst so far, largest first: cheaper than to sort the window for each decision
        let mut found = [0.0f32; WINDOW.div_ceil(10)];
        for value in &self.window[..self.filled] {
            let mut value = *value;
            for place in &mut found[..worst] {
                if value > *place {
                    std::mem::swap(place, &mut value);
                }
            }
        }
        f64::from(found[..worst].iter().sum::<f32>()) / worst as f64
    }

    /// Lowest of the window, milliseconds.
    pub(crate) fn lowest(&self) -> f64 {
        self.window[..self.filled].iter().copied().reduce(f32::min).map_or(0.0, f64::from)
    }

    /// An answer is overdue when it takes longer than this.
    pub(crate) fn patience(&self) -> Duration {
        if self.count < 2 {
            return Duration::from_secs(1);
        }
        let ms = (self.mean + (4.0 * self.deviation).max(0.25 * self.mean)).clamp(20.0, 3_000.0);
        Duration::from_secs_f64(ms / 1000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(value: u64) -> Duration {
        Duration::from_millis(value)
    }

    fn feed(rtt: &mut Rtt, from: u64, step: u64, values: impl IntoIterator<Item = u64>) -> u64 {
        let mut at = from;
        for value in values {
            rtt.add(Time::from_millis(at), ms(value));
            at += step;
        }
        at
    }

    #[test]
    fn the_first_samples_are_averaged_evenly() {
        let mut rtt = Rtt::new();
        feed(&mut rtt, 1000, 100, [10, 20, 30, 40]);
        let estimate = rtt.estimate(Source::Probe);
        assert!((estimate.value - 25.0).abs() < 1e-9);
        assert_eq!(estimate.count, 4);
        assert!(estimate.deviation > 5.0 && estimate.deviation < 20.0);
    }

    #[test]
    fn one_outlier_is_seen_in_the_tail_and_hardly_in_the_average() {
        let mut rtt = Rtt::new();
        let at = feed(&mut rtt, 0, 10_000, std::iter::repeat_n(40, 25));
        feed(&mut rtt, at, 10_000, [1000, 40, 40]);
        assert!(rtt.estimate(Source::Probe).value < 140.0);
        assert!(rtt.tail() > 300.0);
        assert!((rtt.lowest() - 40.0).abs() < 0.1);
    }

    #[test]
    fn a_new_level_is_believed_after_three_samples() {
        let mut rtt = Rtt::new();
        let at = feed(&mut rtt, 0, 1000, std::iter::repeat_n(60, 50));
        feed(&mut rtt, at, 100, [600, 610, 605]);
        assert!((rtt.estimate(Source::Probe).value - 605.0).abs() < 1.0);
        assert!(rtt.tail() > 600.0);
    }

    #[test]
    fn a_better_level_is_suspected_until_it_is_believed() {
        let mut rtt = Rtt::new();
        let at = feed(&mut rtt, 0, 1000, std::iter::repeat_n(240, 10));
        let at = feed(&mut rtt, at, 1000, [16]);
        assert!(rtt.may_be_better());
        let at = feed(&mut rtt, at, 1000, [240, 600]);
        assert!(!rtt.may_be_better());
        feed(&mut rtt, at, 1000, [16, 16, 16]);
        assert!(!rtt.may_be_better() && rtt.estimate(Source::Probe).value < 17.0);
    }

    #[test]
    fn a_busy_path_keeps_seconds_of_memory() {
        let mut rtt = Rtt::new();
        let at = feed(&mut rtt, 0, 1, std::iter::repeat_n(20, 2000));
        feed(&mut rtt, at, 1, (0..60).map(|i| if i % 2 == 0 { 24 } else { 19 }));
        assert!(rtt.estimate(Source::Payload).value < 20.5);
    }

    #[test]
    fn an_absurd_round_trip_is_bounded() {
        let mut rtt = Rtt::new();
        rtt.add(Time::ZERO, Duration::MAX);
        assert!(rtt.estimate(Source::Probe).value <= 60_000.0);
        assert!(rtt.patience() <= Duration::from_secs(3));
    }
}
