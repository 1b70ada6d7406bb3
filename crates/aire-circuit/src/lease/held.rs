use aire_types::{AppName, Class, Identity, Incarnation, NodeName, Path, Time};
use aire_wire::{CircuitId, Preamble, PreambleKind};

use super::window::ReplayWindow;
use crate::crypto::{Digest, Key, same_mac};

/// What this agent is for a circuit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// It asked for the circuit.
    Source,
    /// It passes the circuit on.
    Relay,
    /// The circuit ends here.
    Destination,
}

/// What a verified circuit request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The circuit.
    pub circuit: CircuitId,
    /// Who asks; verified.
    pub source: Identity,
    /// Which run of the source.
    pub incarnation: Incarnation,
    /// The app that it wants to reach.
    pub app: AppName,
    /// The class of the streams to come.
    pub class: Class,
    /// The relays on the way.
    pub path: Path,
    /// The destination.
    pub destination: NodeName,
}

impl Asked {
    /// Is a node on the circuit, at either end or as a relay?
    pub(crate) fn is_on(&self, node: &NodeName) -> bool {
        self.source.node == *node || self.destination == *node || self.path.relays().contains(node)
    }
}

/// Why a carrier's preamble is not accepted. Always the dialling side's fault, or that of somebody between.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PreambleError {
    /// Not a carrier's.
    #[error("the preamble is not of a carrier")]
    Kind,
    /// No such circuit here.
    #[error("no such circuit here")]
    Unknown,
    /// The MAC is wrong.
    #[error("the preamble's MAC is wrong")]
    Mac,
    /// The counter was used, or is older than the window.
    #[error("the preamble's counter was used or is too old")]
    Replayed,
    /// The lease lapsed.
    #[error("the circuit's lease has lapsed")]
    Lapsed,
    /// The circuit has as many carriers as it may have.
    #[error("the circuit has no carrier left")]
    TooManyCarriers,
}

/// A carrier that may go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The circuit.
    pub circuit: CircuitId,
    /// Whose circuit it is. A destination must find the same identity in the TLS session.
    pub source: Identity,
    /// Which run of the source.
    pub incarnation: Incarnation,
    /// The app that it wants to reach.
    pub app: AppName,
    /// The class that this carrier is for.
    pub class: Class,
    /// Whom to dial and splice with; `None`: the carrier ends here.
    pub next: Option<NodeName>,
    /// Bits a second that the circuit may carry; 0 is no limit.
    pub rate: u64,
}

/// A granted circuit as operators see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldView {
    /// What was asked for.
    pub asked: Asked,
    /// What this agent is for it.
    pub role: Role,
    /// Until when new carriers are accepted.
    pub lease_until: Time,
    /// Bits a second; 0 is no limit.
    pub rate: u64,
    /// Open carriers.
    pub carriers: u32,
}

/// One granted circuit at a relay or a destination.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) asked: Asked,
    pub(crate) previous: NodeName,
    pub(crate) next: Option<NodeName>,
    /// Hash of what a renewal must repeat.
    pub(crate) content: [u8; 32],
    /// Offered to the source; a renewal offers it again, so the keys stay.
    pub(crate) public_key: Key,
    pub(crate) hop_key: Key,
    pub(crate) probe_key: Option<Key>,
    pub(crate) lease_until: Time,
    pub(crate) rate: u64,
    pub(crate) window: ReplayWindow,
    pub(crate) carriers: u32,
}

impl Held {
    pub(crate) const fn role(&self) -> Role {
        if self.next.is_some() { Role::Relay } else { Role::Destination }
    }

    pub(crate) fn view(&self) -> HeldView {
        HeldView {
            asked: self.asked.clone(),
            role: self.role(),
            lease_until: self.lease_until,
            rate: self.rate,
            carriers: self.carriers,
        }
    }

    pub(crate) fn accept(
        &mut self,
        now: Time,
        preamble: &Preamble,
        max_carriers: u32,
        digest: &impl Digest,
    ) -> Result<Accepted, PreambleError> {
        if preamble.kind != PreambleKind::Carrier {
            return Err(PreambleError::Kind);
        }
        if !same_mac(&digest.mac(&self.hop_key, &preamble.signed()), &preamble.mac) {
            return Err(PreambleError::Mac);
        }
        // The counter is used up by every authentic preamble, also by one that is then turned away.
        if !self.window.take(preamble.counter) {
            return Err(PreambleError::Replayed);
        }
        if now >= self.lease_until {
            return Err(PreambleError::Lapsed);
        }
        if self.carriers >= max_carriers {
            return Err(PreambleError::TooManyCarriers);
        }
        self.carriers += 1;
        Ok(Accepted {
            circuit: self.asked.circuit,
            source: self.asked.source.clone(),
            incarnation: self.asked.incarnation,
            app: self.asked.app.clone(),
            class: preamble.class,
            next: self.next.clone(),
            rate: self.rate,
        })
    }
}
