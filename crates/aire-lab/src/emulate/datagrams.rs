//! UDP in one direction between two places.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::time::sleep_until;

use crate::LinkShape;
use crate::pacer::{Pacer, Protocol};

/// IPv4 and UDP headers, which take their share of the rate.
const HEADERS: usize = 28;
/// Datagrams under way; beyond that they are lost, so that memory has a bound where the rate has none.
const MOST: usize = 50_000;
/// The runtime's clock ticks in milliseconds and rounds up: what is due within half a tick goes now.
const TICK: Duration = Duration::from_micros(500);

/// One direction.
pub(super) struct Datagrams {
    /// Where `from` sends what is for `to`.
    pub(super) entrance: Arc<UdpSocket>,
    /// Where `to` sends what is for `from`: what leaves here, `to` can answer.
    pub(super) exit: Arc<UdpSocket>,
    pub(super) from: SocketAddr,
    pub(super) to: SocketAddr,
    pub(super) shape: watch::Receiver<LinkShape>,
    pub(super) pacer: Pacer,
}

/// Ordered by time, then by arrival.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Waiting {
    at: Instant,
    sequence: u64,
    bytes: Vec<u8>,
}

impl Datagrams {
    pub(super) async fn run(mut self) {
        let mut waiting: BinaryHeap<Reverse<Waiting>> = BinaryHeap::new();
        let mut sequence = 0;
        let mut buffer = vec![0u8; 65_536];
        loop {
            let next = waiting.peek().map(|Reverse(datagram)| datagram.at);
            let due = async {
                match next {
                    Some(at) => sleep_until(at.checked_sub(TICK).unwrap_or(at).into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = due => self.deliver(&mut waiting).await,
                received = self.entrance.recv_from(&mut buffer) => {
                    // An error here is an ICMP answer to something sent earlier (RFC 1122, 4.1.3.3).
                    let Ok((length, source)) = received else { continue };
                    if source != self.from {
                        tracing::debug!(%source, expected = %self.from, "a datagram from another port was ignored");
                        continue;
                    }
                    if let Some(at) = self.admit(length).filter(|_| waiting.len() < MOST) {
                        sequence += 1;
                        waiting.push(Reverse(Waiting { at, sequence, bytes: buffer[..length].to_vec() }));
                    }
                }
            }
        }
    }

    fn admit(&mut self, length: usize) -> Option<Instant> {
        let shape = *self.shape.borrow();
        self.pacer.admit(Instant::now(), length + HEADERS, Protocol::Udp, &shape).ok()
    }

    async fn deliver(&self, waiting: &mut BinaryHeap<Reverse<Waiting>>) {
        let now = Instant::now() + TICK;
        while let Some(Reverse(datagram)) = waiting.peek() {
            if datagram.at > now {
                return;
            }
            let Some(Reverse(datagram)) = waiting.pop() else { return };
            // A cut loses what is under way as well.
            if !self.shape.borrow().down {
                // A place that does not listen now loses it, as on any network.
                let _ = self.exit.send_to(&datagram.bytes, self.to).await;
            }
        }
    }
}
