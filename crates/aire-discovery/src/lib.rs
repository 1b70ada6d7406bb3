//! Finding other agents: multicast DNS, seeds and the peer cache.
//!
//! Everything here says only where it may be worth dialling. Nothing that is found is trusted: who answers there is
//! told by the handshake of the link. Adapters share one contract, [`Discovery`], and one test suite.

mod cache;
mod combined;
mod mdns;
mod pace;
mod seeds;
mod waiting;

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;

use aire_types::{MeshName, NodeName};

pub use cache::{Cache, CacheError, CachedPeer, MAX_ADDRESSES, MAX_PEERS, PeerCache};
pub use combined::Combined;
pub use mdns::{Mdns, SERVICE_TYPE};
pub use pace::Pace;
pub use seeds::{SeedError, Seeds};

/// Where an address comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// Announced on the local network.
    Mdns,
    /// From the token or the configuration.
    Seed,
    /// Linked in an earlier run.
    Cache,
}

/// An address that may be worth dialling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Where to dial.
    pub address: SocketAddr,
    /// Who says so.
    pub source: Source,
    /// Which node is said to be there; the handshake tells the truth.
    pub node: Option<NodeName>,
}

/// Something that an operator should know. Said once until it is over; never fatal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// This machine or its network does not do multicast.
    #[error("multicast DNS does not work here ({0}): agents on this network are found by seeds only")]
    Multicast(String),
    /// A seed's name does not resolve: the token, the configuration or DNS is to blame.
    #[error("the seed {seed} does not resolve ({why}): check the name and DNS; it is tried again")]
    Seed {
        /// As given.
        seed: String,
        /// What the resolver said.
        why: String,
    },
    /// The peer cache cannot be used; it is begun anew.
    #[error("{0}")]
    Cache(String),
}

/// What an adapter has to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// An address.
    Found(Found),
    /// A failure.
    Trouble(Trouble),
}

/// What this agent tells others about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Own {
    /// Its mesh.
    pub mesh: MeshName,
    /// Its name.
    pub node: NodeName,
    /// Its port, TCP and UDP.
    pub port: u16,
}

/// The answer of [`Discovery::next`].
pub type Next<'a> = Pin<Box<dyn Future<Output = Option<Finding>> + Send + 'a>>;

/// A way to find addresses.
///
/// An address that is not linked is found again and again, with growing pauses, until [`Discovery::linked`] is told
/// of it; after [`Discovery::lost`] it is found again soon.
pub trait Discovery: Send {
    /// Says who we are. Adapters that can tell the network do, and all that can leave ourselves out of what they find.
    fn announce(&mut self, own: &Own);

    /// The address is linked, or leads to ourselves: nothing more need be found there.
    fn linked(&mut self, address: SocketAddr);

    /// The link to the address was lost.
    fn lost(&mut self, address: SocketAddr);

    /// The next finding; `None` when there never will be one. Cancel-safe: nothing is lost when the future is dropped,
    /// so an agent drops it to say something else and asks again. An adapter stands still while nobody asks.
    fn next(&mut self) -> Next<'_>;
}
