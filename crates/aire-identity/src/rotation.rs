use std::time::{Duration, SystemTime};

use aire_types::Random;

use crate::svid::Svid;

const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_secs(300);

/// Says when to ask the authority for the next certificate. It reads no clock and starts nothing.
///
/// The first attempt comes at half of the certificate's life, give or take a twentieth of it, so that a mesh that was
/// started at once does not renew at once. After a failure it waits a second, then twice as long each time, up to
/// five minutes, each shortened by up to a quarter.
#[derive(Clone, Debug)]
pub struct Rotation {
    next: SystemTime,
    failures: u32,
    random: Random,
}

impl Rotation {
    /// For the certificate in use; agents with different `seed`s renew at different moments.
    pub fn new(svid: &Svid, seed: u64) -> Self {
        let mut rotation = Rotation { next: svid.renew_at(), failures: 0, random: Random::new(seed) };
        rotation.renewed(svid);
        rotation
    }

    /// When to try next. A moment that has passed means now.
    pub fn next_at(&self) -> SystemTime {
        self.next
    }

    /// How long to wait from `now`; zero when it is time.
    pub fn wait(&self, now: SystemTime) -> Duration {
        self.next.duration_since(now).unwrap_or_default()
    }

    /// A new certificate is in use.
    pub fn renewed(&mut self, svid: &Svid) {
        let life = svid.not_after().duration_since(svid.not_before()).unwrap_or_default();
        let jitter = self.random.scale(life / 10, 0.0, 1.0);
        self.failures = 0;
        self.next = svid.renew_at() + jitter - life / 20;
    }

    /// The attempt made at `now` failed.
    pub fn failed(&mut self, now: SystemTime) {
        let wait = FIRST_RETRY.saturating_mul(1 << self.failures.min(16)).min(LAST_RETRY);
        self.failures = self.failures.saturating_add(1);
        self.next = now + wait - self.random.scale(wait / 4, 0.0, 1.0);
    }
}
