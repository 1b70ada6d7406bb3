//! Associations that others opened with this agent: carriers that end here, and the streams on them.

mod flow;

use std::collections::btree_map::Entry;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aire_circuit::{Accepted, Leave, LeaveConfig};
use aire_ingress::ProxyHeader;
use aire_net::{Carrier, CarrierError};
use aire_stream::{CarrierId, Side};
use aire_types::{AppName, Class, Identity, Incarnation, NodeName, Path, Protocol};
use aire_wire::{
    AssociationId, CarrierClose, CircuitId, EXPORTER_DATAGRAM, EXPORTER_JOIN, Frame, ResetCode, StreamId,
};
use bytes::Bytes;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::agent::Agent;
use crate::carry::{Along, Association, Keeper, Report, carrier, datagram_key, stream};
use crate::config::{ProxyProtocol, Served};
use crate::crypto::hmac_sha256;
use crate::ends;
use crate::happening::{Happening, Kind};
use crate::in_turn::begin;
use crate::ledger::{Ending, stream_id};

/// How long a peer may take to say which association its carrier joins.
const JOIN_DEADLINE: Duration = Duration::from_secs(5);
/// How long the app's target may take to accept a connection.
const TARGET_DEADLINE: Duration = Duration::from_secs(5);
/// Associations of one peer: it needs one for each class, and some may be on their way out.
const MAX_ASSOCIATIONS: usize = 64;
/// Sources end carriers themselves when a certificate runs out; those that do not are ended so much later.
const EXPIRED_GRACE: Duration = Duration::from_secs(2);
/// An association without carriers is kept so long for its source to come back.
const MEMORY: Duration = Duration::from_secs(120);

/// An association of which this agent is the destination.
pub(crate) struct Incoming {
    id: AssociationId,
    peer: Identity,
    source: Incarnation,
    secret: [u8; 32],
    pub(crate) association: Arc<Association>,
    next_carrier: AtomicU64,
}

/// What a JOIN frame says.
struct Join {
    association: AssociationId,
    source: Incarnation,
    destination: Incarnation,
    new: bool,
    proof: [u8; 32],
}

/// A carrier ended here: waits for its JOIN and gives it to its association.
pub(crate) async fn receive(
    agent: &Arc<Agent>,
    mut carrier: Carrier,
    accepted: Accepted,
    path: Path,
) -> Option<Arc<Incoming>> {
    let peer = carrier.peer().identity.clone();
    if peer != accepted.source {
        let text = format!("{peer} came over a circuit of {}: its key was stolen", accepted.source);
        agent.tell(Happening::new(Kind::StrangerRejected, text).peer(&peer.node));
        carrier.abort();
        return None;
    }
    let (join, received, arrived) = match first_words(&mut carrier).await {
        Ok(first) => first,
        Err(None) => {
            carrier.abort();
            return None;
        }
        Err(Some(why)) => {
            agent.blame(&peer, &why);
            refuse(carrier, CarrierClose::Protocol, &why).await;
            return None;
        }
    };
    match admit(agent, &carrier, &peer, &accepted.app, accepted.class, &join) {
        Ok(incoming) => incoming.carry(agent, carrier, (accepted.circuit, path), (received, arrived)).await,
        Err((code, reason)) => {
            refuse(carrier, code, &reason).await;
            None
        }
    }
}

/// The JOIN that a carrier begins with, its length, and what came right behind it. The error is the peer's fault, or
/// there is none: the connection broke.
async fn first_words(carrier: &mut Carrier) -> Result<(Join, usize, Vec<(Frame, usize)>), Option<String>> {
    let mut arrived = Vec::new();
    let read = poll_fn(|cx| carrier.poll_read_frames(cx, &mut arrived));
    match timeout(JOIN_DEADLINE, read).await {
        Ok(Ok(())) => {}
        Ok(Err(error @ CarrierError::Frame(_))) => return Err(Some(error.to_string())),
        // Whoever says nothing may be cut off.
        Ok(Err(_)) | Err(_) => return Err(None),
    }
    let mut arrived = arrived.into_iter();
    match arrived.next() {
        Some((Frame::Join { association, source, destination, new, proof }, received)) => {
            let join = Join { association, source, destination, new, proof };
            Ok((join, received, arrived.collect()))
        }
        Some(_) => Err(Some("the first frame is not JOIN".to_owned())),
        None => Err(None),
    }
}

async fn refuse(mut carrier: Carrier, code: CarrierClose, reason: &str) {
    carrier::say_goodbye(&mut carrier, code, reason).await;
    carrier.close();
}

fn admit(
    agent: &Arc<Agent>,
    carrier: &Carrier,
    peer: &Identity,
    app: &AppName,
    class: Class,
    join: &Join,
) -> Result<Arc<Incoming>, (CarrierClose, String)> {
    if join.destination != Incarnation(0) && join.destination != agent.incarnation {
        return Err((CarrierClose::Restarted, "this is a later run".to_owned()));
    }
    let verdict = agent.gate.connect(peer, app, class);
    if !verdict.allowed {
        agent.deny(peer, app, &verdict.reason);
        return Err((CarrierClose::NotAllowed, verdict.reason.clone()));
    }
    let incoming = Incoming::find(agent, peer, join)?;
    incoming.check(carrier, peer, join).inspect_err(|(_, why)| agent.blame(peer, why))?;
    // Only now: who is revoked between handshake and here is missed by those who cut.
    if let Some(why) = agent.why_revoked(peer) {
        incoming.end(agent, ResetCode::Revoked, CarrierClose::Revoked, &why);
        return Err((CarrierClose::Revoked, why));
    }
    Ok(incoming)
}

impl Incoming {
    /// The association that a carrier joins; begun where it may be.
    fn find(agent: &Arc<Agent>, peer: &Identity, join: &Join) -> Result<Arc<Self>, (CarrierClose, String)> {
        let key = (peer.node.clone(), join.association);
        let mut all = agent.incoming.lock();
        let edge = |byte| (peer.node.clone(), AssociationId([byte; 16]));
        let of_peer = all.range(edge(0)..=edge(u8::MAX)).count();
        let (incoming, begun) = match all.entry(key) {
            Entry::Occupied(known) => return Ok(Arc::clone(known.get())),
            Entry::Vacant(_) if !join.new => {
                return Err((CarrierClose::Restarted, "no such association".to_owned()));
            }
            Entry::Vacant(_) if agent.is_draining() => {
                return Err((CarrierClose::Draining, "the agent is draining".to_owned()));
            }
            Entry::Vacant(_) if of_peer >= MAX_ASSOCIATIONS => {
                let why = format!("{of_peer} associations are open already");
                let text = format!("another association of {peer} was refused: {why}");
                agent.tell(Happening::new(Kind::MessageRejected, text).peer(&peer.node));
                return Err((CarrierClose::Limit, why));
            }
            Entry::Vacant(place) => {
                let (incoming, reports) = Self::begin(agent, peer, join);
                (Arc::clone(place.insert(incoming)), reports)
            }
        };
        drop(all);
        // A source that came back has forgotten what it had before.
        agent.source_restarted(&peer.node, join.source);
        tokio::spawn(Arc::clone(&incoming).follow(Arc::clone(agent), begun));
        Ok(incoming)
    }

    fn begin(
        agent: &Arc<Agent>,
        peer: &Identity,
        join: &Join,
    ) -> (Arc<Self>, mpsc::UnboundedReceiver<Report>) {
        let seed = u64::from_be_bytes(join.association.0[..8].try_into().unwrap_or_default());
        let leave = Leave::new(LeaveConfig::destination(seed));
        let (association, reports) =
            Association::new(agent.clock, Keeper::Destination(Box::new(leave)), agent.budget.clone());
        let incoming = Incoming {
            id: join.association,
            peer: peer.clone(),
            source: join.source,
            secret: join.proof,
            association,
            next_carrier: AtomicU64::new(1),
        };
        (Arc::new(incoming), reports)
    }

    /// A further carrier must come from the same run of the same peer, and know the secret.
    fn check(&self, carrier: &Carrier, peer: &Identity, join: &Join) -> Result<(), (CarrierClose, String)> {
        let wrong = |why: &str| Err((CarrierClose::NotAllowed, why.to_owned()));
        if *peer != self.peer || join.source != self.source {
            return wrong("the association belongs to somebody else");
        }
        let proof = if join.new {
            self.secret
        } else {
            let exported = carrier
                .exporter(EXPORTER_JOIN, &self.id.0)
                .map_err(|error| (CarrierClose::Protocol, error.to_string()))?;
            hmac_sha256(&self.secret, &exported)
        };
        // Compares without telling by its duration where the first difference is.
        let difference = proof.iter().zip(join.proof).fold(0, |sum, (a, b)| sum | (a ^ b));
        if difference == 0 { Ok(()) } else { wrong("the proof is wrong") }
    }

    /// Carries the frames of a carrier that may join, until it ends.
    async fn carry(
        self: Arc<Self>,
        agent: &Arc<Agent>,
        carrier: Carrier,
        (circuit, path): (CircuitId, Path),
        (received, arrived): (usize, Vec<(Frame, usize)>),
    ) -> Option<Arc<Self>> {
        let id = CarrierId(self.next_carrier.fetch_add(1, Ordering::Relaxed));
        let joined = Frame::Joined { destination: agent.incarnation };
        let along = match self.along(&carrier, circuit, path) {
            Ok(along) => along,
            Err(why) => {
                refuse(carrier, CarrierClose::Protocol, &why).await;
                return None;
            }
        };
        let (circuit, neighbour) = (along.circuit, along.neighbour.clone());
        let own = agent.membership.current().svid.not_after();
        let expires = agent.clock.at(carrier.peer().not_after.min(own));
        let counted = (joined.encoded_len(), received);
        if !self.association.carrier_up(id, along, expires, counted) {
            refuse(carrier, CarrierClose::Restarted, "the association has ended").await;
            return None;
        }
        let association = Arc::clone(&self.association);
        let registered = ends::register(agent, circuit, neighbour, &association);
        let mut run = pin!(carrier::run(association, id, carrier, vec![joined], arrived));
        tokio::select! {
            () = &mut run => {}
            () = tokio::time::sleep_until(agent.clock.instant(expires + EXPIRED_GRACE)) => {
                self.expired(agent, id);
                run.await;
            }
        }
        drop(registered);
        Some(self)
    }

    fn along(&self, carrier: &Carrier, circuit: CircuitId, path: Path) -> Result<Along, String> {
        let secret = carrier.exporter(EXPORTER_DATAGRAM, &self.id.0).map_err(|error| error.to_string())?;
        let key = datagram_key(Side::Destination, self.id, &secret);
        let neighbour = path.relays().last().unwrap_or(&self.peer.node).clone();
        Ok(Along { circuit, path, neighbour, key })
    }

    async fn follow(self: Arc<Self>, agent: Arc<Agent>, mut reports: mpsc::UnboundedReceiver<Report>) {
        while let Some(report) = reports.recv().await {
            match report {
                Report::Incoming { stream, class, protocol, app } => {
                    // Noted here and not in its own task, so that its beginning comes before its end.
                    let about = (app.clone(), self.peer.node.clone(), class);
                    agent.ledger.begin(&agent, self.id, &self.association, stream, about);
                    let (this, agent) = (Arc::clone(&self), Arc::clone(&agent));
                    match protocol {
                        // The app is dialled in the order in which its callers connected.
                        Protocol::Tcp => begin(this.serve(agent, stream, class, app)).await,
                        Protocol::Udp => drop(tokio::spawn(this.serve_flow(agent, stream, class, app))),
                    }
                }
                Report::Ended { stream, reset, moves, bytes_in, bytes_out } => {
                    agent.ledger.end(&agent, self.id, stream, Ending { reset, moves, bytes_in, bytes_out });
                }
                Report::CarrierDown { close: Some(CarrierClose::Protocol), why, .. } => {
                    let text = format!("an association of {} broke: {why}", self.peer);
                    agent.tell(Happening::new(Kind::MessageRejected, text).peer(&self.peer.node));
                    self.end(&agent, ResetCode::Protocol, CarrierClose::Protocol, &why);
                }
                _ => {}
            }
        }
    }

    /// Who opened it.
    pub(crate) const fn peer(&self) -> &Identity {
        &self.peer
    }

    /// Forgets the association; nobody can join it any more.
    pub(crate) fn end(&self, agent: &Agent, streams: ResetCode, close: CarrierClose, reason: &str) {
        agent.incoming.lock().remove(&(self.peer.node.clone(), self.id));
        self.association.end(streams, close, reason);
    }

    /// One stream: is it allowed, does the app take it, then bytes.
    async fn serve(self: Arc<Self>, agent: Arc<Agent>, stream: StreamId, class: Class, app: AppName) {
        match self.open_target(&agent, stream, &app, class).await {
            Ok(socket) => {
                self.association.accept(stream);
                stream::run(Arc::clone(&self.association), stream, socket, Bytes::new()).await;
            }
            Err(code) => {
                self.association.reset(stream, code);
                self.association.forget(stream);
            }
        }
    }

    async fn open_target(
        &self,
        agent: &Arc<Agent>,
        stream: StreamId,
        app: &AppName,
        class: Class,
    ) -> Result<TcpStream, ResetCode> {
        let served = self.allow(agent, app, class)?;
        let Some(target) = &served.target else { return Err(agent.lacks(app, "target", "connections")) };
        let connect = async {
            let mut socket = TcpStream::connect(target).await?;
            if let Some(ProxyProtocol::V2) = served.proxy_protocol {
                self.introduce(agent, stream, app, &mut socket).await?;
            }
            Ok::<_, std::io::Error>(socket)
        };
        let socket = match timeout(TARGET_DEADLINE, connect).await {
            Ok(Ok(socket)) => socket,
            Ok(Err(error)) if is_shortage(&error) => {
                let text = format!("no connection to {app}: {error}; raise this agent's limits (ulimit -n)");
                agent.tell(Happening::new(Kind::Machine, text).app(app));
                return Err(ResetCode::Limit);
            }
            Ok(Err(error)) => {
                let text = format!("{app} at {target} refused a connection: {error}");
                agent.tell(Happening::new(Kind::TargetFailed, text).app(app));
                return Err(ResetCode::TargetRefused);
            }
            Err(_) => {
                let text = format!("{app} at {target} did not answer within {TARGET_DEADLINE:?}");
                agent.tell(Happening::new(Kind::TargetFailed, text).app(app));
                return Err(ResetCode::TargetTimedOut);
            }
        };
        let _ = socket.set_nodelay(true);
        // Until both ends are acknowledged, the end of this agent is a reset for the app.
        let _ = socket.set_zero_linger();
        Ok(socket)
    }

    /// The app, where it is served here and the peer may reach it.
    fn allow<'a>(&self, agent: &'a Agent, app: &AppName, class: Class) -> Result<&'a Served, ResetCode> {
        let served = agent.config.app.as_ref().filter(|served| served.name == *app);
        let served = served.ok_or(ResetCode::NoSuchApp)?;
        if agent.is_draining() {
            return Err(ResetCode::Draining);
        }
        let verdict = agent.gate.connect(&self.peer, app, class);
        if verdict.allowed {
            return Ok(served);
        }
        agent.deny(&self.peer, app, &verdict.reason);
        Err(ResetCode::NotAllowed)
    }

    /// Tells the application who calls. It is the connection's beginning, so nothing that a caller sends can pass for it.
    async fn introduce(
        &self,
        agent: &Arc<Agent>,
        stream: StreamId,
        app: &AppName,
        socket: &mut TcpStream,
    ) -> std::io::Result<()> {
        // A record's addresses are the caller's own claim, and applications may trust addresses.
        let seen = agent.link_to(&self.peer.node).map(|link| link.remote().ip());
        let header = ProxyHeader {
            source: seen,
            destination: socket.peer_addr()?,
            caller: &self.peer,
            app,
            id: &stream_id(self.id, stream),
        };
        socket.write_all(&header.encode()).await
    }

    /// A certificate of one of its carriers ran out.
    fn expired(&self, agent: &Agent, carrier: CarrierId) {
        let text = format!(
            "a carrier of {} outlived {}",
            self.peer,
            agent.whose_certificate_ran_out(&self.peer.node)
        );
        agent.tell(Happening::new(Kind::CertificateExpired, text).peer(&self.peer.node));
        self.association.close_carrier(carrier, CarrierClose::Expired, "a certificate ran out");
    }

    /// Streams that a changed policy does not allow any more are reset.
    pub(crate) fn reauthorize(&self, agent: &Agent) {
        let Some(served) = &agent.config.app else { return };
        let verdict = agent.gate.connect(&self.peer, &served.name, Class::Interactive);
        let allowed_in_no_class = !verdict.allowed
            && [Class::Bulk, Class::Critical]
                .iter()
                .all(|class| !agent.gate.connect(&self.peer, &served.name, *class).allowed);
        if allowed_in_no_class {
            agent.deny(&self.peer, &served.name, &verdict.reason);
            self.end(agent, ResetCode::PolicyChanged, CarrierClose::NotAllowed, &verdict.reason);
            return;
        }
        for (stream, class) in self.association.streams() {
            if !agent.gate.connect(&self.peer, &served.name, class).allowed {
                self.association.reset(stream, ResetCode::PolicyChanged);
            }
        }
    }

    /// Forgets the association when its last carrier has been gone for a while.
    pub(crate) async fn expire(&self, agent: &Agent) {
        let bare = || {
            let empty = self.association.carriers().is_empty();
            empty.then(|| self.next_carrier.load(Ordering::Relaxed))
        };
        let Some(carriers_so_far) = bare() else { return };
        tokio::time::sleep(MEMORY).await;
        if bare() == Some(carriers_so_far) {
            self.end(agent, ResetCode::NoPath, CarrierClose::Done, "its source has been away for long");
        }
    }
}

/// Is this machine short of something, rather than the app to blame?
fn is_shortage(error: &std::io::Error) -> bool {
    use rustix::io::Errno;
    Errno::from_io_error(error)
        .is_some_and(|error| matches!(error, Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM))
}

impl Agent {
    /// A peer has come back as this run: what its earlier runs had open here ends.
    pub(crate) fn source_restarted(&self, node: &NodeName, run: Incarnation) {
        let incoming = self.incoming.lock();
        let stale = incoming.values().filter(|held| held.peer.node == *node && held.source < run);
        let stale: Vec<_> = stale.cloned().collect();
        drop(incoming);
        for held in stale {
            held.end(self, ResetCode::PeerRestarted, CarrierClose::Restarted, "the source restarted");
        }
    }

    /// Somebody wants of our app what the configuration gives it no target for.
    fn lacks(&self, app: &AppName, key: &str, what: &str) -> ResetCode {
        let text = format!("{app} was asked for {what}, but the configuration gives it no {key}");
        self.tell(Happening::new(Kind::TargetFailed, text).app(app));
        ResetCode::NoSuchApp
    }

    /// A peer broke the protocol on a carrier of its own.
    fn blame(&self, peer: &Identity, why: &str) {
        let text = format!("a carrier of {peer} was closed: {why}");
        self.tell(Happening::new(Kind::MessageRejected, text).peer(&peer.node));
    }

    /// Policy said no.
    pub(crate) fn deny(&self, peer: &Identity, app: &AppName, reason: &str) {
        self.metrics.denied("connect");
        let text = format!("{peer} may not connect to {app}: {reason}");
        self.tell(Happening::new(Kind::StreamDenied, text).peer(&peer.node).app(app));
    }
}
