//! Links over QUIC.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use aire_wire::{ALPN_ENROL, ALPN_LINK, MAX_MESSAGE};
use bytes::Bytes;
use quinn::crypto::rustls::{HandshakeData, QuicClientConfig, QuicServerConfig};
use quinn::{Connection, ConnectionError, ReadToEndError, RecvStream, TransportConfig, VarInt};
use rustls_pki_types::CertificateDer;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::verifier::OptionalMember;
use super::{
    ClosedBy, Closing, EVENTS, IDLE, Inner, KEEP_ALIVE, Link, LinkEvent, LinkEvents, Outgoing, QUEUE, Wire,
};
use crate::endpoint::{Endpoint, Shared};
use crate::{Credentials, NetError, NetEvent, PeerInfo, Purpose, enrol};

const DEADLINE: Duration = Duration::from_secs(5);
/// Messages in flight towards us at a time.
const STREAMS: u32 = 128;
const WINDOW: u32 = 1024 * 1024;
pub(super) const DATAGRAM_BUFFER: usize = 256 * 1024;
/// Less than this in the buffer is nothing, as the library counts its own memory there.
pub(super) const PACKET: usize = 1200;
const MAX_INCOMING: usize = 1024;
/// The code with which a link is closed whose peer broke the protocol.
const BREACH: u32 = 2;

pub(crate) fn transport() -> Arc<TransportConfig> {
    let mut config = TransportConfig::default();
    config
        .max_idle_timeout(IDLE.try_into().ok())
        .keep_alive_interval(Some(KEEP_ALIVE))
        .max_concurrent_uni_streams(STREAMS.into())
        .max_concurrent_bidi_streams(1u32.into())
        .stream_receive_window((MAX_MESSAGE as u32).into())
        .receive_window(WINDOW.into())
        .send_window(WINDOW.into())
        .datagram_receive_buffer_size(Some(DATAGRAM_BUFFER))
        .datagram_send_buffer_size(DATAGRAM_BUFFER);
    Arc::new(config)
}

/// The UDP side of an endpoint.
pub(crate) fn endpoint(
    socket: std::net::UdpSocket,
    credentials: &Arc<dyn Credentials>,
) -> io::Result<quinn::Endpoint> {
    let config = server_config(credentials).map_err(io::Error::other)?;
    quinn::Endpoint::new(
        quinn::EndpointConfig::default(),
        Some(config),
        socket,
        Arc::new(quinn::TokioRuntime),
    )
}

fn server_config(credentials: &Arc<dyn Credentials>) -> Result<quinn::ServerConfig, String> {
    let link = credentials.server(Purpose::Link).ok_or("the credentials serve no links")?;
    let tls = match credentials.server(Purpose::Enrolment) {
        Some(enrolment) => combined(credentials, &enrolment).map_err(|error| error.to_string())?,
        None => link,
    };
    let crypto = QuicServerConfig::try_from(tls).map_err(|error| error.to_string())?;
    let mut config = quinn::ServerConfig::with_crypto(Arc::new(crypto));
    config.transport_config(transport()).max_incoming(MAX_INCOMING);
    Ok(config)
}

/// Links and enrolment in one.
fn combined(
    credentials: &Arc<dyn Credentials>,
    enrolment: &rustls::ServerConfig,
) -> Result<Arc<rustls::ServerConfig>, rustls::Error> {
    let provider = enrolment.crypto_provider().clone();
    let verifier = OptionalMember {
        credentials: credentials.clone(),
        algorithms: provider.signature_verification_algorithms,
    };
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_cert_resolver(enrolment.cert_resolver.clone());
    config.alpn_protocols = Endpoint::protocols(true);
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

pub(crate) fn client_config(tls: Arc<rustls::ClientConfig>) -> Result<quinn::ClientConfig, String> {
    let crypto = QuicClientConfig::try_from(tls).map_err(|error| error.to_string())?;
    let mut config = quinn::ClientConfig::new(Arc::new(crypto));
    config.transport_config(transport());
    Ok(config)
}

pub(crate) fn protocol(connection: &Connection) -> Option<Vec<u8>> {
    connection.handshake_data()?.downcast::<HandshakeData>().ok()?.protocol
}

fn judge(credentials: &dyn Credentials, connection: &Connection) -> Result<PeerInfo, String> {
    let chain =
        connection.peer_identity().and_then(|any| any.downcast::<Vec<CertificateDer<'static>>>().ok());
    credentials.peer(chain.as_deref().map_or(&[], Vec::as_slice))
}

/// Opens a link.
pub(crate) async fn dial(shared: &Shared, addr: SocketAddr) -> Result<(Link, LinkEvents), NetError> {
    let quic = |why: String| NetError::Quic { addr, why };
    let config = client_config(shared.credentials.link_client()).map_err(quic)?;
    let name = shared.credentials.server_name();
    let connecting = shared
        .quic
        .connect_with(config, shared.underlay.map(addr), &name.to_str())
        .map_err(|error| quic(error.to_string()))?;
    let connection = timeout(DEADLINE, connecting)
        .await
        .map_err(|_| NetError::Timeout { addr, step: "QUIC handshake", after: DEADLINE })?
        .map_err(|error| match certificate_fault(&error) {
            Some(why) => NetError::Peer { addr, why },
            None => quic(error.to_string()),
        })?;
    if protocol(&connection).as_deref() != Some(ALPN_LINK) {
        return Err(NetError::Protocol { addr, why: "it does not speak aire-link/1".into() });
    }
    let peer = judge(&*shared.credentials, &connection).map_err(|why| NetError::Peer { addr, why })?;
    Ok(start(connection, peer, shared.closing.child_token()))
}

/// What we found wrong with the peer's certificate, where that ended the connection.
pub(crate) fn certificate_fault(error: &quinn::ConnectionError) -> Option<String> {
    // TLS alerts about certificates: bad to unknown, and unknown authority (RFC 8446, 6; RFC 9001, 4.8)
    const ALERTS: [u64; 6] = [42, 43, 44, 45, 46, 48];
    let quinn::ConnectionError::TransportError(error) = error else { return None };
    let alert = u64::from(error.code).checked_sub(0x100)?;
    ALERTS.contains(&alert).then(|| error.reason.clone())
}

/// Serves one incoming connection, whose address is valid.
pub(crate) async fn serve(shared: Arc<Shared>, incoming: quinn::Incoming, permit: OwnedSemaphorePermit) {
    let from = incoming.remote_address();
    let from = SocketAddr::new(from.ip().to_canonical(), from.port());
    let failed = |why: String| {
        shared.handler.event(NetEvent::HandshakeFailed { from, circuit: None, why });
    };
    let connecting = match server_config(&shared.credentials) {
        Ok(config) => incoming.accept_with(Arc::new(config)).map_err(|error| error.to_string()),
        Err(why) => Err(why),
    };
    let connection = match connecting {
        Ok(connecting) => match timeout(DEADLINE, connecting).await {
            Ok(connection) => connection.map_err(|error| error.to_string()),
            Err(_) => Err("the QUIC handshake took too long".to_owned()),
        },
        Err(why) => Err(why),
    };
    drop(permit);
    let connection = match connection {
        Ok(connection) => connection,
        Err(why) => return failed(why),
    };
    if protocol(&connection).as_deref() == Some(ALPN_ENROL) {
        return enrol::serve_quic(&shared, connection, from).await;
    }
    match judge(&*shared.credentials, &connection) {
        Ok(peer) => {
            let (link, events) = start(connection, peer, shared.closing.child_token());
            shared.handler.link(link, events);
        }
        Err(why) => {
            connection.close(VarInt::from_u32(1), b"not accepted");
            failed(why);
        }
    }
}

/// Runs a link over an authentic connection.
pub(crate) fn start(connection: Connection, peer: PeerInfo, token: CancellationToken) -> (Link, LinkEvents) {
    let (queue, outgoing) = mpsc::channel(QUEUE);
    let (sender, events) = mpsc::channel(EVENTS);
    let closing = Closing::new(token);
    tokio::spawn(write(connection.clone(), outgoing, closing.clone()));
    tokio::spawn(read(connection.clone(), sender));
    let remote = connection.remote_address();
    let inner = Inner {
        peer,
        remote,
        wire: Wire::Quic(connection),
        queue,
        refused: 0.into(),
        crowded: false.into(),
        closing,
    };
    (Link(Arc::new(inner)), events)
}

async fn write(connection: Connection, mut outgoing: mpsc::Receiver<Outgoing>, closing: Closing) {
    loop {
        let next = tokio::select! {
            next = outgoing.recv() => next,
            () = closing.token.cancelled() => None,
            _ = connection.closed() => return,
        };
        let sent = match next {
            Some(Outgoing::Message(message)) => tokio::select! {
                sent = send(&connection, &message) => sent,
                () = closing.token.cancelled() => None,
            },
            Some(Outgoing::Datagram(bytes)) => {
                // best effort: what does not fit is lost like on the way
                let _ = connection.send_datagram(bytes);
                Some(())
            }
            None => None,
        };
        if sent.is_none() {
            let (code, reason) = closing.why.get().cloned().unwrap_or_default();
            return connection.close(VarInt::from_u32(code), reason.as_bytes());
        }
    }
}

async fn send(connection: &Connection, message: &[u8]) -> Option<()> {
    let mut stream = connection.open_uni().await.ok()?;
    stream.write_all(message).await.ok()?;
    stream.finish().ok()
}

async fn read(connection: Connection, events: mpsc::Sender<LinkEvent>) {
    let mut messages = JoinSet::new();
    let (by, reason) = loop {
        tokio::select! {
            stream = connection.accept_uni() => match stream {
                Ok(stream) => drop(messages.spawn(receive(stream, events.clone()))),
                Err(error) => break ended(&error),
            },
            datagram = connection.read_datagram() => match datagram {
                Ok(bytes) => deliver(&events, bytes),
                Err(error) => break ended(&error),
            },
            done = messages.join_next(), if !messages.is_empty() => {
                if let Some(Ok(Err(ReadToEndError::TooLong))) = done {
                    let why = format!("the peer sent a message of more than {MAX_MESSAGE} bytes");
                    connection.close(VarInt::from_u32(BREACH), why.as_bytes());
                    break (ClosedBy::Breach, why);
                }
            }
            () = events.closed() => return connection.close(VarInt::from_u32(0), b""),
        }
    };
    while messages.join_next().await.is_some() {}
    let _ = events.send(LinkEvent::Closed { by, reason }).await;
}

/// One message. Where its stream is cut off there is none.
async fn receive(mut stream: RecvStream, events: mpsc::Sender<LinkEvent>) -> Result<(), ReadToEndError> {
    let message = stream.read_to_end(MAX_MESSAGE).await?;
    let _ = events.send(LinkEvent::Message(message)).await;
    Ok(())
}

/// Who ended the connection, and why.
fn ended(error: &ConnectionError) -> (ClosedBy, String) {
    let by = match error {
        ConnectionError::LocallyClosed => ClosedBy::Us,
        ConnectionError::ApplicationClosed(close) => {
            ClosedBy::Peer(u32::try_from(close.error_code.into_inner()).unwrap_or(u32::MAX))
        }
        _ => ClosedBy::Loss,
    };
    (by, error.to_string())
}

/// Datagrams may get lost, here too.
fn deliver(events: &mpsc::Sender<LinkEvent>, bytes: Bytes) {
    let _ = events.try_send(LinkEvent::Datagram(bytes));
}
