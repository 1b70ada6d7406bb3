//! Programs that behave like applications and measure what they get: a [`Server`] and a [`DatagramServer`], and five clients.
//!
//! Blocking sockets and threads of their own, so that they run inside a namespace (`Host::enter`) or anywhere else.

mod bulk;
mod checksum;
mod connect_rate;
mod datagrams;
mod flow;
mod hello;
mod latency;
mod messages;
mod pingpong;
mod server;

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

pub use bulk::{Bulk, BulkReport};
pub use connect_rate::{ConnectRate, ConnectRateReport};
pub use datagrams::{DatagramServer, DatagramServerReport, Datagrams};
pub use flow::Flow;
pub use latency::LatencySummary;
pub use messages::{Echo, Messages, MessagesReport};
pub use pingpong::{PingPong, PingPongReport};
pub use server::{Server, ServerReport};

use hello::Kind;

/// Connects, trying again while nobody listens, until `patience` is over.
fn connect(to: SocketAddr, kind: Kind, flags: u8, patience: Duration) -> io::Result<TcpStream> {
    let deadline = Instant::now() + patience;
    loop {
        let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        match TcpStream::connect_timeout(&to, left) {
            Ok(mut stream) => {
                stream.set_nodelay(true)?;
                hello::write(&mut stream, kind, flags)?;
                return Ok(stream);
            }
            Err(error) if Instant::now() >= deadline => return Err(error),
            Err(_) => thread::sleep(Duration::from_millis(20)),
        }
    }
}
