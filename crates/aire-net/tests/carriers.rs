//! Carriers, direct and through relays, between endpoints on loopback.
#![allow(clippy::unwrap_used)]

mod common;

use std::future::poll_fn;
use std::io::{Read, Write};
use std::sync::atomic::Ordering;
use std::task::Poll;

use aire_net::*;
use aire_wire::{Frame, StreamId};
use bytes::Bytes;
use common::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

fn data(offset: u64, length: usize) -> Frame {
    let bytes: Vec<u8> = (0..length).map(|n| (offset as usize + n) as u8).collect();
    Frame::Data { stream: StreamId(1), offset, bytes: Bytes::from(bytes) }
}

async fn write(carrier: &mut Carrier, frames: Vec<Frame>) -> Result<(), CarrierError> {
    let mut frames = frames.into_iter();
    within("write", poll_fn(|cx| carrier.poll_write_frames(cx, || frames.next()))).await
}

/// Reads until `sent` has arrived, and puts pieces of DATA together as they were sent.
async fn read(carrier: &mut Carrier, sent: &[Frame]) -> Result<Vec<Frame>, CarrierError> {
    let (wanted, mut taken) = (sent.iter().map(Frame::encoded_len).sum::<usize>(), 0);
    let (mut frames, mut pieces) = (Vec::new(), Vec::new());
    within("read", async {
        while taken < wanted {
            poll_fn(|cx| carrier.poll_read_frames(cx, &mut pieces)).await?;
            for (frame, length) in pieces.drain(..) {
                taken += length;
                join(&mut frames, frame, sent);
            }
        }
        assert_eq!(taken, wanted);
        Ok(frames)
    })
    .await
}

fn join(frames: &mut Vec<Frame>, next: Frame, sent: &[Frame]) {
    let at = frames.len().saturating_sub(1);
    if let (Some(Frame::Data { bytes: part, .. }), Frame::Data { bytes: more, .. }) =
        (frames.last_mut(), &next)
        && matches!(&sent[at], Frame::Data { bytes, .. } if part.len() < bytes.len())
    {
        *part = [&part[..], &more[..]].concat().into();
        return;
    }
    frames.push(next);
}

async fn ended(carrier: &mut Carrier) -> CarrierError {
    let mut frames = Vec::new();
    within("the end", async {
        loop {
            if let Err(error) = poll_fn(|cx| carrier.poll_read_frames(cx, &mut frames)).await {
                return error;
            }
        }
    })
    .await
}

async fn pair(
    source: &Agent,
    first: std::net::SocketAddr,
    hops: u64,
    destination: &mut Agent,
) -> (Carrier, Carrier) {
    let preambles = (0..hops).flat_map(|_| preamble(1)).collect();
    let dial = source.endpoint.dial_carrier(first, preambles, |_| Ok(()));
    within("dial", async { tokio::join!(async { dial.await.unwrap() }, destination.carrier()) }).await
}

#[tokio::test]
async fn frames_of_all_sizes_cross_both_ways() {
    let mesh = Mesh::new();
    let source = Agent::start(mesh.member("a"), None);
    let mut destination = Agent::start(mesh.member("b"), None);
    let (mut a, mut b) = pair(&source, destination.addr(), 1, &mut destination).await;
    assert_eq!(a.peer().identity.to_string(), "spiffe://test/relay/b");
    assert_eq!(b.peer().identity.to_string(), "spiffe://test/relay/a");
    assert_eq!(a.exporter(b"label", b"context").unwrap(), b.exporter(b"label", b"context").unwrap());
    assert_ne!(a.exporter(b"label", b"context").unwrap(), a.exporter(b"label", b"other").unwrap());
    let mut frames = vec![Frame::Ping];
    let mut offset = 0;
    for length in [0, 1, 63, 64, 1000, 16_383, 16_384, 16_385, 70_000, aire_wire::MAX_DATA] {
        frames.push(data(offset, length));
        offset += length as u64;
        frames.push(Frame::Credit { stream: StreamId(1), offset });
    }
    for _ in 0..2 {
        let (written, read) = tokio::join!(write(&mut a, frames.clone()), read(&mut b, &frames));
        written.unwrap();
        assert_eq!(read.unwrap(), frames);
        std::mem::swap(&mut a, &mut b);
    }
    assert!(!a.has_pending_output());
    assert!(a.tcp_info().unwrap().bytes_sent > offset);
    a.close();
    assert!(matches!(ended(&mut b).await, CarrierError::Closed));
}

#[tokio::test]
async fn the_writer_is_asked_only_for_what_fits() {
    let mesh = Mesh::new();
    let source = Agent::start(mesh.member("a"), None);
    let mut destination = Agent::start(mesh.member("b"), None);
    let (mut a, mut b) = pair(&source, destination.addr(), 1, &mut destination).await;
    let (mut sent, chunk) = (Vec::new(), 64 * 1024);
    // nobody reads: the writer must become pending
    within(
        "back-pressure",
        poll_fn(|cx| {
            let poll = a.poll_write_frames(cx, || {
                sent.push(data((sent.len() * chunk) as u64, chunk));
                sent.last().cloned()
            });
            assert!(poll.is_pending());
            if a.has_pending_output() { Poll::Ready(()) } else { Poll::Pending }
        }),
    )
    .await;
    assert!(sent.len() < 1000, "{} frames of 64 KiB were taken", sent.len());
    let (written, read) = tokio::join!(write(&mut a, vec![]), read(&mut b, &sent));
    written.unwrap();
    assert!(read.unwrap() == sent);
}

#[tokio::test]
async fn a_destination_that_was_not_meant_gets_nothing() {
    let mesh = Mesh::new();
    let source = Agent::start(mesh.member("a"), None);
    let destination = Agent::start(mesh.member("b"), None);
    let refused = |peer: &PeerInfo| Err(format!("{} instead of c", peer.identity));
    let error = source.endpoint.dial_carrier(destination.addr(), preamble(1), refused).await.err().unwrap();
    assert!(matches!(error, NetError::Peer { .. }), "{error}");
}

#[tokio::test]
async fn carriers_through_two_relays_carry_data_and_ends() {
    let mesh = Mesh::new();
    let source = Agent::start(mesh.member("a"), None);
    let mut destination = Agent::start(mesh.member("b"), None);
    let second = Agent::start(mesh.member("r2"), Some(destination.addr()));
    let mut first = Agent::start(mesh.member("r1"), Some(second.addr()));
    let (mut a, mut b) = pair(&source, first.addr(), 3, &mut destination).await;
    let frames: Vec<Frame> = (0..64).map(|n| data(n * 100_000, 100_000)).collect();
    for _ in 0..2 {
        let (written, read) = tokio::join!(write(&mut a, frames.clone()), read(&mut b, &frames));
        written.unwrap();
        assert!(read.unwrap() == frames, "the data changed on the way");
        std::mem::swap(&mut a, &mut b);
    }
    assert!(first.handler.counters.forward.load(Ordering::Relaxed) > 6_400_000);
    assert!(first.handler.counters.backward.load(Ordering::Relaxed) > 6_400_000);
    b.abort();
    assert!(matches!(ended(&mut a).await, CarrierError::Lost(_)));
    drop(a);
    assert!(matches!(first.event().await, NetEvent::RelayEnded { end: RelayEnd::Reset, .. }));
}

#[tokio::test]
async fn a_relay_can_be_told_to_cut() {
    let mesh = Mesh::new();
    let source = Agent::start(mesh.member("a"), None);
    let mut destination = Agent::start(mesh.member("b"), None);
    let mut relay = Agent::start(mesh.member("r"), Some(destination.addr()));
    let (mut a, mut b) = pair(&source, relay.addr(), 2, &mut destination).await;
    relay.handler.kill.cancel();
    assert!(matches!(ended(&mut a).await, CarrierError::Lost(_)));
    assert!(matches!(ended(&mut b).await, CarrierError::Lost(_)));
    assert!(matches!(relay.event().await, NetEvent::RelayEnded { end: RelayEnd::Killed, .. }));
}

#[tokio::test]
async fn an_unreachable_next_hop_is_reported_and_the_dialler_reset() {
    let mesh = Mesh::new();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let source = Agent::start(mesh.member("a"), None);
    let mut relay = Agent::start(mesh.member("r"), Some(closed));
    let preambles = [preamble(1), preamble(1)].concat();
    assert!(within("dial", source.endpoint.dial_carrier(relay.addr(), preambles, |_| Ok(()))).await.is_err());
    assert!(matches!(relay.event().await, NetEvent::NextHopUnreachable { next, .. } if next == closed));
}

#[tokio::test]
async fn without_a_valid_preamble_the_connection_is_closed_before_tls() {
    let mesh = Mesh::new();
    let mut agent = Agent::start(mesh.member("a"), None);
    let mut forged = preamble(1);
    forged[40] ^= 1;
    let mut link = forged.clone();
    link[5] = 2;
    for bytes in [vec![b'G'; 48], forged, link] {
        let mut stream = TcpStream::connect(agent.addr()).await.unwrap();
        stream.write_all(&bytes).await.unwrap();
        let mut rest = Vec::new();
        let _ = within("close", stream.read_to_end(&mut rest)).await;
        assert!(rest.is_empty());
        let event = agent.event().await;
        assert!(matches!(event, NetEvent::BadPreamble { .. } | NetEvent::Refused { .. }), "{event:?}");
    }
}

/// The other end is rustls itself, so the records must be those of TLS 1.3, key updates included.
#[tokio::test]
async fn rustls_understands_carriers_and_carriers_understand_rustls() {
    let mesh = Mesh::new();
    let member = mesh.member("a");
    let mut destination = Agent::start(mesh.member("b"), None);
    let addr = destination.addr();
    let config = member.carrier_client();
    let sent: Vec<Frame> = (0..50).map(|n| data(n * 50_000, 50_000)).collect();
    let mut wire = Vec::new();
    for frame in &sent {
        frame.encode_head(&mut wire);
        let Frame::Data { bytes, .. } = frame else { unreachable!() };
        wire.extend_from_slice(bytes);
    }
    let expected = wire.clone();
    let (tell, told) = tokio::sync::oneshot::channel();
    let peer = tokio::task::spawn_blocking(move || {
        let mut tcp = std::net::TcpStream::connect(addr).unwrap();
        tcp.set_read_timeout(Some(DEADLINE)).unwrap();
        tcp.write_all(&preamble(1)).unwrap();
        let mut session = rustls::ClientConnection::new(config, member.server_name()).unwrap();
        let mut tls = rustls::Stream::new(&mut session, &mut tcp);
        for part in wire.chunks(300_000) {
            tls.write_all(part).unwrap();
            // asks the other end to renew its key too
            tls.conn.refresh_traffic_keys().unwrap();
        }
        let exported = tls.conn.export_keying_material([0; 32], b"EXPORTER-x", Some(&b"y"[..])).unwrap();
        let mut back = vec![0; wire.len()];
        tls.read_exact(&mut back).unwrap();
        tell.send(()).unwrap();
        assert_eq!(tls.read(&mut [0; 10]).unwrap(), 0, "close_notify must be a clean end");
        (exported, back)
    });
    let mut carrier = destination.carrier().await;
    assert!(read(&mut carrier, &sent).await.unwrap() == sent);
    let exported = carrier.exporter(b"EXPORTER-x", b"y").unwrap();
    write(&mut carrier, sent).await.unwrap();
    // The peer answers key updates while it reads; closed before that, the kernel would reset the connection.
    within("the peer's reading", told).await.unwrap();
    carrier.close();
    assert!(within("the peer", peer).await.unwrap() == (exported, expected));
}

#[tokio::test]
async fn a_changed_record_ends_the_carrier() {
    let mesh = Mesh::new();
    let source = Agent::start(mesh.member("a"), None);
    let mut destination = Agent::start(mesh.member("b"), None);
    let front = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (first, target) = (front.local_addr().unwrap(), destination.addr());
    tokio::spawn(async move {
        let (client, _) = front.accept().await.unwrap();
        let (mut from, mut back) = client.into_split();
        let (mut answers, mut to) = TcpStream::connect(target).await.unwrap().into_split();
        tokio::spawn(async move { tokio::io::copy(&mut answers, &mut back).await });
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(taken @ 1..) = from.read(&mut buffer).await {
            if taken > 10_000 {
                buffer[5000] ^= 1;
            }
            to.write_all(&buffer[..taken]).await.unwrap();
        }
    });
    let (mut a, mut b) = pair(&source, first, 1, &mut destination).await;
    write(&mut a, vec![data(0, 12_000)]).await.unwrap();
    let error = ended(&mut b).await;
    assert!(matches!(error, CarrierError::Tls(rustls::Error::DecryptError)), "{error}");
}
