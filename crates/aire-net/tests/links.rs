//! Links over QUIC and over TCP, between endpoints on loopback.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::sync::Arc;

use aire_net::*;
use aire_wire::{CircuitId, MAX_MESSAGE, Preamble, PreambleKind};
use bytes::Bytes;
use common::*;

async fn next(events: &mut LinkEvents) -> LinkEvent {
    within("a link event", events.recv()).await.expect("the link is not gone")
}

async fn exchange(transport: Transport, dialled: (Link, LinkEvents), accepted: (Link, LinkEvents)) {
    let ((a, mut a_events), (b, mut b_events)) = (dialled, accepted);
    assert_eq!((a.transport(), b.transport()), (transport, transport));
    assert_eq!(a.peer().identity.to_string(), "spiffe://test/relay/b");
    assert_eq!(b.peer().identity.to_string(), "spiffe://test/relay/a");
    let big: Vec<u8> = (0..aire_wire::MAX_MESSAGE).map(|n| n as u8).collect();
    (0..16).for_each(|_| a.send(big.clone()).unwrap());
    for number in 0..16 {
        let message = next(&mut b_events).await;
        assert!(message == LinkEvent::Message(big.clone()), "message {number} of a burst");
    }
    b.send(vec![1]).unwrap();
    assert_eq!(next(&mut a_events).await, LinkEvent::Message(vec![1]));
    b.datagram(Bytes::from_static(b"probe")).unwrap();
    assert_eq!(next(&mut a_events).await, LinkEvent::Datagram(Bytes::from_static(b"probe")));
    assert_eq!(a.send(vec![0; aire_wire::MAX_MESSAGE + 1]), Err(SendError::TooLong));
    assert!(!a.rtt().is_zero());
    a.close(4, "draining");
    match next(&mut b_events).await {
        LinkEvent::Closed { by: ClosedBy::Peer(code), .. } => {
            assert_eq!(code, if transport == Transport::Quic { 4 } else { 0 });
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(next(&mut a_events).await, LinkEvent::Closed { by: ClosedBy::Us, .. }));
}

#[tokio::test]
async fn messages_and_datagrams_over_quic() {
    let mesh = Mesh::new();
    let a = Agent::start(mesh.member("a"), None);
    let mut b = Agent::start(mesh.member("b"), None);
    let dialled = within("dial", a.endpoint.dial_link(b.addr())).await.unwrap();
    let accepted = b.link().await;
    exchange(Transport::Quic, dialled, accepted).await;
}

#[tokio::test]
async fn the_same_at_an_authority() {
    let mesh = Mesh::new();
    let a = Agent::start(mesh.member("a"), None);
    let mut b = Agent::start(mesh.member("b").serving_enrolment(true), None);
    let dialled = within("dial", a.endpoint.dial_link(b.addr())).await.unwrap();
    let accepted = b.link().await;
    exchange(Transport::Quic, dialled, accepted).await;
}

/// A port that swallows UDP and passes TCP on to `to`.
async fn without_udp(to: std::net::SocketAddr) -> (std::net::SocketAddr, tokio::net::UdpSocket) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let udp = tokio::net::UdpSocket::bind(addr).await.unwrap();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut server = tokio::net::TcpStream::connect(to).await.unwrap();
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut client, &mut server).await });
        }
    });
    (addr, udp)
}

#[tokio::test]
async fn tcp_takes_over_where_udp_is_swallowed() {
    let mesh = Mesh::new();
    let mut b = Agent::start(mesh.member("b"), None);
    let (front, _udp) = without_udp(b.addr()).await;
    let underlay = Underlay::rewritten(BTreeMap::from([(b.addr(), front)]));
    let a = Agent::start_on(mesh.member("a"), None, underlay);
    let dialled = within("dial", a.endpoint.dial_link(b.addr())).await.unwrap();
    let accepted = b.link().await;
    exchange(Transport::Tcp, dialled, accepted).await;
}

#[tokio::test]
async fn members_of_another_mesh_are_refused_on_both_ways() {
    let (ours, theirs) = (Mesh::new(), Mesh::new());
    for authority in [false, true] {
        let a = Agent::start(theirs.member("a"), None);
        let b = Agent::start(ours.member("b").serving_enrolment(authority), None);
        let error = within("dial", a.endpoint.dial_link(b.addr())).await.unwrap_err();
        assert!(matches!(error, NetError::BothWays { .. }), "{error}");
    }
}

#[tokio::test]
async fn an_agent_that_stops_ends_its_links() {
    let mesh = Mesh::new();
    let a = Agent::start(mesh.member("a"), None);
    let mut b = Agent::start(mesh.member("b"), None);
    let (_link, mut events) = within("dial", a.endpoint.dial_link(b.addr())).await.unwrap();
    let _accepted = b.link().await;
    b.endpoint.close();
    assert!(matches!(next(&mut events).await, LinkEvent::Closed { by: ClosedBy::Peer(0), .. }));
}

/// The link that a peer gets whose longest message arrives and whose longer one is its end.
async fn breached(victim: &mut Agent, why: &str) {
    let (_link, mut events) = victim.link().await;
    let longest = next(&mut events).await;
    assert!(longest == LinkEvent::Message(vec![7; MAX_MESSAGE]), "the longest message does not arrive");
    match next(&mut events).await {
        LinkEvent::Closed { by: ClosedBy::Breach, reason } => {
            assert!(reason.contains(why), "{reason}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_message_that_is_too_long_ends_its_link_over_quic() {
    let mesh = Mesh::new();
    let (member, mut victim) = (mesh.member("a"), Agent::start(mesh.member("b"), None));
    let tls = quinn::crypto::rustls::QuicClientConfig::try_from(member.link_client()).unwrap();
    let config = quinn::ClientConfig::new(Arc::new(tls));
    let endpoint = quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    let name = member.server_name();
    let connecting = endpoint.connect_with(config, victim.addr(), &name.to_str()).unwrap();
    let connection = within("the handshake", connecting).await.unwrap();
    let long = async {
        let mut stream = connection.open_uni().await.unwrap();
        stream.write_all(&[7; MAX_MESSAGE]).await.unwrap();
        stream.finish().unwrap();
        // Messages have no order; this one comes after the other has arrived.
        stream.stopped().await.unwrap();
        let mut stream = connection.open_uni().await.unwrap();
        // Its end may come before all of it was taken.
        let _ = stream.write_all(&[7; MAX_MESSAGE + 1]).await;
        connection.closed().await
    };
    let why = "the peer sent a message of more than 65536 bytes";
    let both = async { tokio::join!(long, breached(&mut victim, why)) };
    let (told, ()) = within("the end of the link", both).await;
    assert!(told.to_string().contains(why), "{told}");
}

#[tokio::test]
async fn a_message_that_is_too_long_ends_its_link_over_tcp() {
    let mesh = Mesh::new();
    let (member, mut victim) = (mesh.member("a"), Agent::start(mesh.member("b"), None));
    let at = victim.addr();
    let long = tokio::task::spawn_blocking(move || {
        let mut tcp = std::net::TcpStream::connect(at).unwrap();
        tcp.set_read_timeout(Some(DEADLINE)).unwrap();
        let (kind, class) = (PreambleKind::Link, aire_types::Class::Interactive);
        let mut knock = Preamble { kind, class, circuit: CircuitId([1; 16]), counter: 0, mac: [0; 16] };
        knock.mac = preamble_mac(&member.knock_key(), &knock);
        tcp.write_all(&knock.encode()).unwrap();
        let session = rustls::ClientConnection::new(member.link_client(), member.server_name()).unwrap();
        let mut session = rustls::StreamOwned::new(session, tcp);
        session.write_all(&[&[1, 0, 1, 0, 0][..], &[7; MAX_MESSAGE]].concat()).unwrap();
        // Its end may come before all of it was taken.
        let _ = session.write_all(&[&[1, 0, 1, 0, 1][..], &[7; MAX_MESSAGE + 1]].concat());
        match session.read_to_end(&mut Vec::new()) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => panic!("the link stands"),
            _ => {}
        }
    });
    breached(&mut victim, "length 65537").await;
    within("the end of the link", long).await.unwrap();
}

#[tokio::test]
async fn enrolment_over_quic_and_over_tcp() {
    let mesh = Mesh::new();
    let authority = Agent::start(mesh.member("ca").serving_enrolment(true), None);
    let (front, _udp) = without_udp(authority.addr()).await;
    let underlay = Underlay::rewritten(BTreeMap::from([(front, front)]));
    for addr in [authority.addr(), front] {
        let exchange = enrol_exchange(&underlay, addr, mesh.enrol_client(), &[9; 32], b"please");
        assert_eq!(within("enrolment", exchange).await.unwrap(), b"welcome please");
    }
    let wrong_knock = enrol_exchange(&underlay, front, mesh.enrol_client(), &[8; 32], b"please");
    assert!(
        tokio::time::timeout(std::time::Duration::from_secs(2), wrong_knock)
            .await
            .map_or(true, |r| r.is_err())
    );
}

#[tokio::test]
async fn who_is_no_authority_enrols_nobody() {
    let mesh = Mesh::new();
    let member = Agent::start(mesh.member("m"), None);
    let underlay = Underlay::new();
    let exchange = enrol_exchange(&underlay, member.addr(), mesh.enrol_client(), &[9; 32], b"please");
    assert!(within("enrolment", exchange).await.is_err());
}

#[tokio::test]
async fn a_port_in_use_is_explained() {
    let mesh = Mesh::new();
    let agent = Agent::start(mesh.member("a"), None);
    let handler = agent.handler.clone();
    let member = std::sync::Arc::new(mesh.member("b"));
    let error = Endpoint::bind(agent.addr(), Underlay::new(), member.clone(), handler.clone()).err().unwrap();
    assert!(error.to_string().contains("another process listens there"), "{error}");
    let foreign = "203.0.113.1:0".parse().unwrap();
    let error = Endpoint::bind(foreign, Underlay::new(), member, handler).err().unwrap();
    assert!(error.to_string().contains("does not have the address"), "{error}");
}
