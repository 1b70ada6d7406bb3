//! Listeners over real sockets, with clients that behave and clients that do not.
#![allow(clippy::unwrap_used)]

use std::io;
use std::time::Duration;

use aire_ingress::{Arrival, BindError, Kind, Limits, Listener, Notice, Refusal, Trouble};
use aire_types::{AppName, Class};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(5);

struct Served {
    address: std::net::SocketAddr,
    arrivals: mpsc::Receiver<Arrival>,
    notices: mpsc::Receiver<Notice>,
    running: JoinHandle<()>,
}

async fn serve_with(kind: Kind, limits: Limits) -> Served {
    let listener = Listener::bind_with(kind, "127.0.0.1:0".parse().unwrap(), limits).await.unwrap();
    let (to_arrivals, arrivals) = mpsc::channel(16);
    let (to_notices, notices) = mpsc::channel(16);
    let (to_flows, _) = mpsc::channel(1);
    let address = listener.address();
    Served {
        address,
        arrivals,
        notices,
        running: tokio::spawn(listener.run(to_arrivals, to_flows, to_notices)),
    }
}

async fn serve(kind: Kind) -> Served {
    serve_with(kind, Limits::default()).await
}

impl Served {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn arrival(&mut self) -> Arrival {
        timeout(PATIENCE, self.arrivals.recv()).await.expect("an arrival in time").unwrap()
    }

    async fn trouble(&mut self) -> Trouble {
        timeout(PATIENCE, self.notices.recv()).await.expect("a notice in time").unwrap().trouble
    }
}

async fn read<const N: usize>(socket: &mut TcpStream) -> [u8; N] {
    let mut bytes = [0; N];
    timeout(PATIENCE, socket.read_exact(&mut bytes)).await.expect("an answer in time").unwrap();
    bytes
}

async fn read_to_end(socket: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    timeout(PATIENCE, socket.read_to_end(&mut bytes)).await.expect("an end in time")?;
    Ok(bytes)
}

fn socks_request(command: u8, name: &str) -> Vec<u8> {
    [&[5, command, 0, 3, name.len() as u8][..], name.as_bytes(), &[0, 80]].concat()
}

async fn socks_connect(served: &Served, name: &str) -> TcpStream {
    let mut client = served.connect().await;
    client.write_all(&[5, 1, 0]).await.unwrap();
    assert_eq!(read::<2>(&mut client).await, [5, 0]);
    client.write_all(&socks_request(1, name)).await.unwrap();
    client
}

async fn http(served: &Served, head: &str) -> TcpStream {
    let mut client = served.connect().await;
    client.write_all(head.as_bytes()).await.unwrap();
    client
}

/// Both directions work and what the client sent early comes first.
async fn carry(arrival: Arrival, mut client: TcpStream, early: &[u8]) {
    let mut accepted = arrival.accept().await.unwrap();
    accepted.socket.write_all(b"pong").await.unwrap();
    assert_eq!(read::<4>(&mut client).await, *b"pong");
    client.write_all(b"ping").await.unwrap();
    let mut all = accepted.early.to_vec();
    while all.len() < early.len() + 4 {
        assert_ne!(timeout(PATIENCE, accepted.socket.read_buf(&mut all)).await.unwrap().unwrap(), 0);
    }
    assert_eq!(all, [early, b"ping"].concat());
}

#[tokio::test]
async fn a_listener_for_an_app_says_nothing() {
    let app = AppName::new("echo").unwrap();
    let mut served = serve(Kind::To(app.clone())).await;
    let client = served.connect().await;
    let arrival = served.arrival().await;
    assert_eq!(arrival.app, app);
    assert_eq!(arrival.client, client.local_addr().unwrap());
    carry(arrival, client, b"").await;
}

#[tokio::test]
async fn a_listener_for_an_app_resets_what_is_refused_or_forgotten() {
    let mut served = serve(Kind::To(AppName::new("echo").unwrap())).await;
    let mut client = served.connect().await;
    served.arrival().await.refuse(Refusal::NotAllowed).await;
    assert_eq!(read_to_end(&mut client).await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    let mut client = served.connect().await;
    drop(served.arrival().await);
    assert_eq!(read_to_end(&mut client).await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn socks_carries_data_after_the_answer() {
    let mut served = serve(Kind::Proxy).await;
    let mut client = socks_connect(&served, "Echo.MESH").await;
    let arrival = served.arrival().await;
    assert_eq!((arrival.app.as_str(), arrival.class), ("echo", None));
    let accepted = arrival.accept().await.unwrap();
    assert_eq!(read::<10>(&mut client).await, [5, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    drop(accepted);
    let mut client = socks_connect(&served, "echo").await;
    let accepted = served.arrival().await;
    let accepted = tokio::spawn(accepted.accept());
    assert_eq!(read::<10>(&mut client).await[1], 0);
    accepted.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_hasty_socks_client_loses_nothing() {
    let mut served = serve(Kind::Proxy).await;
    let mut client = served.connect().await;
    let all = [&[5, 1, 0][..], &socks_request(1, "echo.mesh"), b"early"].concat();
    client.write_all(&all).await.unwrap();
    let mut accepted = served.arrival().await.accept().await.unwrap();
    let mut data = accepted.early.to_vec();
    while data.len() < 5 {
        assert_ne!(timeout(PATIENCE, accepted.socket.read_buf(&mut data)).await.unwrap().unwrap(), 0);
    }
    assert_eq!(data, b"early");
    assert_eq!(read::<12>(&mut client).await, [5, 0, 5, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
}

#[tokio::test]
async fn a_socks_client_that_sends_byte_by_byte_is_understood() {
    let mut served = serve(Kind::Proxy).await;
    let mut client = served.connect().await;
    client.set_nodelay(true).unwrap();
    for byte in [&[5, 1, 0][..], &socks_request(1, "echo")].concat() {
        client.write_all(&[byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    assert_eq!(served.arrival().await.app.as_str(), "echo");
}

#[tokio::test]
async fn socks_refusals_have_their_codes() {
    let mut served = serve(Kind::Proxy).await;
    let expected = [2, 4, 4, 3, 5, 6, 1, 1];
    for (refusal, code) in Refusal::ALL.into_iter().zip(expected) {
        let mut client = socks_connect(&served, "echo.mesh").await;
        // Unread bytes must not turn the answer into a reset.
        client.write_all(b"unread").await.unwrap();
        let arrival = served.arrival().await;
        let refused = tokio::spawn(arrival.refuse(refusal));
        assert_eq!(read_to_end(&mut client).await.unwrap(), [5, code, 0, 1, 0, 0, 0, 0, 0, 0], "{refusal:?}");
        drop(client);
        refused.await.unwrap();
    }
}

#[tokio::test]
async fn socks_reaches_nothing_but_the_mesh() {
    let mut served = serve(Kind::Proxy).await;
    let cases = [
        (socks_request(1, "example.com"), 4),
        (socks_request(2, "echo.mesh"), 7),
        (socks_request(9, "echo.mesh"), 7),
        (vec![5, 1, 0, 1, 10, 0, 0, 1, 0, 80], 2),
        (vec![5, 1, 0, 7, 10, 0, 0, 1, 0, 80], 8),
    ];
    for (request, code) in cases {
        let mut client = served.connect().await;
        client.write_all(&[5, 1, 0]).await.unwrap();
        assert_eq!(read::<2>(&mut client).await, [5, 0]);
        client.write_all(&request).await.unwrap();
        assert_eq!(read_to_end(&mut client).await.unwrap()[1], code, "{request:?}");
        let trouble = served.trouble().await;
        match code {
            4 => assert_eq!(trouble, Trouble::ForeignName("example.com".into())),
            2 => assert_eq!(trouble, Trouble::RawAddress("10.0.0.1".into())),
            7 => assert!(matches!(trouble, Trouble::Unsupported(_))),
            _ => assert!(matches!(trouble, Trouble::Malformed(_))),
        }
    }
    assert!(served.arrivals.try_recv().is_err());
}

#[tokio::test]
async fn a_socks_client_that_insists_on_a_password_is_told() {
    let mut served = serve(Kind::Proxy).await;
    let mut client = served.connect().await;
    client.write_all(&[5, 1, 2]).await.unwrap();
    assert_eq!(read_to_end(&mut client).await.unwrap(), [5, 0xff]);
    assert_eq!(served.trouble().await, Trouble::Unsupported("SOCKS5 authentication"));
}

#[tokio::test]
async fn http_connect_carries_early_data() {
    let mut served = serve(Kind::Proxy).await;
    let head = "CONNECT ECHO.mesh:443 HTTP/1.1\r\nHost: x\r\nAire-Class: bulk\r\n\r\nearly";
    let mut client = http(&served, head).await;
    let arrival = served.arrival().await;
    assert_eq!((arrival.app.as_str(), arrival.class), ("echo", Some(Class::Bulk)));
    let mut accepted = arrival.accept().await.unwrap();
    let answer = b"HTTP/1.1 200 Connection established\r\n\r\n";
    assert_eq!(read::<39>(&mut client).await, *answer);
    client.shutdown().await.unwrap();
    let mut all = accepted.early.to_vec();
    timeout(PATIENCE, accepted.socket.read_to_end(&mut all)).await.unwrap().unwrap();
    assert_eq!(all, b"early");
    accepted.socket.write_all(b"late").await.unwrap();
    assert_eq!(read::<4>(&mut client).await, *b"late");
}

#[tokio::test]
async fn http_refusals_have_their_status() {
    let mut served = serve(Kind::Proxy).await;
    let expected = [403, 404, 503, 502, 502, 504, 503, 503];
    for (refusal, status) in Refusal::ALL.into_iter().zip(expected) {
        let mut client = http(&served, "CONNECT echo.mesh:80 HTTP/1.1\r\n\r\n").await;
        let refused = tokio::spawn(served.arrival().await.refuse(refusal));
        let answer = String::from_utf8(read_to_end(&mut client).await.unwrap()).unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{answer}");
        assert_eq!(body, format!("{refusal}\n"));
        drop(client);
        refused.await.unwrap();
    }
}

#[tokio::test]
async fn http_that_is_no_tunnel_into_the_mesh_is_told() {
    let mut served = serve(Kind::Proxy).await;
    let fat = format!("CONNECT echo:80 HTTP/1.1\r\nX: {}", "x".repeat(9000));
    let cases = [
        ("GET http://echo.mesh/ HTTP/1.1\r\n\r\n", "HTTP/1.1 405 "),
        ("CONNECT example.com:443 HTTP/1.1\r\n\r\n", "HTTP/1.1 404 "),
        ("CONNECT 10.0.0.1:443 HTTP/1.1\r\n\r\n", "HTTP/1.1 403 "),
        ("CONNECT echo HTTP/1.1\r\n\r\n", "HTTP/1.1 400 "),
        ("HELLO\r\n\r\n", "HTTP/1.1 400 "),
        (fat.as_str(), "HTTP/1.1 431 "),
    ];
    for (request, status) in cases {
        let mut client = http(&served, request).await;
        let answer = String::from_utf8(read_to_end(&mut client).await.unwrap()).unwrap();
        assert!(answer.starts_with(status), "{request:.40}: {answer}");
        served.trouble().await;
    }
    assert!(served.arrivals.try_recv().is_err());
}

#[tokio::test]
async fn garbage_is_closed_without_an_answer() {
    let mut served = serve(Kind::Proxy).await;
    let socks4 = [4, 1, 0, 80, 10, 0, 0, 1, 0];
    let tls = [0x16, 3, 1, 0, 0];
    for bytes in [&socks4[..], &tls, b"\0\0\0\0", b"get / HTTP/1.1\r\n"] {
        let mut client = served.connect().await;
        client.write_all(bytes).await.unwrap();
        assert_eq!(read_to_end(&mut client).await.unwrap_or_default(), b"");
        assert!(matches!(served.trouble().await, Trouble::Malformed(_)));
    }
}

#[tokio::test]
async fn silent_and_slow_clients_are_closed() {
    let limits = Limits { pending: 4, handshake: Duration::from_millis(150), ..Limits::default() };
    let mut served = serve_with(Kind::Proxy, limits).await;
    for beginning in [&b""[..], &[5], &[5, 1, 0, 5, 1], b"CONNECT echo:80 HTTP/1.1\r\nHos"] {
        let mut client = served.connect().await;
        client.write_all(beginning).await.unwrap();
        assert!(read_to_end(&mut client).await.unwrap_or_default().len() <= 2);
        assert_eq!(served.trouble().await, Trouble::TooSlow);
    }
    let mut trickle = served.connect().await;
    let mut byte = tokio::time::interval(Duration::from_millis(20));
    let closed = async {
        loop {
            byte.tick().await;
            if trickle.write_all(b"C").await.is_err() {
                break;
            }
        }
    };
    timeout(PATIENCE, closed).await.expect("progress byte by byte does not extend the deadline");
}

#[tokio::test]
async fn pending_handshakes_are_bounded_and_places_come_back() {
    let limits = Limits { pending: 2, handshake: Duration::from_millis(300), ..Limits::default() };
    let mut served = serve_with(Kind::Proxy, limits).await;
    let silent = [served.connect().await, served.connect().await];
    assert_eq!(served.trouble().await, Trouble::Full(2));
    let client = http(&served, "CONNECT echo:80 HTTP/1.1\r\n\r\n").await;
    assert!(served.arrivals.try_recv().is_err(), "no place yet");
    assert_eq!(served.arrival().await.app.as_str(), "echo");
    drop((silent, client));
}

#[tokio::test]
async fn a_listener_ends_with_its_receiver_and_frees_the_address() {
    let served = serve(Kind::Proxy).await;
    let address = served.address;
    let pending = served.connect().await;
    drop(served.arrivals);
    timeout(PATIENCE, served.running).await.expect("the listener ends").unwrap();
    Listener::bind(Kind::Proxy, address).await.unwrap();
    drop(pending);
}

#[tokio::test]
async fn bind_errors_say_what_to_do() {
    let first = Listener::bind(Kind::Proxy, "127.0.0.1:0".parse().unwrap()).await.unwrap();
    let error = Listener::bind(Kind::Proxy, first.address()).await.unwrap_err();
    assert!(matches!(error, BindError::InUse(address) if address == first.address()));
    let error = Listener::bind(Kind::Proxy, "192.0.2.1:0".parse().unwrap()).await.unwrap_err();
    assert!(matches!(error, BindError::NoSuchAddress(_)), "{error}");
}

#[tokio::test]
async fn first_words_stay_until_they_are_taken_away() {
    let mut served = serve(Kind::To(AppName::new("echo").unwrap())).await;
    let mut client = served.connect().await;
    client.write_all(b"hello").await.unwrap();
    let mut arrival = served.arrival().await;
    for _ in 0..2 {
        let words = timeout(PATIENCE, arrival.first_words(64)).await.expect("words in time");
        assert_eq!(&words[..], b"hello");
    }
    arrival.forget_words(3).await.unwrap();
    let mut accepted = arrival.accept().await.unwrap();
    assert_eq!(&read::<2>(&mut accepted.socket).await, b"lo");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn arrivals_are_in_the_order_of_connecting() {
    let mut served = serve(Kind::To(AppName::new("echo").unwrap())).await;
    let mut clients = Vec::new();
    for _ in 0..50 {
        clients.push(served.connect().await);
    }
    for client in &clients {
        assert_eq!(served.arrival().await.client, client.local_addr().unwrap());
    }
}
