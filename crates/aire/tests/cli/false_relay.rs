//! A relay that answers every probe at once and does harm to what it carries: its datagrams pass, and the bytes of
//! carriers are dropped or held on the way behind it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use aire_lab::LinkShape;
use aire_lab::emulate::{Emulator, Place};

use crate::intruders::{Mesh, addresses, event, json, says};
use crate::stage::{Agent, wait_for};

const PERMIT: &str =
    r#"permit(principal == App::"client", action == Action::"connect", resource == App::"echo");"#;

/// Two relays between a client and a server that are far from each other. The nearer relay is the false one.
struct Scene {
    _mesh: Mesh,
    network: Emulator,
    _others: [Agent; 3],
    client: Agent,
    door: SocketAddr,
}

impl Scene {
    fn new() -> Self {
        let mesh = Mesh::create_with("prod", &["--no-relay"]);
        let at: [SocketAddr; 4] = addresses();
        let places = ["c", "w", "false", "good"].iter().zip(at);
        let places = places.map(|(name, address)| Place { name: (*name).to_owned(), address }).collect();
        let network = Emulator::start(places, LinkShape::delay(60.0)).unwrap();
        for (relay, ms) in [("false", 3.0), ("good", 12.0)] {
            for end in ["c", "w"] {
                network.set_both(relay, end, LinkShape::delay(ms)).unwrap();
            }
        }
        let map = |node: &str| {
            let file = mesh.path(&format!("{node}.map"));
            network.map_for(node).unwrap().write(file.as_ref()).unwrap();
            file
        };
        let [door] = addresses();
        let (target, to) = (format!("echo={}", echo_service()), format!("echo={door}"));
        let member = |node: &str, listen: SocketAddr, scope: &[&str], flags: &[&str]| {
            let map = map(node);
            let flags = [flags, &["--underlay", &map]].concat();
            mesh.member_at(node, listen, scope, PERMIT, &flags)
        };
        let others = [
            member("w", at[1], &["--app", "echo"], &["--app", &target, "--no-relay"]),
            member("false", at[2], &["--relay"], &[]),
            member("good", at[3], &["--relay"], &[]),
        ];
        let flags = ["--app", "client=127.0.0.1:9", "--to", &to, "--no-relay"];
        let client = member("c", at[0], &["--app", "client"], &flags);
        Scene { _mesh: mesh, network, _others: others, client, door }
    }

    /// A stream that goes over the false relay, while that is honest yet.
    fn caught(&self) -> TcpStream {
        let mut stream = wait_for("a stream", || {
            let mut stream = TcpStream::connect(self.door).ok()?;
            stream.set_read_timeout(Some(Duration::from_secs(30))).ok()?;
            stream.set_nodelay(true).ok()?;
            echo(&mut stream).ok().map(|_| stream)
        });
        wait_for("the way over the false relay", || {
            echo(&mut stream).unwrap();
            (self.path() == "[\"false\"]").then_some(())
        });
        stream
    }

    fn path(&self) -> String {
        json(&self.client, "streams")[0]["path"].to_string()
    }

    /// Lets the bytes of carriers through the false relay, or not.
    fn hold(&self, held: bool) {
        for (from, to) in [("false", "w"), ("w", "false")] {
            self.network.change(from, to, |shape| LinkShape { drop_tcp: held, ..shape }).unwrap();
        }
    }
}

/// A number there and back.
fn echo(stream: &mut TcpStream) -> std::io::Result<Duration> {
    let begin = Instant::now();
    let sent = rand_bytes(begin);
    stream.write_all(&sent)?;
    let mut back = [0; 64];
    stream.read_exact(&mut back)?;
    assert_eq!(back, sent, "another byte came back");
    Ok(begin.elapsed())
}

fn rand_bytes(now: Instant) -> [u8; 64] {
    let seed = format!("{now:?}");
    std::array::from_fn(|i| seed.as_bytes()[i % seed.len()].wrapping_mul(i as u8 | 1))
}

fn echo_service() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.set_nodelay(true);
            thread::spawn(move || {
                let mut block = [0; 4096];
                while let Ok(bytes @ 1..) = stream.read(&mut block) {
                    if stream.write_all(&block[..bytes]).is_err() {
                        break;
                    }
                }
            });
        }
    });
    address
}

#[test]
fn a_relay_that_drops_payload_and_answers_probes_is_left_for_good() {
    let scene = Scene::new();
    let mut stream = scene.caught();
    scene.hold(true);
    let stall = echo(&mut stream).unwrap();
    assert!(stall < Duration::from_secs(5), "{stall:?} until another way was taken");
    event(&scene.client, "path-left", |event| says("what", "left via false")(event));
    // Its probes are as good as ever, and it is not trusted again.
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(8) {
        let took = echo(&mut stream).unwrap();
        assert!(took < Duration::from_secs(2), "{took:?} after {:?}", begin.elapsed());
        thread::sleep(Duration::from_millis(20));
    }
    assert_ne!(scene.path(), "[\"false\"]");
    assert_eq!(json(&scene.client, "status")["streams"]["reset"], 0);
}

/// Says that it is over, also when a test fails.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_relay_that_holds_payload_back_and_answers_probes_is_left() {
    let scene = Scene::new();
    let mut stream = scene.caught();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let _end = End(&over);
        // Everything waits for up to half a second, and all of it arrives.
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                scene.hold(true);
                thread::sleep(Duration::from_millis(500));
                scene.hold(false);
                thread::sleep(Duration::from_millis(20));
            }
        });
        let mut quick = 0;
        wait_for("a way without the false relay", || {
            let took = echo(&mut stream).unwrap();
            quick = if took < Duration::from_millis(300) { quick + 1 } else { 0 };
            (quick >= 60).then_some(())
        });
    });
    event(&scene.client, "path-left", |event| says("what", "left via false")(event));
    assert_eq!(json(&scene.client, "status")["streams"]["reset"], 0);
}
