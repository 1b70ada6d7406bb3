use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use crate::{Desk, api};

/// What clients may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerLimits {
    /// How many connections there may be at once; more wait in the kernel's queue. At least 1.
    pub connections: usize,
    /// How long a client may take to send the head of a request, or to begin the next one.
    pub head: Duration,
    /// How long the agent may take to answer (pings take three times as long).
    pub answer: Duration,
}

impl Default for ServerLimits {
    fn default() -> Self {
        ServerLimits { connections: 256, head: Duration::from_secs(10), answer: Duration::from_secs(5) }
    }
}

/// Why the API cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The configuration names an address that something else has.
    #[error("the admin address {0} is in use, perhaps by another agent: choose another with --admin")]
    InUse(SocketAddr),
    /// This user may not open it.
    #[error("this user may not listen on the admin address {0}: choose a port from 1024 up")]
    NotPermitted(SocketAddr),
    /// This machine would not.
    #[error("this machine could not listen on the admin address {address}: {source}")]
    Machine {
        /// The wanted address.
        address: SocketAddr,
        /// What the kernel said.
        source: io::Error,
    },
}

/// The HTTP server of an agent.
#[derive(Debug)]
pub struct Server {
    socket: TcpListener,
    address: SocketAddr,
    limits: ServerLimits,
}

impl Server {
    /// Opens the admin address; port 0 takes a free one. Anything but loopback lets others read all documents.
    ///
    /// # Errors
    /// The address is taken, forbidden or not of this machine.
    pub async fn bind(address: SocketAddr, limits: ServerLimits) -> Result<Self, BindError> {
        let error = |source: io::Error| match source.kind() {
            io::ErrorKind::AddrInUse => BindError::InUse(address),
            io::ErrorKind::PermissionDenied => BindError::NotPermitted(address),
            _ => BindError::Machine { address, source },
        };
        let socket = TcpListener::bind(address).await.map_err(error)?;
        let address = socket.local_addr().map_err(error)?;
        if !address.ip().is_loopback() {
            tracing::warn!(%address, "whoever reaches the admin address can read what this agent knows");
        }
        Ok(Server { socket, address, limits })
    }

    /// Where it listens, with the real port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until the future is dropped, which also ends the connections.
    pub async fn run(self, desk: Desk) {
        let router = api::router(desk, self.address, self.limits.answer);
        let places = Arc::new(Semaphore::new(self.limits.connections.clamp(1, Semaphore::MAX_PERMITS)));
        let mut connections = JoinSet::new();
        loop {
            while connections.try_join_next().is_some() {}
            // Never closed, so there is always a place in the end.
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            match self.socket.accept().await {
                Ok((socket, client)) => {
                    connections.spawn(converse(router.clone(), socket, client, self.limits.head, place));
                }
                Err(error) => {
                    tracing::warn!(%error, "this machine could not accept an admin connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

/// `_place` is held as long as the connection.
async fn converse(
    router: Router,
    socket: TcpStream,
    client: SocketAddr,
    head: Duration,
    _place: OwnedSemaphorePermit,
) {
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(%client, %error, "an admin client had gone");
        return;
    }
    let service = TowerToHyperService::new(router.layer(axum::Extension(ConnectInfo(client))));
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head)
        .max_buf_size(32 * 1024)
        .serve_connection(TokioIo::new(socket), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%client, %error, "an admin connection ended badly");
    }
}
