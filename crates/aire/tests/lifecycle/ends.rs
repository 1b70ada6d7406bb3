//! How connections end, block and fail.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use aire_lab::emulate::free_addresses;

use crate::stage::{Mesh, is_reset, read_out, service, socks_reply, wait_for};

#[test]
fn each_direction_ends_by_itself() {
    let mesh = Mesh::new();
    // Answers after the end of the question; and, for an empty question, ends first and reads on.
    let (told, heard) = mpsc::channel();
    let target = service(move |mut stream| {
        let mut first = [0];
        stream.read_exact(&mut first).unwrap();
        if first == *b"q" {
            let question = read_out(&mut stream).unwrap();
            stream.write_all(&[b"you said ", &question[..]].concat()).unwrap();
        } else {
            stream.shutdown(Shutdown::Write).unwrap();
            told.send(read_out(&mut stream).unwrap()).unwrap();
        }
    });
    let [_hub, _server, client] = mesh.trio(target, "", "patience_s = 2");
    let mut asking = TcpStream::connect(client.door).unwrap();
    asking.write_all(b"qhello").unwrap();
    asking.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_out(&mut asking).unwrap(), b"you said hello");

    let mut telling = TcpStream::connect(client.door).unwrap();
    telling.write_all(b"t").unwrap();
    assert_eq!(read_out(&mut telling).unwrap(), b"");
    telling.write_all(b"and more").unwrap();
    telling.shutdown(Shutdown::Write).unwrap();
    assert_eq!(heard.recv_timeout(Duration::from_secs(10)).unwrap(), b"and more");
    wait_for("the end of all streams", || {
        (client.document("/api/v1/status")["streams"]["open"] == 0).then_some(())
    });
    assert_eq!(client.document("/api/v1/status")["streams"]["reset"], 0);
}

#[test]
fn a_killed_destination_is_a_reset_on_both_sides() {
    let mesh = Mesh::new();
    let (told, heard) = mpsc::channel();
    let target = service(move |mut stream| {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        stream.write_all(&byte).unwrap();
        let _ = told.send(read_out(&mut stream));
    });
    let [_hub, mut server, client] = mesh.trio(target, "", "patience_s = 2");
    let mut running = client.connect();
    let killed = Instant::now();
    server.kill();
    let end = heard.recv_timeout(Duration::from_secs(10)).unwrap();
    assert!(is_reset(&end), "a reset and not {end:?}");
    // Nobody comes back, so the source gives up when its patience ends, and not before.
    let end = read_out(&mut running);
    assert!(is_reset(&end), "a reset and not {end:?}");
    let waited = killed.elapsed();
    let patience = Duration::from_secs(2);
    assert!((patience..patience + Duration::from_millis(1500)).contains(&waited), "reset after {waited:?}");
}

#[test]
fn a_reader_that_stops_blocks_the_writer_and_not_memory() {
    const BLOCK: usize = 64 * 1024;
    let mesh = Mesh::new();
    let (go, gate) = mpsc::channel::<()>();
    let gate = std::sync::Arc::new(std::sync::Mutex::new(gate));
    let (told, heard) = mpsc::channel();
    let target = service(move |mut stream| {
        gate.lock().unwrap().recv().unwrap();
        told.send(read_out(&mut stream).map(|all| all.len())).unwrap();
    });
    let [_hub, server, client] = mesh.trio(target, "", "patience_s = 2");
    let fill = || {
        let mut stream = TcpStream::connect(client.door).unwrap();
        // Blocked is who gets nothing written for a second.
        stream.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
        let mut written = 0;
        while let Ok(bytes) = stream.write(&[7; BLOCK]) {
            written += bytes;
            assert!(written < 256 << 20, "nothing holds the writer back");
        }
        (stream, written)
    };
    let before = [server.resident(), client.resident()];
    let (mut stream, written) = fill();
    for (agent, before) in [&server, &client].into_iter().zip(before) {
        let grown = agent.resident().saturating_sub(before);
        assert!(grown < 64 * 1024, "{grown} KiB for one blocked stream");
    }
    go.send(()).unwrap();
    stream.set_write_timeout(None).unwrap();
    stream.write_all(b"the end").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(heard.recv_timeout(Duration::from_secs(20)).unwrap().unwrap(), written + 7);

    // A blocked application that resets its connection is noticed, though nothing is read or written.
    let (stream, _) = fill();
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    drop(stream);
    wait_for("the end of the stream", || {
        (client.document("/api/v1/status")["streams"]["open"] == 0).then_some(())
    });
    go.send(()).unwrap();
    let end = heard.recv_timeout(Duration::from_secs(20)).unwrap();
    assert!(is_reset(&end), "a reset and not {end:?}");
}

#[test]
fn the_proxy_says_what_became_of_the_target() {
    let mesh = Mesh::new();
    let target = free_addresses(1).unwrap()[0];
    let [_hub, _server, client] = mesh.trio(target, "", "patience_s = 2");
    const REFUSED: u8 = 5;
    let (code, _) = wait_for("the refusal", || socks_reply(client.proxy).ok());
    assert_eq!(code, REFUSED);
    // A queue that is full and never served: connections to it hang.
    let listener = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    listener.set_reuse_address(true).unwrap();
    listener.bind(&target.into()).unwrap();
    listener.listen(0).unwrap();
    let listener: TcpListener = listener.into();
    let _queued: Vec<_> =
        (0..4).map_while(|_| TcpStream::connect_timeout(&target, Duration::from_millis(300)).ok()).collect();
    const EXPIRED: u8 = 6;
    let begin = Instant::now();
    assert_eq!(socks_reply(client.proxy).unwrap(), EXPIRED);
    assert!(begin.elapsed() < Duration::from_secs(10));
    drop(listener);
}
