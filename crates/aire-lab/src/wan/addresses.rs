use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, PoisonError, RwLock};

/// Which port of the switch has which address. Clones are the same; it changes while packets flow.
#[derive(Clone, Debug, Default)]
pub(super) struct Addresses(Arc<RwLock<BTreeMap<Ipv4Addr, usize>>>);

impl Addresses {
    pub(super) fn add(&self, address: Ipv4Addr, port: usize) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(address, port);
    }

    /// The port of `old` is reached by `new` from now on, and not by `old` any more.
    pub(super) fn replace(&self, old: Ipv4Addr, new: Ipv4Addr) {
        let mut ports = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(port) = ports.remove(&old) {
            ports.insert(new, port);
        }
    }

    pub(super) fn find(&self, address: Ipv4Addr) -> Option<usize> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&address).copied()
    }
}
