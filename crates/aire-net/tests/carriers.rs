//! Carriers, direct and through relays, between endpoints on loopback.
#![allow(clippy::unwrap_used)]

mod common;

use std::future::poll_fn;
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

async fn read(carrier: &mut Carrier, count: usize) -> Result<Vec<Frame>, CarrierError> {
    let mut frames = Vec::new();
    within("read", async {
        while frames.len() < count {
            poll_fn(|cx| carrier.poll_read_frames(cx, &mut frames)).await?;
        }
        for (frame, length) in &frames {
            assert_eq!(frame.encoded_len(), *length);
        }
        Ok(frames.into_iter().map(|(frame, _)| frame).collect())
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
        let (written, read) = tokio::join!(write(&mut a, frames.clone()), read(&mut b, frames.len()));
        written.unwrap();
        assert_eq!(read.unwrap(), frames);
        std::mem::swap(&mut a, &mut b);
    }
    assert!(!a.has_pending_output());
    assert!(a.tcp_info().unwrap().bytes_sent > offset);
    a.close();
    assert!(matches!(read(&mut b, 1).await, Err(CarrierError::Closed)));
}

#[tokio::test]
async fn the_writer_is_asked_only_for_what_fits() {
    let mesh = Mesh::new();
    let source = Agent::start(mesh.member("a"), None);
    let mut destination = Agent::start(mesh.member("b"), None);
    let (mut a, mut b) = pair(&source, destination.addr(), 1, &mut destination).await;
    let (mut offset, chunk) = (0, 64 * 1024);
    // nobody reads: the writer must become pending
    within(
        "back-pressure",
        poll_fn(|cx| {
            let poll = a.poll_write_frames(cx, || {
                offset += chunk as u64;
                Some(data(offset - chunk as u64, chunk))
            });
            assert!(poll.is_pending());
            if a.has_pending_output() { Poll::Ready(()) } else { Poll::Pending }
        }),
    )
    .await;
    let count = (offset / chunk as u64) as usize;
    assert!(count < 1000, "{count} frames of 64 KiB were taken");
    let (written, frames) = tokio::join!(write(&mut a, vec![]), read(&mut b, count));
    written.unwrap();
    assert_eq!(frames.unwrap().len(), count);
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
        let (written, read) = tokio::join!(write(&mut a, frames.clone()), read(&mut b, frames.len()));
        written.unwrap();
        assert!(read.unwrap() == frames, "the data changed on the way");
        std::mem::swap(&mut a, &mut b);
    }
    assert!(first.handler.counters.forward.load(Ordering::Relaxed) > 6_400_000);
    assert!(first.handler.counters.backward.load(Ordering::Relaxed) > 6_400_000);
    b.abort();
    assert!(matches!(read(&mut a, 1).await, Err(CarrierError::Lost(_))));
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
    assert!(matches!(read(&mut a, 1).await, Err(CarrierError::Lost(_))));
    assert!(matches!(read(&mut b, 1).await, Err(CarrierError::Lost(_))));
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
