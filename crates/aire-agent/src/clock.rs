//! The one place where the agent reads clocks.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use aire_types::{Incarnation, Time};

/// The agent's clock: monotonic time for the cores, wall time for certificates and people.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock whose epoch is now.
    pub(crate) fn new() -> Self {
        Clock { start: Instant::now() }
    }

    /// Time since the epoch.
    pub(crate) fn now(&self) -> Time {
        Time::ZERO + self.start.elapsed()
    }

    /// When a moment of the wall clock comes, as that clock stands now; one that has passed comes at once.
    pub(crate) fn at(&self, moment: SystemTime) -> Time {
        self.now() + until(moment)
    }

    /// When `at` is, for timers.
    pub(crate) fn instant(&self, at: Time) -> tokio::time::Instant {
        let offset = Duration::from_micros(at.as_micros().min(1 << 52));
        tokio::time::Instant::from_std(self.start + offset)
    }
}

/// How long until a moment of the wall clock; zero where it has passed.
pub(crate) fn until(moment: SystemTime) -> Duration {
    moment.duration_since(SystemTime::now()).unwrap_or_default()
}

/// Wall time, seconds since 1970.
pub(crate) fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

/// Wall time, milliseconds since 1970.
pub(crate) fn unix_millis() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
}

/// The incarnation of an agent that starts now.
pub(crate) fn incarnation() -> Incarnation {
    let micros = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_micros());
    Incarnation(u64::try_from(micros).unwrap_or(u64::MAX))
}
