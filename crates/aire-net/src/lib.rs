//! Sockets, TLS, links, carriers and relay splicing.
//!
//! An [`Endpoint`] is one UDP and one TCP port of the same number. It knows byte formats and nothing of circuits,
//! streams or policy: what arrives is judged by a [`Handler`], and whom to trust is told by [`Credentials`].

mod accept;
mod admission;
mod carrier;
mod credentials;
mod dial_back;
mod endpoint;
mod enrol;
mod error;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod handler;
mod link;
mod next_hop;
mod options;
mod pacer;
mod pipe_pool;
mod relay;
mod remembered;
mod splice;
#[allow(unsafe_code)]
mod tcp_info;
mod tls;
mod underlay;

pub use carrier::{Carrier, CarrierError};
pub use credentials::{Credentials, PeerInfo, Purpose, preamble_is_authentic, preamble_mac};
pub use dial_back::Ticket;
pub use endpoint::Endpoint;
pub use enrol::{MAX_ENROLMENT, enrol_exchange, enrol_handshake};
pub use error::NetError;
pub use handler::{Enrolled, Handler, NetEvent, PreambleVerdict, RelayOrder};
pub use link::{ClosedBy, Link, LinkEvent, LinkEvents, LinkStats, SendError, Transport};
pub use next_hop::{Neighbour, NextHop, Opening, Plan};
pub use options::{Congestion, congestion};
pub use pacer::Pacer;
pub use relay::{RelayCounters, RelayEnd};
pub use tcp_info::TcpInfo;
pub use underlay::Underlay;
