use std::sync::Arc;
use std::time::Duration;

use aire_net::PeerInfo;
use aire_stream::{CarrierId, Side};
use aire_types::Class;
use aire_types::{Identity, Incarnation, Path, Role};
use aire_wire::{CarrierClose, CircuitId, EXPORTER_DATAGRAM, EXPORTER_JOIN, Frame};

use tokio::time::timeout;

use super::Outgoing;
use crate::agent::Agent;
use crate::carry::{Along, carrier, datagram_key};
use crate::crypto::hmac_sha256;
use crate::ends;
use crate::happening::Kind;
use crate::reaching;

/// How long a carrier may take to open; a little less than the pool waits, so that what went wrong is known.
const DIAL_DEADLINE: Duration = Duration::from_millis(4500);

/// Carriers on their way.
impl Outgoing {
    pub(super) async fn dial(
        self: Arc<Self>,
        agent: Arc<Agent>,
        id: CarrierId,
        circuit: CircuitId,
        path: Path,
        class: Class,
    ) {
        // Before the handshake: a renewal in between only makes the carrier's life look shorter than it is.
        let own = agent.membership.current().svid.not_after();
        let dialled = self.try_dial(&agent, circuit, class).await;
        self.state.lock().dials.remove(&id);
        let mut open = match dialled {
            Ok(open) => open,
            Err(why) => return self.dial_failed(&agent, id, (circuit, &path), why),
        };
        let begun = self.join(&agent, &open).and_then(|join| Ok((join, self.along(circuit, &path, &open)?)));
        let (join, along) = match begun {
            Ok(begun) => begun,
            Err(error) => return self.dial_failed(&agent, id, (circuit, &path), error.to_string()),
        };
        self.state.lock().failures.remove(&path);
        agent.control(|_, control| control.dialled(circuit));
        let neighbour = along.neighbour.clone();
        let expires = agent.clock.at(own.min(open.peer().not_after));
        if self.association.carrier_up(id, along, expires, (join.encoded_len(), 0)) {
            let registered = ends::register(&agent, circuit, neighbour, &self.association);
            let association = Arc::clone(&self.association);
            tokio::spawn(async move {
                carrier::run(association, id, open, vec![join], Vec::new()).await;
                drop(registered);
            });
        } else {
            carrier::say_goodbye(&mut open, CarrierClose::Done, "not needed").await;
            open.close();
        }
    }

    fn dial_failed(
        &self,
        agent: &Arc<Agent>,
        id: CarrierId,
        (circuit, path): (CircuitId, &Path),
        why: String,
    ) {
        tracing::debug!(carrier = %id, instance = %self.instance, why, "a carrier was not opened");
        let text = format!("no carrier {path} to {}: {why}", self.instance);
        let first = self.state.lock().failures.insert(path.clone(), why).is_none();
        if first {
            self.tell(agent, Kind::CarrierFailed, text);
        }
        let id = aire_circuit::CarrierId(id.0);
        let mut spared = false;
        self.association.with_pool(|now, pool| spared = pool.spares(now, id));
        // Before the pool hears of it, so that it is not given the same circuit when it asks for another one.
        if !spared {
            agent.control(|now, control| control.dial_failed(now, circuit));
        }
        self.association.with_pool(|now, pool| pool.handle_failed(now, id));
    }

    async fn try_dial(
        &self,
        agent: &Arc<Agent>,
        circuit: CircuitId,
        class: Class,
    ) -> Result<aire_net::Carrier, String> {
        let (first, way, bytes) = agent.control(|now, control| {
            let (first, preambles) =
                control.circuits().preambles(now, circuit, class).ok_or("the circuit has no lease")?;
            let way = control.way_to_first(&first).ok_or_else(|| format!("no address of {first}"))?;
            let bytes: Vec<u8> = preambles.iter().flat_map(aire_wire::Preamble::encode).collect();
            Ok::<_, String>((first, way, bytes))
        })?;
        let address = way.0;
        let hop = reaching::next_hop(Arc::downgrade(agent), first.clone(), way);
        let endpoint = agent.endpoint.get().ok_or("the agent is starting")?;
        let expected = Identity {
            mesh: agent.membership.identity().mesh,
            role: Role::App(self.instance.app.clone()),
            node: self.instance.node.clone(),
        };
        let check = |peer: &PeerInfo| {
            if peer.identity == expected {
                Ok(())
            } else {
                Err(format!("{} answered instead of {expected}", peer.identity))
            }
        };
        let dialled = timeout(DIAL_DEADLINE, endpoint.dial_carrier(hop, bytes, check)).await;
        let silent = |_| {
            let ms = DIAL_DEADLINE.as_millis();
            format!(
                "{first} ({address}) neither answered nor dialled back over TCP within {ms} ms; carriers need TCP one way or the other"
            )
        };
        dialled.map_err(silent)?.map_err(|error| error.to_string())
    }

    fn along(
        &self,
        circuit: CircuitId,
        path: &Path,
        carrier: &aire_net::Carrier,
    ) -> Result<Along, aire_net::CarrierError> {
        let secret = carrier.exporter(EXPORTER_DATAGRAM, &self.id.0)?;
        let key = datagram_key(Side::Source, self.id, &secret);
        let neighbour = path.relays().first().unwrap_or(&self.instance.node).clone();
        Ok(Along { circuit, path: path.clone(), neighbour, key })
    }

    /// The first frame of a carrier.
    fn join(&self, agent: &Agent, carrier: &aire_net::Carrier) -> Result<Frame, aire_net::CarrierError> {
        let new = !self.association.is_joined();
        let proof = if new {
            self.secret
        } else {
            hmac_sha256(&self.secret, &carrier.exporter(EXPORTER_JOIN, &self.id.0)?)
        };
        Ok(Frame::Join {
            association: self.id,
            source: agent.incarnation,
            destination: self.state.lock().incarnation.unwrap_or(Incarnation(0)),
            new,
            proof,
        })
    }
}
