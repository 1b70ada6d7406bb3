//! Ports that agents can be told of before they have them.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::time::{SystemTime, UNIX_EPOCH};

use aire_types::Random;

/// Below it are well-known services.
const FIRST_PORT: u16 = 10_000;
/// How many ports are tried beyond the wanted ones.
const ATTEMPTS: usize = 64;

/// Loopback addresses whose port is free for both TCP and UDP now: for agents that must know theirs before they start.
///
/// They lie below the ports that the kernel gives to outgoing connections, or one of those could take them meanwhile.
///
/// # Errors
/// The machine has none left.
pub fn free_addresses(count: usize) -> io::Result<Vec<SocketAddr>> {
    // All are held until the last is found, so that none comes twice.
    let mut held = Vec::new();
    let ports = FIRST_PORT..first_outgoing_port();
    // Another process that looks at the same time should look elsewhere.
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.subsec_nanos());
    let mut random = Random::new(u64::from(std::process::id()) << 32 | u64::from(nanos));
    for _ in 0..count.saturating_mul(16).saturating_add(ATTEMPTS) {
        if held.len() == count {
            break;
        }
        let port = ports.start + random.below(usize::from(ports.end - ports.start)) as u16;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if let (Ok(listener), Ok(udp)) = (TcpListener::bind(address), UdpSocket::bind(address)) {
            held.push((address, listener, udp));
        }
    }
    if held.len() < count {
        return Err(io::Error::other("too few ports are free for both TCP and UDP"));
    }
    Ok(held.into_iter().map(|(address, _, _)| address).collect())
}

/// Where the kernel's ports for outgoing connections begin (ip(7)).
fn first_outgoing_port() -> u16 {
    const USUAL: u16 = 32_768;
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let first = range.split_whitespace().next().and_then(|port| port.parse().ok()).unwrap_or(USUAL);
    // Where they begin too low there is nothing below them; take the risk.
    if first < FIRST_PORT + 1000 { USUAL } else { first }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_differ_and_lie_below_those_of_outgoing_connections() {
        let addresses = free_addresses(50).unwrap();
        let ports: std::collections::BTreeSet<u16> = addresses.iter().map(SocketAddr::port).collect();
        assert_eq!(ports.len(), 50);
        assert!(ports.iter().all(|port| (FIRST_PORT..first_outgoing_port()).contains(port)));
    }
}
