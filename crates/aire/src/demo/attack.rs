//! Strangers at an agent's door: a scan, garbage, other protocols, forged first bytes, and an agent of another mesh.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, SystemTime};

use aire_identity::Authority;
use aire_lab::emulate::free_addresses;

use super::cast::Arguments;
use super::stage::Stage;
use crate::failure::Failure;

/// How long a door may stay open for a stranger.
const PATIENCE: Duration = Duration::from_secs(8);
/// The beginning of a TLS 1.2 or 1.3 ClientHello (RFC 8446, section 4.1.2), its length and version.
const TLS: [u8; 11] = [0x16, 3, 1, 0x02, 0, 1, 0, 0x01, 0xfc, 3, 3];

/// What the strangers did and got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    /// Connections that were opened.
    pub(super) tried: u64,
    /// Connections that were closed without a byte in answer.
    pub(super) closed: u64,
}

/// Tries everything that needs no certificate on the agent that listens at `door`.
pub(super) fn knock(door: SocketAddr) -> Outcome {
    let mut outcome = Outcome::default();
    for bytes in knocks() {
        outcome.tried += 1;
        outcome.closed += u64::from(is_closed(door, &bytes));
    }
    // Nobody answers these; the agent must not mind them.
    if let Ok(socket) = UdpSocket::bind("127.0.0.1:0") {
        for length in [1, 48, 1200] {
            let _ = socket.send_to(&vec![0xa5; length], door);
        }
    }
    outcome
}

/// What is said at the door.
fn knocks() -> Vec<Vec<u8>> {
    let noise =
        |seed: u32| (0..256).map(|i: u32| (seed ^ i).wrapping_mul(0x9e37_79b1).to_le_bytes()[3]).collect();
    let mut hello = TLS.to_vec();
    hello.resize(517, 0);
    // The magic and the version are right, and the kind is that of a carrier, a link and an enrolment; the MAC is not.
    let forged = |kind: u8| {
        let mut preamble = b"AIRE\x01".to_vec();
        preamble.push(kind);
        preamble.resize(200, 0x5a);
        preamble[6..8].fill(0);
        preamble
    };
    vec![
        Vec::new(),
        Vec::new(),
        noise(1),
        noise(2),
        noise(3),
        b"GET / HTTP/1.1\r\nHost: agent\r\nUser-Agent: a scanner of ports\r\n\r\n".to_vec(),
        b"SSH-2.0-OpenSSH_9.6 and whatever else a client of that protocol says\r\n".to_vec(),
        hello,
        forged(1),
        forged(2),
        forged(3),
    ]
}

/// Says `bytes` (hangs up when there are none) and waits for the end of the connection.
fn is_closed(door: SocketAddr, bytes: &[u8]) -> bool {
    let Ok(mut stream) = TcpStream::connect(door) else { return false };
    let said = stream.set_read_timeout(Some(PATIENCE)).and_then(|()| match bytes {
        [] => stream.shutdown(std::net::Shutdown::Write),
        bytes => stream.write_all(bytes),
    });
    let mut answer = [0; 1];
    match said.and_then(|()| stream.read(&mut answer)) {
        Ok(bytes) => bytes == 0,
        // A reset closes as well; a door that stays open is a timeout.
        Err(error) => !matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut),
    }
}

/// Starts an agent of another mesh that was told to join in at `door`.
pub(super) fn send_rogue(stage: &Stage, door: SocketAddr) -> Result<(), Failure> {
    let folder = stage.folder().join("rogue");
    let mesh = "rogue".parse().map_err(Failure::because)?;
    Authority::create(&folder, mesh, SystemTime::now()).map_err(Failure::because)?;
    let free = free_addresses(2)
        .map_err(|error| Failure::Failed(format!("this machine has no ports left: {error}")))?;
    let mut arguments = Arguments::agent("rogue", free[0], free[1], stage);
    arguments.flag("authority", folder.display());
    arguments.flag("seed", door);
    stage.start("rogue", &arguments.0)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    #[test]
    fn a_door_that_answers_is_not_closed_and_one_that_hangs_up_is() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let door = listener.local_addr().unwrap();
        let host = thread::spawn(move || {
            let (mut polite, _) = listener.accept().unwrap();
            polite.write_all(b"hello").unwrap();
            let (rude, _) = listener.accept().unwrap();
            drop(rude);
        });
        assert!(!is_closed(door, b"knock"));
        assert!(is_closed(door, b"knock"));
        host.join().unwrap();
    }
}
