//! A relay between plain TCP sockets: it must change nothing.
#![allow(clippy::unwrap_used)]

mod common;

use std::io;
use std::net::SocketAddr;

use aire_net::*;
use common::*;
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

async fn through(relay: SocketAddr, target: &TcpListener) -> (TcpStream, TcpStream) {
    let mut client = TcpStream::connect(relay).await.unwrap();
    client.write_all(&preamble(1)).await.unwrap();
    let (server, _) = within("the relay's dial", target.accept()).await.unwrap();
    (client, server)
}

async fn setup() -> (Agent, TcpListener) {
    let target = TcpListener::bind("127.0.0.1:0").await.unwrap();
    // small, so that what nobody reads soon fills the relay
    SockRef::from(&target).set_recv_buffer_size(32 * 1024).unwrap();
    let relay = Agent::start(Mesh::new().member("r"), Some(target.local_addr().unwrap()));
    (relay, target)
}

fn pattern(seed: usize, length: usize) -> Vec<u8> {
    (0..length).map(|n| (n * 31 + n / 251 + seed) as u8).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_and_half_closes_pass_unchanged() {
    let (mut relay, target) = setup().await;
    let (mut client, mut server) = through(relay.addr(), &target).await;
    let (there, back) = (pattern(1, 20_000_000), pattern(2, 10_000_000));
    let (mut received, mut answered) = (Vec::new(), Vec::new());
    within("the transfer", async {
        let client_side = async {
            client.write_all(&there).await.unwrap();
            client.shutdown().await.unwrap();
            client.read_to_end(&mut answered).await.unwrap();
        };
        let server_side = async {
            // the end must arrive while the way back is still open
            server.read_to_end(&mut received).await.unwrap();
            server.write_all(&back).await.unwrap();
            server.shutdown().await.unwrap();
        };
        tokio::join!(client_side, server_side)
    })
    .await;
    assert!(received == there && answered == back);
    assert!(matches!(relay.event().await, NetEvent::RelayEnded { end: RelayEnd::Finished, .. }));
}

async fn expect_reset(stream: &mut TcpStream) {
    let mut bytes = [0; 100];
    let error = within("the reset", stream.read(&mut bytes)).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}

fn reset(stream: TcpStream) {
    SockRef::from(&stream).set_linger(Some(std::time::Duration::ZERO)).unwrap();
}

#[tokio::test]
async fn a_reset_on_one_side_is_a_reset_on_the_other() {
    let (relay, target) = setup().await;
    let (client, mut server) = through(relay.addr(), &target).await;
    reset(client);
    expect_reset(&mut server).await;
    let (mut client, server) = through(relay.addr(), &target).await;
    reset(server);
    expect_reset(&mut client).await;
}

#[tokio::test]
async fn a_reset_after_a_half_close_is_passed_on_as_well() {
    let (relay, target) = setup().await;
    let (mut client, mut server) = through(relay.addr(), &target).await;
    client.shutdown().await.unwrap();
    assert_eq!(within("the end", server.read(&mut [0; 10])).await.unwrap(), 0);
    reset(client);
    // the server has seen the end; now writing must fail
    within("the reset", async {
        while server.write_all(&[0; 100]).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_carriers_share_the_pipes() {
    const COUNT: usize = 2000;
    let limit = rustix::process::Resource::Nofile;
    let current = rustix::process::getrlimit(limit);
    let wanted = rustix::process::Rlimit { current: current.maximum, maximum: current.maximum };
    rustix::process::setrlimit(limit, wanted).unwrap();
    let (relay, target) = setup().await;
    let mut pairs = Vec::new();
    for _ in 0..COUNT {
        pairs.push(through(relay.addr(), &target).await);
    }
    // every carrier holds bytes that nobody reads: more than there are pipes
    let block = pattern(3, 64 * 1024);
    let mut sent = vec![0; COUNT];
    for _ in 0..6 {
        for (at, (client, _)) in pairs.iter().enumerate() {
            if let Ok(written) = client.try_write(&block[sent[at] % block.len()..]) {
                sent[at] += written;
            }
        }
        tokio::task::yield_now().await;
    }
    eprintln!("{} MB are on their way", sent.iter().sum::<usize>() / 1_000_000);
    let pipes = std::fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok())
        .filter(|link| link.to_string_lossy().starts_with("pipe:"))
        .count();
    eprintln!("{pipes} ends of pipes are open");
    assert!(pipes <= 2 * 256, "{pipes} ends of pipes are open");
    // and yet everything arrives, unchanged, everywhere
    let mut draining = tokio::task::JoinSet::new();
    for ((mut client, mut server), sent) in pairs.into_iter().zip(sent) {
        draining.spawn(async move {
            client.shutdown().await.unwrap();
            let mut received = Vec::new();
            server.read_to_end(&mut received).await.unwrap();
            assert_eq!(received.len(), sent);
            assert!(received.iter().zip(pattern(3, 64 * 1024).iter().cycle()).all(|(a, b)| a == b));
        });
    }
    within("draining", draining.join_all()).await;
}
