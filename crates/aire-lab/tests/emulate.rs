//! The emulated underlay, with sockets. Needs no privilege.
#![allow(clippy::unwrap_used)]

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use aire_lab::LinkShape;
use aire_lab::emulate::{Emulator, Place, free_addresses};
use aire_lab::workload::{Bulk, Messages, PingPong, Server};

/// Two places a and b with their real addresses.
fn pair(shape: LinkShape) -> (Emulator, SocketAddr, SocketAddr) {
    let addresses = free_addresses(2).unwrap();
    let places = ["a", "b"].iter().zip(&addresses);
    let places = places.map(|(name, &address)| Place { name: (*name).to_owned(), address }).collect();
    (Emulator::start(places, shape).unwrap(), addresses[0], addresses[1])
}

#[test]
fn the_map_leads_from_real_to_emulated_addresses() {
    let (emulator, a, b) = pair(LinkShape::default());
    assert_eq!(emulator.map_for("a").unwrap().dial(b), emulator.address("a", "b").unwrap());
    assert_eq!(emulator.map_for("b").unwrap().dial(a), emulator.address("b", "a").unwrap());
    assert_ne!(emulator.address("a", "b").unwrap(), emulator.address("b", "a").unwrap());
    assert!(emulator.address("a", "a").is_err());
}

#[test]
fn bytes_take_both_delays_and_opening_takes_a_round_trip() {
    let (emulator, _, b) = pair(LinkShape::delay(20.0));
    emulator.set("b", "a", LinkShape::delay(40.0)).unwrap();
    let _server = Server::start(b).unwrap();
    let to = emulator.address("a", "b").unwrap();
    let start = Instant::now();
    let report = PingPong::new(to, Duration::from_millis(700)).run().unwrap();
    assert!((59.0..70.0).contains(&report.latency_ms.min), "{report:?}");
    // Opening, then the first exchange.
    assert!(report.latency_ms.max >= 119.0, "{report:?}");
    assert!(start.elapsed() >= Duration::from_millis(700));
}

#[test]
fn the_rate_holds_and_nothing_is_damaged() {
    let (emulator, _, b) = pair(LinkShape::delay(10.0).mbps(50.0));
    let _server = Server::start(b).unwrap();
    let report = Bulk::new(emulator.address("a", "b").unwrap(), 8_000_000).run().unwrap();
    assert!(report.intact, "{report:?}");
    assert!((30.0..55.0).contains(&report.mbps), "{report:?}");
}

#[test]
fn loss_slows_a_stream_and_damages_nothing() {
    let (emulator, _, b) = pair(LinkShape::delay(5.0).mbps(50.0).loss(0.05));
    let _server = Server::start(b).unwrap();
    let report = Bulk::new(emulator.address("a", "b").unwrap(), 3_000_000).run().unwrap();
    assert!(report.intact && report.mbps < 27.0, "{report:?}");
}

#[test]
fn it_carries_a_fast_stream() {
    let (emulator, _, b) = pair(LinkShape::delay(3.0));
    let _server = Server::start(b).unwrap();
    let report = Bulk::new(emulator.address("a", "b").unwrap(), 100_000_000).run().unwrap();
    let _ = writeln!(std::io::stderr(), "emulator: {:.0} Mbit/s", report.mbps);
    assert!(report.intact && report.mbps > 150.0, "{report:?}");
}

#[test]
fn a_cut_stalls_and_a_mend_resumes() {
    let (emulator, _, b) = pair(LinkShape::delay(5.0));
    let server = Server::start(b).unwrap();
    let messages = Messages::new(emulator.address("a", "b").unwrap(), Duration::from_millis(1500));
    let client = thread::spawn(move || messages.run());
    let waiting = Instant::now();
    while server.report().messages < 10 {
        assert!(waiting.elapsed() < Duration::from_secs(10), "no message arrived");
        thread::sleep(Duration::from_millis(5));
    }
    emulator.isolate("b", true).unwrap();
    thread::sleep(Duration::from_millis(500));
    emulator.isolate("b", false).unwrap();
    let report = client.join().unwrap().unwrap();
    assert_eq!((report.lost, report.resets, report.repeated, report.reordered), (0, 0, 0, 0), "{report:?}");
    assert!(report.longest_stall_ms >= 450.0, "{}", report.longest_stall_ms);
}

#[test]
fn a_silent_receiver_stops_the_sender() {
    let (emulator, _, b) = pair(LinkShape::delay(5.0).mbps(100.0));
    let listener = TcpListener::bind(b).unwrap();
    let mut stream = TcpStream::connect(emulator.address("a", "b").unwrap()).unwrap();
    let (_held, _) = listener.accept().unwrap();
    stream.set_write_timeout(Some(Duration::from_millis(700))).unwrap();
    let block = vec![1u8; 65_536];
    let mut written = 0usize;
    let stopped = loop {
        match stream.write(&block) {
            Ok(bytes) => written += bytes,
            Err(error) => break error.kind(),
        }
        assert!(written < 64 << 20, "{written} bytes were taken that nobody reads");
    };
    assert!(matches!(stopped, ErrorKind::WouldBlock | ErrorKind::TimedOut), "{stopped}");
}

#[test]
fn an_end_arrives_as_an_end_and_a_reset_as_a_reset() {
    let (emulator, _, b) = pair(LinkShape::delay(15.0));
    let listener = TcpListener::bind(b).unwrap();
    let to = emulator.address("a", "b").unwrap();
    let open = || (TcpStream::connect(to).unwrap(), listener.accept().unwrap().0);

    let (mut near, mut far) = open();
    near.write_all(b"last words").unwrap();
    near.shutdown(std::net::Shutdown::Write).unwrap();
    let mut text = String::new();
    far.read_to_string(&mut text).unwrap();
    assert_eq!(text, "last words");
    // The other half still works.
    far.write_all(b"answer").unwrap();
    drop(far);
    text.clear();
    near.read_to_string(&mut text).unwrap();
    assert_eq!(text, "answer");

    let (near, mut far) = open();
    far.write_all(b"unread").unwrap();
    thread::sleep(Duration::from_millis(60));
    // Closing with unread bytes resets.
    drop(near);
    far.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let error = far.read(&mut [0u8; 8]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
}

#[test]
fn a_place_that_does_not_listen_resets_after_a_round_trip() {
    let (emulator, _, _) = pair(LinkShape::delay(25.0));
    let start = Instant::now();
    let mut stream = TcpStream::connect(emulator.address("a", "b").unwrap()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    assert_eq!(stream.read(&mut [0u8; 8]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert!(start.elapsed() >= Duration::from_millis(49), "{:?}", start.elapsed());
}

#[test]
fn datagrams_take_their_time_are_lost_and_can_be_answered() {
    let (emulator, a, b) = pair(LinkShape::delay(20.0));
    let (near, far) = (UdpSocket::bind(a).unwrap(), UdpSocket::bind(b).unwrap());
    for socket in [&near, &far] {
        socket.set_read_timeout(Some(Duration::from_millis(400))).unwrap();
    }
    let mut buffer = [0u8; 64];
    let start = Instant::now();
    near.send_to(b"ping", emulator.address("a", "b").unwrap()).unwrap();
    let (length, from) = far.recv_from(&mut buffer).unwrap();
    assert_eq!(from, emulator.address("b", "a").unwrap());
    far.send_to(&buffer[..length], from).unwrap();
    let (length, from) = near.recv_from(&mut buffer).unwrap();
    assert_eq!((&buffer[..length], from), (&b"ping"[..], emulator.address("a", "b").unwrap()));
    assert!(start.elapsed() >= Duration::from_millis(39), "{:?}", start.elapsed());

    emulator.set("a", "b", LinkShape::delay(1.0).loss(0.5)).unwrap();
    let to = emulator.address("a", "b").unwrap();
    // In turns with the receiver below, whose kernel buffer is small.
    let sending = thread::spawn(move || {
        for i in 0..400 {
            near.send_to(b"x", to).unwrap();
            if i % 20 == 0 {
                thread::sleep(Duration::from_millis(2));
            }
        }
        near
    });
    let received = std::iter::from_fn(|| far.recv(&mut buffer).ok()).count();
    assert!((140..260).contains(&received), "{received} of 400");
    let near = sending.join().unwrap();

    emulator.set("a", "b", LinkShape { drop_udp: true, ..LinkShape::default() }).unwrap();
    near.send_to(b"x", emulator.address("a", "b").unwrap()).unwrap();
    assert!(far.recv(&mut buffer).is_err());
}
