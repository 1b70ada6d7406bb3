//! What the network lets through, tried without a running agent: with the node's own certificate, or with its token.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aire_admin::documents::Finding;
use aire_identity::{Fingerprint, Token};
use aire_net::{
    Carrier, Endpoint, Handler, Link, LinkEvent, LinkEvents, NetError, PreambleVerdict, Transport, Underlay,
};
use aire_types::{MeshName, NodeName};
use aire_wire::{ALPN_ENROL, Message, Preamble};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{seeds, sight};
use crate::config::Config;
use crate::handler::NodeCredentials;
use crate::membership::{Membership, knock_key};
use crate::{joining, sources};
use sight::{Reading, Sight};

/// How long a peer may take to say hello.
const HELLO: Duration = Duration::from_secs(3);

/// What was tried at one seed.
pub(super) struct Visit {
    pub(super) seed: String,
    pub(super) quic: Result<Option<Sight>, NetError>,
    pub(super) tcp: Result<(), NetError>,
    /// It enrols nodes; `None` when neither way led there.
    pub(super) authority: bool,
}

/// Seeds, UDP, clock, NAT and authority, as far as they can be known. `is_free` says that no other process has this
/// node's port.
pub(super) async fn explore(config: &Config, is_free: bool) -> Vec<Finding> {
    let wanted = seeds::of(config);
    if wanted.is_empty() {
        return [vec![seeds::none(config)], unknown("there is no seed to ask")].concat();
    }
    let Ok(underlay) = joining::open_underlay(config) else {
        return unknown("the underlay table cannot be read");
    };
    let now = SystemTime::now();
    let member = match &config.identity {
        Some(from) => sources::obtain(config, from).await.ok(),
        None => Membership::load(&config.state, now).ok().flatten(),
    };
    let token = config.join.as_deref().and_then(|token| Token::parse(token).ok());
    match (member, token) {
        (Some(_), _) if !is_free => {
            let why = "another process has this node's port; if it is its agent, ask that with --admin";
            [vec![Finding::not_checked("seed", why)], unknown(why)].concat()
        }
        (Some(member), _) => as_member(config, member, underlay, wanted).await,
        (None, Some(token)) => as_applicant(config, &token, &underlay, wanted).await,
        (None, None) => {
            let why = "agents answer members and token holders only, and this node is neither";
            [vec![Finding::not_checked("seed", why)], unknown(why)].concat()
        }
    }
}

fn unknown(why: &str) -> Vec<Finding> {
    ["udp", "clock", "nat", "authority"].map(|check| Finding::not_checked(check, why)).to_vec()
}

async fn as_member(
    config: &Config,
    member: Membership,
    underlay: Underlay,
    wanted: Vec<String>,
) -> Vec<Finding> {
    let mesh = member.identity().mesh;
    let ca = member.trust().fingerprints().first().copied();
    let credentials = NodeCredentials { membership: Arc::new(member), is_authority: false };
    let endpoint =
        match Endpoint::bind(config.listen, underlay.clone(), Arc::new(credentials), Arc::new(Nobody)) {
            Ok(endpoint) => endpoint,
            Err(error) => return unknown(&error.to_string()),
        };
    let mut findings = Vec::new();
    let mut visits = JoinSet::new();
    for seed in wanted.into_iter().take(seeds::MAX_SEEDS) {
        match seeds::lookup(&seed).await {
            Ok(addresses) => {
                let (endpoint, underlay, mesh) = (endpoint.clone(), underlay.clone(), mesh.clone());
                let address = addresses[0];
                visits.spawn(async move { visit(&endpoint, &underlay, seed, address, &mesh, ca).await });
            }
            Err(why) => findings.push(seeds::unresolved(&seed, &why)),
        }
    }
    let visits = visits.join_all().await;
    let port = endpoint.local_addr().port();
    endpoint.close();
    endpoint.closed().await;
    let sights: Vec<Sight> = visits.iter().filter_map(|visit| visit.quic.as_ref().ok()?.clone()).collect();
    findings.extend(visits.iter().map(sight::seed));
    findings.push(sight::udp(&visits));
    findings.push(sight::clock(&sights));
    findings.extend(sight::nat(&sights, port, sight::is_own));
    findings.push(match visits.iter().find(|visit| visit.authority) {
        Some(visit) => Finding::ok("authority", format!("{} holds it", visit.seed)),
        None => {
            Finding::not_checked("authority", "no seed that answers holds it; a running agent would know")
        }
    });
    findings
}

async fn visit(
    endpoint: &Endpoint,
    underlay: &Underlay,
    seed: String,
    address: SocketAddr,
    mesh: &MeshName,
    ca: Option<Fingerprint>,
) -> Visit {
    let quic = meet(endpoint, address).await;
    // After the first link has ended, as a node has one link with another.
    let tcp = endpoint.dial_link_over(address, Transport::Tcp).await;
    let tcp = tcp.map(|(link, _events)| link.close(0, "only looking"));
    let enrols = async {
        let ca = ca?;
        let config = aire_identity::enrol_client_config(mesh, &ca, &[ALPN_ENROL]).ok()?;
        let over = if quic.is_ok() { Transport::Quic } else { Transport::Tcp };
        let knock = knock_key(ca.as_bytes());
        aire_net::enrol_handshake(underlay, address, config, &knock, over).await.ok()
    };
    let authority = enrols.await.is_some();
    Visit { seed, quic, tcp, authority }
}

/// A link over QUIC, as far as the peer's hello.
async fn meet(endpoint: &Endpoint, address: SocketAddr) -> Result<Option<Sight>, NetError> {
    let (link, mut events) = endpoint.dial_link_over(address, Transport::Quic).await?;
    let node = link.peer().identity.node.clone();
    let sight = timeout(HELLO, hello(&link, &mut events, node)).await.ok().flatten();
    link.close(0, "only looking");
    // Until the end is noticed here, so that the next link does not meet this one.
    let _ = timeout(HELLO, async { while events.recv().await.is_some() {} }).await;
    Ok(sight)
}

async fn hello(link: &Link, events: &mut LinkEvents, node: NodeName) -> Option<Sight> {
    loop {
        let LinkEvent::Message(bytes) = events.recv().await? else { continue };
        if let Ok(Message::Hello { observed, clock, .. }) = Message::decode(&bytes) {
            let reading = Reading::new(clock, crate::clock::unix_millis(), link.rtt());
            return Some(Sight { node, observed: observed.parse().ok(), reading: Some(reading) });
        }
    }
}

async fn as_applicant(
    config: &Config,
    token: &Token,
    underlay: &Underlay,
    wanted: Vec<String>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut visits = Vec::new();
    for seed in wanted.into_iter().take(seeds::MAX_SEEDS) {
        match seeds::lookup(&seed).await {
            Ok(addresses) => match knock(token, underlay, seed, addresses[0]).await {
                Ok(visit) => visits.push(visit),
                Err(why) => findings.push(Finding::not_checked("seed", why)),
            },
            Err(why) => findings.push(seeds::unresolved(&seed, &why)),
        }
    }
    findings.extend(visits.iter().map(sight::seed));
    findings.push(sight::udp(&visits));
    let why = "only members are told; join first";
    findings.extend(["clock", "nat"].map(|check| Finding::not_checked(check, why)));
    findings.push(match visits.iter().find(|visit| visit.authority) {
        Some(visit) => Finding::ok("authority", format!("{} holds it", visit.seed)),
        None if config.multicast => {
            let advice = "name the authority's agent with --seed HOST:PORT";
            Finding::warn("authority", "no seed holds it; it may be found on the local network", advice)
        }
        None => {
            let advice = "name the authority's agent with --seed HOST:PORT, and see that it runs";
            Finding::fail("authority", "no seed holds it, so this node cannot join", Some(advice.to_owned()))
        }
    });
    findings
}

async fn knock(
    token: &Token,
    underlay: &Underlay,
    seed: String,
    address: SocketAddr,
) -> Result<Visit, String> {
    let key = knock_key(token.ca().as_bytes());
    let attempt = async |over| {
        let config = aire_identity::enrol_client_config(token.mesh(), token.ca(), &[ALPN_ENROL])
            .map_err(|error| error.to_string())?;
        Ok::<_, String>(aire_net::enrol_handshake(underlay, address, config, &key, over).await)
    };
    let (quic, tcp) = (attempt(Transport::Quic).await?, attempt(Transport::Tcp).await?);
    let authority = quic.is_ok() || tcp.is_ok();
    Ok(Visit { seed, quic: quic.map(|()| None), tcp, authority })
}

/// Takes nothing and nobody.
struct Nobody;

impl Handler for Nobody {
    fn check_preamble(&self, _: &Preamble, _: SocketAddr) -> PreambleVerdict {
        PreambleVerdict::Refuse("this node is only looked at".to_owned())
    }

    fn link(&self, link: Link, _: LinkEvents) {
        link.close(0, "this node is only looked at");
    }

    fn carrier(&self, carrier: Carrier, _: Box<dyn std::any::Any + Send>) {
        carrier.abort();
    }
}
