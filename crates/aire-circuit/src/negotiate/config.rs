use std::time::Duration;

use aire_types::{AppName, Class, Incarnation, MeshName, NodeName, Path, Time};
use aire_wire::{CircuitClose, CircuitId, Message, RefusalCode};

use crate::lease::{Asked, Role};

/// Who this agent is and what it may spend on circuits.
#[derive(Clone, Debug)]
pub struct Config {
    /// This node.
    pub node: NodeName,
    /// The mesh. Identities of others are refused.
    pub mesh: MeshName,
    /// Which run of this agent.
    pub incarnation: Incarnation,
    /// Circuits of others, granted or under way, at most.
    pub max_circuits: usize,
    /// Of these, circuits of one source at most.
    pub max_per_source: usize,
    /// Circuits that this agent asks for itself, at most.
    pub max_own: usize,
    /// Carriers that one circuit may have open at a time.
    pub max_carriers: u32,
    /// How long a source waits for an answer.
    pub request_timeout: Duration,
    /// How long a relay waits for one; longer than sources do.
    pub pending_timeout: Duration,
    /// How long a signed request may be acted upon, seconds.
    pub request_ttl_s: u64,
    /// How far apart the clocks of two agents may be, seconds.
    pub clock_slack_s: u64,
    /// The longest lease that this agent gives or believes.
    pub max_lease: Duration,
}

impl Config {
    /// The usual limits.
    pub fn new(node: NodeName, mesh: MeshName, incarnation: Incarnation) -> Self {
        Config {
            node,
            mesh,
            incarnation,
            max_circuits: 4096,
            max_per_source: 64,
            max_own: 4096,
            max_carriers: 64,
            request_timeout: Duration::from_secs(3),
            pending_timeout: Duration::from_secs(10),
            request_ttl_s: 60,
            clock_slack_s: 3600,
            max_lease: Duration::from_secs(3600),
        }
    }
}

/// What a hop gives to a circuit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// How long it accepts new carriers. At least a second, at most [`Config::max_lease`]; others are clamped.
    pub lease: Duration,
    /// Bits a second; 0 is no limit.
    pub rate: u64,
}

/// A refusal with its reason for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// Why.
    pub code: RefusalCode,
    /// Why, for people.
    pub reason: String,
}

/// Policy and capacity, asked about every verified request, also when it renews a lease.
pub trait Gate {
    /// May this source use me on its way to `next`? [`RefusalCode::NoRoute`] where there is no link to `next`.
    ///
    /// # Errors
    /// Why not.
    fn relay(&mut self, asked: &Asked, next: &NodeName) -> Result<Terms, Denial>;

    /// May this source reach the app here?
    ///
    /// # Errors
    /// Why not.
    fn connect(&mut self, asked: &Asked) -> Result<Terms, Denial>;
}

/// A circuit that this agent would like to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Want {
    /// The app to reach.
    pub app: AppName,
    /// The class of the streams to come.
    pub class: Class,
    /// The relays on the way.
    pub path: Path,
    /// The destination.
    pub destination: NodeName,
}

impl Want {
    /// Would the circuit pass a node other than its source?
    pub(crate) fn is_on(&self, node: &NodeName) -> bool {
        self.destination == *node || self.path.relays().contains(node)
    }
}

/// Why no circuit can be asked for. This agent's own fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// As many circuits as there may be.
    #[error("this agent already has {0} circuits of its own; close some")]
    Full(usize),
    /// The route contains this node, or the destination twice.
    #[error("a circuit {path} to {destination} would pass a node twice")]
    Route {
        /// The relays.
        path: Path,
        /// The destination.
        destination: NodeName,
    },
    /// The agent is shutting down.
    #[error("this agent is draining")]
    Draining,
}

/// What the negotiation wants done, or has to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send on the link to a node. Where there is none: [`crate::Circuits::handle_unreachable`].
    Send {
        /// To whom.
        to: NodeName,
        /// What.
        message: Message,
    },
    /// Send a probe as a datagram on the link to a node; drop it where there is none.
    SendProbe {
        /// To whom.
        to: NodeName,
        /// What.
        datagram: [u8; aire_wire::PROBE_LEN],
    },
    /// A circuit of this agent was granted: carriers can be dialled.
    Granted {
        /// The circuit.
        circuit: CircuitId,
        /// What was wanted.
        want: Want,
        /// Which run of the destination granted it.
        incarnation: Incarnation,
        /// Until when carriers can be dialled; renewed before.
        lease_until: Time,
        /// Bits a second of the slowest hop; 0 is no limit.
        rate: u64,
    },
    /// A circuit of this agent was refused, or nobody answered in time (then `by` is the first hop).
    Refused {
        /// The circuit; it is gone.
        circuit: CircuitId,
        /// What was wanted.
        want: Want,
        /// Who refuses, as it says; the destination's policy only where the destination proved that it is its.
        by: NodeName,
        /// Why.
        code: RefusalCode,
        /// Why, for people.
        reason: String,
    },
    /// The lease of a circuit of this agent could not be renewed: its carriers go on, new ones need a new circuit.
    Lapsed {
        /// The circuit.
        circuit: CircuitId,
    },
    /// A circuit of somebody else is granted here.
    Held {
        /// What was asked for.
        asked: Asked,
        /// What this agent is for it.
        role: Role,
        /// Until when new carriers are accepted.
        lease_until: Time,
    },
    /// A circuit is over. Its carriers must be cut after `grace`.
    Closed {
        /// The circuit.
        circuit: CircuitId,
        /// What this agent was for it.
        role: Role,
        /// The neighbour that said so, or this node.
        by: NodeName,
        /// Why.
        code: CircuitClose,
        /// Why, for people.
        reason: String,
        /// How long its carriers may go on, so that their streams can move: zero where they must not.
        grace: Duration,
    },
    /// A message was thrown away; somebody is broken or hostile.
    Rejected {
        /// Who sent it.
        from: NodeName,
        /// The circuit that it names, where it can be read.
        circuit: Option<CircuitId>,
        /// What is wrong with it.
        reason: String,
    },
    /// A probe of a circuit of this agent came back, or did not.
    Probed {
        /// The circuit.
        circuit: CircuitId,
        /// Which probe, as [`crate::Circuits::probe`] said.
        sequence: u32,
        /// Round trip; `None`: lost.
        rtt: Option<Duration>,
    },
}

/// How long carriers may outlive their circuit.
pub(crate) const fn grace(code: CircuitClose) -> Duration {
    match code {
        CircuitClose::Policy | CircuitClose::Revoked => Duration::ZERO,
        CircuitClose::Unwanted => Duration::from_secs(5),
        CircuitClose::Draining | CircuitClose::HopGone => Duration::from_secs(10),
    }
}
