use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use serde::{Deserialize, Serialize};

use super::bulk;
use super::hello::{self, Kind};
use super::messages::{self, MESSAGE};
use super::pingpong::REQUEST;

/// Serves every workload; the client says which it wants. Dropping it closes everything.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    listener: TcpListener,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// What the server saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerReport {
    /// Connections accepted.
    pub connections: u64,
    /// Messages echoed.
    pub messages: u64,
    /// Messages that did not follow their predecessor: something was lost, repeated or overtaken.
    pub out_of_order: u64,
    /// Messages whose checksum was wrong.
    pub corrupt: u64,
    /// Connections that failed, resets included.
    pub failed: u64,
}

#[derive(Debug, Default)]
struct Shared {
    stopped: AtomicBool,
    connections: AtomicU64,
    messages: AtomicU64,
    out_of_order: AtomicU64,
    corrupt: AtomicU64,
    failed: AtomicU64,
    open: Mutex<Vec<(u64, TcpStream)>>,
}

impl Server {
    /// Listens at `at` and serves until dropped. Within a namespace: call it from `Host::within`.
    ///
    /// # Errors
    /// The address cannot be had.
    pub fn start(at: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(at)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::default());
        let (accepting, state) = (listener.try_clone()?, shared.clone());
        let thread = thread::Builder::new()
            .name("workload-server".to_owned())
            .spawn(move || accept(&accepting, &state))?;
        Ok(Server { address, listener, shared, thread: Some(thread) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it saw so far.
    pub fn report(&self) -> ServerReport {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ServerReport {
            connections: get(&self.shared.connections),
            messages: get(&self.shared.messages),
            out_of_order: get(&self.shared.out_of_order),
            corrupt: get(&self.shared.corrupt),
            failed: get(&self.shared.failed),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Release);
        // Wakes a blocked accept (Linux).
        let _ = rustix::net::shutdown(&self.listener, rustix::net::Shutdown::Both);
        for (_, stream) in self.shared.lock().iter() {
            let _ = stream.shutdown(Shutdown::Both);
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(u64, TcpStream)>> {
        self.open.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    while !shared.stopped() {
        let Ok((stream, _)) = listener.accept() else { continue };
        let number = shared.connections.fetch_add(1, Ordering::Relaxed);
        let Ok(kept) = stream.try_clone() else { continue };
        shared.lock().push((number, kept));
        let state = shared.clone();
        let serving = thread::Builder::new().name("workload-serve".to_owned()).spawn(move || {
            if serve(stream, &state).is_err() && !state.stopped() {
                state.failed.fetch_add(1, Ordering::Relaxed);
            }
            state.lock().retain(|(other, _)| *other != number);
        });
        if serving.is_err() {
            shared.lock().retain(|(other, _)| *other != number);
        }
    }
}

fn serve(mut stream: TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (kind, flags) = hello::read(&mut stream)?;
    match kind {
        Kind::Messages => echo_messages(stream, shared),
        Kind::Bulk => bulk::receive(stream, flags),
        Kind::PingPong => echo_requests(stream),
        Kind::Connect => {
            stream.write_all(&[1])?;
            stream.shutdown(Shutdown::Write)
        }
    }
}

/// Reads a whole block; false at the end of the connection.
fn read_block(stream: &mut TcpStream, block: &mut [u8]) -> io::Result<bool> {
    let first = stream.read(block)?;
    if first == 0 {
        return Ok(false);
    }
    stream.read_exact(&mut block[first..])?;
    Ok(true)
}

fn echo_messages(mut stream: TcpStream, shared: &Shared) -> io::Result<()> {
    let mut message = [0u8; MESSAGE];
    let mut expected = 0;
    while read_block(&mut stream, &mut message)? {
        match messages::decode(&message) {
            Some((number, _)) => {
                if number != expected {
                    shared.out_of_order.fetch_add(1, Ordering::Relaxed);
                }
                expected = number + 1;
            }
            None => {
                shared.corrupt.fetch_add(1, Ordering::Relaxed);
            }
        }
        shared.messages.fetch_add(1, Ordering::Relaxed);
        stream.write_all(&message)?;
    }
    Ok(())
}

fn echo_requests(mut stream: TcpStream) -> io::Result<()> {
    let mut request = [0u8; REQUEST];
    while read_block(&mut stream, &mut request)? {
        stream.write_all(&request)?;
    }
    Ok(())
}
