//! What an association does with the datagrams of its flows.

use std::sync::Arc;

use aire_stream::datagram::{Rejected, Unsent, Way, encode_record};
use aire_types::{NodeName, Path, Protocol};
use aire_wire::{CircuitId, DatagramHead, RELAYED_DATAGRAM, StreamId};
use bytes::Bytes;

use super::association::Association;
use super::cipher::Seal;
use super::flow::Delivery;

/// The way of a carrier.
pub(crate) struct Along {
    /// The circuit.
    pub(crate) circuit: CircuitId,
    /// Its relays.
    pub(crate) path: Path,
    /// The next node on it.
    pub(crate) neighbour: NodeName,
    /// What both ends of the carrier derived for datagrams.
    pub(crate) key: aire_stream::datagram::Key<Seal>,
}

/// What becomes of a datagram from the application.
pub(crate) enum Departure {
    /// It goes over the link, sealed.
    Link(Vec<u8>),
    /// How long the datagrams of the link to this node may be is to be known first.
    Needs(NodeName),
    /// It fits into no datagram.
    Record,
    /// There is no way now.
    Nowhere,
}

/// What an association makes of a datagram that came over a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// It was sealed for it.
    Opened,
    /// It names a key of this association, but is forged, or came before.
    Dropped,
    /// It is another association's.
    Another,
}

/// Datagrams that a flow keeps until it is attached.
const MAX_EARLY: usize = 8;

impl Association {
    /// Seals a datagram for the shortcut, or else for the way that the stream takes now. `link`: how much the link to a
    /// neighbour carries.
    pub(crate) fn depart(
        &self,
        stream: StreamId,
        payload: &[u8],
        link: Option<(&NodeName, usize)>,
    ) -> Departure {
        let now = self.clock.now();
        let mut guard = self.inner.lock();
        let inner = &mut *guard;
        inner.flowed = now;
        let Some(carrier) = inner.core.route_of(stream) else { return Departure::Nowhere };
        let Some(slot) = inner.carriers.get(&carrier) else { return Departure::Nowhere };
        let shortcut = inner.shortcut(now);
        let (circuit, neighbour) =
            shortcut.map_or((slot.circuit, &slot.neighbour), |way| (way.circuit, &way.node));
        let (straight, follows_carrier) = (shortcut.is_some() || slot.path.is_direct(), shortcut.is_none());
        let limit = match link {
            Some((node, limit)) if node == neighbour => limit,
            _ => return Departure::Needs(neighbour.clone()),
        };
        // What the links behind the first one carry is not known here.
        let limit = if straight { limit } else { limit.min(RELAYED_DATAGRAM) };
        let departure = match inner.datagrams.seal(Way { circuit, limit }, stream, payload) {
            Ok(datagram) => Departure::Link(datagram),
            Err(Unsent::TooLong) => Departure::Record,
            Err(Unsent::NoKey) => Departure::Nowhere,
        };
        let sent = matches!(departure, Departure::Link(_));
        let ping = sent && follows_carrier && inner.datagrams.wants_ping(now, carrier);
        drop(guard);
        if ping {
            self.with(|now, inner| inner.core.ping(now, carrier));
        }
        departure
    }

    /// Sends a datagram through its stream; false where the stream has no room, and the datagram is dropped.
    pub(crate) fn send_record(&self, stream: StreamId, payload: &[u8]) -> bool {
        let record = encode_record(payload);
        self.with(|now, inner| {
            inner.flowed = now;
            record.len() <= inner.core.writable(stream) && inner.core.write(now, stream, record).is_ok()
        })
    }

    /// Opens a datagram from a link and delivers it.
    pub(crate) fn receive_datagram(&self, head: &DatagramHead, datagram: &mut [u8]) -> Arrival {
        let now = self.clock.now();
        let (opened, left) = {
            let mut guard = self.inner.lock();
            let inner = &mut *guard;
            match inner.datagrams.open(head, datagram) {
                Ok((stream, payload)) => {
                    let left = inner.came_along(now, head);
                    let is_flow =
                        inner.core.stream(stream).is_some_and(|state| state.protocol == Protocol::Udp);
                    let slot = inner.streams.get_mut(&stream).filter(|_| is_flow);
                    let delivery = slot.and_then(|slot| {
                        if slot.delivery.is_none() && slot.early.len() < MAX_EARLY {
                            slot.early.push(Bytes::copy_from_slice(payload));
                        }
                        slot.delivery.clone().map(|delivery| (delivery, payload))
                    });
                    (delivery, left)
                }
                Err(Rejected::UnknownKey) => return Arrival::Another,
                Err(why) => {
                    tracing::trace!(?why, circuit = %head.circuit, "a datagram was dropped");
                    return Arrival::Dropped;
                }
            }
        };
        drop(left);
        if let Some((delivery, payload)) = opened {
            delivery.count_in(payload.len());
            delivery.deliver(now, payload);
        }
        Arrival::Opened
    }

    /// From now on datagrams of the flow are delivered there.
    pub(crate) fn attach(&self, stream: StreamId, delivery: &Arc<Delivery>) {
        let early = self.inner.lock().streams.get_mut(&stream).map(|slot| {
            slot.delivery = Some(Arc::clone(delivery));
            std::mem::take(&mut slot.early)
        });
        for payload in early.into_iter().flatten() {
            delivery.count_in(payload.len());
            delivery.deliver(self.clock.now(), &payload);
        }
    }

    /// Bytes in and out of a flow that did not go through its stream.
    pub(crate) fn datagram_bytes(&self, stream: StreamId) -> (u64, u64) {
        let inner = self.inner.lock();
        let delivery = inner.streams.get(&stream).and_then(|slot| slot.delivery.as_ref());
        delivery.map_or((0, 0), |delivery| delivery.bytes())
    }
}
