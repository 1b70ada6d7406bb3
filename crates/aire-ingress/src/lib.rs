//! How applications reach the mesh: listeners, SOCKS5 and HTTP CONNECT; and how they learn who reached them: [`ProxyHeader`].
//!
//! A [`Listener`] accepts connections, finds out which app each one wants, and hands it over as an [`Arrival`]. Whoever
//! receives it looks for a way through the mesh and then says [`Arrival::accept`] or [`Arrival::refuse`], which
//! answers in the application's own protocol. Datagrams come as [`Flow`]s, from a [`UdpListener`] or from SOCKS5 clients.
//! Nothing of the mesh is known here.
//!
//! A destination is written `APP.mesh` or just `APP`, in any case. The port that SOCKS5 and HTTP CONNECT ask for is
//! ignored: an app has one address, and its own agent knows it.

mod arrival;
mod associate;
mod destination;
mod flow;
mod handshake;
mod listener;
mod notice;
pub mod parse;
mod proxy_header;
mod refusal;
mod spare;
mod udp;

pub use arrival::{Accepted, Arrival};
pub use destination::{Foreign, parse_destination};
pub use flow::{Flow, Replies};
pub use listener::{BindError, Kind, Limits, Listener};
pub use notice::{Notice, Trouble};
pub use proxy_header::{ProxyHeader, TYPE_SPIFFE_ID};
pub use refusal::Refusal;
pub use udp::UdpListener;
