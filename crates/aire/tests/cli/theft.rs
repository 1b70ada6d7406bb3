//! Keys of circuits in the hands of others.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use aire_types::Path;
use aire_wire::{Frame, StreamId};

use crate::breaches::{Scene, by, open};
use crate::hostile::{address_of, nothing_left};
use crate::intruders::{event, says};
use crate::stage::{read_out, wait_for};

fn opened(frame: &Frame) -> Option<()> {
    matches!(frame, Frame::Opened { .. }).then_some(())
}

/// From another address, with preambles that are right and no TLS behind them; returns when the connection has ended.
fn knock_from_elsewhere(at: SocketAddr, preambles: &[u8]) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let elsewhere: SocketAddr = "127.0.0.2:0".parse().unwrap();
    socket.bind(&elsewhere.into()).unwrap();
    socket.connect(&at.into()).unwrap();
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.write_all(&[preambles, &[22, 3, 1, 0, 4, 255, 255, 255, 255]].concat()).unwrap();
    read_out(&mut stream);
}

#[test]
fn a_stolen_key_and_a_replayed_preamble_buy_nothing() {
    let scene = Scene::new();
    let mut owner = scene.rogue("owner");
    let circuit = owner.circuit(1, "web", "w");
    let thief = scene.rogue("thief");
    let before = scene.web.footprint().0;

    // The thief has the key and an identity, but not that of the circuit.
    let mut carrier = thief.carrier(&circuit, 1).unwrap();
    assert!(thief.read(&mut carrier, |_| None::<()>).is_err());
    event(&scene.web, "stranger-rejected", by("thief", "stolen"));

    // Somebody at another address who has the key alone fails TLS, more often than the circuit may have carriers.
    (2..80).for_each(|counter| knock_from_elsewhere(scene.at, &circuit.preambles(counter)));
    event(&scene.web, "stranger-rejected", |event| {
        says("who", "127.0.0.2:")(event) && says("what", "handshake")(event)
    });

    // A preamble that was seen on its way opens nothing again.
    let replayed = owner.carrier(&circuit, 5).map(|_| ());
    assert!(replayed.is_err(), "a counter was accepted twice");
    event(&scene.web, "stranger-rejected", says("what", "counter"));

    // The owner's carriers find the lease as it was.
    let mut carrier = owner.join_new(&circuit, 100);
    owner.write(&mut carrier, vec![open(1)]);
    owner.read(&mut carrier, opened).unwrap();
    drop(carrier);
    drop((owner, thief));
    nothing_left(&scene.web, before);
}

#[test]
fn a_key_stolen_from_a_circuit_buys_nothing_at_its_relay() {
    let scene = Scene::new();
    let relay = scene.mesh.member("r1", &["--relay"], "", &[]);
    let at = address_of(&scene.mesh, "r1");
    let (mut owner, thief) = (scene.rogue_at("owner", at), scene.rogue_at("thief", at));
    let (mut id, path) = (0, Path::via("r1".parse().unwrap()));
    // The relay needs a link to the destination first.
    let circuit = wait_for("a circuit over the relay", || {
        id += 1;
        owner.circuit_along(path.clone(), id, "web", "w").ok()
    });
    let agents = [&scene.web, &relay];
    let before = agents.map(|agent| agent.footprint().0);
    let mut carrier = owner.join_new(&circuit, 1);
    owner.write(&mut carrier, vec![open(1)]);
    owner.read(&mut carrier, opened).unwrap();

    // With the relay's key alone, with all keys, and with all keys but without an identity.
    assert!(thief.carrier(&circuit.stolen_at_first_hop(), 2).is_err());
    event(&scene.web, "stranger-rejected", says("what", "MAC is wrong"));
    let mut stolen = thief.carrier(&circuit, 3).unwrap();
    assert!(thief.read(&mut stolen, |_| None::<()>).is_err());
    event(&scene.web, "stranger-rejected", by("thief", "stolen"));
    (4..80).for_each(|counter| knock_from_elsewhere(at, &circuit.preambles(counter)));
    event(&scene.web, "stranger-rejected", says("what", "handshake"));
    assert!(owner.carrier(&circuit, 5).is_err(), "a counter was accepted twice");
    event(&relay, "stranger-rejected", says("what", "counter"));

    // The owner's stream goes on, and the lease has room for another carrier.
    let request = bytes::Bytes::from_static(b"GET / HTTP/1.1\r\nHost: web\r\n\r\n");
    owner.write(&mut carrier, vec![Frame::Data { stream: StreamId(1), offset: 0, bytes: request }]);
    let mut answer = Vec::new();
    while !String::from_utf8_lossy(&answer).contains("it works") {
        let data = |frame: &Frame| match frame {
            Frame::Data { bytes, .. } => Some(bytes.to_vec()),
            _ => None,
        };
        answer.extend(owner.read(&mut carrier, data).unwrap());
    }
    drop(owner.join_new(&circuit, 100));
    drop((carrier, stolen, owner, thief));
    for (agent, before) in agents.into_iter().zip(before) {
        nothing_left(agent, before);
    }
}
