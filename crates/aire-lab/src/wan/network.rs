use std::collections::BTreeMap;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use super::addresses::Addresses;
use super::host::{DEVICE, Host};
use super::namespace::Reaper;
use super::switch::{Ports, Switch};
use super::{Gate, WanError, available, tun};
use crate::{LinkShape, Topology};

pub use super::switch::LinkCounters;

/// What a network is made of.
#[derive(Clone, Debug)]
pub struct WanConfig {
    /// The names of the hosts: lower-case letters, digits and `-`.
    pub hosts: Vec<String>,
    /// Hosts that not everything reaches.
    pub gates: BTreeMap<String, Gate>,
    /// How all ways between them behave at first.
    pub default: LinkShape,
    /// Decides which packets are lost.
    pub seed: u64,
    /// Where output goes; `None` for a folder that is removed at the end.
    pub folder: Option<PathBuf>,
}

impl WanConfig {
    /// A network of these hosts with one shape for all ways.
    pub fn new(hosts: &[&str], default: LinkShape) -> Self {
        let hosts = hosts.iter().map(|&host| host.to_owned()).collect();
        WanConfig { hosts, gates: BTreeMap::new(), default, seed: 1, folder: None }
    }
}

/// A wide-area network on this machine: every host in a namespace with a TUN device, and one switch between them.
///
/// Derefs to its [`Topology`], by which ways change at run time. Dropping it kills what runs on the hosts.
#[derive(Debug)]
pub struct Wan {
    topology: Topology,
    hosts: Vec<Host>,
    addresses: Addresses,
    folder: PathBuf,
    switch: Switch,
    // Last: it deletes the namespaces.
    _reaper: Reaper,
}

impl Wan {
    /// Makes the network.
    ///
    /// # Errors
    /// The machine cannot (see [`available`]) or a name occurs twice.
    pub fn start(config: WanConfig) -> Result<Self, WanError> {
        available()?;
        if let Some(bad) = config.hosts.iter().find(|name| !is_host_name(name)) {
            return Err(WanError::Unavailable(format!("'{bad}' is no host name: use a-z, 0-9 and '-'")));
        }
        let topology = Topology::new(&config.hosts, config.default)?;
        let reaper = Reaper::start(config.folder.as_deref())?;
        let folder = config.folder.as_deref().or(reaper.scratch()).unwrap_or(Path::new(".")).to_owned();
        let mut hosts = Vec::new();
        let addresses = Addresses::default();
        let mut ports = Ports::new(addresses.clone());
        for (number, name) in config.hosts.iter().enumerate() {
            let host = Host::new(
                &reaper,
                number,
                name,
                &folder,
                config.gates.get(name).copied().unwrap_or_default(),
            )?;
            let device = host
                .join(|| tun::create(DEVICE))
                .map_err(|source| WanError::io(format!("making a TUN device on {name}"), source))?;
            host.configure_device()?;
            ports.add(host.outside(), device);
            hosts.push(host);
        }
        let switch = Switch::start(ports, topology.clone(), config.seed)
            .map_err(|source| WanError::io("starting the switch", source))?;
        Ok(Wan { topology, hosts, addresses, folder, switch, _reaper: reaper })
    }

    /// The host of this name.
    ///
    /// # Errors
    /// There is none.
    pub fn host(&self, name: &str) -> Result<&Host, WanError> {
        Ok(&self.hosts[self.topology.index(name)?])
    }

    /// Gives a host another address while it runs, as a lease that was not renewed or a change of network does. What its
    /// sockets are bound to is gone.
    ///
    /// # Errors
    /// There is no such host, or the machine refuses.
    pub fn readdress(&self, name: &str) -> Result<(), WanError> {
        let (old, new) = self.host(name)?.readdress()?;
        self.addresses.replace(old, new);
        Ok(())
    }

    /// All hosts, in the order they were given.
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// Where the output of processes goes.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A handle by which another thread can change ways.
    pub fn topology(&self) -> Topology {
        self.topology.clone()
    }

    /// What one direction did so far.
    ///
    /// # Errors
    /// Unknown host.
    pub fn counters(&self, from: &str, to: &str) -> Result<LinkCounters, WanError> {
        Ok(self.switch.counters(self.topology.index(from)?, self.topology.index(to)?))
    }
}

impl Deref for Wan {
    type Target = Topology;
    fn deref(&self) -> &Topology {
        &self.topology
    }
}

fn is_host_name(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    !name.is_empty() && name.len() <= 63 && name.bytes().all(allowed)
}
