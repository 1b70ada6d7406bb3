use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use aire_wire::{ALPN_ENROL, ALPN_LINK, PreambleKind};
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::admission::Admission;
use crate::carrier::Listener;
use crate::dial_back::Tickets;
use crate::link::{self, quic};
use crate::pipe_pool::PipePool;
use crate::remembered::Remembered;
use crate::tls::TlsStream;
use crate::{
    Carrier, Credentials, Handler, Link, LinkEvents, NetError, NextHop, PeerInfo, Transport, Underlay,
    accept, credentials, options,
};

/// The deadline of a handshake over TCP, round trips included.
pub(crate) const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(10);
/// How long QUIC is tried alone before TCP is tried as well.
const HEAD_START: Duration = Duration::from_millis(300);
/// With port 0: how often to look for a number that is free for both protocols.
const PORT_ATTEMPTS: usize = 50;

/// One UDP and one TCP port of the same number, and everything that arrives there or leaves from there.
#[derive(Clone)]
pub struct Endpoint {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) local: SocketAddr,
    pub(crate) quic: quinn::Endpoint,
    pub(crate) underlay: Underlay,
    pub(crate) credentials: Arc<dyn Credentials>,
    pub(crate) handler: Arc<dyn Handler>,
    pub(crate) admission: Arc<Admission>,
    pub(crate) pipes: Arc<PipePool>,
    pub(crate) tickets: Tickets,
    pub(crate) closing: CancellationToken,
    /// Where UDP did not pass lately.
    no_udp: Remembered,
}

impl Endpoint {
    /// Listens on `addr`. Port 0 takes a number that is free for both protocols.
    ///
    /// # Errors
    /// [`NetError::Bind`] when the address cannot be had. Must be called inside a tokio runtime.
    pub fn bind(
        addr: SocketAddr,
        underlay: Underlay,
        credentials: Arc<dyn Credentials>,
        handler: Arc<dyn Handler>,
    ) -> Result<Self, NetError> {
        let (udp, tcp) = bind_both(addr)?;
        let local = tcp.local_addr().map_err(|source| NetError::Bind { addr, protocol: "TCP", source })?;
        let quic = quic::endpoint(udp, &credentials).map_err(|source| NetError::Bind {
            addr: local,
            protocol: "UDP",
            source,
        })?;
        let _ = options::congestion();
        let shared = Arc::new(Shared {
            local,
            quic,
            underlay,
            credentials,
            handler,
            admission: Admission::new(),
            pipes: PipePool::new(),
            tickets: Tickets::default(),
            closing: CancellationToken::new(),
            no_udp: Remembered::default(),
        });
        tokio::spawn(accept::tcp(shared.clone(), tcp));
        tokio::spawn(accept::quic(shared.clone()));
        Ok(Endpoint { shared })
    }

    /// The address it listens on.
    pub fn local_addr(&self) -> SocketAddr {
        self.shared.local
    }

    /// Stops listening, closes all QUIC links and resets everything relayed.
    pub fn close(&self) {
        self.shared.closing.cancel();
        self.shared.quic.close(0u32.into(), b"the agent stops");
    }

    /// Waits until peers were told of [`Self::close`], or a moment has passed.
    pub async fn closed(&self) {
        let _ = timeout(Duration::from_secs(2), self.shared.quic.wait_idle()).await;
    }

    /// Opens a link over QUIC to a peer that opens one to us at the same moment, so that NATs and firewalls on both
    /// sides take the other's packets for answers.
    ///
    /// # Errors
    /// No packet of either side got through, or the peer is not acceptable.
    pub async fn punch_link(&self, addr: SocketAddr) -> Result<(Link, LinkEvents), NetError> {
        if self.shared.closing.is_cancelled() {
            return Err(NetError::Closing);
        }
        quic::dial(&self.shared, addr).await
    }

    /// Opens a link: over QUIC, and where that takes long or fails, over TCP.
    ///
    /// # Errors
    /// Neither way led to a peer that the credentials accept.
    pub async fn dial_link(&self, addr: SocketAddr) -> Result<(Link, LinkEvents), NetError> {
        let shared = &*self.shared;
        if shared.closing.is_cancelled() {
            return Err(NetError::Closing);
        }
        let head_start = if shared.no_udp.contains(&addr) { Duration::ZERO } else { HEAD_START };
        let tcp = async {
            tokio::time::sleep(head_start).await;
            self.dial_link_tcp(addr).await
        };
        let udp = quic::dial(shared, addr);
        let mut udp = std::pin::pin!(udp);
        let mut tcp = std::pin::pin!(tcp);
        tokio::select! {
            done = &mut udp => match done {
                Ok(link) => {
                    shared.no_udp.remove(&addr);
                    Ok(link)
                }
                // a wrong certificate is wrong over TCP too
                Err(error @ NetError::Peer { .. }) => Err(error),
                Err(udp) => {
                    // the head start is pointless now
                    let tcp = self.dial_link_tcp(addr).await;
                    self.tcp_instead(addr, udp, tcp)
                }
            },
            done = &mut tcp => match done {
                Ok(link) => {
                    shared.no_udp.insert(addr);
                    Ok(link)
                }
                Err(tcp) => udp.await.map_err(|udp| both(addr, udp, tcp)),
            },
        }
    }

    /// Opens a link over this protocol alone.
    ///
    /// # Errors
    /// It does not lead to a peer that the credentials accept.
    pub async fn dial_link_over(
        &self,
        addr: SocketAddr,
        transport: Transport,
    ) -> Result<(Link, LinkEvents), NetError> {
        match transport {
            Transport::Quic => quic::dial(&self.shared, addr).await,
            Transport::Tcp => self.dial_link_tcp(addr).await,
        }
    }

    fn tcp_instead(
        &self,
        addr: SocketAddr,
        udp: NetError,
        tcp: Result<(Link, LinkEvents), NetError>,
    ) -> Result<(Link, LinkEvents), NetError> {
        if tcp.is_ok() {
            tracing::debug!(%addr, %udp, "link over TCP because QUIC failed");
            self.shared.no_udp.insert(addr);
        }
        tcp.map_err(|tcp| both(addr, udp, tcp))
    }

    async fn dial_link_tcp(&self, addr: SocketAddr) -> Result<(Link, LinkEvents), NetError> {
        let credentials = &*self.shared.credentials;
        let tcp = self.shared.underlay.dial_tcp(addr).await?;
        let knock = credentials::knock(PreambleKind::Link, &credentials.knock_key());
        let name = credentials.server_name();
        let mut stream =
            TlsStream::client(tcp, addr, credentials.link_client(), name, knock.encode().to_vec())?;
        handshake(&mut stream, addr).await?;
        stream.require_alpn(ALPN_LINK)?;
        let peer = self.judge(addr, &stream)?;
        Ok(link::tcp::start(stream, peer, self.shared.closing.child_token()))
    }

    /// Opens a carrier by way of the hop `first`. `preambles` are those of all hops, one behind the other;
    /// `expected` says whether the destination is the one that was meant.
    ///
    /// # Errors
    /// The first hop cannot be reached, the carrier did not get through, or someone else answered.
    pub async fn dial_carrier(
        &self,
        first: impl Into<NextHop>,
        preambles: Vec<u8>,
        expected: impl FnOnce(&PeerInfo) -> Result<(), String>,
    ) -> Result<Carrier, NetError> {
        if self.shared.closing.is_cancelled() {
            return Err(NetError::Closing);
        }
        let credentials = &*self.shared.credentials;
        let hop: NextHop = first.into();
        let first = hop.address();
        let tcp = hop.connect(&self.shared).await?;
        let name = credentials.server_name();
        let listener = Arc::new(Listener::default());
        let mut config = (*credentials.carrier_client()).clone();
        config.key_log = listener.clone();
        let mut stream = TlsStream::client(tcp, first, Arc::new(config), name, preambles)?;
        handshake(&mut stream, first).await?;
        let peer = self.judge(first, &stream)?;
        expected(&peer).map_err(|why| NetError::Peer { addr: first, why })?;
        Carrier::new(stream, &listener, peer)
    }

    fn judge(&self, addr: SocketAddr, stream: &TlsStream) -> Result<PeerInfo, NetError> {
        self.shared.credentials.peer(stream.chain()).map_err(|why| NetError::Peer { addr, why })
    }

    /// The protocols that links and enrolment speak over QUIC, for configurations that serve both.
    pub(crate) fn protocols(enrolment: bool) -> Vec<Vec<u8>> {
        let mut protocols = vec![ALPN_LINK.to_vec()];
        protocols.extend(enrolment.then(|| ALPN_ENROL.to_vec()));
        protocols
    }
}

/// A TLS handshake with its deadline.
pub(crate) async fn handshake(stream: &mut TlsStream, addr: SocketAddr) -> Result<(), NetError> {
    timeout(HANDSHAKE_DEADLINE, stream.handshake()).await.unwrap_or(Err(NetError::Timeout {
        addr,
        step: "TLS handshake",
        after: HANDSHAKE_DEADLINE,
    }))
}

fn both(addr: SocketAddr, udp: NetError, tcp: NetError) -> NetError {
    NetError::BothWays { addr, udp: Box::new(udp), tcp: Box::new(tcp) }
}

fn bind_both(addr: SocketAddr) -> Result<(std::net::UdpSocket, TcpListener), NetError> {
    let attempts = if addr.port() == 0 { PORT_ATTEMPTS } else { 1 };
    for attempt in 1..=attempts {
        let bind = |protocol| move |source| NetError::Bind { addr, protocol, source };
        let tcp = options::listen(addr).map_err(bind("TCP"))?;
        let local = tcp.local_addr().map_err(bind("TCP"))?;
        match std::net::UdpSocket::bind(local) {
            Ok(udp) => return Ok((udp, tcp)),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && attempt < attempts => {}
            Err(source) => return Err(NetError::Bind { addr: local, protocol: "UDP", source }),
        }
    }
    Err(NetError::Bind { addr, protocol: "UDP", source: io::ErrorKind::AddrInUse.into() })
}
