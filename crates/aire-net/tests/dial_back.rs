//! Carriers over connections that the next hop opens, because it cannot be dialled.
#![allow(clippy::unwrap_used)]

mod common;

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aire_net::*;
use aire_wire::{Frame, Preamble};
use common::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

/// A neighbour that dials back, as far as it is let.
struct Far {
    /// Its endpoint; without one the ticket only goes to `tickets`.
    endpoint: Option<Endpoint>,
    /// Where the one who asks listens.
    asker: Mutex<Option<SocketAddr>>,
    tickets: mpsc::UnboundedSender<Ticket>,
    told: mpsc::UnboundedSender<Option<Opening>>,
}

struct Heard {
    tickets: mpsc::UnboundedReceiver<Ticket>,
    told: mpsc::UnboundedReceiver<Option<Opening>>,
}

impl Neighbour for Far {
    fn ask_back(&self, ticket: &Ticket) -> Result<(), String> {
        let _ = self.tickets.send(ticket.clone());
        let (Some(endpoint), Some(asker)) = (self.endpoint.clone(), *self.asker.lock().unwrap()) else {
            return Ok(());
        };
        let ticket = ticket.clone();
        tokio::spawn(async move { endpoint.dial_back(asker, &ticket).await });
        Ok(())
    }

    fn connected(&self, opening: Option<Opening>) {
        let _ = self.told.send(opening);
    }
}

fn far(endpoint: Option<&Endpoint>, asker: SocketAddr) -> (Arc<Far>, Heard) {
    let (tickets, heard_tickets) = mpsc::unbounded_channel();
    let (told, heard_told) = mpsc::unbounded_channel();
    let far = Far { endpoint: endpoint.cloned(), asker: Mutex::new(Some(asker)), tickets, told };
    (Arc::new(far), Heard { tickets: heard_tickets, told: heard_told })
}

/// Where nobody listens.
fn closed() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

const RACE: Plan = Plan::Race { head_start: Duration::ZERO };

async fn works(source: &mut Carrier, destination: &mut Carrier) {
    let mut pings = vec![Frame::Ping].into_iter();
    within("writing", poll_fn(|cx| source.poll_write_frames(cx, || pings.next()))).await.unwrap();
    let mut frames = Vec::new();
    within("reading", poll_fn(|cx| destination.poll_read_frames(cx, &mut frames))).await.unwrap();
    assert!(matches!(frames[..], [(Frame::Ping, _)]), "{frames:?}");
}

#[tokio::test]
async fn a_destination_that_cannot_be_dialled_dials_back() {
    let mesh = Mesh::new();
    let source = Agent::start(mesh.member("a"), None);
    let mut destination = Agent::start(mesh.member("b"), None);
    for plan in [Plan::Back, RACE] {
        let (far, mut heard) = far(Some(&destination.endpoint), source.addr());
        let hop = NextHop::new(closed(), plan, far);
        let dial = source.endpoint.dial_carrier(hop, preamble(1), |_| Ok(()));
        let (dialled, mut arrived) = tokio::join!(within("the dial", dial), destination.carrier());
        works(&mut dialled.unwrap(), &mut arrived).await;
        assert_eq!(heard.told.recv().await, Some(Some(Opening::DialledBack)));
    }
}

#[tokio::test]
async fn a_relay_splices_onto_a_connection_that_was_dialled_back_and_is_reached_by_one() {
    let mesh = Mesh::new();
    let source = Agent::start(mesh.member("a"), None);
    let mut destination = Agent::start(mesh.member("b"), None);
    let relay = Agent::start(mesh.member("r"), Some(closed()));
    let (onwards, mut onwards_heard) = far(Some(&destination.endpoint), relay.addr());
    *relay.handler.reach.lock().unwrap() = Some((RACE, onwards));
    let (to_relay, mut to_relay_heard) = far(Some(&relay.endpoint), source.addr());
    let hop = NextHop::new(closed(), Plan::Back, to_relay);
    let dial = source.endpoint.dial_carrier(hop, [preamble(1), preamble(2)].concat(), |_| Ok(()));
    let (dialled, mut arrived) = tokio::join!(within("the dial", dial), destination.carrier());
    works(&mut dialled.unwrap(), &mut arrived).await;
    for heard in [&mut onwards_heard, &mut to_relay_heard] {
        assert_eq!(heard.told.recv().await, Some(Some(Opening::DialledBack)));
    }
}

#[tokio::test]
async fn who_can_be_dialled_is() {
    let mesh = Mesh::new();
    let source = Agent::start(mesh.member("a"), None);
    let mut destination = Agent::start(mesh.member("b"), None);
    let (far, mut heard) = far(None, source.addr());
    let hop = NextHop::new(destination.addr(), RACE, far);
    let dial = source.endpoint.dial_carrier(hop, preamble(1), |_| Ok(()));
    let (dialled, mut arrived) = tokio::join!(within("the dial", dial), destination.carrier());
    works(&mut dialled.unwrap(), &mut arrived).await;
    assert_eq!(heard.told.recv().await, Some(Some(Opening::Dialled)));
}

#[tokio::test]
async fn a_connection_that_comes_too_late_goes_without_an_alarm() {
    let mesh = Mesh::new();
    let mut source = Agent::start(mesh.member("a"), None);
    let mut destination = Agent::start(mesh.member("b"), None);
    let (far, mut heard) = far(None, source.addr());
    let dial = source.endpoint.dial_carrier(NextHop::new(closed(), Plan::Back, far), preamble(1), |_| Ok(()));
    let late = tokio::select! {
        _ = dial => panic!("nobody answered"),
        ticket = heard.tickets.recv() => ticket.unwrap(),
    };
    assert_eq!(heard.told.recv().await, Some(None), "giving up is told");
    within("the late one", destination.endpoint.dial_back(source.addr(), &late)).await.unwrap();
    // the first alarm is that of somebody who comes with the same ticket again
    let mut again = TcpStream::connect(source.addr()).await.unwrap();
    again.write_all(&late.preamble().encode()).await.unwrap();
    let event = source.event().await;
    assert!(matches!(&event, NetEvent::BadPreamble { why, .. } if why.contains("used")), "{event:?}");
    assert!(!matches!(destination.seen.try_recv(), Ok(Seen::Event(_))));
}

/// Asks, lets `answer` make something of the ticket, and says what came of the carrier and of the alarm.
async fn answered(
    answer: impl AsyncFnOnce(SocketAddr, Ticket),
) -> (Result<Carrier, NetError>, Option<NetEvent>) {
    let mesh = Mesh::new();
    let mut source = Agent::start(mesh.member("a"), None);
    let (far, mut heard) = far(None, source.addr());
    let dial = source.endpoint.dial_carrier(NextHop::new(closed(), Plan::Back, far), preamble(1), |_| Ok(()));
    let answering = async {
        let ticket = heard.tickets.recv().await.unwrap();
        answer(source.addr(), ticket).await;
    };
    let (dialled, ()) = tokio::join!(within("the dial", dial), answering);
    let alarm = match source.seen.try_recv() {
        Ok(Seen::Event(event)) => Some(event),
        _ => None,
    };
    (dialled, alarm)
}

async fn send(to: SocketAddr, preamble: Preamble, then: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(to).await.unwrap();
    stream.write_all(&preamble.encode()).await.unwrap();
    let _ = stream.write_all(then).await;
    let mut rest = Vec::new();
    let _ = within("the close", stream.read_to_end(&mut rest)).await;
    rest
}

#[tokio::test]
async fn an_unanswered_or_forged_ticket_opens_nothing() {
    let (dialled, alarm) = answered(async |_, _| ()).await;
    let error = dialled.err().unwrap().to_string();
    assert!(error.contains("dialling back") && alarm.is_none(), "{error}");
    let (dialled, alarm) = answered(async |to, mut ticket| {
        ticket.key[0] ^= 1;
        assert!(send(to, ticket.preamble(), b"").await.is_empty());
    })
    .await;
    assert!(dialled.is_err());
    assert!(matches!(alarm, Some(NetEvent::BadPreamble { .. })), "{alarm:?}");
}

#[tokio::test]
async fn garbage_behind_a_good_ticket_fails_the_handshake() {
    let (dialled, _) = answered(async |to, ticket| {
        // it hears the preamble of the carrier and a ClientHello, which say nothing without the hop's key
        let heard = send(to, ticket.preamble(), &[b'G'; 20_000]).await;
        assert_eq!(heard[..48], preamble(1));
    })
    .await;
    let error = dialled.err().unwrap();
    assert!(matches!(error, NetError::Tls { .. } | NetError::Unreachable { .. }), "{error}");
}

#[tokio::test]
async fn whoever_asks_for_a_connection_can_only_send_a_carrier_over_it() {
    let mesh = Mesh::new();
    let mut asked = Agent::start(mesh.member("b"), None);
    let ticket = Ticket { id: [1; 16], key: [2; 32] };
    let mut knock = preamble(1);
    knock[5] = 2;
    let mut forged = preamble(1);
    forged[40] ^= 1;
    for bytes in [vec![b'G'; 48], knock, forged, ticket.preamble().encode().to_vec()] {
        let asker = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = asker.local_addr().unwrap();
        let asking = async {
            let (mut stream, _) = asker.accept().await.unwrap();
            let mut preamble = [0; 48];
            stream.read_exact(&mut preamble).await.unwrap();
            assert_eq!(preamble, ticket.preamble().encode());
            stream.write_all(&bytes).await.unwrap();
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest).await;
            assert!(rest.is_empty());
        };
        let (done, ()) =
            within("the refusal", async { tokio::join!(asked.endpoint.dial_back(to, &ticket), asking) })
                .await;
        done.unwrap();
        let event = asked.event().await;
        assert!(matches!(event, NetEvent::BadPreamble { .. } | NetEvent::Refused { .. }), "{event:?}");
    }
}

#[tokio::test]
async fn an_asker_who_says_nothing_is_left_after_a_while() {
    let mesh = Mesh::new();
    let asked = Agent::start(mesh.member("b"), None);
    let asker = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ticket = Ticket { id: [1; 16], key: [2; 32] };
    let asking = async {
        let (mut stream, _) = asker.accept().await.unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest.len(), 48);
    };
    let to = asker.local_addr().unwrap();
    let (done, ()) =
        within("patience", async { tokio::join!(asked.endpoint.dial_back(to, &ticket), asking) }).await;
    done.unwrap();
}
