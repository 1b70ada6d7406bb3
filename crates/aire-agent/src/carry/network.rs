use std::net::IpAddr;

use aire_stream::CarrierId;

use super::association::Association;
use super::keeper::{Keeper, kept};

/// Carriers whose ends change their addresses.
impl Association {
    /// Where this end of a carrier is.
    pub(super) fn note_local(&self, id: CarrierId, local: Option<IpAddr>) {
        if let Some(slot) = self.inner.lock().carriers.get_mut(&id) {
            slot.local = local;
        }
    }

    /// These addresses are not ours any more: the carriers that were bound to them are opened again.
    pub(crate) fn addresses_lost(&self, lost: &[IpAddr]) {
        self.give_up(|local| local.is_some_and(|local| lost.contains(&local)));
    }

    /// The peer is somewhere else: nothing that is open reaches it.
    pub(crate) fn peer_moved(&self) {
        self.give_up(|_| true);
    }

    fn give_up(&self, over: impl Fn(Option<IpAddr>) -> bool) {
        self.with(|now, inner| {
            let slots = inner.carriers.iter().filter(|(_, slot)| over(slot.local));
            let carriers: Vec<CarrierId> = slots.map(|(id, _)| *id).collect();
            match &mut inner.keeper {
                Keeper::Source(pool) => {
                    let ids: Vec<_> = carriers.iter().copied().map(kept).collect();
                    pool.handle_network_changed(now, &ids);
                }
                Keeper::Destination(leave) => {
                    carriers.iter().copied().for_each(|id| leave.handle_down(kept(id)));
                    for id in carriers {
                        inner.core.abandon(now, id);
                        inner.close(id, true);
                    }
                }
            }
        });
    }
}
