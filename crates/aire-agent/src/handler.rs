//! What the agent makes of what arrives at its port.

use std::any::Any;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};

use aire_circuit::{Accepted, Role};
use aire_identity::{EnrolRequest, EnrolResponse};
use aire_net::{
    Carrier, Credentials, Enrolled, Handler, Link, LinkEvents, NetEvent, NextHop, Pacer, PeerInfo,
    PreambleVerdict, Purpose, RelayCounters, RelayOrder,
};
use aire_types::{Path, RouteId};
use aire_wire::{CircuitClose, CircuitId, Preamble};
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, ServerConfig};
use tokio_util::sync::CancellationToken;

use crate::agent::{Agent, Relayed};
use crate::happening::{Happening, Kind};
use crate::membership::Membership;
use crate::{incoming, linking, reaching};

/// Carriers of a circuit of ours that a hop closed are kept at least so long.
const HEARING: Duration = Duration::from_millis(500);

/// What this node shows to others, and how it judges them.
pub(crate) struct NodeCredentials {
    pub(crate) membership: Arc<Membership>,
    pub(crate) is_authority: bool,
}

impl Credentials for NodeCredentials {
    fn link_client(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.membership.current().link_client)
    }

    fn carrier_client(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.membership.current().carrier_client)
    }

    fn server(&self, purpose: Purpose) -> Option<Arc<ServerConfig>> {
        let current = self.membership.current();
        match purpose {
            Purpose::Link => Some(Arc::clone(&current.link_server)),
            Purpose::Carrier => Some(Arc::clone(&current.carrier_server)),
            Purpose::Enrolment => self.is_authority.then(|| Arc::clone(&current.enrol_server)),
        }
    }

    fn knock_key(&self) -> [u8; 32] {
        self.membership.knock_keys().first().copied().unwrap_or_default()
    }

    fn knocks(&self) -> Vec<[u8; 32]> {
        self.membership.knock_keys()
    }

    fn peer(&self, chain: &[CertificateDer<'_>]) -> Result<PeerInfo, String> {
        let verified =
            self.membership.trust().verify(chain, SystemTime::now()).map_err(|error| error.to_string())?;
        Ok(PeerInfo {
            identity: verified.identity().clone(),
            leaf: chain.first().map(|leaf| leaf.to_vec()).unwrap_or_default(),
            not_after: verified.not_after(),
        })
    }
}

/// The agent as its endpoint sees it.
pub(crate) struct Reception(pub(crate) Weak<Agent>);

/// A carrier that ends here, between its preamble and its TLS session.
struct Ending {
    accepted: Accepted,
    path: Path,
    /// Also for one whose session never comes: the preamble was counted against the lease.
    guard: LeaseGuard,
}

/// Tells the leases that a carrier is gone.
struct LeaseGuard {
    agent: Weak<Agent>,
    circuit: CircuitId,
    /// Counted in [`Agent::relaying`].
    relayed: bool,
}

impl Drop for LeaseGuard {
    fn drop(&mut self) {
        if let Some(agent) = self.agent.upgrade() {
            if self.relayed {
                agent.relaying.fetch_sub(1, Ordering::Relaxed);
            }
            agent.control(|_, control| control.circuits().carrier_closed(self.circuit));
        }
    }
}

impl Handler for Reception {
    fn check_preamble(&self, preamble: &Preamble, _from: SocketAddr) -> PreambleVerdict {
        let Some(agent) = self.0.upgrade() else {
            return PreambleVerdict::Refuse("the agent stops".to_owned());
        };
        let checked = agent.control(|now, control| {
            let accepted = control.check_preamble(now, preamble).map_err(|error| error.to_string())?;
            let path =
                control.circuits().held(accepted.circuit).map(|held| held.asked.path).unwrap_or_default();
            let next = accepted.next.as_ref().map(|next| {
                let way = control.way_to(next).ok_or_else(|| format!("no link to {next} any more"))?;
                Ok::<_, String>(reaching::next_hop(self.0.clone(), next.clone(), way))
            });
            Ok::<_, String>((accepted, path, next))
        });
        match checked {
            Ok((accepted, path, None)) => {
                let (agent, circuit) = (self.0.clone(), accepted.circuit);
                let guard = LeaseGuard { agent, circuit, relayed: false };
                PreambleVerdict::Terminate(Box::new(Ending { accepted, path, guard }))
            }
            Ok((accepted, _, Some(Ok(next)))) => {
                PreambleVerdict::Relay(agent.relay_order(&accepted, next, self.0.clone()))
            }
            Ok((accepted, _, Some(Err(why)))) => {
                agent.control(|_, control| control.circuits().carrier_closed(accepted.circuit));
                PreambleVerdict::Refuse(why)
            }
            Err(why) => PreambleVerdict::Refuse(why),
        }
    }

    fn link(&self, link: Link, events: LinkEvents) {
        if let Some(agent) = self.0.upgrade() {
            linking::attach(&agent, link, events, None);
        }
    }

    fn carrier(&self, carrier: Carrier, context: Box<dyn Any + Send>) {
        let (Some(agent), Ok(ending)) = (self.0.upgrade(), context.downcast::<Ending>()) else { return };
        let Ending { accepted, path, guard } = *ending;
        tokio::spawn(async move {
            let served = incoming::receive(&agent, carrier, accepted, path).await;
            // Before the association is waited for: what it remembers is no carrier.
            drop(guard);
            if let Some(incoming) = served {
                incoming.expire(&agent).await;
            }
        });
    }

    fn enrol(&self, request: Vec<u8>, from: SocketAddr) -> Enrolled {
        let agent = self.0.upgrade();
        Box::pin(async move {
            let agent = agent?;
            let authority = Arc::clone(agent.authority.as_ref()?);
            let answer = tokio::task::spawn_blocking(move || {
                let request = EnrolRequest::decode(&request).map_err(|error| error.to_string())?;
                Ok::<_, String>(authority.answer(&request, None, SystemTime::now()))
            });
            match answer.await.ok()? {
                Ok(Ok(response)) => {
                    let text = format!("a node at {from} joined the mesh");
                    agent.tell(Happening::new(Kind::Enrolled, text).address(from));
                    Some(response.encode())
                }
                Ok(Err(error)) => {
                    let text = format!("an enrolment from {from} was refused: {error}");
                    agent.tell(Happening::new(Kind::EnrolmentRefused, text).address(from));
                    Some(EnrolResponse::refused(error.refusal()).encode())
                }
                Err(why) => {
                    let text = format!("an enrolment from {from} cannot be read: {why}");
                    agent.tell(Happening::new(Kind::EnrolmentRefused, text).address(from));
                    None
                }
            }
        })
    }

    fn event(&self, event: NetEvent) {
        let Some(agent) = self.0.upgrade() else { return };
        agent.note_net_event(event);
    }
}

impl Agent {
    fn relay_order(self: &Arc<Self>, accepted: &Accepted, next: NextHop, agent: Weak<Agent>) -> RelayOrder {
        let circuit = accepted.circuit;
        self.relaying.fetch_add(1, Ordering::Relaxed);
        let guard = Box::new(LeaseGuard { agent, circuit, relayed: true });
        let order = {
            let mut relayed = self.relayed.lock();
            let entry = relayed.entry(circuit).or_insert_with(|| Relayed {
                kill: CancellationToken::new(),
                counters: Arc::new(RelayCounters::default()),
                pacer: (accepted.rate > 0).then(|| Arc::new(Pacer::new(accepted.rate))),
            });
            let (pacer, kill, counters) =
                (entry.pacer.clone(), entry.kill.clone(), Arc::clone(&entry.counters));
            RelayOrder { next, pacer, kill, counters, guard }
        };
        // The circuit may have been closed since its preamble was checked, and nobody would close it again.
        if self.control(|_, control| control.circuits().held(circuit)).is_none() {
            self.relayed.lock().remove(&circuit);
            order.kill.cancel();
        }
        order
    }

    /// A circuit is over: its carriers end after `grace`.
    pub(crate) fn close_circuit(
        self: &Arc<Self>,
        circuit: CircuitId,
        role: Role,
        route: Option<RouteId>,
        code: CircuitClose,
        reason: &str,
        grace: Duration,
    ) {
        match role {
            Role::Source => {
                let Some(route) = route else { return };
                tracing::debug!(%route, reason, "a circuit of ours is over");
                // The hops cut without grace where they must; what they said on the carrier before should be heard.
                let grace = grace.max(HEARING);
                for outgoing in self.outgoing_to(&route.instance) {
                    outgoing
                        .association
                        .with_pool(|now, pool| pool.handle_circuit_closed(now, circuit, code, grace));
                }
            }
            Role::Relay => {
                let Some(relayed) = self.relayed.lock().remove(&circuit) else { return };
                if grace.is_zero() {
                    return relayed.kill.cancel();
                }
                tokio::spawn(async move {
                    tokio::time::sleep(grace).await;
                    relayed.kill.cancel();
                });
            }
            // Carriers that end here are the associations' matter, which ask policy themselves.
            Role::Destination => {}
        }
    }

    fn note_net_event(self: &Arc<Self>, event: NetEvent) {
        let stranger = |from: SocketAddr, text: String| {
            self.metrics.stranger();
            self.tell(Happening::new(Kind::StrangerRejected, text).address(from));
        };
        match event {
            NetEvent::BadPreamble { from, why } => stranger(from, format!("a connection from {from}: {why}")),
            NetEvent::Refused { from, circuit, why } => {
                stranger(from, format!("a carrier of circuit {circuit} from {from}: {why}"));
            }
            NetEvent::HandshakeFailed { from, why, .. } => {
                stranger(from, format!("a handshake with {from} failed: {why}"));
            }
            NetEvent::Flood { from } => stranger(from, format!("too many connections from {}", from.ip())),
            NetEvent::NextHopUnreachable { circuit, next, why } => {
                tracing::debug!(%circuit, %next, why, "the next hop is unreachable");
                self.control(|now, control| control.next_hop_gone(now, circuit, &why));
            }
            NetEvent::RelayEnded { circuit, end } => {
                tracing::debug!(%circuit, ?end, "a relayed carrier ended")
            }
            NetEvent::AcceptFailed { why } => {
                let text = format!("this machine takes no connections: {why}; raise its limits (ulimit -n)");
                self.tell(Happening::new(Kind::Machine, text));
            }
        }
    }
}
