use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How long an address is remembered.
const MEMORY: Duration = Duration::from_secs(600);
const MAX: usize = 1024;

/// Addresses with something about them that may change.
#[derive(Default)]
pub(crate) struct Remembered(Mutex<BTreeMap<SocketAddr, Instant>>);

impl Remembered {
    pub(crate) fn insert(&self, addr: SocketAddr) {
        let mut map = self.lock();
        if map.len() >= MAX {
            map.retain(|_, at| at.elapsed() < MEMORY);
        }
        if map.len() < MAX {
            map.insert(addr, Instant::now());
        }
    }

    pub(crate) fn remove(&self, addr: &SocketAddr) {
        self.lock().remove(addr);
    }

    pub(crate) fn contains(&self, addr: &SocketAddr) -> bool {
        self.lock().get(addr).is_some_and(|at| at.elapsed() < MEMORY)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<SocketAddr, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
