//! Members that break the protocol, fall silent, flood and lie: what each gets, who is told, and that nothing is left.

use std::io::Write;
use std::net::SocketAddr;
use std::time::Instant;

use aire_identity::EnrolRequest;
use aire_types::{Class, Incarnation, NodeProfile, Protocol};
use aire_wire::{
    CarrierClose, CircuitClose, CircuitId, Frame, Message, Record, RecordBody, RefusalCode, StreamId,
};
use serde_json::Value;

use crate::hostile::{address_of, nothing_left};
use crate::intruders::{Mesh, addresses, event, json, says};
use crate::rogue::{Rogue, join};
use crate::stage::{Agent, get, read_out, service, wait_for};

const PERMIT: &str =
    r#"permit(principal == App::"client", action == Action::"connect", resource == App::"web");"#;

/// A mesh whose node `w` serves the app `web`, and the door of an honest client of it.
pub(crate) struct Scene {
    pub(crate) mesh: Mesh,
    pub(crate) web: Agent,
    pub(crate) at: SocketAddr,
    client: Agent,
    door: SocketAddr,
}

impl Scene {
    pub(crate) fn new() -> Self {
        let mesh = Mesh::create("prod", &[]);
        let target = format!("web={}", service("200 OK", "it works"));
        let web = mesh.member("w", &["--app", "web"], PERMIT, &["--app", &target]);
        let at = address_of(&mesh, "w");
        let [door] = addresses();
        let to = format!("web={door}");
        let client =
            mesh.member("c", &["--app", "client"], "", &["--app", "client=127.0.0.1:9", "--to", &to]);
        let scene = Scene { mesh, web, at, client, door };
        wait_for("an answer", || get(door, "/").ok());
        scene
    }

    pub(crate) fn rogue(&self, node: &str) -> Rogue {
        self.rogue_at(node, self.at)
    }

    /// The same with a link to this victim.
    pub(crate) fn rogue_at(&self, node: &str, victim: SocketAddr) -> Rogue {
        Rogue::join(&self.mesh, node, &["--app", "client"], &["--app", "client=127.0.0.1:9"], victim)
    }

    /// The honest are alive and serve each other.
    fn goes_on(&self) {
        assert_eq!(get(self.door, "/").unwrap(), (200, "it works".to_owned()));
        for agent in [&self.web, &self.client, &self.mesh.hub] {
            assert_eq!(json(agent, "status")["ready"], true);
        }
        wait_for("empty ledgers", || (json(&self.web, "status")["streams"]["open"] == 0).then_some(()));
    }
}

pub(crate) fn by<'a>(node: &'a str, part: &'a str) -> impl Fn(&Value) -> bool + 'a {
    move |event| event["who"] == node && says("what", part)(event)
}

pub(crate) fn open(stream: u64) -> Frame {
    let app = "web".parse().unwrap();
    Frame::Open { stream: StreamId(stream), class: Class::Bulk, protocol: Protocol::Tcp, app }
}

#[test]
fn a_peer_that_breaks_the_protocol_is_named_and_loses_its_association() {
    let scene = Scene::new();
    let mut rogue = scene.rogue("evil");
    let circuit = rogue.circuit(1, "web", "w");
    let stream = StreamId(1);
    let bytes = bytes::Bytes::from_static(&[7; 1000]);
    let far = Frame::Data { stream, offset: 1 << 40, bytes: bytes.clone() };
    let breaches = [
        ("credit", vec![open(1), far]),
        ("acknowledges", vec![Frame::CarrierAck { bytes: 1 << 40, delay_us: 0 }]),
        ("OPENED", vec![Frame::Opened { stream }]),
        (
            "end of stream",
            vec![open(1), Frame::Fin { stream, offset: 10 }, Frame::Data { stream, offset: 0, bytes }],
        ),
    ];
    let before = scene.web.footprint().0;
    for (counter, (word, frames)) in (1..).zip(breaches) {
        let mut carrier = rogue.join_new(&circuit, counter);
        rogue.write(&mut carrier, frames);
        let close = |frame: &Frame| match frame {
            Frame::Close { code, reason } => Some((*code, reason.clone())),
            _ => None,
        };
        let closed = rogue.read(&mut carrier, close).unwrap();
        assert_eq!(closed.0, CarrierClose::Protocol, "{word}: {closed:?}");
        event(&scene.web, "message-rejected", by("evil", word));
    }
    nothing_left(&scene.web, before);
    scene.goes_on();
}

fn encoded(frames: &[Frame]) -> Vec<u8> {
    let mut out = Vec::new();
    for frame in frames {
        frame.encode_head(&mut out);
        if let Frame::Data { bytes, .. } = frame {
            out.extend_from_slice(bytes);
        }
    }
    out
}

#[test]
fn frames_that_are_too_long_cut_off_or_out_of_turn_end_with_their_carrier() {
    let scene = Scene::new();
    let mut rogue = scene.rogue("evil");
    let circuit = rogue.circuit(1, "web", "w");
    let before = scene.web.footprint().0;
    let joined = |more: &[u8]| [&encoded(&[join(9)]), more].concat();
    // 1 GiB of one stream's bytes are announced: type, stream, offset, length.
    let endless = [&[6, 1, 0][..], &(0xc000_0000_4000_0000_u64).to_be_bytes()].concat();
    for (counter, (word, bytes)) in (1..).zip([
        ("at most", joined(&endless)),
        ("at most", endless.clone()),
        ("unknown value", joined(&[0x7f; 10])),
        ("unknown value", vec![0x7f; 10]),
        ("not JOIN", encoded(&[open(1), join(9)])),
        ("JOIN", joined(&encoded(&[join(9)]))),
    ]) {
        let mut session = rogue.session(&circuit, counter);
        session.write_all(&bytes).unwrap();
        read_out(&mut session);
        event(&scene.web, "message-rejected", by("evil", word));
    }
    // Cut off anywhere, without an end of the session.
    let whole = encoded(&[join(10), open(1)]);
    for (counter, length) in (20..).zip([0, 1, 30, whole.len() - 1]) {
        let mut session = rogue.session(&circuit, counter);
        session.write_all(&whole[..length]).unwrap();
        session.sock.shutdown(std::net::Shutdown::Both).unwrap();
    }
    nothing_left(&scene.web, before + 1);
    drop(rogue);
    scene.goes_on();
}

#[test]
fn a_message_that_is_too_long_ends_the_link_and_is_told() {
    let scene = Scene::new();
    let rogue = scene.rogue("evil");
    let mut session = rogue.link_session();
    // Kind and length, and more than either end takes at once.
    let _ = session.write_all(&[&[1, 0, 1, 0, 1][..], &[7; 65_537]].concat());
    read_out(&mut session);
    event(&scene.web, "message-rejected", by("evil", "length 65537"));
    scene.goes_on();
}

#[test]
fn whoever_falls_silent_after_its_handshake_is_cut_off() {
    let scene = Scene::new();
    let mut rogue = scene.rogue("mute");
    let circuit = rogue.circuit(1, "web", "w");
    let agents = [&scene.web, &scene.mesh.hub];
    let before = agents.map(|agent| agent.footprint().0);
    let begin = Instant::now();
    let carriers = (1..=8).map(|counter| rogue.session(&circuit, counter));
    let enrolments = (0..8).map(|_| rogue.enrolment(scene.mesh.seed));
    let mut sessions: Vec<_> = carriers.chain(enrolments).collect();
    for session in &mut sessions {
        session.conn.complete_io(&mut session.sock).unwrap();
    }
    // A carrier without JOIN, and an enrolment without a request.
    for (half, least, most) in [(0..8, 4, 10), (8..16, 8, 20)] {
        sessions[half].iter_mut().for_each(|session| drop(read_out(session)));
        let silent = begin.elapsed().as_secs();
        assert!((least..most).contains(&silent), "{silent} s, and not from {least} to {most}");
    }
    for (agent, before) in agents.into_iter().zip(before) {
        nothing_left(agent, before);
    }
    scene.goes_on();
}

#[test]
fn frames_in_any_order_and_twice_are_one_stream() {
    let scene = Scene::new();
    let mut rogue = scene.rogue("odd");
    let circuit = rogue.circuit(1, "web", "w");
    let mut carrier = rogue.join_new(&circuit, 1);
    let request = b"GET / HTTP/1.1\r\nHost: web\r\n\r\n";
    let piece = |from: usize, to: usize| Frame::Data {
        stream: StreamId(1),
        offset: from as u64,
        bytes: bytes::Bytes::copy_from_slice(&request[from..to]),
    };
    let end = request.len();
    let frames = vec![piece(20, end), piece(20, end), piece(0, 7), open(1), open(1), piece(3, 25)];
    rogue.write(&mut carrier, frames);
    let mut answer = Vec::new();
    while !String::from_utf8_lossy(&answer).contains("it works") {
        let data = |frame: &Frame| match frame {
            Frame::Data { bytes, .. } => Some(bytes.to_vec()),
            _ => None,
        };
        answer.extend(rogue.read(&mut carrier, data).unwrap());
    }
}

#[test]
fn clocks_that_disagree_are_borne_for_an_hour_and_then_named() {
    let scene = Scene::new();
    let mut rogue = scene.rogue("late");
    for (id, (minutes, granted)) in (1..).zip([(0, true), (-50, true), (50, true), (-90, false), (90, false)])
    {
        rogue.clock_off_s = minutes * 60;
        rogue.say(&rogue.request(id, "web", "w").0);
        match rogue.answer() {
            Ok(_) => assert!(granted, "{minutes} minutes"),
            Err(refusal) => {
                assert!(!granted, "{minutes} minutes: {refusal:?}");
                assert_eq!(refusal.code, RefusalCode::BadRequest);
                assert!(refusal.reason.contains("are the clocks right?"), "{refusal:?}");
            }
        }
    }
    scene.goes_on();
}

/// Asks for circuits without end, for as many as one source may have.
fn flood_circuits(flood: &mut Rogue) {
    let mut refused = 0;
    for id in 1..=80 {
        flood.say(&flood.request(id, "web", "w").0);
        match flood.answer() {
            Ok(_) => assert_eq!(refused, 0, "a circuit beyond the limit"),
            Err(refusal) => {
                assert_eq!(refusal.code, RefusalCode::Capacity, "{refusal:?}");
                refused += 1;
            }
        }
    }
    assert_eq!(refused, 80 - 64);
}

/// Says what cannot be read, closes what it does not have, asks for everything, and tells records that are none.
fn flood_messages(flood: &Rogue) {
    for id in 0..200_u8 {
        flood.say_bytes(&[&[200, id][..], &[id; 3000]].concat());
        let code = CircuitClose::Policy;
        flood.say(&Message::CircuitClose { circuit: CircuitId([id; 16]), code, reason: "x".into() });
        flood.say(&Message::Introduce("c".parse().unwrap()));
        flood.say(&Message::DialBack { ticket: [id; 16], key: [id; 32] });
        flood.say(&Message::Want(vec!["w".parse().unwrap(); 500]));
    }
    let record = Record {
        certificates: flood.liar.svid.chain()[0].to_vec(),
        incarnation: Incarnation(u64::MAX),
        sequence: 1,
        ttl_s: 60,
        body: vec![b' '; 2000],
        signature: vec![1; 70],
    };
    for _ in 0..30 {
        flood.say(&Message::Gossip(vec![record.clone(); 20]));
    }
}

/// Joins associations over one circuit until one is refused.
fn flood_associations(flood: &mut Rogue) -> Option<(u64, CarrierClose)> {
    let circuit = flood.circuit(1, "web", "w");
    for counter in 1..=70 {
        let mut carrier = flood.carrier(&circuit, counter).unwrap();
        flood.write(&mut carrier, vec![join(counter as u8)]);
        let answer = |frame: &Frame| match frame {
            Frame::Joined { .. } => Some(None),
            Frame::Close { code, .. } => Some(Some(*code)),
            _ => None,
        };
        if let Some(code) = flood.read(&mut carrier, answer).unwrap() {
            return Some((counter, code));
        }
    }
    None
}

#[test]
fn a_member_that_floods_gets_what_it_may_have_and_no_more() {
    let scene = Scene::new();
    let mut flood = scene.rogue("flood");
    let (fds, kib) = scene.web.footprint();

    flood_circuits(&mut flood);
    assert_eq!(flood_associations(&mut flood), Some((65, CarrierClose::Limit)));
    event(&scene.web, "message-rejected", by("flood", "association"));
    flood_messages(&flood);
    event(&scene.web, "record-rejected", |event| event["who"] == "flood");
    event(&scene.web, "message-rejected", by("flood", "cannot be read"));
    scene.goes_on();

    drop(flood);
    nothing_left(&scene.web, fds);
    let grown = scene.web.footprint().1.saturating_sub(kib);
    assert!(grown < 64 * 1024, "{grown} KiB more than before");
    scene.goes_on();
}

#[test]
fn an_authority_answers_a_few_renewals_of_a_member_and_ignores_its_flood() {
    let mesh = Mesh::create("prod", &[]);
    let flood = Rogue::join(&mesh, "flood", &["--relay"], &[], mesh.seed);
    let (fds, kib) = mesh.hub.footprint();
    let identity = flood.liar.svid.identity().clone();
    let renewal = Message::Renewal(EnrolRequest::renewal(&identity, &flood.liar.key).unwrap().encode());
    for _ in 0..500 {
        flood.say(&renewal);
    }
    event(&mesh.hub, "enrolment-refused", by("flood", "too often"));
    drop(flood);
    nothing_left(&mesh.hub, fds);
    assert!(mesh.hub.footprint().1.saturating_sub(kib) < 32 * 1024);
    // Others are served as before.
    drop(mesh.member("r1", &["--relay"], "", &[]));
}

/// What a member says that would like to carry everything.
fn tempting() -> RecordBody {
    let node = NodeProfile {
        cpus: 512.0,
        memory_free_mib: 1 << 30,
        memory_mib: 1 << 30,
        bandwidth_limit_mbps: 1e12,
        relays: true,
        ..NodeProfile::default()
    };
    RecordBody { addresses: vec!["127.0.0.1:9".parse().unwrap()], node, ..RecordBody::default() }
}

#[test]
fn a_member_that_lies_about_itself_attracts_no_stream() {
    let scene = Scene::new();
    let client_at = address_of(&scene.mesh, "c");
    let liar = Rogue::join(&scene.mesh, "liar", &["--relay"], &[], client_at);
    let body = serde_json::to_value(tempting()).unwrap();
    liar.say(&Message::Gossip(vec![liar.record(1, body.to_string().as_bytes())]));
    wait_for("the lie at the client", || {
        let peers = json(&scene.client, "peers");
        let row = peers.as_array()?.iter().find(|row| row["node"] == "liar")?.clone();
        (row["addresses"] == Value::from(vec!["127.0.0.1:9"])).then_some(())
    });
    // Less than nothing and more than everything: numbers that no machine has.
    let lie = |sequence: u64, key: &str, value: &str| {
        let mut body = body.clone();
        body["node"][key] = Value::from("?");
        let text = body.to_string().replace("\"?\"", value);
        liar.say(&Message::Gossip(vec![liar.record(sequence, text.as_bytes())]));
    };
    for (sequence, (key, value)) in (2..).zip([
        ("cpu_load", "-1e300"),
        ("cpu_load", "1e300"),
        ("bandwidth_used_mbps", "-1e300"),
        ("cpus", "-0.0"),
        ("memory_mib", "0"),
    ]) {
        lie(sequence, key, value);
    }
    // Messages may overtake each other; the last one is always news.
    (10..13).for_each(|sequence| lie(sequence, "cpus", "1e999"));
    event(&scene.client, "record-rejected", |event| event["who"] == "liar");
    // It promises everything and grants nothing: whatever is asked of it is measured, not believed.
    for _ in 0..20 {
        scene.goes_on();
    }
    let routes = json(&scene.client, "routes");
    let web = routes.as_array().unwrap().iter().find(|row| row["app"] == "web").unwrap();
    assert!(!web["path"].to_string().contains("liar"), "{web}");
    let via = |row: &&Value| row["path"].to_string().contains("liar");
    let candidate = web["candidates"].as_array().unwrap().iter().find(via);
    assert!(candidate.is_none_or(|row| row["rtt_ms"].is_null() || row["eligible"] == false), "{web}");
}
