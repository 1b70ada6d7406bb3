use std::collections::HashMap;
use std::hash::Hash;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aire_types::AppName;
use bytes::Bytes;
use tokio::net::UdpSocket;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::Trouble;

/// Datagrams of one flow that wait for whoever carries them; more are dropped.
const WAITING: usize = 256;
/// Bytes of all flows of a listener that wait.
const WAITING_BYTES: usize = 16 * 1024 * 1024;
/// Flows that have ended are forgotten each time that so many began.
const SWEEP: u32 = 64;
/// A full listener says so at most so often.
const SAY_FULL: Duration = Duration::from_secs(5);

/// A datagram with its share of the memory.
#[derive(Debug)]
struct Waiting {
    bytes: Bytes,
    _share: OwnedSemaphorePermit,
}

/// Datagrams of one address of an application towards one app. It ends when it is dropped; the next datagram begins
/// another one.
#[derive(Debug)]
pub struct Flow {
    /// Where they want to go.
    pub app: AppName,
    /// The application's own address.
    pub client: SocketAddr,
    /// The listener that they came to: of a proxy its TCP address.
    pub listener: SocketAddr,
    datagrams: mpsc::Receiver<Waiting>,
    replies: Replies,
    _place: OwnedSemaphorePermit,
}

impl Flow {
    /// The next datagram; `None` when the application can send no more.
    pub async fn recv(&mut self) -> Option<Bytes> {
        self.datagrams.recv().await.map(|waiting| waiting.bytes)
    }

    /// The next datagram that is here already.
    pub fn try_recv(&mut self) -> Option<Bytes> {
        self.datagrams.try_recv().ok().map(|waiting| waiting.bytes)
    }

    /// The way back to the application.
    pub fn replies(&self) -> Replies {
        self.replies.clone()
    }
}

/// The way back to an application. Copies are the same way.
#[derive(Clone, Debug)]
pub struct Replies {
    pub(crate) socket: Arc<UdpSocket>,
    pub(crate) client: SocketAddr,
    /// What SOCKS5 puts before each datagram.
    pub(crate) head: Option<Arc<[u8]>>,
}

impl Replies {
    /// Sends a datagram to the application, or drops it where the kernel takes none now.
    ///
    /// # Errors
    /// The kernel did not take it.
    pub fn send(&self, payload: &[u8]) -> io::Result<()> {
        let sent = match &self.head {
            None => self.socket.try_send_to(payload, self.client),
            Some(head) => self.socket.try_send_to(&[head, payload].concat(), self.client),
        };
        sent.map(|_| ())
    }
}

/// What all flows of a listener share.
#[derive(Clone, Debug)]
pub(crate) struct Room {
    most: usize,
    places: Arc<Semaphore>,
    memory: Arc<Semaphore>,
    arrivals: mpsc::Sender<Flow>,
}

impl Room {
    pub(crate) fn new(most: usize, arrivals: mpsc::Sender<Flow>) -> Self {
        let most = most.clamp(1, Semaphore::MAX_PERMITS);
        let (places, memory) = (Arc::new(Semaphore::new(most)), Arc::new(Semaphore::new(WAITING_BYTES)));
        Room { most, places, memory, arrivals }
    }

    /// A place among the flows.
    ///
    /// # Errors
    /// All are taken.
    pub(crate) fn place(&self) -> Result<OwnedSemaphorePermit, Trouble> {
        Arc::clone(&self.places).try_acquire_owned().map_err(|_| Trouble::FullOfFlows(self.most))
    }

    fn wait(&self, payload: &[u8]) -> Option<Waiting> {
        let length = u32::try_from(payload.len()).ok()?;
        let share = Arc::clone(&self.memory).try_acquire_many_owned(length).ok()?;
        Some(Waiting { bytes: Bytes::copy_from_slice(payload), _share: share })
    }

    /// Nobody takes flows any more.
    pub(crate) async fn closed(&self) {
        self.arrivals.closed().await;
    }
}

/// The flows of one socket, by what tells them apart there.
pub(crate) struct Flows<K> {
    room: Room,
    open: HashMap<K, mpsc::Sender<Waiting>>,
    begun: u32,
    said_full: Option<Instant>,
}

/// A flow that is to begin.
pub(crate) struct Beginning {
    pub(crate) app: AppName,
    pub(crate) listener: SocketAddr,
    pub(crate) replies: Replies,
}

impl<K: Eq + Hash + Clone> Flows<K> {
    pub(crate) fn new(room: Room) -> Self {
        Flows { room, open: HashMap::new(), begun: 0, said_full: None }
    }

    /// Hands a datagram to its flow, begun where there is none. What nobody can take now is dropped.
    ///
    /// # Errors
    /// Too many flows; not said again for a while.
    pub(crate) fn deliver(
        &mut self,
        key: &K,
        payload: &[u8],
        begin: impl FnOnce() -> Beginning,
    ) -> Result<(), Trouble> {
        let Some(mut waiting) = self.room.wait(payload) else { return Ok(()) };
        if let Some(flow) = self.open.get(key) {
            match flow.try_send(waiting) {
                Ok(()) | Err(mpsc::error::TrySendError::Full(_)) => return Ok(()),
                Err(mpsc::error::TrySendError::Closed(back)) => waiting = back,
            }
        }
        let place = match self.room.place() {
            Ok(place) => place,
            Err(full) => return self.say_full(full),
        };
        let Beginning { app, listener, replies } = begin();
        let (sender, datagrams) = mpsc::channel(WAITING);
        // The channel is empty, so it takes one.
        let _ = sender.try_send(waiting);
        let client = replies.client;
        let flow = Flow { app, client, listener, datagrams, replies, _place: place };
        if self.room.arrivals.try_send(flow).is_ok() {
            self.begun += 1;
            if self.begun.is_multiple_of(SWEEP) {
                self.open.retain(|_, flow| !flow.is_closed());
            }
            self.open.insert(key.clone(), sender);
        }
        Ok(())
    }

    fn say_full(&mut self, full: Trouble) -> Result<(), Trouble> {
        if self.said_full.is_some_and(|at| at.elapsed() < SAY_FULL) {
            return Ok(());
        }
        self.said_full = Some(Instant::now());
        Err(full)
    }
}
