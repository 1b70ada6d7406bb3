use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// TCP connections that have not proved themselves, in all. More wait in the kernel's backlog.
const MAX_GUESTS: usize = 4096;
/// The same from one address; more are closed.
const MAX_GUESTS_PER_ADDRESS: usize = 512;
/// Connections dialled back that nobody uses yet.
const MAX_DIALLED_BACK: usize = 256;
/// QUIC handshakes at a time.
const MAX_HANDSHAKES: usize = 512;
/// Enrolments from one address at once, and then per second.
const ENROLMENT_BURST: f64 = 64.0;
const ENROLMENTS_PER_SECOND: f64 = 1.0;
/// Addresses remembered for enrolment; beyond that the idle ones are forgotten.
const MAX_REMEMBERED: usize = 4096;

/// Bounds what strangers can occupy.
pub(crate) struct Admission {
    guests: Arc<Semaphore>,
    handshakes: Arc<Semaphore>,
    dialled_back: Arc<Semaphore>,
    by_address: Mutex<BTreeMap<IpAddr, usize>>,
    enrolments: Mutex<BTreeMap<IpAddr, (f64, Instant)>>,
}

/// A place for one stranger.
pub(crate) struct Guest {
    admission: Arc<Admission>,
    address: IpAddr,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut counts = lock(&self.admission.by_address);
        if let Some(count) = counts.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
    }
}

impl Admission {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Admission {
            guests: Arc::new(Semaphore::new(MAX_GUESTS)),
            handshakes: Arc::new(Semaphore::new(MAX_HANDSHAKES)),
            dialled_back: Arc::new(Semaphore::new(MAX_DIALLED_BACK)),
            by_address: Mutex::default(),
            enrolments: Mutex::default(),
        })
    }

    /// Waits for a place.
    pub(crate) async fn place(&self) -> OwnedSemaphorePermit {
        self.guests.clone().acquire_owned().await.expect("the semaphore is never closed")
    }

    /// Gives the place to a stranger from `address`, unless too many are here already.
    pub(crate) fn admit(self: &Arc<Self>, permit: OwnedSemaphorePermit, address: IpAddr) -> Option<Guest> {
        let mut counts = lock(&self.by_address);
        let count = counts.entry(address).or_default();
        if *count >= MAX_GUESTS_PER_ADDRESS {
            return None;
        }
        *count += 1;
        Some(Guest { admission: self.clone(), address, _permit: permit })
    }

    /// A place for a QUIC handshake, if there is one.
    pub(crate) fn handshake(&self) -> Option<OwnedSemaphorePermit> {
        self.handshakes.clone().try_acquire_owned().ok()
    }

    /// A place for a connection that is dialled back, if there is one.
    pub(crate) fn dial_back(&self) -> Option<OwnedSemaphorePermit> {
        self.dialled_back.clone().try_acquire_owned().ok()
    }

    /// May `address` enrol now?
    pub(crate) fn may_enrol(&self, address: IpAddr) -> bool {
        let now = Instant::now();
        let mut buckets = lock(&self.enrolments);
        if buckets.len() >= MAX_REMEMBERED {
            let full = Duration::from_secs_f64(ENROLMENT_BURST / ENROLMENTS_PER_SECOND);
            buckets.retain(|_, (_, at)| now.duration_since(*at) < full);
        }
        if buckets.len() >= MAX_REMEMBERED && !buckets.contains_key(&address) {
            return false;
        }
        let (tokens, at) = buckets.entry(address).or_insert((ENROLMENT_BURST, now));
        let earned = now.duration_since(*at).as_secs_f64() * ENROLMENTS_PER_SECOND;
        *tokens = (*tokens + earned).min(ENROLMENT_BURST);
        *at = now;
        if *tokens < 1.0 {
            return false;
        }
        *tokens -= 1.0;
        true
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_address_cannot_take_all_places_and_gives_them_back() {
        let admission = Admission::new();
        let address = IpAddr::from([192, 0, 2, 1]);
        let mut guests = Vec::new();
        for _ in 0..MAX_GUESTS_PER_ADDRESS {
            guests.push(admission.admit(admission.place().await, address).unwrap());
        }
        assert!(admission.admit(admission.place().await, address).is_none());
        assert!(admission.admit(admission.place().await, IpAddr::from([192, 0, 2, 2])).is_some());
        guests.clear();
        assert!(admission.admit(admission.place().await, address).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn enrolment_is_limited_per_address_and_recovers() {
        let admission = Admission::new();
        let address = IpAddr::from([192, 0, 2, 1]);
        let allowed = (0..200).filter(|_| admission.may_enrol(address)).count();
        assert_eq!(allowed, 64);
        assert!(admission.may_enrol(IpAddr::from([192, 0, 2, 2])));
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!((0..200).filter(|_| admission.may_enrol(address)).count(), 3);
    }
}
