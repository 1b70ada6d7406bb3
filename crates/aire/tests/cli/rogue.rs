//! A member with a valid certificate that speaks the protocol and does as it likes.

use std::any::Any;
use std::future::poll_fn;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use aire_lab::emulate::free_addresses;
use aire_net::{
    Carrier, Endpoint, Enrolled, Handler, Link, LinkEvent, LinkEvents, NetError, NetEvent, PreambleVerdict,
    Underlay, preamble_mac,
};
use aire_types::{Class, Incarnation, Path as Route};
use aire_wire::{
    ALPN_CARRIER, ALPN_ENROL, ALPN_LINK, AssociationId, CircuitId, Frame, Grant, Message, Offer, Preamble,
    PreambleKind, Record, Refusal, Request,
};
use ring::hkdf;
use tokio::runtime::Runtime;
use x25519_dalek::{PublicKey, StaticSecret};

use crate::intruders::{Liar, Mesh};
use crate::stage::wait_for;

/// Far beyond what a busy machine needs.
const DEADLINE: Duration = Duration::from_secs(60);

/// Links that others open to the rogue: it holds them and does not answer.
#[derive(Default)]
struct Held(Mutex<Vec<(Link, LinkEvents)>>);

impl Handler for Held {
    fn check_preamble(&self, _: &Preamble, _: SocketAddr) -> PreambleVerdict {
        PreambleVerdict::Refuse("nobody is served".to_owned())
    }

    fn link(&self, link: Link, events: LinkEvents) {
        self.0.lock().unwrap().push((link, events));
    }

    fn carrier(&self, _: Carrier, _: Box<dyn Any + Send>) {}

    fn enrol(&self, _: Vec<u8>, _: SocketAddr) -> Enrolled {
        Box::pin(async { None })
    }

    fn event(&self, _: NetEvent) {}
}

pub(crate) type Session = rustls::StreamOwned<rustls::ClientConnection, TcpStream>;

/// The frame with which a carrier of a new association begins.
pub(crate) fn join(association: u8) -> Frame {
    Frame::Join {
        association: AssociationId([association; 16]),
        source: Incarnation(1),
        destination: Incarnation(0),
        new: true,
        proof: [3; 32],
    }
}

pub(crate) struct Rogue {
    pub(crate) runtime: Runtime,
    pub(crate) liar: Arc<Liar>,
    pub(crate) link: Link,
    /// Where the victim listens.
    pub(crate) victim: SocketAddr,
    endpoint: Endpoint,
    events: LinkEvents,
    held: Arc<Held>,
    /// How far its clock is ahead.
    pub(crate) clock_off_s: i64,
}

/// A circuit whose first hop is the victim.
#[derive(Clone)]
pub(crate) struct Circuit {
    pub(crate) id: CircuitId,
    /// Of the relays in order, then of the destination.
    keys: Vec<[u8; 32]>,
}

impl Circuit {
    /// The preambles of all hops.
    pub(crate) fn preambles(&self, counter: u64) -> Vec<u8> {
        let signed = |key: &[u8; 32]| preamble(key, PreambleKind::Carrier, self.id, counter);
        self.keys.iter().flat_map(signed).collect()
    }

    /// The circuit as somebody sees it who stole the first hop's key and has no other.
    pub(crate) fn stolen_at_first_hop(&self) -> Self {
        Circuit { keys: vec![self.keys[0]; self.keys.len()], ..*self }
    }
}

fn preamble(key: &[u8; 32], kind: PreambleKind, circuit: CircuitId, counter: u64) -> Vec<u8> {
    let mut preamble = Preamble { kind, class: Class::Bulk, circuit, counter, mac: [0; 16] };
    preamble.mac = preamble_mac(key, &preamble);
    preamble.encode().to_vec()
}

impl Rogue {
    /// A real agent joins as `node`; then its identity is used by this one, which links to `victim`.
    pub(crate) fn join(mesh: &Mesh, node: &str, scope: &[&str], flags: &[&str], victim: SocketAddr) -> Self {
        drop(mesh.member(node, scope, "", flags));
        let state = mesh.path(&format!("{node}.state"));
        let liar = Arc::new(Liar::from_state(Path::new(&state)));
        let runtime = Runtime::new().unwrap();
        let local = free_addresses(1).unwrap()[0];
        let held = Arc::new(Held::default());
        let (endpoint, link, events) = runtime.block_on(async {
            let (credentials, handler) = (Arc::clone(&liar) as _, Arc::clone(&held) as _);
            let endpoint = Endpoint::bind(local, Underlay::new(), credentials, handler).unwrap();
            let (link, events) = taken_link(&endpoint, victim).await;
            (endpoint, link, events)
        });
        Rogue { runtime, liar, link, victim, endpoint, events, held, clock_off_s: 0 }
    }

    /// Sends a message, waiting for room in the link's queue.
    pub(crate) fn say(&self, message: &Message) {
        self.say_bytes(&message.encode());
    }

    /// Sends what may be no message.
    pub(crate) fn say_bytes(&self, bytes: &[u8]) {
        wait_for("room on the link", || {
            if self.link.send(bytes.to_vec()).is_ok() {
                return Some(());
            }
            // The victim may have put a link of its own in the place of ours.
            let held = self.held.0.lock().unwrap();
            let to_victim = |link: &&Link| link.peer().identity == self.link.peer().identity;
            let mut links = held.iter().map(|(link, _)| link).filter(to_victim);
            links.any(|link| link.send(bytes.to_vec()).is_ok()).then_some(())
        });
    }

    /// The next message that `fits`.
    pub(crate) fn hear<T>(&mut self, what: &str, fits: impl Fn(Message) -> Option<T>) -> T {
        let events = &mut self.events;
        let heard = async {
            loop {
                match events.recv().await {
                    Some(LinkEvent::Message(bytes)) => {
                        if let Some(found) = Message::decode(&bytes).ok().and_then(&fits) {
                            return found;
                        }
                    }
                    Some(LinkEvent::Closed { reason, .. }) => panic!("{what}: the link closed: {reason}"),
                    Some(_) => {}
                    None => panic!("{what}: the link is gone"),
                }
            }
        };
        let heard = async { tokio::time::timeout(DEADLINE, heard).await };
        self.runtime.block_on(heard).unwrap_or_else(|_| panic!("{what} did not come"))
    }

    /// The request for a circuit that is named by `id`, and the secret behind its key.
    pub(crate) fn request(&self, id: u64, app: &str, destination: &str) -> (Message, StaticSecret) {
        self.request_along(Route::DIRECT, id, app, destination)
    }

    fn request_along(&self, path: Route, id: u64, app: &str, destination: &str) -> (Message, StaticSecret) {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let mut circuit = [7; 16];
        circuit[..8].copy_from_slice(&id.to_be_bytes());
        let secret = StaticSecret::from([(id as u8) | 1; 32]);
        let request = Request {
            circuit: CircuitId(circuit),
            certificates: self.liar.svid.chain()[0].to_vec(),
            incarnation: Incarnation(1),
            app: app.parse().unwrap(),
            class: Class::Bulk,
            path,
            destination: destination.parse().unwrap(),
            expires_unix_s: since.as_secs().saturating_add_signed(self.clock_off_s) + 60,
            public_key: PublicKey::from(&secret).to_bytes(),
        };
        let request = request.encode();
        let signature = self.liar.key.sign(&[Request::SIGNED_PREFIX, &request].concat()).unwrap();
        (Message::CircuitRequest { request, signature, offers: Vec::new() }, secret)
    }

    /// A record of this member, signed as it must be, that says whatever `body` says.
    pub(crate) fn record(&self, sequence: u64, body: &[u8]) -> Record {
        let mut record = Record {
            certificates: self.liar.svid.chain()[0].to_vec(),
            // Later than every run of the real agent whose identity this is.
            incarnation: Incarnation(u64::MAX / 2),
            sequence,
            ttl_s: 60,
            body: body.to_vec(),
            signature: Vec::new(),
        };
        record.signature = self.liar.key.sign(&record.signed()).unwrap();
        record
    }

    /// What is answered to a request.
    pub(crate) fn answer(&mut self) -> Result<Grant, Refusal> {
        self.hear("an answer to a request", |message| match message {
            Message::CircuitGrant { grant, .. } => Grant::decode(&grant).ok().map(Ok),
            Message::CircuitRefusal(refusal) => Some(Err(refusal)),
            _ => None,
        })
    }

    /// A circuit to the app at the victim.
    pub(crate) fn circuit(&mut self, id: u64, app: &str, destination: &str) -> Circuit {
        let circuit = self.circuit_along(Route::DIRECT, id, app, destination);
        circuit.unwrap_or_else(|refusal| panic!("refused: {refusal:?}"))
    }

    /// The same along a path that begins at the victim.
    pub(crate) fn circuit_along(
        &mut self,
        path: Route,
        id: u64,
        app: &str,
        destination: &str,
    ) -> Result<Circuit, Refusal> {
        let (request, secret) = self.request_along(path, id, app, destination);
        self.say(&request);
        let grant = self.answer()?;
        let key = |offer: &Offer| {
            let shared = secret.diffie_hellman(&PublicKey::from(offer.public_key));
            expand(&grant.circuit.0, shared.as_bytes(), b"aire hop")
        };
        Ok(Circuit { id: grant.circuit, keys: grant.offers.iter().map(key).collect() })
    }

    /// A carrier along the circuit, as TLS peer of whoever this is.
    pub(crate) fn carrier(&self, circuit: &Circuit, counter: u64) -> Result<Carrier, NetError> {
        let dialled = self.endpoint.dial_carrier(self.victim, circuit.preambles(counter), |_| Ok(()));
        self.runtime
            .block_on(async { tokio::time::timeout(DEADLINE, dialled).await })
            .expect("an answer in time")
    }

    /// The session of a carrier, in which anything can be said.
    pub(crate) fn session(&self, circuit: &Circuit, counter: u64) -> Session {
        begin(self.victim, &circuit.preambles(counter), self.liar.client(ALPN_CARRIER))
    }

    /// A link over TCP, in which anything can be said.
    pub(crate) fn link_session(&self) -> Session {
        begin(self.victim, &self.knock(PreambleKind::Link), self.liar.client(ALPN_LINK))
    }

    /// A connection to the authority, in which an enrolment can be asked for.
    pub(crate) fn enrolment(&self, authority: SocketAddr) -> Session {
        let (mesh, ca) = (&self.liar.svid.identity().mesh, self.liar.trust.fingerprints()[0]);
        let config = aire_identity::enrol_client_config(mesh, &ca, &[ALPN_ENROL]).unwrap();
        begin(authority, &self.knock(PreambleKind::Enrolment), Arc::new(config))
    }

    /// `docs/wire.md`, Preamble.
    fn knock(&self, kind: PreambleKind) -> Vec<u8> {
        let ca = self.liar.trust.fingerprints()[0];
        preamble(&expand(b"aire knock 1", ca.as_bytes(), b""), kind, CircuitId([1; 16]), 0)
    }

    pub(crate) fn write(&self, carrier: &mut Carrier, frames: Vec<Frame>) {
        let mut frames = frames.into_iter();
        let written = poll_fn(|cx| carrier.poll_write_frames(cx, || frames.next()));
        self.runtime.block_on(async { tokio::time::timeout(DEADLINE, written).await }).unwrap().unwrap();
    }

    /// Reads until a frame `fits`; the error is why no more come.
    pub(crate) fn read<T>(
        &self,
        carrier: &mut Carrier,
        fits: impl Fn(&Frame) -> Option<T>,
    ) -> Result<T, String> {
        let read = async {
            loop {
                let mut frames = Vec::new();
                poll_fn(|cx| carrier.poll_read_frames(cx, &mut frames)).await.map_err(|e| e.to_string())?;
                if let Some(found) = frames.iter().find_map(|(frame, _)| fits(frame)) {
                    return Ok(found);
                }
            }
        };
        self.runtime.block_on(async { tokio::time::timeout(DEADLINE, read).await }).expect("a frame in time")
    }

    /// Joins a new association over a new carrier.
    pub(crate) fn join_new(&self, circuit: &Circuit, counter: u64) -> Carrier {
        let mut carrier = self.carrier(circuit, counter).unwrap();
        self.write(&mut carrier, vec![join(counter as u8)]);
        let joined = |frame: &Frame| matches!(frame, Frame::Joined { .. }).then_some(());
        self.read(&mut carrier, joined).unwrap();
        carrier
    }
}

/// A link that stays: right after one to the real agent, which is gone, another one may be closed again.
async fn taken_link(endpoint: &Endpoint, victim: SocketAddr) -> (Link, LinkEvents) {
    let taken = async {
        loop {
            let (link, mut events) = endpoint.dial_link(victim).await.unwrap();
            if let Some(LinkEvent::Message(_)) = events.recv().await {
                return (link, events);
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::time::timeout(DEADLINE, taken).await.expect("a link")
}

/// A TLS session behind these preambles.
fn begin(at: SocketAddr, preambles: &[u8], config: Arc<rustls::ClientConfig>) -> Session {
    let mut tcp = TcpStream::connect(at).unwrap();
    tcp.set_read_timeout(Some(DEADLINE)).unwrap();
    tcp.write_all(preambles).unwrap();
    let name = "peer.aire.invalid".try_into().unwrap();
    rustls::StreamOwned::new(rustls::ClientConnection::new(config, name).unwrap(), tcp)
}

/// HKDF-SHA-256.
fn expand(salt: &[u8], secret: &[u8], info: &[u8]) -> [u8; 32] {
    let mut key = [0; 32];
    let secret = hkdf::Salt::new(hkdf::HKDF_SHA256, salt).extract(secret);
    secret.expand(&[info], hkdf::HKDF_SHA256).unwrap().fill(&mut key).unwrap();
    key
}
