//! NATs and firewalls between hosts and the network. Needs root; says so where it has to skip.
#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use aire_lab::LinkShape;
use aire_lab::wan::{self, Gate, Host, Nat, Wan, WanConfig};
use aire_lab::workload::Server;

fn skipped(test: &str) -> bool {
    let Err(error) = wan::available() else { return false };
    let _ = writeln!(std::io::stderr(), "SKIPPED: {test}: {error}");
    true
}

fn wan(gate: Gate) -> Wan {
    let mut config = WanConfig::new(&["a", "b", "c"], LinkShape::delay(1.0));
    config.gates.insert("b".to_owned(), gate);
    Wan::start(config).unwrap()
}

fn outside(host: &Host, port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(host.outside()), port)
}

fn connects(from: &Host, to: SocketAddr) -> bool {
    from.within(move || TcpStream::connect_timeout(&to, Duration::from_millis(500))).is_ok()
}

/// Sends a datagram and says from where it was seen; `None` where it was not.
fn seen(from: &UdpSocket, at: &UdpSocket) -> Option<SocketAddr> {
    from.send_to(b"here", at.local_addr().unwrap()).unwrap();
    at.recv_from(&mut [0; 16]).ok().map(|(_, from)| from)
}

fn socket(host: &Host) -> UdpSocket {
    let address = SocketAddr::new(IpAddr::V4(host.address()), 7117);
    let socket = host.within(move || UdpSocket::bind(address)).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    socket
}

#[test]
fn only_answers_come_in_and_everything_goes_out() {
    if skipped("only_answers_come_in_and_everything_goes_out") {
        return;
    }
    for gate in [Gate::InboundBlocked, Gate::Nat(Nat::Cone), Gate::Nat(Nat::Symmetric)] {
        let wan = wan(gate);
        let (a, b) = (wan.host("a").unwrap(), wan.host("b").unwrap());
        let (open, hidden) =
            (SocketAddr::new(IpAddr::V4(a.address()), 7000), SocketAddr::new(IpAddr::V4(b.address()), 7000));
        let _servers = [
            a.within(move || Server::start(open)).unwrap(),
            b.within(move || Server::start(hidden)).unwrap(),
        ];
        assert!(connects(b, open), "{gate:?}");
        assert!(!connects(a, outside(b, 7000)), "{gate:?}");
        let (here, there) = (socket(a), socket(b));
        here.send_to(b"unasked", outside(b, 7117)).unwrap();
        assert!(there.recv(&mut [0; 16]).is_err(), "{gate:?}");
        let back = seen(&there, &here).unwrap();
        assert_eq!(back.ip(), IpAddr::V4(b.outside()), "{gate:?}");
        here.send_to(b"answer", back).unwrap();
        assert!(there.recv(&mut [0; 16]).is_ok(), "{gate:?}");
    }
}

#[test]
fn a_cone_shows_the_same_port_to_all_and_a_symmetric_nat_does_not() {
    if skipped("a_cone_shows_the_same_port_to_all_and_a_symmetric_nat_does_not") {
        return;
    }
    for (nat, same) in [(Nat::Cone, true), (Nat::Symmetric, false)] {
        let wan = wan(Gate::Nat(nat));
        let from = socket(wan.host("b").unwrap());
        let ports = ["a", "c"].map(|to| seen(&from, &socket(wan.host(to).unwrap())).unwrap().port());
        assert_eq!(ports == [7117, 7117], same, "{ports:?}");
    }
}
