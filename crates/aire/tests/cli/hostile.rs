//! Garbage from anybody, at once and byte by byte: every connection ends, somebody is told, and nothing is left.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use crate::intruders::{Mesh, addresses, event, json, says};
use crate::stage::{Agent, get, read_out, wait_for};

/// The address of a node as the hub knows it.
pub(crate) fn address_of(mesh: &Mesh, node: &str) -> SocketAddr {
    wait_for("the node's address", || {
        let peers = json(&mesh.hub, "peers");
        let peer = peers.as_array()?.iter().find(|peer| peer["node"] == node)?.clone();
        peer["addresses"].as_array()?.iter().find_map(|address| address.as_str()?.parse().ok())
    })
}

/// The sockets that a test opened are gone again.
pub(crate) fn nothing_left(agent: &Agent, before: usize) {
    wait_for("closed sockets", || (agent.footprint().0 <= before + 4).then_some(()));
}

/// Opens connections that send one byte now and then, until all were closed by the other end.
fn drip(at: SocketAddr, byte: u8, connections: usize, most: Duration) {
    let mut open: Vec<TcpStream> = (0..connections).map(|_| TcpStream::connect(at).unwrap()).collect();
    open.iter().for_each(|stream| stream.set_nonblocking(true).unwrap());
    let deadline = Instant::now() + most;
    while !open.is_empty() {
        open.retain_mut(|stream| {
            let _ = stream.write(&[byte]);
            match stream.read(&mut [0; 64]) {
                Ok(0) => false,
                Ok(_) => true,
                Err(error) => error.kind() == std::io::ErrorKind::WouldBlock,
            }
        });
        assert!(Instant::now() < deadline, "{} connections to {at} still stand", open.len());
        thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn garbage_and_slow_garbage_end_at_every_port() {
    let mesh = Mesh::create("prod", &[]);
    let [socks, door] = addresses();
    let (proxy, to) = (socks.to_string(), format!("web={door}"));
    let agent = mesh.member("c", &["--app", "client"], "", &["--socks", &proxy, "--to", &to]);
    let (at, admin) = (address_of(&mesh, "c"), agent.admin.parse::<SocketAddr>().unwrap());
    let (fds, kib) = agent.footprint();

    // UDP: neither QUIC nor anything, in all lengths, and what looks like the beginning of QUIC.
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut state = 1_u64;
    let mut noise = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u8
    };
    for length in 0..1400 {
        let mut datagram: Vec<u8> = (0..length).map(|_| noise()).collect();
        if length > 5 && length % 2 == 0 {
            datagram[..5].copy_from_slice(&[0xc3, 0, 0, 0, 1]);
        }
        let _ = udp.send_to(&datagram, at);
    }

    // TCP: whole garbage at once, on every port.
    for port in [at, socks, admin] {
        let mut stream = TcpStream::connect(port).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let garbage: Vec<u8> = (0..4000).map(|_| noise()).collect();
        let _ = stream.write_all(&garbage);
        assert!(read_out(&mut stream).len() < 1000, "{port} answers garbage at length");
    }
    // Nobody serves the app: a connection to its door ends, whatever it sends.
    drip(door, b'x', 5, Duration::from_secs(90));
    // Byte by byte: a preamble, a handshake with the proxy, a request to the admin API.
    drip(at, b'A', 40, Duration::from_secs(60));
    drip(socks, 5, 40, Duration::from_secs(90));
    drip(admin, b'G', 20, Duration::from_secs(90));
    event(&agent, "stranger-rejected", says("who", "127.0.0.1:"));

    nothing_left(&agent, fds);
    let grown = agent.footprint().1.saturating_sub(kib);
    assert!(grown < 64 * 1024, "{grown} KiB more than before");
    assert_eq!(get(admin, "/healthz").unwrap().0, 200);
}
