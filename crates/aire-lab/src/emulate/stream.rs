//! TCP between two places: each connection is two directions of bytes under way.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::net::{Shutdown, shutdown};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::sleep_until;

use crate::LinkShape;
use crate::pacer::{Pacer, StreamPiece};

/// Asked of the kernel for every socket of ours.
pub(super) const KERNEL_BUFFER: u32 = 256 * 1024;
/// The most that is read at once.
const CHUNK: usize = 64 * 1024;
/// How far the reader may run ahead of the rate: what waits longer should wait at the sender.
const AHEAD: Duration = Duration::from_millis(20);
/// The runtime's clock ticks in milliseconds and rounds up.
const TICK: Duration = Duration::from_micros(500);

/// The rate of one direction, which its connections share.
#[derive(Clone, Debug)]
pub(super) struct Rate(Arc<Mutex<Pacer>>);

impl Rate {
    pub(super) fn new(pacer: Pacer) -> Self {
        Rate(Arc::new(Mutex::new(pacer)))
    }

    fn admit(&self, now: Instant, bytes: usize, round_trip: Duration, shape: &LinkShape) -> StreamPiece {
        let mut pacer = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        pacer.admit_stream(now, bytes, round_trip, shape)
    }
}

/// One direction between two places.
#[derive(Clone, Debug)]
pub(super) struct Way {
    shape: watch::Receiver<LinkShape>,
    rate: Rate,
}

impl Way {
    pub(super) fn new(shape: watch::Receiver<LinkShape>, rate: Rate) -> Self {
        Way { shape, rate }
    }

    fn shape(&self) -> LinkShape {
        *self.shape.borrow()
    }

    fn delay(&self) -> Duration {
        self.shape().one_way()
    }

    /// Waits while nothing passes; fails when the network is gone.
    async fn passes(&mut self) -> Result<(), Gone> {
        let open = |shape: &LinkShape| !shape.down && !shape.drop_tcp;
        self.shape.wait_for(open).await.map(drop).map_err(|_| Gone)
    }
}

/// The connection is over: a reset has been delivered, or the network is gone.
struct Gone;

/// What travels.
enum Freight {
    Bytes(Vec<u8>),
    End,
    Reset,
}

/// Freight under way in one direction of one connection.
struct Queue {
    sender: mpsc::UnboundedSender<(Instant, Freight)>,
    bytes: AtomicUsize,
    drained: Notify,
}

impl Queue {
    fn new() -> (Arc<Self>, mpsc::UnboundedReceiver<(Instant, Freight)>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Arc::new(Queue { sender, bytes: AtomicUsize::new(0), drained: Notify::new() }), receiver)
    }

    fn put(&self, at: Instant, freight: Freight) {
        if let Freight::Bytes(bytes) = &freight {
            self.bytes.fetch_add(bytes.len(), Ordering::Relaxed);
        }
        // The other end is gone only when the connection is.
        let _ = self.sender.send((at, freight));
    }

    fn taken(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.drained.notify_one();
    }

    /// Waits until there is room under the bandwidth-delay product of this shape.
    async fn room(&self, way: &Way) {
        const LEAST: f64 = 256.0 * 1024.0;
        const UNLIMITED: f64 = 125_000_000.0;
        loop {
            let shape = way.shape();
            let rate = shape.bytes_per_second().unwrap_or(UNLIMITED);
            let limit = (rate * (2 * shape.one_way() + 2 * AHEAD).as_secs_f64()).max(LEAST);
            if (self.bytes.load(Ordering::Relaxed) as f64) < limit {
                return;
            }
            self.drained.notified().await;
        }
    }
}

/// Serves every connection to this listener.
pub(super) async fn accept(listener: TcpListener, target: SocketAddr, there: Way, back: Way) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(connection(stream, target, there.clone(), back.clone()));
            }
            Err(error) => {
                // Out of descriptors, most likely: others end in a while.
                tracing::warn!(%error, "the emulated network cannot accept");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn connection(caller: TcpStream, target: SocketAddr, mut there: Way, mut back: Way) {
    let opened = Instant::now() + there.delay() + back.delay();
    sleep_until((Instant::now() + there.delay()).into()).await;
    if there.passes().await.is_err() || back.passes().await.is_err() {
        return;
    }
    let Ok(callee) = dial(target).await else {
        sleep_until((Instant::now() + back.delay()).into()).await;
        let _ = caller.set_zero_linger();
        return;
    };
    let _ = caller.set_nodelay(true);
    let (caller, callee) = (Arc::new(caller), Arc::new(callee));
    let (forth, forth_out) = Queue::new();
    let (reverse, reverse_out) = Queue::new();
    // The first of them that fails ends all; both sockets go with the last reference.
    let _ = tokio::try_join!(
        take_in(&caller, &forth, &there, &back, opened),
        take_in(&callee, &reverse, &back, &there, Instant::now()),
        hand_out(&callee, forth_out, &forth, there.clone(), (&reverse, &back)),
        hand_out(&caller, reverse_out, &reverse, back.clone(), (&forth, &there)),
    );
}

async fn dial(target: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_send_buffer_size(KERNEL_BUFFER)?;
    socket.set_recv_buffer_size(KERNEL_BUFFER)?;
    let stream = socket.connect(target).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Reads from one end and puts it on its way, not before `opened`.
async fn take_in(
    source: &TcpStream,
    queue: &Queue,
    way: &Way,
    back: &Way,
    opened: Instant,
) -> Result<(), Gone> {
    let mut last = opened;
    loop {
        queue.room(way).await;
        let shape = way.shape();
        // Small pieces on a slow way, so that the first of them does not wait for the last.
        let most = shape.bytes_per_second().map_or(CHUNK, |rate| (rate * 0.004) as usize);
        let freight = read(source, most.clamp(1400, CHUNK)).await;
        let bytes = if let Freight::Bytes(bytes) = &freight { bytes.len() } else { 40 };
        let round_trip = way.delay() + back.delay();
        let piece = way.rate.admit(Instant::now().max(opened), bytes, round_trip, &shape);
        // A stream keeps its order, whatever the shape becomes.
        last = last.max(piece.arrives);
        let more = matches!(freight, Freight::Bytes(_));
        queue.put(last, freight);
        if !more {
            return Ok(());
        }
        if let Some(wait) = piece.sent.checked_sub(AHEAD).filter(|wait| *wait > Instant::now()) {
            sleep_until(wait.into()).await;
        }
    }
}

async fn read(source: &TcpStream, most: usize) -> Freight {
    let mut bytes = Vec::with_capacity(most);
    loop {
        if source.readable().await.is_err() {
            return Freight::Reset;
        }
        match source.try_read_buf(&mut bytes) {
            Ok(0) => return Freight::End,
            Ok(_) => return Freight::Bytes(bytes),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => return Freight::Reset,
        }
    }
}

/// Hands freight to the other end when its time has come. When that end is gone, a reset travels back.
async fn hand_out(
    target: &TcpStream,
    mut arriving: mpsc::UnboundedReceiver<(Instant, Freight)>,
    queue: &Queue,
    mut way: Way,
    (reverse, back): (&Queue, &Way),
) -> Result<(), Gone> {
    while let Some((at, freight)) = arriving.recv().await {
        if at > Instant::now() + TICK {
            sleep_until(at.checked_sub(TICK).unwrap_or(at).into()).await;
        }
        way.passes().await?;
        match freight {
            Freight::Bytes(bytes) => {
                let written = write_all(target, &bytes).await;
                queue.taken(bytes.len());
                if written.is_err() {
                    reverse.put(Instant::now() + back.delay(), Freight::Reset);
                    return Ok(());
                }
            }
            Freight::End => {
                let _ = shutdown(target, Shutdown::Write);
                return Ok(());
            }
            Freight::Reset => {
                let _ = target.set_zero_linger();
                return Err(Gone);
            }
        }
    }
    Ok(())
}

async fn write_all(target: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        target.writable().await?;
        match target.try_write(bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
