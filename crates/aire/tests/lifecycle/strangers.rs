//! Clients that connect and say nothing, on every port.

use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::stage::{Mesh, echo_service, wait_for};

/// How long a silent connection is borne; fails where it never ends.
fn borne(at: SocketAddr) -> Duration {
    let mut stream = TcpStream::connect(at).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(25))).unwrap();
    let begin = Instant::now();
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => panic!("{at} bears silence for ever"),
        _ => begin.elapsed(),
    }
}

#[test]
fn silence_is_borne_for_seconds_and_costs_nobody_else() {
    let mesh = Mesh::new();
    let [_hub, _server, client] = mesh.trio(echo_service(), "", "");
    drop(client.connect());
    let (listen, proxy, admin) = (client.listen, client.proxy, client.admin);
    std::thread::scope(|scope| {
        let silent: Vec<_> =
            [listen, proxy, admin].map(|at| scope.spawn(move || borne(at))).into_iter().collect();
        // Meanwhile others are served. On a port that leads to an app silence is the app's matter.
        let quiet = TcpStream::connect(client.door).unwrap();
        drop(client.connect());
        assert_eq!(client.document("/api/v1/status")["ready"], true);
        for silent in silent {
            assert!(silent.join().unwrap() < Duration::from_secs(15));
        }
        drop(quiet);
    });
    wait_for("the end of all streams", || {
        (client.document("/api/v1/status")["streams"]["open"] == 0).then_some(())
    });
}
