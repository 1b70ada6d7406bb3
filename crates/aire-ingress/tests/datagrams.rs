//! Flows of datagrams over real sockets, from UDP listeners and SOCKS5 clients.
#![allow(clippy::unwrap_used)]

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use aire_ingress::{Flow, Kind, Limits, Listener, Notice, Trouble, UdpListener};
use aire_types::AppName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::mpsc;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(5);

struct Served {
    address: SocketAddr,
    flows: mpsc::Receiver<Flow>,
    notices: mpsc::Receiver<Notice>,
}

impl Served {
    async fn udp(limits: Limits) -> Self {
        let app = AppName::new("dns").unwrap();
        let listener = UdpListener::bind_with(app, "127.0.0.1:0".parse().unwrap(), limits).await.unwrap();
        let (to_flows, flows) = mpsc::channel(16);
        let (to_notices, notices) = mpsc::channel(16);
        let address = listener.address();
        tokio::spawn(listener.run(to_flows, to_notices));
        Served { address, flows, notices }
    }

    async fn proxy() -> Self {
        let listener = Listener::bind(Kind::Proxy, "127.0.0.1:0".parse().unwrap()).await.unwrap();
        let (to_arrivals, mut arrivals) = mpsc::channel(16);
        let (to_flows, flows) = mpsc::channel(16);
        let (to_notices, notices) = mpsc::channel(16);
        let address = listener.address();
        tokio::spawn(listener.run(to_arrivals, to_flows, to_notices));
        tokio::spawn(async move { while arrivals.recv().await.is_some() {} });
        Served { address, flows, notices }
    }

    async fn flow(&mut self) -> Flow {
        timeout(PATIENCE, self.flows.recv()).await.expect("a flow in time").unwrap()
    }

    async fn trouble(&mut self) -> Trouble {
        timeout(PATIENCE, self.notices.recv()).await.expect("a notice in time").unwrap().trouble
    }
}

async fn socket() -> UdpSocket {
    UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap()
}

async fn read(socket: &UdpSocket) -> Vec<u8> {
    let mut buffer = vec![0; 70_000];
    let length = timeout(PATIENCE, socket.recv(&mut buffer)).await.expect("a datagram in time").unwrap();
    buffer[..length].to_vec()
}

async fn next(flow: &mut Flow) -> Vec<u8> {
    timeout(PATIENCE, flow.recv()).await.expect("a datagram in time").unwrap().to_vec()
}

#[tokio::test]
async fn each_address_is_a_flow_and_gets_its_own_answers() {
    let mut served = Served::udp(Limits::default()).await;
    let (one, other) = (socket().await, socket().await);
    one.connect(served.address).await.unwrap();
    other.connect(served.address).await.unwrap();
    one.send(b"one").await.unwrap();
    let mut first = served.flow().await;
    assert_eq!((first.app.as_str(), first.client), ("dns", one.local_addr().unwrap()));
    assert_eq!(next(&mut first).await, b"one");
    other.send(&[7; 60_000]).await.unwrap();
    let mut second = served.flow().await;
    assert_eq!(next(&mut second).await, [7; 60_000]);
    one.send(b"").await.unwrap();
    assert_eq!(next(&mut first).await, b"");
    first.replies().send(b"to one").unwrap();
    second.replies().send(b"to other").unwrap();
    assert_eq!((read(&one).await, read(&other).await), (b"to one".to_vec(), b"to other".to_vec()));

    // A flow that was given up begins anew with the next datagram.
    drop(first);
    one.send(b"again").await.unwrap();
    assert_eq!(next(&mut served.flow().await).await, b"again");
}

#[tokio::test]
async fn flows_beyond_the_limit_are_told_of_and_do_not_harm_the_others() {
    let mut served = Served::udp(Limits { flows: 2, ..Limits::default() }).await;
    let clients = [socket().await, socket().await, socket().await];
    let mut flows = Vec::new();
    for client in &clients[..2] {
        client.send_to(b"x", served.address).await.unwrap();
        flows.push(served.flow().await);
    }
    clients[2].send_to(b"x", served.address).await.unwrap();
    assert_eq!(served.trouble().await, Trouble::FullOfFlows(2));
    clients[0].send_to(b"still", served.address).await.unwrap();
    assert_eq!((next(&mut flows[0]).await, next(&mut flows[0]).await), (b"x".to_vec(), b"still".to_vec()));
    flows.pop();
    clients[2].send_to(b"now", served.address).await.unwrap();
    assert_eq!(next(&mut served.flow().await).await, b"now");
}

/// Asks for an association; where to send datagrams to.
async fn associate(proxy: SocketAddr, port: u16) -> (TcpStream, SocketAddr) {
    let mut control = TcpStream::connect(proxy).await.unwrap();
    let [high, low] = port.to_be_bytes();
    control.write_all(&[5, 1, 0, 5, 3, 0, 1, 0, 0, 0, 0, high, low]).await.unwrap();
    let mut answer = [0; 12];
    timeout(PATIENCE, control.read_exact(&mut answer)).await.expect("an answer in time").unwrap();
    assert_eq!(answer[..6], [5, 0, 5, 0, 0, 1]);
    let [.., a, b, c, d, high, low] = answer;
    (control, SocketAddr::from(([a, b, c, d], u16::from_be_bytes([high, low]))))
}

fn wrapped(fragment: u8, name: &str, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(name.len()).unwrap();
    [&[0, 0, fragment, 3, length], name.as_bytes(), &[0, 53], payload].concat()
}

#[tokio::test]
async fn socks_clients_send_to_names_and_are_answered_from_them() {
    let mut served = Served::proxy().await;
    let client = socket().await;
    let (control, relay) = associate(served.address, 0).await;
    client.send_to(&wrapped(0, "DNS.mesh", b"query"), relay).await.unwrap();
    let mut dns = served.flow().await;
    assert_eq!((dns.app.as_str(), dns.listener), ("dns", served.address));
    assert_eq!(next(&mut dns).await, b"query");
    dns.replies().send(b"answer").unwrap();
    assert_eq!(read(&client).await, wrapped(0, "DNS.mesh", b"answer"));
    client.send_to(&wrapped(0, "time.mesh", b"?"), relay).await.unwrap();
    let mut time = served.flow().await;
    assert_eq!(next(&mut time).await, b"?");
    assert_eq!(time.app.as_str(), "time");

    drop(control);
    assert!(timeout(PATIENCE, dns.recv()).await.expect("an end in time").is_none());
}

#[tokio::test]
async fn what_a_socks_client_may_not_send_is_dropped_and_told_once() {
    let mut served = Served::proxy().await;
    let (client, stranger) = (socket().await, socket().await);
    let (_control, relay) = associate(served.address, client.local_addr().unwrap().port()).await;
    client.send_to(&wrapped(0, "example.com", b"x"), relay).await.unwrap();
    assert_eq!(served.trouble().await, Trouble::ForeignName("example.com".to_owned()));
    client.send_to(&wrapped(1, "dns.mesh", b"a fragment"), relay).await.unwrap();
    client.send_to(&[0, 0, 0, 9], relay).await.unwrap();
    client.send_to(&[], relay).await.unwrap();
    stranger.send_to(&wrapped(0, "dns.mesh", b"not mine"), relay).await.unwrap();
    client.send_to(&wrapped(0, "dns.mesh", b"mine"), relay).await.unwrap();
    assert_eq!(next(&mut served.flow().await).await, b"mine");
    assert!(served.notices.try_recv().is_err(), "told once");
}
