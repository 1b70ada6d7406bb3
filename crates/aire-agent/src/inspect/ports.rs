use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};

use aire_admin::documents::{Finding, Verdict};
use aire_types::Protocol;

use super::owner;
use crate::config::Config;

/// The check of the agent's own port, for others.
const LISTEN: &str = "listen";

/// Can the ports be had? They are held until all have been tried, so that two of one number are found.
pub(super) fn check(config: &Config) -> Vec<Finding> {
    let mut held = Vec::new();
    let mut findings = vec![agent(config.listen, &mut held)];
    findings.extend(config.to.iter().filter(|to| to.protocol == Protocol::Udp).map(|to| udp(to.listen)));
    let others = config
        .to
        .iter()
        .filter(|to| to.protocol == Protocol::Tcp)
        .map(|to| ("to", to.listen))
        .chain(config.proxy.map(|address| ("socks", address)))
        .chain([("admin", config.admin)]);
    for (check, address) in others {
        findings.push(tcp(check, address, &mut held));
    }
    findings
}

/// Is the agent's own port to be had?
pub(super) fn is_free(findings: &[Finding]) -> bool {
    findings.iter().any(|finding| finding.check == LISTEN && finding.verdict == Verdict::Ok)
}

fn agent(address: SocketAddr, held: &mut Vec<TcpListener>) -> Finding {
    let finding = tcp(LISTEN, address, held);
    if finding.verdict != Verdict::Ok {
        return finding;
    }
    match UdpSocket::bind(address) {
        Ok(_) => Finding::ok(LISTEN, format!("{address} is free, UDP and TCP")),
        Err(error) => taken(LISTEN, address, "UDP", &error),
    }
}

fn tcp(check: &str, address: SocketAddr, held: &mut Vec<TcpListener>) -> Finding {
    match TcpListener::bind(address) {
        Ok(listener) => {
            held.push(listener);
            free(check, address)
        }
        Err(error) => taken(check, address, "TCP", &error),
    }
}

fn udp(address: SocketAddr) -> Finding {
    match UdpSocket::bind(address) {
        Ok(_) => free("to", address),
        Err(error) => taken("to", address, "UDP", &error),
    }
}

fn free(check: &str, address: SocketAddr) -> Finding {
    if check == LISTEN || address.ip().is_loopback() {
        Finding::ok(check, format!("{address} is free"))
    } else {
        let says = format!("{address} is free, and open to other machines");
        Finding::warn(check, says, "whoever reaches it acts as this agent; listen on 127.0.0.1")
    }
}

fn taken(check: &str, address: SocketAddr, protocol: &str, error: &io::Error) -> Finding {
    let (says, advice) = match error.kind() {
        io::ErrorKind::AddrInUse => {
            let by = owner::of(address, protocol).map_or_else(String::new, |owner| format!(" by {owner}"));
            (format!("{address} is in use{by}"), "stop it, or choose another port".to_owned())
        }
        io::ErrorKind::PermissionDenied => (
            format!("this user may not listen on {address}"),
            "choose a port from 1024 up, or grant CAP_NET_BIND_SERVICE".to_owned(),
        ),
        io::ErrorKind::AddrNotAvailable => (
            format!("this machine has no address {}", address.ip()),
            "use one of its own, or 0.0.0.0 for all".to_owned(),
        ),
        _ => (format!("{address} ({protocol}) cannot be opened: {error}"), "see the system's log".to_owned()),
    };
    Finding::fail(check, says, Some(advice))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_names_who_has_it() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let finding = tcp("to", taken.local_addr().unwrap(), &mut Vec::new());
        assert_eq!(finding.verdict, Verdict::Fail);
        let own = format!("(process {})", std::process::id());
        assert!(finding.says.contains("in use by") && finding.says.contains(&own), "{}", finding.says);
    }

    #[test]
    fn one_address_cannot_be_used_twice() {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut held = Vec::new();
        assert_eq!(tcp("to", address, &mut held).verdict, Verdict::Ok);
        assert_eq!(tcp("socks", address, &mut held).verdict, Verdict::Fail);
    }
}
