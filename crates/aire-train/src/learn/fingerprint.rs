//! What tells one run's data and settings from another's.

use aire_types::fnv;

/// A hash of all that was added.
#[derive(Debug)]
pub(super) struct Fingerprint(u64);

impl Default for Fingerprint {
    fn default() -> Self {
        Fingerprint(fnv::OFFSET)
    }
}

impl Fingerprint {
    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.0 = fnv::extend(self.0, bytes);
    }

    pub(super) const fn value(&self) -> u64 {
        self.0
    }
}
