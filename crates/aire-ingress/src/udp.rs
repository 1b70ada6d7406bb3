use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use aire_types::AppName;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;

use crate::flow::{Beginning, Flows, Replies, Room};
use crate::{BindError, Flow, Limits, Notice, Trouble};

/// The longest datagram, and one byte more.
pub(crate) const BUFFER: usize = 65_536;
/// After the kernel refused to give datagrams.
const PAUSE: Duration = Duration::from_millis(50);

/// A UDP socket whose datagrams all go to one app. Each address that sends is a flow.
#[derive(Debug)]
pub struct UdpListener {
    app: AppName,
    limits: Limits,
    socket: UdpSocket,
    address: SocketAddr,
}

impl UdpListener {
    /// Opens a socket; port 0 takes a free one.
    ///
    /// # Errors
    /// The address is taken, forbidden or not of this machine.
    pub async fn bind(app: AppName, address: SocketAddr) -> Result<Self, BindError> {
        Self::bind_with(app, address, Limits::default()).await
    }

    /// As [`UdpListener::bind`], with other limits.
    ///
    /// # Errors
    /// The address is taken, forbidden or not of this machine.
    pub async fn bind_with(app: AppName, address: SocketAddr, limits: Limits) -> Result<Self, BindError> {
        let error = |source| BindError::new(address, source);
        let socket = UdpSocket::bind(address).await.map_err(error)?;
        let address = socket.local_addr().map_err(error)?;
        if !address.ip().is_loopback() {
            tracing::warn!(%address, "whoever reaches this socket sends with this agent's identity");
        }
        Ok(UdpListener { app, limits, socket, address })
    }

    /// Where it listens, with the real port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes datagrams until the receiver of `arrivals` is gone or the future is dropped.
    pub async fn run(self, arrivals: mpsc::Sender<Flow>, notices: mpsc::Sender<Notice>) {
        let room = Room::new(self.limits.flows, arrivals);
        let mut flows = Flows::new(room.clone());
        let (socket, listener) = (Arc::new(self.socket), self.address);
        let mut buffer = vec![0; BUFFER];
        loop {
            let received = tokio::select! {
                () = room.closed() => return,
                received = socket.recv_from(&mut buffer) => received,
            };
            let trouble = match received {
                Ok((length, client)) => flows.deliver(&client, &buffer[..length], || Beginning {
                    app: self.app.clone(),
                    listener,
                    replies: Replies { socket: Arc::clone(&socket), client, head: None },
                }),
                Err(error) => {
                    tokio::time::sleep(PAUSE).await;
                    Err(Trouble::Receive(error.to_string()))
                }
            };
            if let Err(trouble) = trouble {
                // A full channel already holds the same news.
                let _ = notices.try_send(Notice { listener, client: None, trouble });
            }
        }
    }
}
