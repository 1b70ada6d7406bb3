//! Connections that the other side opens: tickets for those that this agent awaits, and opening those that it was
//! asked for.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aire_types::Class;
use aire_wire::{CircuitId, Preamble, PreambleKind};
use ring::rand::{SecureRandom, SystemRandom};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::endpoint::Shared;
use crate::{Endpoint, NetError, accept, preamble_is_authentic, preamble_mac};

/// How long a ticket is good for.
pub(crate) const LIFETIME: Duration = Duration::from_secs(5);
/// Connections awaited at a time, dropped races included.
const MAX_AWAITED: usize = 4096;

/// Names one connection that is to be dialled back. Whoever has it can open that connection, once.
#[derive(Clone, PartialEq, Eq)]
pub struct Ticket {
    /// Its name.
    pub id: [u8; 16],
    /// The key of its preamble.
    pub key: [u8; 32],
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ticket {}", CircuitId(self.id))
    }
}

impl Ticket {
    /// The preamble that redeems it.
    pub fn preamble(&self) -> Preamble {
        let mut preamble = Preamble {
            kind: PreambleKind::DialBack,
            class: Class::Interactive,
            circuit: CircuitId(self.id),
            counter: 0,
            mac: [0; 16],
        };
        preamble.mac = preamble_mac(&self.key, &preamble);
        preamble
    }
}

struct Awaited {
    key: [u8; 32],
    expires: Instant,
    taker: oneshot::Sender<TcpStream>,
}

/// The tickets that are out.
#[derive(Default)]
pub(crate) struct Tickets(Mutex<Out>);

#[derive(Default)]
struct Out {
    awaited: BTreeMap<[u8; 16], Awaited>,
    /// In the order in which they expire; a ticket that was redeemed is still listed.
    order: VecDeque<(Instant, [u8; 16])>,
}

impl Tickets {
    /// A new ticket and where its connection arrives; nothing where too many are out.
    pub(crate) fn issue(&self) -> Option<(Ticket, oneshot::Receiver<TcpStream>)> {
        let (mut id, mut key) = ([0; 16], [0; 32]);
        let random = SystemRandom::new();
        random.fill(&mut id).and_then(|()| random.fill(&mut key)).ok()?;
        let (taker, arrival) = oneshot::channel();
        let now = Instant::now();
        let mut out = self.lock();
        while let Some((_, old)) = out.order.front().copied().filter(|(expires, _)| *expires <= now) {
            out.order.pop_front();
            out.awaited.remove(&old);
        }
        if out.order.len() >= MAX_AWAITED {
            return None;
        }
        let expires = now + LIFETIME;
        out.order.push_back((expires, id));
        out.awaited.insert(id, Awaited { key, expires, taker });
        Some((Ticket { id, key }, arrival))
    }

    /// Who waits for the connection with this preamble.
    ///
    /// # Errors
    /// Nobody, and why.
    pub(crate) fn redeem(&self, preamble: &Preamble) -> Result<oneshot::Sender<TcpStream>, String> {
        let id = preamble.circuit.0;
        let mut out = self.lock();
        let awaited = out.awaited.get(&id).ok_or("no such ticket is out, or it was used")?;
        if !preamble_is_authentic(&awaited.key, preamble) {
            return Err("the MAC of the ticket is wrong".to_owned());
        }
        if awaited.expires <= Instant::now() {
            return Err("the ticket has expired".to_owned());
        }
        out.awaited.remove(&id).map(|awaited| awaited.taker).ok_or_else(|| "it was used".to_owned())
    }

    fn lock(&self) -> MutexGuard<'_, Out> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Endpoint {
    /// Opens the connection that the agent at `addr` asked for by `ticket`, and serves it like one that came in.
    /// Returns when that is over, or at once where too many wait already.
    ///
    /// # Errors
    /// The agent there cannot be reached.
    pub async fn dial_back(&self, addr: SocketAddr, ticket: &Ticket) -> Result<(), NetError> {
        let shared: &Arc<Shared> = &self.shared;
        if shared.closing.is_cancelled() {
            return Err(NetError::Closing);
        }
        let busy = || NetError::Unasked {
            addr,
            why: "too many dialled-back connections wait for their use".to_owned(),
        };
        let place = shared.admission.dial_back().ok_or_else(busy)?;
        let mut tcp = shared.underlay.dial_tcp(addr).await?;
        tcp.write_all(&ticket.preamble().encode()).await.map_err(|source| NetError::from_io(addr, source))?;
        accept::dialled_back(shared.clone(), tcp, addr, place).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_ticket_is_good_once_and_for_a_while() {
        let tickets = Tickets::default();
        let (ticket, _arrival) = tickets.issue().unwrap();
        let mut forged = ticket.preamble();
        forged.mac[0] ^= 1;
        assert!(tickets.redeem(&forged).is_err());
        assert!(tickets.redeem(&ticket.preamble()).is_ok(), "a forgery must not use it up");
        assert!(tickets.redeem(&ticket.preamble()).is_err());
        let (late, _arrival) = tickets.issue().unwrap();
        tokio::time::advance(LIFETIME).await;
        assert!(tickets.redeem(&late.preamble()).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn tickets_are_bounded_and_come_back() {
        let tickets = Tickets::default();
        let held: Vec<_> = (0..MAX_AWAITED).map(|_| tickets.issue().unwrap()).collect();
        assert!(tickets.issue().is_none());
        drop(held);
        assert!(tickets.issue().is_none(), "their connections may still come");
        tokio::time::advance(LIFETIME).await;
        assert!(tickets.issue().is_some());
        assert_eq!(tickets.lock().awaited.len(), 1);
    }
}
