use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use aire_types::AppName;
use bytes::Bytes;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;

use crate::associate::Associate;
use crate::flow::Room;
use crate::handshake::{Failure, Handshake, Wish};
use crate::spare::Spare;
use crate::{Arrival, Flow, Notice, Trouble};

/// What is done with the connections of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// All go to this app; nothing is negotiated.
    To(AppName),
    /// The client says where to, by SOCKS5 or HTTP CONNECT; the first byte tells which.
    Proxy,
}

/// What unfinished handshakes may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many may be unfinished at once; further connections wait in the kernel's queue. At least 1.
    pub pending: usize,
    /// How long one may take from the accept to the last byte of the request.
    pub handshake: Duration,
    /// How many flows of datagrams may be open at once, SOCKS5 associations counted as well. At least 1.
    pub flows: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { pending: 1024, handshake: Duration::from_secs(10), flows: 4096 }
    }
}

/// Why a listener could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The configuration names an address that something else has.
    #[error("{0} is in use by another program: stop it (`ss -lntup` shows it) or choose another port")]
    InUse(SocketAddr),
    /// This user may not open it.
    #[error("this user may not listen on {0}: choose a port from 1024 up, or grant CAP_NET_BIND_SERVICE")]
    NotPermitted(SocketAddr),
    /// The configuration names an address that this machine does not have.
    #[error("this machine has no address {0}: correct it, or listen on 127.0.0.1 or 0.0.0.0")]
    NoSuchAddress(SocketAddr),
    /// This machine would not.
    #[error("this machine could not listen on {address}: {source}")]
    Machine {
        /// The wanted address.
        address: SocketAddr,
        /// What the kernel said.
        source: io::Error,
    },
}

impl BindError {
    pub(crate) fn new(address: SocketAddr, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::AddrInUse => BindError::InUse(address),
            io::ErrorKind::PermissionDenied => BindError::NotPermitted(address),
            io::ErrorKind::AddrNotAvailable => BindError::NoSuchAddress(address),
            _ => BindError::Machine { address, source },
        }
    }
}

/// A socket to which applications connect. Connections wait in the kernel until [`Listener::run`] is polled.
#[derive(Debug)]
pub struct Listener {
    kind: Kind,
    limits: Limits,
    socket: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Opens a listener; port 0 takes a free one. Anybody who reaches the address is served as the app that this agent
    /// is for, so anything but loopback deserves thought.
    ///
    /// # Errors
    /// The address is taken, forbidden or not of this machine.
    pub async fn bind(kind: Kind, address: SocketAddr) -> Result<Self, BindError> {
        Self::bind_with(kind, address, Limits::default()).await
    }

    /// As [`Listener::bind`], with other limits.
    ///
    /// # Errors
    /// The address is taken, forbidden or not of this machine.
    pub async fn bind_with(kind: Kind, address: SocketAddr, limits: Limits) -> Result<Self, BindError> {
        let error = |source| BindError::new(address, source);
        let socket = TcpListener::bind(address).await.map_err(error)?;
        let address = socket.local_addr().map_err(error)?;
        if !address.ip().is_loopback() {
            tracing::warn!(%address, "whoever reaches this listener connects with this agent's identity");
        }
        Ok(Listener { kind, limits, socket, address })
    }

    /// Where it listens, with the real port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Accepts until the receiver of `arrivals` is gone or the future is dropped, which ends unfinished handshakes and the
    /// associations of SOCKS5 clients too. A full `arrivals` channel holds back further accepts; what does not find
    /// room in `flows` is dropped.
    pub async fn run(
        self,
        arrivals: mpsc::Sender<Arrival>,
        flows: mpsc::Sender<Flow>,
        notices: mpsc::Sender<Notice>,
    ) {
        let pending = self.limits.pending.clamp(1, Semaphore::MAX_PERMITS);
        let places = Arc::new(Semaphore::new(pending));
        let reception = Arc::new(Reception {
            kind: self.kind,
            handshake: self.limits.handshake,
            listener: self.address,
            arrivals,
            flows: Room::new(self.limits.flows, flows),
            notices,
        });
        let mut visits = JoinSet::new();
        let mut failures = 0;
        let mut spare = Spare::new();
        loop {
            while visits.try_join_next().is_some() {}
            if places.available_permits() == 0 {
                reception.notice(None, Trouble::Full(pending));
            }
            let place = Arc::clone(&places).acquire_owned();
            let accepted = tokio::select! {
                () = reception.arrivals.closed() => return,
                accepted = accept(&self.socket, place) => accepted,
            };
            match accepted {
                Ok((socket, client, place)) => {
                    failures = 0;
                    let receiving = Arc::clone(&reception).receive(socket, client, place);
                    match reception.kind {
                        // There is nothing to wait for, and who came first is handed over first.
                        Kind::To(_) => receiving.await,
                        Kind::Proxy => drop(visits.spawn(receiving)),
                    }
                }
                Err(error) if concerns_one_client(&error) => {}
                Err(error) => {
                    reception.notice(None, Trouble::Accept(error.to_string()));
                    spare.refuse(&self.socket);
                    failures = (failures + 1).min(6);
                    tokio::time::sleep(Duration::from_millis(10 << failures)).await;
                }
            }
        }
    }
}

async fn accept(
    socket: &TcpListener,
    place: impl Future<Output = Result<OwnedSemaphorePermit, tokio::sync::AcquireError>>,
) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let place = place.await.map_err(io::Error::other)?;
    let (socket, client) = socket.accept().await?;
    Ok((socket, client, place))
}

/// A client that went away before it was accepted; the next accept may well succeed.
fn concerns_one_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    )
}

/// What every connection of one listener shares.
struct Reception {
    kind: Kind,
    handshake: Duration,
    listener: SocketAddr,
    arrivals: mpsc::Sender<Arrival>,
    flows: Room,
    notices: mpsc::Sender<Notice>,
}

/// What a handshake led to.
enum Visit {
    Arrival(Arrival),
    Associate(Associate),
}

impl Reception {
    fn notice(&self, client: Option<SocketAddr>, trouble: Trouble) {
        tracing::debug!(listener = %self.listener, ?client, %trouble);
        // A full channel already holds the same news.
        let _ = self.notices.try_send(Notice { listener: self.listener, client, trouble });
    }

    /// `place` is held until the handshake is over and the arrival handed over.
    async fn receive(self: Arc<Self>, socket: TcpStream, client: SocketAddr, place: OwnedSemaphorePermit) {
        let options = socket.set_nodelay(true).and_then(|()| socket.set_zero_linger());
        if let Err(error) = options {
            tracing::debug!(%client, %error, "an application had gone before its socket was set up");
            return;
        }
        let visit = match &self.kind {
            Kind::To(app) => Some(Visit::Arrival(Arrival {
                app: app.clone(),
                class: None,
                client,
                listener: self.listener,
                socket,
                early: Bytes::new(),
                protocol: None,
            })),
            Kind::Proxy => self.negotiate(socket, client).await,
        };
        match visit {
            Some(Visit::Arrival(arrival)) => {
                // The receiver is gone only when the listener ends; the arrival is then reset by its drop.
                let _ = self.arrivals.send(arrival).await;
            }
            Some(Visit::Associate(associate)) => {
                drop(place);
                associate.serve(self.flows.clone(), |trouble| self.notice(Some(client), trouble)).await;
            }
            None => {}
        }
    }

    async fn negotiate(&self, socket: TcpStream, client: SocketAddr) -> Option<Visit> {
        let mut handshake = Handshake::new(socket);
        let wish = match tokio::time::timeout(self.handshake, handshake.wish()).await {
            Ok(Ok(wish)) => wish,
            Ok(Err(Failure::Gone(error))) => {
                tracing::debug!(%client, %error, "an application left during its handshake");
                return None;
            }
            Ok(Err(Failure::Close(trouble))) => {
                self.notice(Some(client), trouble);
                return None;
            }
            Ok(Err(Failure::Answer(words, trouble))) => {
                self.notice(Some(client), trouble);
                handshake.answer(&words).await;
                return None;
            }
            Err(_) => {
                self.notice(Some(client), Trouble::TooSlow);
                return None;
            }
        };
        let (socket, early) = handshake.into_parts();
        let listener = self.listener;
        Some(match wish {
            Wish::Connect { app, class, protocol } => {
                let protocol = Some(protocol);
                Visit::Arrival(Arrival { app, class, client, listener, socket, early, protocol })
            }
            Wish::Associate { port } => {
                Visit::Associate(Associate { control: socket, client, listener, port })
            }
        })
    }
}
