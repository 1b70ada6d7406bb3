//! Numbered, checksummed datagrams at a steady pace: which come back, and after how long?

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::messages::{MESSAGE, MessagesReport, Receiver, encode};

/// The client of this workload. What is lost on the way is part of the report.
#[derive(Clone, Debug, PartialEq)]
pub struct Datagrams {
    /// Where the server, or a way to it, listens.
    pub to: SocketAddr,
    /// How long to wait between two datagrams.
    pub interval: Duration,
    /// How long to send.
    pub duration: Duration,
    /// How long to wait for echoes after the last one.
    pub patience: Duration,
}

impl Datagrams {
    /// Fifty datagrams a second for this long.
    pub fn new(to: SocketAddr, duration: Duration) -> Self {
        Datagrams { to, interval: Duration::from_millis(20), duration, patience: Duration::from_secs(1) }
    }

    /// Runs to the end.
    ///
    /// # Errors
    /// This machine gives no socket.
    pub fn run(&self) -> io::Result<MessagesReport> {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        socket.connect(self.to)?;
        let start = Instant::now();
        let mut receiver = Receiver::new(start, self.interval, Arc::default());
        let (mut sent, mut next) = (0, start);
        while next < start + self.duration {
            receive(&socket, &mut receiver, next)?;
            match socket.send(&encode(sent, start.elapsed())) {
                // Nobody listens there yet, or no more.
                Err(error) if error.kind() != ErrorKind::ConnectionRefused => return Err(error),
                _ => sent += 1,
            }
            next += self.interval;
        }
        receive(&socket, &mut receiver, Instant::now() + self.patience)?;
        Ok(receiver.report(sent))
    }
}

/// Sends every datagram back to where it came from, until it is dropped.
#[derive(Debug)]
pub struct DatagramServer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// What the server of datagrams saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatagramServerReport {
    /// Datagrams sent back.
    pub echoed: u64,
}

#[derive(Debug, Default)]
struct Shared {
    stopped: AtomicBool,
    echoed: AtomicU64,
}

impl DatagramServer {
    /// Listens at `at`. Within a namespace: call it from `Host::within`.
    ///
    /// # Errors
    /// The address cannot be had.
    pub fn start(at: SocketAddr) -> io::Result<Self> {
        let socket = UdpSocket::bind(at)?;
        socket.set_read_timeout(Some(Duration::from_millis(100)))?;
        let shared = Arc::new(Shared::default());
        let state = Arc::clone(&shared);
        let serving = thread::Builder::new().name("datagram-server".to_owned());
        let thread = serving.spawn(move || echo(&socket, &state))?;
        Ok(DatagramServer { shared, thread: Some(thread) })
    }

    /// What it saw so far.
    pub fn report(&self) -> DatagramServerReport {
        DatagramServerReport { echoed: self.shared.echoed.load(Ordering::Relaxed) }
    }
}

impl Drop for DatagramServer {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn echo(socket: &UdpSocket, shared: &Shared) {
    let mut buffer = [0u8; MESSAGE];
    while !shared.stopped.load(Ordering::Acquire) {
        let Ok((length, from)) = socket.recv_from(&mut buffer) else { continue };
        if socket.send_to(&buffer[..length], from).is_ok() {
            shared.echoed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Takes echoes until then.
fn receive(socket: &UdpSocket, receiver: &mut Receiver, until: Instant) -> io::Result<()> {
    let mut buffer = [0u8; MESSAGE];
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        socket.set_read_timeout(Some(left))?;
        match socket.recv(&mut buffer) {
            Ok(_) => receiver.take(&buffer),
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock
                | ErrorKind::TimedOut
                | ErrorKind::Interrupted
                | ErrorKind::ConnectionRefused => {}
                _ => return Err(error),
            },
        }
    }
}
