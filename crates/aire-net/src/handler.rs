use std::any::Any;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use aire_wire::{CircuitId, Preamble};
use tokio_util::sync::CancellationToken;

use crate::{Carrier, Link, LinkEvents, NextHop, Pacer, RelayCounters, RelayEnd};

/// What to do with a carrier that came in, by its preamble.
pub enum PreambleVerdict {
    /// Pass it on.
    Relay(RelayOrder),
    /// It ends here: answer its TLS handshake and give it to [`Handler::carrier`] with this.
    Terminate(Box<dyn Any + Send>),
    /// Close it. The text is for this agent's operator; the dialler sees only the end.
    Refuse(String),
}

/// How to relay one carrier.
pub struct RelayOrder {
    /// The next hop.
    pub next: NextHop,
    /// Limits the rate; shared by all carriers of a lease.
    pub pacer: Option<Arc<Pacer>>,
    /// Resets both sides when cancelled.
    pub kill: CancellationToken,
    /// Counts while it runs.
    pub counters: Arc<RelayCounters>,
    /// Dropped when the carrier has ended.
    pub guard: Box<dyn Any + Send>,
}

/// Something that happened at the sockets, for logs, counters and intrusion detection.
#[derive(Debug)]
pub enum NetEvent {
    /// A TCP connection without a valid preamble was closed.
    BadPreamble {
        /// From where.
        from: SocketAddr,
        /// What was wrong.
        why: String,
    },
    /// A valid preamble was refused.
    Refused {
        /// From where.
        from: SocketAddr,
        /// For which circuit.
        circuit: CircuitId,
        /// Why.
        why: String,
    },
    /// A peer did not get through its handshake.
    HandshakeFailed {
        /// From where.
        from: SocketAddr,
        /// Of a valid carrier preamble: a stolen key shows like this.
        circuit: Option<CircuitId>,
        /// Why.
        why: String,
    },
    /// Too many connections that have not proved themselves, or too many enrolments, from one address.
    Flood {
        /// From where.
        from: SocketAddr,
    },
    /// The next hop of a relayed carrier cannot be reached.
    NextHopUnreachable {
        /// Which circuit.
        circuit: CircuitId,
        /// The next hop.
        next: SocketAddr,
        /// Why.
        why: String,
    },
    /// A relayed carrier ended.
    RelayEnded {
        /// Which circuit.
        circuit: CircuitId,
        /// How.
        end: RelayEnd,
    },
    /// The listener cannot accept for now; this machine is short of something, mostly file descriptors.
    AcceptFailed {
        /// What the system said.
        why: String,
    },
}

/// The answer to an enrolment request; `None` closes the connection.
pub type Enrolled = Pin<Box<dyn Future<Output = Option<Vec<u8>>> + Send>>;

/// The agent behind an endpoint. Called from the endpoint's tasks: none of these may block.
pub trait Handler: Send + Sync + 'static {
    /// Checks the preamble of a carrier (MAC, window, lease, policy) and says what becomes of it.
    fn check_preamble(&self, preamble: &Preamble, from: SocketAddr) -> PreambleVerdict;

    /// A peer opened a link.
    fn link(&self, link: Link, events: LinkEvents);

    /// A carrier ended here; `context` is what [`PreambleVerdict::Terminate`] held.
    fn carrier(&self, carrier: Carrier, context: Box<dyn Any + Send>);

    /// A stranger wants to enrol. Only asked where the credentials serve enrolment.
    fn enrol(&self, _request: Vec<u8>, _from: SocketAddr) -> Enrolled {
        Box::pin(async { None })
    }

    /// Something happened.
    fn event(&self, _event: NetEvent) {}
}
