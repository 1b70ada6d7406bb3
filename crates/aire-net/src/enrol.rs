//! Enrolment: one request and one answer between an authority and someone who only has a token.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use aire_wire::{ALPN_ENROL, PreambleKind};
use bytes::BytesMut;
use quinn::VarInt;
use tokio::time::timeout;

use crate::credentials::{knock, placeholder_name};
use crate::endpoint::{Shared, handshake};
use crate::link::quic;
use crate::tls::TlsStream;
use crate::{NetError, NetEvent, Transport, Underlay};

/// The longest request or answer, bytes.
pub const MAX_ENROLMENT: usize = 16 * 1024;
const DEADLINE: Duration = Duration::from_secs(10);
/// How long QUIC is tried alone.
const HEAD_START: Duration = Duration::from_millis(300);

fn framed(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(4 + body.len());
    out.extend_from_slice(&(body.len() as u32).to_be_bytes());
    out.extend_from_slice(body);
    out
}

/// The body, once it is complete.
pub(crate) fn unframed(addr: SocketAddr, bytes: &[u8]) -> Result<Option<&[u8]>, NetError> {
    let Some((length, body)) = bytes.split_first_chunk::<4>() else { return Ok(None) };
    let length = u32::from_be_bytes(*length) as usize;
    if length > MAX_ENROLMENT {
        let why = format!("an enrolment message of {length} bytes");
        return Err(NetError::Protocol { addr, why });
    }
    Ok(body.get(..length))
}

async fn answer(shared: &Shared, request: Vec<u8>, from: SocketAddr) -> Result<Vec<u8>, NetError> {
    if !shared.admission.may_enrol(from.ip()) {
        shared.handler.event(NetEvent::Flood { from });
        return Err(NetError::Protocol { addr: from, why: "too many enrolments from there".into() });
    }
    let refused = || NetError::Protocol { addr: from, why: "its enrolment was not answered".into() };
    timeout(DEADLINE, shared.handler.enrol(request, from)).await.ok().flatten().ok_or_else(refused)
}

pub(crate) async fn serve_tcp(
    shared: &Shared,
    mut stream: TlsStream,
    from: SocketAddr,
) -> Result<(), NetError> {
    let request = timeout(DEADLINE, receive(&mut stream)).await.unwrap_or(Err(slow(from)))?;
    let answer = answer(shared, request, from).await?;
    send(&mut stream, &answer).await?;
    stream.close();
    Ok(())
}

async fn send(stream: &mut TlsStream, body: &[u8]) -> Result<(), NetError> {
    stream.queue(&[&framed(body)])?;
    let addr = stream.addr;
    timeout(DEADLINE, stream.flush())
        .await
        .map_err(|_| slow(addr))?
        .map_err(|source| NetError::from_io(addr, source))
}

async fn receive(stream: &mut TlsStream) -> Result<Vec<u8>, NetError> {
    let (addr, mut bytes) = (stream.addr, BytesMut::new());
    loop {
        let open = stream.decrypt(&mut bytes)?;
        if let Some(body) = unframed(addr, &bytes)? {
            return Ok(body.to_vec());
        }
        let more = open && stream.fill().await.map_err(|source| NetError::from_io(addr, source))?;
        if !more {
            let why = "it ended the connection in the middle of an enrolment".to_owned();
            return Err(NetError::Protocol { addr, why });
        }
    }
}

fn slow(addr: SocketAddr) -> NetError {
    NetError::Timeout { addr, step: "enrolment", after: DEADLINE }
}

pub(crate) async fn serve_quic(shared: &Shared, connection: quinn::Connection, from: SocketAddr) {
    let done = timeout(2 * DEADLINE, async {
        let broken = |why: String| NetError::Quic { addr: from, why };
        let (mut send, mut receive) =
            connection.accept_bi().await.map_err(|error| broken(error.to_string()))?;
        let bytes =
            receive.read_to_end(4 + MAX_ENROLMENT).await.map_err(|error| broken(error.to_string()))?;
        let request = unframed(from, &bytes)?.map(<[u8]>::to_vec);
        let request = request.ok_or_else(|| broken("an incomplete request".to_owned()))?;
        let answer = answer(shared, request, from).await?;
        send.write_all(&framed(&answer)).await.map_err(|error| broken(error.to_string()))?;
        send.finish().map_err(|error| broken(error.to_string()))?;
        // the client closes when it has read the answer
        connection.closed().await;
        Ok::<_, NetError>(())
    })
    .await
    .unwrap_or(Err(slow(from)));
    connection.close(VarInt::from_u32(0), b"");
    if let Err(error) = done {
        let why = error.to_string();
        shared.handler.event(NetEvent::HandshakeFailed { from, circuit: None, why });
    }
}

/// Sends `request` to the authority at `addr` and returns its answer, over QUIC or, where that does not pass, TCP.
/// A request may reach the authority twice.
///
/// # Errors
/// Neither way led to an answer.
pub async fn enrol_exchange(
    underlay: &Underlay,
    addr: SocketAddr,
    config: rustls::ClientConfig,
    knock_key: &[u8; 32],
    request: &[u8],
) -> Result<Vec<u8>, NetError> {
    let config = Arc::new(config);
    let udp = over_quic(underlay, addr, config.clone(), request);
    let tcp = async {
        tokio::time::sleep(HEAD_START).await;
        over_tcp(underlay, addr, config, knock_key, request).await
    };
    let (mut udp, mut tcp) = (std::pin::pin!(udp), std::pin::pin!(tcp));
    let both = |udp, tcp| NetError::BothWays { addr, udp: Box::new(udp), tcp: Box::new(tcp) };
    tokio::select! {
        done = &mut udp => match done {
            Ok(answer) => Ok(answer),
            // a wrong certificate is wrong over TCP too
            Err(error @ NetError::Peer { .. }) => Err(error),
            Err(udp) => tcp.await.map_err(|tcp| both(udp, tcp)),
        },
        done = &mut tcp => match done {
            Ok(answer) => Ok(answer),
            Err(tcp) => udp.await.map_err(|udp| both(udp, tcp)),
        },
    }
}

/// Shakes hands with an authority at `addr` as [`enrol_exchange`] does, over one protocol, and asks for nothing.
///
/// # Errors
/// It cannot be reached this way, or does not enrol.
pub async fn enrol_handshake(
    underlay: &Underlay,
    addr: SocketAddr,
    config: rustls::ClientConfig,
    knock_key: &[u8; 32],
    transport: Transport,
) -> Result<(), NetError> {
    let config = Arc::new(config);
    match transport {
        Transport::Tcp => knock_tcp(underlay, addr, config, knock_key).await.map(drop),
        Transport::Quic => {
            let (endpoint, connecting) = connect_quic(underlay, addr, config)?;
            let connection = timeout(DEADLINE, connecting)
                .await
                .map_err(|_| slow(addr))?
                .map_err(|error| unanswered(addr, &error))?;
            connection.close(VarInt::from_u32(0), b"");
            let _ = timeout(Duration::from_millis(200), endpoint.wait_idle()).await;
            Ok(())
        }
    }
}

fn unanswered(addr: SocketAddr, error: &quinn::ConnectionError) -> NetError {
    match quic::certificate_fault(error) {
        Some(why) => NetError::Peer { addr, why },
        None => NetError::Quic { addr, why: error.to_string() },
    }
}

async fn knock_tcp(
    underlay: &Underlay,
    addr: SocketAddr,
    config: Arc<rustls::ClientConfig>,
    knock_key: &[u8; 32],
) -> Result<TlsStream, NetError> {
    let tcp = underlay.dial_tcp(addr).await?;
    let preamble = knock(PreambleKind::Enrolment, knock_key).encode().to_vec();
    let mut stream = TlsStream::client(tcp, addr, config, placeholder_name(), preamble)?;
    handshake(&mut stream, addr).await?;
    stream.require_alpn(ALPN_ENROL)?;
    Ok(stream)
}

fn connect_quic(
    underlay: &Underlay,
    addr: SocketAddr,
    config: Arc<rustls::ClientConfig>,
) -> Result<(quinn::Endpoint, quinn::Connecting), NetError> {
    let broken = |why: String| NetError::Quic { addr, why };
    let local: SocketAddr =
        if addr.is_ipv4() { (Ipv4Addr::UNSPECIFIED, 0).into() } else { (Ipv6Addr::UNSPECIFIED, 0).into() };
    let endpoint = quinn::Endpoint::client(local).map_err(|source| NetError::from_io(addr, source))?;
    let config = quic::client_config(config).map_err(broken)?;
    let name = placeholder_name();
    let connecting = endpoint
        .connect_with(config, underlay.map(addr), &name.to_str())
        .map_err(|error| broken(error.to_string()))?;
    Ok((endpoint, connecting))
}

async fn over_tcp(
    underlay: &Underlay,
    addr: SocketAddr,
    config: Arc<rustls::ClientConfig>,
    knock_key: &[u8; 32],
    request: &[u8],
) -> Result<Vec<u8>, NetError> {
    let mut stream = knock_tcp(underlay, addr, config, knock_key).await?;
    send(&mut stream, request).await?;
    timeout(2 * DEADLINE, receive(&mut stream)).await.unwrap_or(Err(slow(addr)))
}

async fn over_quic(
    underlay: &Underlay,
    addr: SocketAddr,
    config: Arc<rustls::ClientConfig>,
    request: &[u8],
) -> Result<Vec<u8>, NetError> {
    let broken = |why: String| NetError::Quic { addr, why };
    let (endpoint, connecting) = connect_quic(underlay, addr, config)?;
    let exchange = async {
        let connection = connecting.await.map_err(|error| unanswered(addr, &error))?;
        if quic::protocol(&connection).as_deref() != Some(ALPN_ENROL) {
            return Err(NetError::Protocol { addr, why: "it does not speak aire-enrol/1".into() });
        }
        let (mut send, mut receive) =
            connection.open_bi().await.map_err(|error| broken(error.to_string()))?;
        send.write_all(&framed(request)).await.map_err(|error| broken(error.to_string()))?;
        send.finish().map_err(|error| broken(error.to_string()))?;
        let bytes =
            receive.read_to_end(4 + MAX_ENROLMENT).await.map_err(|error| broken(error.to_string()))?;
        connection.close(VarInt::from_u32(0), b"");
        let answer = unframed(addr, &bytes)?.map(<[u8]>::to_vec);
        answer.ok_or_else(|| broken("it sent an incomplete answer".to_owned()))
    };
    let answer = timeout(2 * DEADLINE, exchange).await.unwrap_or(Err(slow(addr)))?;
    let _ = timeout(Duration::from_millis(200), endpoint.wait_idle()).await;
    Ok(answer)
}
