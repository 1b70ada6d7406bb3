//! A small mesh for tests: an authority, members and agents that record what reaches them.
#![allow(dead_code, unreachable_pub, missing_docs, clippy::unwrap_used)]

use std::any::Any;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use aire_net::*;
use aire_types::Identity;
use aire_wire::{CircuitId, Preamble, PreambleKind};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::RootCertStore;
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Far beyond what a busy machine needs.
pub const DEADLINE: Duration = Duration::from_secs(90);
pub const HOP_KEY: [u8; 32] = [5; 32];

/// Fails instead of hanging.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("{what} took too long"))
}

pub struct Mesh {
    issuer: Issuer<'static, KeyPair>,
    roots: Arc<RootCertStore>,
    members: Mutex<BTreeMap<Vec<u8>, Identity>>,
}

impl Mesh {
    pub fn new() -> Arc<Self> {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(certificate.der().clone()).unwrap();
        let issuer = Issuer::new(params, key);
        Arc::new(Mesh { issuer, roots: Arc::new(roots), members: Mutex::default() })
    }

    pub fn member(self: &Arc<Self>, node: &str) -> Member {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["peer.aire.invalid".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().der().clone();
        let identity: Identity = format!("spiffe://test/relay/{node}").parse().unwrap();
        self.members.lock().unwrap().insert(certificate.to_vec(), identity);
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        Member { mesh: self.clone(), certificate, key, authority: false }
    }

    pub fn enrol_client(&self) -> rustls::ClientConfig {
        let mut config =
            rustls::ClientConfig::builder().with_root_certificates(self.roots.clone()).with_no_client_auth();
        config.alpn_protocols = vec![aire_wire::ALPN_ENROL.to_vec()];
        config
    }
}

pub struct Member {
    mesh: Arc<Mesh>,
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
    authority: bool,
}

impl Member {
    pub fn serving_enrolment(self, authority: bool) -> Self {
        Member { authority, ..self }
    }

    fn client(&self, alpn: &[u8]) -> Arc<rustls::ClientConfig> {
        let mut config = rustls::ClientConfig::builder()
            .with_root_certificates(self.mesh.roots.clone())
            .with_client_auth_cert(vec![self.certificate.clone()], self.key.clone_key())
            .unwrap();
        config.alpn_protocols = vec![alpn.to_vec()];
        Arc::new(config)
    }
}

impl Credentials for Member {
    fn link_client(&self) -> Arc<rustls::ClientConfig> {
        self.client(aire_wire::ALPN_LINK)
    }

    fn carrier_client(&self) -> Arc<rustls::ClientConfig> {
        self.client(aire_wire::ALPN_CARRIER)
    }

    fn server(&self, purpose: Purpose) -> Option<Arc<rustls::ServerConfig>> {
        let builder = rustls::ServerConfig::builder();
        let builder = match purpose {
            Purpose::Enrolment if !self.authority => return None,
            Purpose::Enrolment => builder.with_no_client_auth(),
            _ => builder.with_client_cert_verifier(
                WebPkiClientVerifier::builder(self.mesh.roots.clone()).build().unwrap(),
            ),
        };
        let chain = vec![self.certificate.clone()];
        let mut config = builder.with_single_cert(chain, self.key.clone_key()).unwrap();
        config.send_tls13_tickets = 0;
        config.alpn_protocols = vec![match purpose {
            Purpose::Link => aire_wire::ALPN_LINK.to_vec(),
            Purpose::Carrier => aire_wire::ALPN_CARRIER.to_vec(),
            Purpose::Enrolment => aire_wire::ALPN_ENROL.to_vec(),
        }];
        Some(Arc::new(config))
    }

    fn knock_key(&self) -> [u8; 32] {
        [9; 32]
    }

    fn peer(&self, chain: &[CertificateDer<'_>]) -> Result<PeerInfo, String> {
        let leaf = chain.first().ok_or("no certificate")?.to_vec();
        let identity = self.mesh.members.lock().unwrap().get(&leaf).cloned().ok_or("a stranger")?;
        Ok(PeerInfo { identity, leaf, not_after: SystemTime::now() + Duration::from_secs(3600) })
    }
}

/// What an agent saw.
pub enum Seen {
    Link(Link, LinkEvents),
    Carrier(Box<Carrier>),
    Event(NetEvent),
}

/// Relays carriers to `next` where there is one, and is their destination otherwise.
pub struct Recorder {
    seen: mpsc::UnboundedSender<Seen>,
    next: Mutex<Option<SocketAddr>>,
    /// How `next` is reached; dialled where there is none.
    pub reach: Mutex<Option<(Plan, Arc<dyn Neighbour>)>>,
    pub kill: CancellationToken,
    pub counters: Arc<RelayCounters>,
}

impl Handler for Recorder {
    fn check_preamble(&self, preamble: &Preamble, _from: SocketAddr) -> PreambleVerdict {
        if !preamble_is_authentic(&HOP_KEY, preamble) {
            return PreambleVerdict::Refuse("a wrong MAC".into());
        }
        match *self.next.lock().unwrap() {
            Some(next) => PreambleVerdict::Relay(RelayOrder {
                next: match &*self.reach.lock().unwrap() {
                    Some((plan, neighbour)) => NextHop::new(next, *plan, neighbour.clone()),
                    None => next.into(),
                },
                pacer: None,
                kill: self.kill.clone(),
                counters: self.counters.clone(),
                guard: Box::new(()),
            }),
            None => PreambleVerdict::Terminate(Box::new(preamble.counter)),
        }
    }

    fn link(&self, link: Link, events: LinkEvents) {
        let _ = self.seen.send(Seen::Link(link, events));
    }

    fn carrier(&self, carrier: Carrier, _context: Box<dyn Any + Send>) {
        let _ = self.seen.send(Seen::Carrier(Box::new(carrier)));
    }

    fn enrol(&self, request: Vec<u8>, _from: SocketAddr) -> Enrolled {
        Box::pin(async move { Some([b"welcome ", &request[..]].concat()) })
    }

    fn event(&self, event: NetEvent) {
        let _ = self.seen.send(Seen::Event(event));
    }
}

pub struct Agent {
    pub endpoint: Endpoint,
    pub handler: Arc<Recorder>,
    pub seen: mpsc::UnboundedReceiver<Seen>,
}

impl Agent {
    pub fn start(member: Member, next: Option<SocketAddr>) -> Self {
        Self::start_on(member, next, Underlay::new())
    }

    pub fn start_on(member: Member, next: Option<SocketAddr>, underlay: Underlay) -> Self {
        let (sender, seen) = mpsc::unbounded_channel();
        let handler = Arc::new(Recorder {
            seen: sender,
            next: Mutex::new(next),
            reach: Mutex::default(),
            kill: CancellationToken::new(),
            counters: Arc::default(),
        });
        let addr = "127.0.0.1:0".parse().unwrap();
        let endpoint = Endpoint::bind(addr, underlay, Arc::new(member), handler.clone()).unwrap();
        Agent { endpoint, handler, seen }
    }

    pub fn addr(&self) -> SocketAddr {
        self.endpoint.local_addr()
    }

    pub async fn link(&mut self) -> (Link, LinkEvents) {
        within("a link", async {
            loop {
                if let Some(Seen::Link(link, events)) = self.seen.recv().await {
                    return (link, events);
                }
            }
        })
        .await
    }

    pub async fn carrier(&mut self) -> Carrier {
        within("a carrier", async {
            loop {
                match self.seen.recv().await {
                    Some(Seen::Carrier(carrier)) => return *carrier,
                    Some(Seen::Event(event)) => eprintln!("{event:?}"),
                    _ => {}
                }
            }
        })
        .await
    }

    pub async fn event(&mut self) -> NetEvent {
        within("an event", async {
            loop {
                if let Some(Seen::Event(event)) = self.seen.recv().await {
                    return event;
                }
            }
        })
        .await
    }
}

pub fn preamble(counter: u64) -> Vec<u8> {
    let mut preamble = Preamble {
        kind: PreambleKind::Carrier,
        class: aire_types::Class::Bulk,
        circuit: CircuitId([1; 16]),
        counter,
        mac: [0; 16],
    };
    preamble.mac = preamble_mac(&HOP_KEY, &preamble);
    preamble.encode().to_vec()
}
