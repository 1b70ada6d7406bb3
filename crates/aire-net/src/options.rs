//! Socket options of carriers, relays and links over TCP.

use std::io;
use std::net::SocketAddr;
use std::sync::OnceLock;

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::TcpStream;

/// Bytes that wait unsent in the kernel before a socket stops being writable. More would only hide a slow path
/// from the scheduler; less costs wake-ups at high rates.
const NOTSENT_LOWAT: u32 = 256 * 1024;
const BACKLOG: i32 = 4096;

/// Which congestion control carriers get on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Congestion {
    /// BBR, which keeps its rate through random loss.
    Bbr,
    /// What the kernel uses by default; BBR is not to be had.
    Default,
}

/// What this machine offers, found out once.
pub fn congestion() -> Congestion {
    static FOUND: OnceLock<Congestion> = OnceLock::new();
    *FOUND.get_or_init(|| {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP));
        match socket.and_then(|socket| socket.set_tcp_congestion(b"bbr")) {
            Ok(()) => Congestion::Bbr,
            Err(error) => {
                tracing::warn!(
                    "BBR congestion control is not to be had ({error}): lossy paths will be slow; load the kernel module tcp_bbr and allow it in net.ipv4.tcp_allowed_congestion_control"
                );
                Congestion::Default
            }
        }
    })
}

/// For every TCP connection between agents. Options only tune, so that a kernel without one of them still serves.
pub(crate) fn tune(stream: &TcpStream) {
    let socket = SockRef::from(stream);
    let _ = socket.set_tcp_nodelay(true);
    let _ = socket.set_tcp_notsent_lowat(NOTSENT_LOWAT);
    if congestion() == Congestion::Bbr {
        let _ = socket.set_tcp_congestion(b"bbr");
    }
}

/// The next close of `stream` sends a reset and throws away what is unsent.
pub(crate) fn reset_on_close(stream: &TcpStream) {
    let _ = SockRef::from(stream).set_linger(Some(std::time::Duration::ZERO));
}

/// A TCP listener on `addr`.
pub(crate) fn listen(addr: SocketAddr) -> io::Result<tokio::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    tokio::net::TcpListener::from_std(socket.into())
}
