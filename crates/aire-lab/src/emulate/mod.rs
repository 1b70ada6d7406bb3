//! An underlay that is not there: agents are ordinary processes on loopback, and what passes between two of them takes
//! its time.
//!
//! For every ordered pair (A, B) of agents there is one local address, for TCP and UDP. A dials it in place of B's real
//! one; an [`AddressMap`] tells A's underlay seam so. Needs no privilege.
//!
//! What is emulated, and what is not:
//! * **UDP**: each datagram is delayed, lost, shaped and filtered as on the packet-level WAN. B sees it come from the
//!   address at which B reaches A, so answers pass the other direction. An agent must send from its own port.
//! * **TCP**: both ends talk to this process, so the kernel repairs nothing. Bytes take the delay and the rate of their
//!   direction. Loss becomes time: a lost segment (1400 bytes) holds what is behind it for a round trip, and the rate is
//!   divided by 1 + 20 × loss. Windows are not emulated: a connection has the whole rate from its first byte on.
//! * **Opening**: A's `connect` succeeds at once, but its first byte arrives a round trip and a half later. When B does
//!   not listen, A is reset a round trip later.
//! * **Down**: nothing moves and nothing is closed. Datagrams vanish; bytes wait, and go on when the way is mended.
//! * **Ends**: a close and a reset arrive after the delay, behind the bytes that were sent before.
//! * **Back-pressure**: no more bytes are taken than are under way, a little more than rate × delay.
//! * Filters: `drop_udp` loses datagrams; `drop_tcp` acts on connections like `down`.
//!
//! TCP and UDP have the rate each for themselves. Delays are right to about a millisecond.

mod datagrams;
mod emulator;
mod map;
mod ports;
mod stream;

pub use emulator::{EmulateError, Emulator, Place};
pub use map::AddressMap;
pub use ports::free_addresses;
