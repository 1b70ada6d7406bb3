use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::net::{SocketAddr, SocketAddrV6};

use aire_types::{MeshName, NodeName};
use mdns_sd::{DaemonEvent, Receiver, ResolvedService, ScopedIp, ServiceDaemon, ServiceEvent, ServiceInfo};
use tokio::time::Instant;

use crate::waiting::{MAX_WAITING, Waiting, until};
use crate::{Discovery, Finding, Found, Next, Own, Pace, Source, Trouble};

/// The DNS-SD service type of agents (RFC 6763).
pub const SERVICE_TYPE: &str = "_aire._udp.local.";
/// UDP port of multicast DNS (RFC 6762).
const MDNS_PORT: u16 = 5353;
/// The most addresses that are taken from one announcement.
const MAX_PER_SERVICE: usize = 16;

/// Finds and announces agents on the local network. Announcements of other meshes and our own are ignored.
pub struct Mdns {
    mesh: MeshName,
    node: Option<NodeName>,
    daemon: Option<Daemon>,
    /// Our own full service name, once announced.
    announced: Option<String>,
    /// Which addresses each announced service has.
    services: BTreeMap<String, Vec<SocketAddr>>,
    waiting: Waiting,
    trouble: Option<Trouble>,
    reported: bool,
}

struct Daemon {
    handle: ServiceDaemon,
    services: Receiver<ServiceEvent>,
    monitor: Receiver<DaemonEvent>,
}

impl Mdns {
    /// Looks for agents of `mesh`. Where multicast does not work, that is told as trouble and nothing is found.
    pub fn browse(mesh: MeshName, pace: Pace) -> Self {
        Self::browse_on(mesh, pace, MDNS_PORT)
    }

    /// As [`Mdns::browse`], on another UDP port than the one of RFC 6762: agents that use different ports do not see each
    /// other.
    pub fn browse_on(mesh: MeshName, pace: Pace, port: u16) -> Self {
        let mut mdns = Mdns {
            mesh,
            node: None,
            daemon: None,
            announced: None,
            services: BTreeMap::new(),
            waiting: Waiting::new(pace),
            trouble: None,
            reported: false,
        };
        if let Err(why) = multicast_works() {
            mdns.fail(why);
        }
        match Daemon::start(port) {
            Ok(daemon) => mdns.daemon = Some(daemon),
            Err(error) => mdns.fail(&error.to_string()),
        }
        mdns
    }

    fn fail(&mut self, why: &str) {
        tracing::warn!(why, "multicast DNS");
        // One report is enough, whichever part of it fails first.
        if !std::mem::replace(&mut self.reported, true) {
            self.trouble = Some(Trouble::Multicast(why.to_owned()));
        }
    }

    fn resolved(&mut self, service: &ResolvedService) {
        let text = |key| service.txt_properties.get_property_val_str(key);
        if text("mesh") != Some(self.mesh.as_str()) {
            return;
        }
        let Some(node) = text("node").and_then(|name| NodeName::new(name).ok()) else {
            tracing::debug!(service = service.fullname, "announces no node name");
            return;
        };
        if self.node.as_ref() == Some(&node) || service.port == 0 {
            return;
        }
        if !self.services.contains_key(&service.fullname) && self.services.len() >= MAX_WAITING {
            return;
        }
        let mut addresses: Vec<SocketAddr> =
            service.addresses.iter().filter_map(|ip| dialable(ip, service.port)).collect();
        addresses.sort_unstable();
        addresses.truncate(MAX_PER_SERVICE);
        let now = Instant::now();
        for &address in &addresses {
            self.waiting.insert(address, Some(node.clone()), now);
        }
        let old = self.services.insert(service.fullname.clone(), addresses.clone()).unwrap_or_default();
        self.forget(old.into_iter().filter(|address| !addresses.contains(address)).collect());
    }

    /// Forgets addresses that no service has any more.
    fn forget(&mut self, gone: Vec<SocketAddr>) {
        for address in gone {
            if !self.services.values().any(|addresses| addresses.contains(&address)) {
                self.waiting.remove(address);
            }
        }
    }

    fn heard(&mut self, event: ServiceEvent) {
        match event {
            ServiceEvent::ServiceResolved(service) => self.resolved(&service),
            ServiceEvent::ServiceRemoved(_, name) => {
                let gone = self.services.remove(&name).unwrap_or_default();
                self.forget(gone);
            }
            _ => {}
        }
    }

    async fn find(&mut self) -> Option<Finding> {
        loop {
            if let Some(trouble) = self.trouble.take() {
                return Some(Finding::Trouble(trouble));
            }
            if let Some((address, node)) = self.waiting.poll(Instant::now()) {
                return Some(Finding::Found(Found { address, source: Source::Mdns, node }));
            }
            let due = self.waiting.next_due();
            let daemon = match &self.daemon {
                Some(daemon) => daemon,
                None if self.waiting.is_empty() => return None,
                None => {
                    until(due).await;
                    continue;
                }
            };
            tokio::select! {
                event = daemon.services.recv_async() => match event {
                    Ok(event) => self.heard(event),
                    Err(_) => {
                        self.daemon = None;
                        self.fail("its thread has ended");
                    }
                },
                Ok(event) = daemon.monitor.recv_async() => {
                    if let DaemonEvent::Error(error) = event {
                        tracing::debug!(%error, "multicast DNS");
                    }
                }
                () = until(due) => {}
            }
        }
    }
}

impl Daemon {
    fn start(port: u16) -> Result<Self, mdns_sd::Error> {
        let handle = ServiceDaemon::new_with_port(port)?;
        let monitor = handle.monitor()?;
        let services = handle.browse(SERVICE_TYPE)?;
        Ok(Daemon { handle, services, monitor })
    }
}

impl Discovery for Mdns {
    fn announce(&mut self, own: &Own) {
        self.node = Some(own.node.clone());
        self.waiting.remove_node(&own.node);
        let Some(daemon) = &self.daemon else { return };
        let done = describe(own).and_then(|info| {
            let name = info.get_fullname().to_owned();
            if let Some(old) = self.announced.take().filter(|old| *old != name) {
                daemon.handle.unregister(&old)?;
            }
            daemon.handle.register(info)?;
            self.announced = Some(name);
            Ok(())
        });
        if let Err(error) = done {
            self.fail(&error.to_string());
        }
    }

    fn linked(&mut self, address: SocketAddr) {
        self.waiting.linked(address);
    }

    fn lost(&mut self, address: SocketAddr) {
        self.waiting.lost(address, Instant::now());
    }

    fn next(&mut self) -> Next<'_> {
        Box::pin(self.find())
    }
}

impl Drop for Mdns {
    fn drop(&mut self) {
        let Some(daemon) = &self.daemon else { return };
        // Says goodbye for us (RFC 6762 section 10.1) and ends the thread; without an answer others forget us by age.
        if let Some(name) = &self.announced
            && let Err(error) = daemon.handle.unregister(name)
        {
            tracing::debug!(%error, "no goodbye over multicast DNS");
        }
        if let Err(error) = daemon.handle.shutdown() {
            tracing::debug!(%error, "the thread of multicast DNS had ended");
        }
    }
}

/// A DNS label holds 63 bytes, less than the longest mesh and node names together: the TXT record holds those, and the
/// instance name only has to be unique.
fn describe(own: &Own) -> Result<ServiceInfo, mdns_sd::Error> {
    let mut hasher = DefaultHasher::new();
    (&own.mesh, &own.node).hash(&mut hasher);
    let short: String = own.node.as_str().chars().take(40).collect();
    let label = format!("{short}-{:016x}", hasher.finish());
    let text = [("mesh", own.mesh.as_str()), ("node", own.node.as_str())];
    let info = ServiceInfo::new(SERVICE_TYPE, &label, &format!("{label}.local."), "", own.port, &text[..])?;
    Ok(info.enable_addr_auto())
}

fn dialable(ip: &ScopedIp, port: u16) -> Option<SocketAddr> {
    match ip {
        ScopedIp::V6(v6) => {
            let link_local = v6.addr().is_unicast_link_local();
            let scope = if link_local { v6.scope_id().index } else { 0 };
            let usable = !v6.addr().is_multicast() && !v6.addr().is_unspecified();
            (usable && (!link_local || scope != 0))
                .then(|| SocketAddrV6::new(*v6.addr(), port, 0, scope).into())
        }
        other => {
            let ip = other.to_ip_addr();
            (!ip.is_multicast() && !ip.is_unspecified()).then(|| SocketAddr::new(ip, port))
        }
    }
}

/// The daemon says nothing when no interface takes it, so ask Linux which ones are up for multicast.
fn multicast_works() -> Result<(), &'static str> {
    let lists = ["/proc/net/igmp", "/proc/net/igmp6"];
    let known: Vec<String> = lists.iter().filter_map(|list| std::fs::read_to_string(list).ok()).collect();
    if known.is_empty() || known.iter().any(|list| names_more_than_loopback(list)) {
        Ok(())
    } else {
        Err("no network interface but loopback is up for multicast")
    }
}

/// Both lists begin a line per interface with its number and its name; other lines are indented or a heading.
fn names_more_than_loopback(list: &str) -> bool {
    list.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_digit())).any(|line| {
        let name = line.split_whitespace().nth(1).unwrap_or_default();
        name.trim_end_matches(':') != "lo"
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_for_multicast_are_told_from_loopback() {
        let heading = "Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n";
        let lo = "1\tlo        :     1      V3\n\t\t\t\t010000E0     1 0:00000000\t\t0\n";
        let eth0 = "4\teth0      :     1      V3\n\t\t\t\t010000E0     1 0:00000000\t\t0\n";
        assert!(!names_more_than_loopback(&format!("{heading}{lo}")));
        assert!(names_more_than_loopback(&format!("{heading}{lo}{eth0}")));
        assert!(!names_more_than_loopback("1    lo   ff020000000000000000000000000001     1 0000000C 0\n"));
        assert!(names_more_than_loopback("4    eth0   ff020000000000000000000000000001     1 0000000C 0\n"));
    }

    #[test]
    fn the_longest_names_can_be_announced() {
        let long = "n".repeat(63);
        let mesh = MeshName::new(&long).unwrap();
        let own = |end: &str| Own {
            mesh: mesh.clone(),
            node: NodeName::new(&format!("{}{end}", &long[..62])).unwrap(),
            port: 7400,
        };
        let (a, b) = (describe(&own("a")).unwrap(), describe(&own("b")).unwrap());
        assert_ne!(a.get_fullname(), b.get_fullname());
        assert!(a.get_fullname().split('.').all(|label| label.len() <= 63));
    }
}
