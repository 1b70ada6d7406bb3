use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket as StdUdpSocket};
use std::ops::Deref;
use std::sync::Arc;
use std::time::Instant;

use tokio::net::{TcpListener, TcpSocket, UdpSocket};
use tokio::runtime::{Builder, Runtime};

use super::AddressMap;
use super::datagrams::Datagrams;
use super::stream::{Rate, Way, accept};
use crate::pacer::Pacer;
use crate::{LinkShape, Topology, TopologyError};

/// One agent of the emulated network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its name.
    pub name: String,
    /// Where it really listens, TCP and UDP: a fixed loopback port.
    pub address: SocketAddr,
}

/// Why there is no emulated network.
#[derive(Debug, thiserror::Error)]
pub enum EmulateError {
    /// A wrong place or shape.
    #[error("configuration: {0}")]
    Topology(#[from] TopologyError),
    /// This machine refused.
    #[error("this machine: {what}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// What the system says.
        source: io::Error,
    },
}

/// The emulated network. Derefs to its [`Topology`], by which ways change at run time; dropping it cuts everything.
#[derive(Debug)]
pub struct Emulator {
    topology: Topology,
    places: Vec<Place>,
    addresses: BTreeMap<(usize, usize), SocketAddr>,
    runtime: Option<Runtime>,
}

impl Emulator {
    /// Joins the places, each with each other by `default`. Loss and jitter repeat with the seed 1.
    ///
    /// # Errors
    /// A name occurs twice, a shape makes no sense, or sockets or threads cannot be had.
    pub fn start(places: Vec<Place>, default: LinkShape) -> Result<Self, EmulateError> {
        const SEED: u64 = 1;
        let names: Vec<&str> = places.iter().map(|place| place.name.as_str()).collect();
        let topology = Topology::new(&names, default)?;
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("underlay")
            .enable_all()
            .build()
            .map_err(|source| EmulateError::Io { what: "starting threads", source })?;
        let entered = runtime.enter();
        let mut addresses = BTreeMap::new();
        let mut sockets = BTreeMap::new();
        for pair in pairs(places.len()) {
            let bound = bind_pair().map_err(|source| EmulateError::Io { what: "binding a port", source })?;
            addresses.insert(pair, bound.0);
            sockets.insert(pair, (bound.1, Arc::new(bound.2)));
        }
        let now = Instant::now();
        let ways: BTreeMap<_, _> = pairs(places.len())
            .map(|(from, to)| {
                let rate = Rate::new(Pacer::for_link(SEED, from, to, now));
                ((from, to), Way::new(topology.watch(from, to), rate))
            })
            .collect();
        let udp: BTreeMap<_, Arc<UdpSocket>> =
            sockets.iter().map(|(pair, (_, udp))| (*pair, udp.clone())).collect();
        for ((from, to), (listener, socket)) in sockets {
            let (there, back) = (ways[&(from, to)].clone(), ways[&(to, from)].clone());
            runtime.spawn(accept(listener, places[to].address, there, back));
            let datagrams = Datagrams {
                entrance: socket,
                exit: udp[&(to, from)].clone(),
                from: places[from].address,
                to: places[to].address,
                shape: topology.watch(from, to),
                pacer: Pacer::for_link(SEED.wrapping_add(1), from, to, now),
            };
            runtime.spawn(datagrams.run());
        }
        drop(entered);
        Ok(Emulator { topology, places, addresses, runtime: Some(runtime) })
    }

    /// What `from` dials to reach `to`.
    ///
    /// # Errors
    /// Unknown place, or both are the same.
    pub fn address(&self, from: &str, to: &str) -> Result<SocketAddr, TopologyError> {
        let pair = (self.topology.index(from)?, self.topology.index(to)?);
        self.addresses.get(&pair).copied().ok_or_else(|| TopologyError::Twice(from.to_owned()))
    }

    /// Everything that `from` dials in place of real addresses.
    ///
    /// # Errors
    /// Unknown place.
    pub fn map_for(&self, from: &str) -> Result<AddressMap, TopologyError> {
        let from = self.topology.index(from)?;
        let own = self.addresses.iter().filter(|((a, _), _)| *a == from);
        Ok(AddressMap(own.map(|((_, to), &address)| (self.places[*to].address, address)).collect()))
    }

    /// A handle by which another thread can change ways.
    pub fn topology(&self) -> Topology {
        self.topology.clone()
    }
}

impl Deref for Emulator {
    type Target = Topology;
    fn deref(&self) -> &Topology {
        &self.topology
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        // May happen inside another runtime, where waiting is not allowed.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn pairs(size: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..size).flat_map(move |a| (0..size).map(move |b| (a, b))).filter(|(a, b)| a != b)
}

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// Another program can hold the UDP port of a free TCP port.
const ATTEMPTS: usize = 64;

/// Asked of the kernel for datagrams that wait for us; it grants what its limit allows.
const UDP_BUFFER: usize = 4 << 20;

/// TCP and UDP at one free port.
fn bind_pair() -> io::Result<(SocketAddr, TcpListener, UdpSocket)> {
    let mut last = io::Error::other("no port is free for both TCP and UDP");
    for _ in 0..ATTEMPTS {
        let socket = TcpSocket::new_v4()?;
        // What waits in the kernel is not under way: keep it small, so that back-pressure is felt.
        socket.set_recv_buffer_size(super::stream::KERNEL_BUFFER)?;
        socket.bind(LOOPBACK)?;
        let listener = socket.listen(1024)?;
        let address = listener.local_addr()?;
        match StdUdpSocket::bind(address) {
            Ok(udp) => {
                udp.set_nonblocking(true)?;
                // What the kernel drops while this process has no turn would be loss that nobody asked for.
                rustix::net::sockopt::set_socket_recv_buffer_size(&udp, UDP_BUFFER)?;
                return Ok((address, listener, UdpSocket::from_std(udp)?));
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}
