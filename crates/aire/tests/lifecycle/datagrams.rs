//! UDP of real applications over real agents.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use aire_lab::emulate::free_addresses;
use serde_json::json;

use crate::stage::{Agent, Mesh, PERMIT, echo_service, wait_for};

/// From nothing to the most that a datagram holds; some fit into one packet, some into none.
const SIZES: [usize; 8] = [0, 1, 1000, 1100, 1450, 9000, 60_000, 65_507];

/// A service that sends every datagram back to where it came from.
fn echo_datagrams() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    thread::spawn(move || {
        let mut buffer = vec![0; 65_536];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let _ = socket.send_to(&buffer[..length], from);
        }
    });
    address
}

/// A program that sends datagrams to an agent.
struct Program {
    socket: UdpSocket,
    /// What SOCKS5 puts before each.
    head: Vec<u8>,
    /// SOCKS5 ends with it.
    _control: Option<TcpStream>,
}

impl Program {
    fn of(door: SocketAddr) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(door).unwrap();
        Program { socket, head: Vec::new(), _control: None }
    }

    /// RFC 1928, section 7.
    fn by_socks(proxy: SocketAddr) -> Self {
        let mut control = TcpStream::connect(proxy).unwrap();
        control.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        control.write_all(&[5, 1, 0, 5, 3, 0, 1, 0, 0, 0, 0, 0, 0]).unwrap();
        let mut answer = [0; 12];
        control.read_exact(&mut answer).unwrap();
        let [5, 0, 5, 0, 0, 1, a, b, c, d, high, low] = answer else { panic!("{answer:?}") };
        let mut program = Program::of(([a, b, c, d], u16::from_be_bytes([high, low])).into());
        program.head = [&[0, 0, 0, 3, 9][..], b"echo.mesh", &[0, 7]].concat();
        program._control = Some(control);
        program
    }

    fn send(&self, payload: &[u8]) {
        self.socket.send(&[&self.head, payload].concat()).unwrap();
    }

    /// The next answer within `patience`.
    fn read(&self, patience: Duration) -> Option<Vec<u8>> {
        self.socket.set_read_timeout(Some(patience)).unwrap();
        let mut buffer = vec![0; 65_536];
        match self.socket.recv(&mut buffer) {
            Ok(length) => buffer[..length].strip_prefix(&self.head[..]).map(<[u8]>::to_vec),
            Err(error) => {
                let silent = matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut);
                assert!(silent, "{error}");
                None
            }
        }
    }

    /// Has a datagram echoed; datagrams may get lost, so it is tried again. Answers to all but the first try are left for
    /// whoever reads next, so two calls in a row take different sizes.
    fn echo(&self, size: usize) {
        let payload: Vec<u8> = (0..size).map(|at| (at * 7 + size) as u8).collect();
        wait_for(&format!("the echo of {size} bytes"), || {
            self.send(&payload);
            let deadline = Instant::now() + Duration::from_secs(2);
            // Answers to earlier tries may come first.
            while Instant::now() < deadline {
                match self.read(Duration::from_millis(500)) {
                    Some(answer) if answer == payload => return Some(()),
                    Some(_) => {}
                    None => break,
                }
            }
            None
        });
    }
}

/// Two agents and the hub, which relays; the client's agent has a door for datagrams.
struct Pair {
    mesh: Mesh,
    _hub: Agent,
    server: Agent,
    client: Agent,
    door: SocketAddr,
}

impl Pair {
    fn start(udp_target: Option<SocketAddr>, more: &str) -> Self {
        let mesh = Mesh::new();
        let door = free_addresses(1).unwrap()[0];
        let mut hub = mesh.hub("");
        let targets = udp_target.map(|target| format!("udp_target = '{target}'")).unwrap_or_default();
        let mut server =
            mesh.server_with("server", &format!("target = '{}'\n{targets}", echo_service()), more);
        let to = format!("{more}\n[[to]]\napp = 'echo'\nlisten = '{door}'\nprotocol = 'udp'\n");
        let mut client = mesh.client(&to);
        [&mut hub, &mut server, &mut client].into_iter().for_each(Agent::ready);
        Pair { mesh, _hub: hub, server, client, door }
    }

    fn streams_so_far(&self) -> u64 {
        self.client.document("/api/v1/status")["streams"]["total"].as_u64().unwrap()
    }

    /// The paths of the client's open flows.
    fn flows(&self) -> Vec<serde_json::Value> {
        let streams = self.client.document("/api/v1/streams");
        let rows = streams.as_array().unwrap().iter().filter(|row| row["protocol"] == "udp");
        rows.map(|row| row["path"].clone()).collect()
    }

    /// How many datagrams the client's agent sent sealed over links, and how many through streams.
    fn sent(&self) -> (u64, u64) {
        let metrics = self.client.text("/metrics");
        let of = |way: &str| {
            let line = format!("aire_datagrams_sent_total{{way=\"{way}\"}} ");
            metrics.lines().find_map(|it| it.strip_prefix(&line)?.parse().ok()).unwrap_or(0)
        };
        (of("link"), of("stream"))
    }

    fn order(&self, order: serde_json::Value) {
        self.client.put("/api/v1/apps/echo/override", &order.to_string());
    }
}

#[test]
fn datagrams_of_every_size_arrive_directly_and_over_a_relay() {
    let pair = Pair::start(Some(echo_datagrams()), "");
    for path in [json!([]), json!(["hub"])] {
        pair.order(json!({ "pin": path }));
        for program in [Program::of(pair.door), Program::by_socks(pair.client.proxy)] {
            // SOCKS5's head takes from what a datagram holds.
            let most = 65_507 - program.head.len();
            program.echo(10);
            wait_for("the pinned path", || {
                program.echo(10);
                pair.flows().iter().all(|flow| *flow == path).then_some(())
            });
            for size in SIZES {
                let before = pair.sent();
                program.echo(size.min(most));
                let after = pair.sent();
                match size {
                    0..=1000 => assert!(after.0 > before.0 && after.1 == before.1, "{size}: {after:?}"),
                    9000.. => assert!(after.1 > before.1 && after.0 == before.0, "{size}: {after:?}"),
                    // It depends on the way.
                    _ => {}
                }
            }
        }
    }
    let row = &pair.client.document("/api/v1/streams")[0];
    assert!(
        row["bytes_in"].as_u64().unwrap() > 100_000 && row["bytes_out"].as_u64().unwrap() > 100_000,
        "{row}"
    );
    pair.client.connect();
}

#[test]
fn a_flow_ends_when_nothing_is_sent_and_the_next_datagram_begins_another() {
    let pair = Pair::start(Some(echo_datagrams()), "flow_idle_s = 1");
    let program = Program::of(pair.door);
    let mut flows = 0;
    for size in [100, 101] {
        program.echo(size);
        // On a busy machine a flow may end while its answer is under way.
        let before = std::mem::replace(&mut flows, pair.streams_so_far());
        assert!(flows > before, "{before} flows, and then {flows}");
        wait_for("the end of the flow", || pair.flows().is_empty().then_some(()));
        wait_for("its end at the server", || {
            pair.server.document("/api/v1/streams").as_array()?.is_empty().then_some(())
        });
    }
    assert_eq!(pair.client.document("/api/v1/status")["streams"]["reset"], 0);
}

#[test]
fn policy_decides_about_flows_and_cuts_them() {
    let pair = Pair::start(Some(echo_datagrams()), "");
    let program = Program::of(pair.door);
    program.echo(100);
    pair.mesh.set_policy("");
    wait_for("the end of the flow", || pair.flows().is_empty().then_some(()));
    wait_for("the refusal of the next", || {
        program.send(b"?");
        pair.client.log().contains("kind=\"flow-refused\"").then_some(())
    });
    while program.read(Duration::from_millis(10)).is_some() {}
    program.send(b"denied");
    assert_eq!(program.read(Duration::from_millis(500)), None);
    pair.mesh.set_policy(PERMIT);
    program.echo(100);
}

#[test]
fn a_flow_that_no_app_takes_is_told_of_at_both_ends() {
    let pair = Pair::start(None, "");
    let program = Program::of(pair.door);
    wait_for("the refusal", || {
        program.send(b"?");
        let told = pair.server.log().contains("no udp_target");
        (told && pair.client.log().contains("no such app")).then_some(())
    });
    pair.client.connect();

    let nobody = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let pair = Pair::start(Some(nobody), "");
    let program = Program::of(pair.door);
    wait_for("the notice", || {
        program.send(b"?");
        pair.server.log().contains("nobody listens").then_some(())
    });
}

#[test]
fn a_flow_leaves_a_path_that_dies_in_silence() {
    let pair = Pair::start(Some(echo_datagrams()), "");
    let mut relay = pair.mesh.relay("relay");
    relay.ready();
    let program = Program::of(pair.door);
    let relayed = || pair.flows() == [json!(["relay"])];
    wait_for("a relayed flow with a standby", || {
        pair.order(json!({ "pin": ["relay"] }));
        wait_for("the relayed path", || {
            program.echo(10);
            relayed().then_some(())
        });
        pair.order(json!({ "prefer": ["relay"], "avoid": ["hub"] }));
        // The standby needs a moment to open, and the leave loop to know the path.
        let warm = Instant::now() + Duration::from_secs(3);
        while Instant::now() < warm {
            program.echo(10);
        }
        // On a busy machine the direct path may have been better meanwhile.
        relayed().then_some(())
    });
    relay.freeze();
    let frozen = Instant::now();
    let (mut number, mut last, mut longest) = (0u32, frozen, Duration::ZERO);
    while frozen.elapsed() < Duration::from_secs(4) {
        number += 1;
        program.send(&number.to_be_bytes());
        if program.read(Duration::from_millis(10)).is_some() {
            longest = longest.max(last.elapsed());
            last = Instant::now();
        }
    }
    assert!(last.elapsed() < Duration::from_secs(1), "the flow stands still");
    assert!(longest < Duration::from_secs(2), "it stood still for {longest:?}");
    eprintln!("the longest silence of the flow: {longest:?}");
    assert_eq!(pair.flows(), [json!([])]);
}
