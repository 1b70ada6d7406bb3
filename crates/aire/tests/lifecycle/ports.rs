//! Ports that somebody else has.

use std::net::{SocketAddr, TcpListener, UdpSocket};

use aire_lab::emulate::free_addresses;

use crate::stage::{Agent, Mesh, aire};

#[test]
fn a_port_in_use_is_named_with_who_has_it_and_costs_no_token() {
    let mesh = Mesh::new();
    let mut hub = mesh.hub("");
    hub.ready();
    let token = mesh.token(&["--relay"]);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    // The number is free for TCP, and for UDP it is not.
    let datagrams = UdpSocket::bind(free_addresses(1).unwrap()[0]).unwrap();
    let (tcp, udp) = (taken.local_addr().unwrap(), datagrams.local_addr().unwrap());
    let state = mesh.path("n1.state");
    let run = ["run", "--node", "n1", "--state", &state, "--join", &token, "--no-multicast"];
    for (flag, at) in
        [("--listen", tcp), ("--listen", udp), ("--admin", tcp), ("--socks", tcp), ("--to", tcp)]
    {
        let value = if flag == "--to" { format!("echo={at}") } else { at.to_string() };
        let mut ports = vec![flag, &value];
        for (other, free) in [("--listen", "127.0.0.1:0"), ("--admin", "127.0.0.1:0")] {
            if other != flag {
                ports.extend([other, free]);
            }
        }
        for check in [&[][..], &["--check"]] {
            let output = aire(&[&run[..], &ports, check].concat());
            let told = String::from_utf8(output.stderr).unwrap();
            let said = String::from_utf8(output.stdout).unwrap();
            assert_eq!(output.status.code(), Some(1), "{flag}: {told}");
            let line = if check.is_empty() { told.lines().last().unwrap() } else { said.as_str() };
            assert!(line.contains(&at.to_string()) && line.contains("in use"), "{flag}: {line}");
            assert!(line.contains(&format!("(process {})", std::process::id())), "{flag}: {line}");
        }
        assert!(!std::path::Path::new(&state).join("svid.pem").exists(), "{flag}: the token was spent");
    }
    drop((taken, datagrams));
    let admin: SocketAddr = free_addresses(1).unwrap()[0];
    let mut joined = Agent::command(&mesh, "n1", admin, &["--state", &state, "--join", &token]);
    joined.ready();

    // A second agent cannot have the same state folder, whatever its ports.
    let output = aire(&[&run[..], &["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]].concat());
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    let line = told.lines().last().unwrap();
    assert!(line.contains(&state) && line.contains("another agent"), "{line}");
    assert_eq!(joined.document("/api/v1/status")["ready"], true);
}
