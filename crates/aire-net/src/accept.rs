//! What arrives: QUIC connections, and TCP connections by their preamble.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use aire_wire::{ALPN_CARRIER, ALPN_ENROL, ALPN_LINK, PREAMBLE_LEN, Preamble, PreambleKind};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{sleep, timeout};

use crate::admission::Guest;
use crate::carrier::Listener;
use crate::endpoint::{Shared, handshake};
use crate::link::{self, quic};
use crate::tls::TlsStream;
use crate::{
    Carrier, NetError, NetEvent, PeerInfo, PreambleVerdict, Purpose, enrol, options, preamble_is_authentic,
    relay,
};

const PREAMBLE_DEADLINE: Duration = Duration::from_secs(5);
/// Pause after a failed accept: descriptors do not come back at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Takes QUIC connections until the endpoint closes.
pub(crate) async fn quic(shared: Arc<Shared>) {
    while let Some(incoming) = shared.quic.accept().await {
        if !incoming.remote_address_validated() {
            let _ = incoming.retry();
            continue;
        }
        let Some(permit) = shared.admission.handshake() else {
            incoming.refuse();
            continue;
        };
        let shared = shared.clone();
        tokio::spawn(async move {
            quic::serve(shared, incoming, permit).await;
        });
    }
}

/// Takes TCP connections until the endpoint closes.
pub(crate) async fn tcp(shared: Arc<Shared>, listener: TcpListener) {
    loop {
        let permit = shared.admission.place().await;
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shared.closing.cancelled() => return,
        };
        let (tcp, from) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                shared.handler.event(NetEvent::AcceptFailed { why: error.to_string() });
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let from = SocketAddr::new(from.ip().to_canonical(), from.port());
        let Some(guest) = shared.admission.admit(permit, from.ip()) else {
            options::reset_on_close(&tcp);
            shared.handler.event(NetEvent::Flood { from });
            continue;
        };
        tokio::spawn(serve(shared.clone(), tcp, from, guest));
    }
}

async fn serve(shared: Arc<Shared>, mut tcp: TcpStream, from: SocketAddr, guest: Guest) {
    options::tune(&tcp);
    match read_preamble(&mut tcp).await {
        Ok(preamble) => dispatch(shared, tcp, from, &preamble, guest).await,
        Err(why) => shared.handler.event(NetEvent::BadPreamble { from, why }),
    }
}

async fn read_preamble(tcp: &mut TcpStream) -> Result<Preamble, String> {
    let mut bytes = [0; PREAMBLE_LEN];
    match timeout(PREAMBLE_DEADLINE, tcp.read_exact(&mut bytes)).await {
        Ok(Ok(_)) => Preamble::decode(&bytes).map_err(|error| error.to_string()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("no preamble in time".to_owned()),
    }
}

/// Serves a connection that this agent opened because the one at `to` asked for it. Only a carrier may come of it.
pub(crate) async fn dialled_back(
    shared: Arc<Shared>,
    mut tcp: TcpStream,
    to: SocketAddr,
    place: OwnedSemaphorePermit,
) {
    let mut first = [0];
    let used = tokio::select! {
        used = timeout(PREAMBLE_DEADLINE, tcp.peek(&mut first)) => used,
        () = shared.closing.cancelled() => return,
    };
    // It dialled us after all, or needs the carrier no more.
    if !matches!(used, Ok(Ok(1..))) {
        return;
    }
    let preamble = match read_preamble(&mut tcp).await {
        Ok(preamble) if preamble.kind == PreambleKind::Carrier => preamble,
        Ok(preamble) => {
            let why = format!("{:?} over a connection that was dialled back", preamble.kind);
            return shared.handler.event(NetEvent::BadPreamble { from: to, why });
        }
        Err(why) => return shared.handler.event(NetEvent::BadPreamble { from: to, why }),
    };
    carrier(shared, tcp, to, &preamble, place).await;
}

/// A connection that this agent asked for: whoever waits for it takes it.
fn arrived(shared: &Shared, tcp: TcpStream, from: SocketAddr, preamble: &Preamble) {
    match shared.tickets.redeem(preamble) {
        // One that nobody waits for any more lost its race.
        Ok(taker) => drop(taker.send(tcp)),
        Err(why) => shared.handler.event(NetEvent::BadPreamble { from, why }),
    }
}

async fn dispatch(shared: Arc<Shared>, tcp: TcpStream, from: SocketAddr, preamble: &Preamble, guest: Guest) {
    match preamble.kind {
        PreambleKind::Carrier => return carrier(shared, tcp, from, preamble, guest).await,
        PreambleKind::DialBack => return arrived(&shared, tcp, from, preamble),
        PreambleKind::Link | PreambleKind::Enrolment => {}
    }
    if !shared.credentials.knocks().iter().any(|key| preamble_is_authentic(key, preamble)) {
        let why = "the MAC is wrong; the dialler is of another mesh or a stranger".to_owned();
        return shared.handler.event(NetEvent::BadPreamble { from, why });
    }
    let purpose = if preamble.kind == PreambleKind::Link { Purpose::Link } else { Purpose::Enrolment };
    let done = match session(&shared, tcp, from, purpose, None).await {
        Ok(stream) if purpose == Purpose::Enrolment => enrol::serve_tcp(&shared, stream, from).await,
        Ok(stream) => judge(&shared, &stream).map(|peer| {
            let (link, events) = link::tcp::start(stream, peer, shared.closing.child_token());
            shared.handler.link(link, events);
        }),
        Err(error) => Err(error),
    };
    drop(guest);
    if let Err(error) = done {
        let why = error.to_string();
        shared.handler.event(NetEvent::HandshakeFailed { from, circuit: None, why });
    }
}

/// `place` is given back once the preamble is found good or bad.
async fn carrier<P>(shared: Arc<Shared>, tcp: TcpStream, from: SocketAddr, preamble: &Preamble, place: P) {
    let circuit = preamble.circuit;
    match shared.handler.check_preamble(preamble, from) {
        PreambleVerdict::Refuse(why) => {
            shared.handler.event(NetEvent::Refused { from, circuit, why });
        }
        PreambleVerdict::Relay(order) => {
            drop(place);
            relay::run(&shared, tcp, circuit, order).await;
        }
        PreambleVerdict::Terminate(context) => {
            drop(place);
            let listener = Arc::new(Listener::default());
            let made = session(&shared, tcp, from, Purpose::Carrier, Some(listener.clone())).await.and_then(
                |stream| judge(&shared, &stream).and_then(|peer| Carrier::new(stream, &listener, peer)),
            );
            match made {
                Ok(carrier) => shared.handler.carrier(carrier, context),
                Err(error) => {
                    let (circuit, why) = (Some(circuit), error.to_string());
                    shared.handler.event(NetEvent::HandshakeFailed { from, circuit, why });
                }
            }
        }
    }
}

async fn session(
    shared: &Shared,
    tcp: TcpStream,
    from: SocketAddr,
    purpose: Purpose,
    listener: Option<Arc<Listener>>,
) -> Result<TlsStream, NetError> {
    let mut config = shared.credentials.server(purpose).ok_or_else(|| NetError::Protocol {
        addr: from,
        why: format!("it wants an {purpose}, which this agent does not serve"),
    })?;
    if let Some(listener) = listener {
        let mut carrier = (*config).clone();
        carrier.key_log = listener;
        // a ticket would be a record that the carrier's key did not count
        carrier.send_tls13_tickets = 0;
        config = Arc::new(carrier);
    }
    let mut stream = TlsStream::server(tcp, from, config)?;
    handshake(&mut stream, from).await?;
    stream.require_alpn(match purpose {
        Purpose::Link => ALPN_LINK,
        Purpose::Carrier => ALPN_CARRIER,
        Purpose::Enrolment => ALPN_ENROL,
    })?;
    Ok(stream)
}

fn judge(shared: &Shared, stream: &TlsStream) -> Result<PeerInfo, NetError> {
    shared.credentials.peer(stream.chain()).map_err(|why| NetError::Peer { addr: stream.addr, why })
}
