use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use aire_types::Random;

/// How often an address that is not linked is found again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// The first pause; each further one is twice as long.
    pub first: Duration,
    /// The longest pause.
    pub longest: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Pace { first: Duration::from_secs(1), longest: Duration::from_secs(60) }
    }
}

/// Pauses between attempts at one thing.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    pace: Pace,
    pause: Duration,
}

impl Backoff {
    pub(crate) fn new(pace: Pace) -> Self {
        Backoff { pace, pause: pace.first }
    }

    pub(crate) fn reset(&mut self) {
        self.pause = self.pace.first;
    }

    /// The next pause, a quarter longer or shorter by chance, so that agents that start together do not stay together.
    pub(crate) fn next(&mut self, random: &mut Random) -> Duration {
        let pause = self.pause.min(self.pace.longest);
        self.pause = (pause * 2).min(self.pace.longest);
        random.scale(pause, 0.75, 1.25)
    }
}

/// Spreads timers; no two runs alike.
pub(crate) fn unseeded() -> Random {
    Random::new(RandomState::new().hash_one(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_start_over() {
        let pace = Pace { first: Duration::from_secs(1), longest: Duration::from_secs(5) };
        let (mut backoff, mut random) = (Backoff::new(pace), unseeded());
        for expected in [1.0, 2.0, 4.0, 5.0, 5.0] {
            let pause = backoff.next(&mut random).as_secs_f64();
            assert!((expected * 0.75..expected * 1.25).contains(&pause), "{pause} for {expected}");
        }
        backoff.reset();
        assert!(backoff.next(&mut random) < Duration::from_millis(1250));
    }
}
