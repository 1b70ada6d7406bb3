//! A packet-level network lab for real agents, and the emulated underlay of the demo.
//!
//! Two networks that do not exist, described in the same words ([`LinkShape`]):
//!
//! * [`wan`]: network namespaces joined by a user-space switch that delays, drops and shapes IPv4 packets. Needs root.
//!   [`scenario`] scripts it: hosts, agents, workloads, events and expectations in one TOML file.
//! * [`emulate`]: a loopback address for every ordered pair of agents, behind which bytes and datagrams take their time.
//!   Needs no privilege. [`world`] has places and the delays between them.
//!
//! [`workload`] has the programs that measure what an application gets, [`software`] those that everybody has.

pub mod emulate;
mod pacer;
pub mod scenario;
mod shape;
pub mod software;
mod topology;
pub mod wan;
pub mod workload;
pub mod world;

pub use shape::{LinkShape, ShapeChange, ShapeError};
pub use topology::{Topology, TopologyError};
