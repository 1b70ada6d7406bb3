//! How this node becomes a member, and stays one.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aire_discovery::{Combined, Discovery, Finding, Mdns, Own, Pace, Seeds};
use aire_identity::{Authority, EnrolRequest, EnrolResponse, Rotation, StateError, StateLock, Token};
use aire_net::Underlay;
use aire_types::{NodeName, Role};
use tokio::time::{timeout, timeout_at};

use crate::agent::Agent;
use crate::config::Config;
use crate::happening::{Happening, Kind};
use crate::membership::{Applicant, Membership, MembershipError};
use crate::renewals::Decision;
use crate::{RunError, sources};

/// How long a node looks for an authority that takes it.
const JOIN_DEADLINE: Duration = Duration::from_secs(60);
/// How long it goes on looking when somebody else than the token's authority has answered.
const FOREIGN_DEADLINE: Duration = Duration::from_secs(5);
/// How long a state folder that another process has is waited for.
const STATE_DEADLINE: Duration = Duration::from_secs(1);
/// File in the state folder with the token's seeds, one a line.
const SEEDS: &str = "seeds";
/// How long an answer to a renewal is waited for.
const RENEWAL_DEADLINE: Duration = Duration::from_secs(20);

/// The membership on disk, or a new one: from the source that the configuration names, the authority that this node holds,
/// or by token.
pub(crate) async fn obtain(
    config: &Config,
    authority: Option<&Authority>,
    underlay: &Underlay,
) -> Result<Membership, RunError> {
    if let Some(from) = &config.identity {
        return Ok(sources::obtain(config, from).await?);
    }
    let wanted = config.app.as_ref().map(|served| Role::App(served.name.clone()));
    let now = SystemTime::now();
    if let Some(authority) = authority {
        let role = wanted.unwrap_or(Role::Relay);
        return Ok(Membership::issue(authority, &config.state, &config.node, role, now)?);
    }
    let held = match Membership::load(&config.state, now) {
        Err(MembershipError::Expired) if config.join.is_some() => None,
        other => other?,
    };
    if let Some(membership) = held {
        membership.check_role(&config.node, wanted.as_ref())?;
        return Ok(membership);
    }
    let token = config.join.as_ref().ok_or_else(|| MembershipError::NotJoined(config.state.clone()))?;
    let applicant = Applicant::new(token, &config.node, &config.state, now)?;
    if let Some(wanted) = &wanted
        && *wanted != applicant.role()
    {
        return Err(RunError::Scope { granted: applicant.role(), wanted: wanted.clone() });
    }
    join(config, applicant, underlay).await
}

/// Takes the state folder for this agent. A program that a killed agent was about to start may hold it for a moment.
pub(crate) async fn take_state(folder: &std::path::Path) -> Result<StateLock, RunError> {
    let deadline = tokio::time::Instant::now() + STATE_DEADLINE;
    loop {
        match StateLock::acquire(folder) {
            Err(StateError::InUse { .. }) if tokio::time::Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            other => return other.map_err(|error| RunError::Membership(error.into())),
        }
    }
}

async fn join(config: &Config, applicant: Applicant, underlay: &Underlay) -> Result<Membership, RunError> {
    let mut discovery = discover(config, applicant.seeds(), applicant.mesh().clone())?;
    let knock = crate::membership::knock_key(applicant.ca().as_bytes());
    let request = applicant.request()?;
    let mut last =
        "no agent of the mesh was found; check the seeds in the token, or give --seed HOST:PORT".to_owned();
    let mut deadline = tokio::time::Instant::now() + JOIN_DEADLINE;
    let search = async {
        while let Ok(Some(finding)) = timeout_at(deadline, discovery.next()).await {
            let address = match finding {
                Finding::Found(found) => found.address,
                Finding::Trouble(trouble) => {
                    tracing::warn!("{trouble}");
                    continue;
                }
            };
            tracing::info!(%address, "asking to join the mesh");
            let client = applicant.client_config().map_err(RunError::from)?;
            match aire_net::enrol_exchange(underlay, address, client, &knock, &request).await {
                Ok(answer) => return Ok(Some(answer)),
                Err(error) => {
                    tracing::info!(%address, %error, "did not join there");
                    last = format!("{address} did not take this node: {error}");
                    if let aire_net::NetError::Peer { why, .. } = &error {
                        last = foreign(address, why);
                        deadline = deadline.min(tokio::time::Instant::now() + FOREIGN_DEADLINE);
                    }
                }
            }
        }
        Ok::<_, RunError>(None)
    };
    match timeout(JOIN_DEADLINE, search).await {
        Ok(Ok(Some(answer))) => {
            let seeds = applicant.seeds().to_vec();
            let membership = applicant.accept(&answer, SystemTime::now())?;
            keep_seeds(config, &seeds);
            Ok(membership)
        }
        Ok(Err(error)) => Err(error),
        Ok(Ok(None)) | Err(_) => Err(RunError::NotTaken(last)),
    }
}

fn foreign(address: SocketAddr, why: &str) -> String {
    format!(
        "{address} does not prove to be the authority that the token names ({why}); the token or its seeds are of another mesh, or a clock is wrong: ask for a new token with 'aire mesh invite'"
    )
}

/// All ways to find agents: the local network, the seeds of the token and those of the configuration.
pub(crate) fn discover(
    config: &Config,
    token_seeds: &[String],
    mesh: aire_types::MeshName,
) -> Result<Combined, RunError> {
    let mut seeds = config.seeds.clone();
    seeds.extend(token_seeds.iter().filter(|seed| !config.seeds.contains(seed)).cloned());
    let seeds = Seeds::new(seeds, Pace::default()).map_err(|error| RunError::Seeds(error.to_string()))?;
    let mut combined = Combined::new().with(seeds);
    if config.multicast {
        combined = combined.with(Mdns::browse(mesh, Pace::default()));
    }
    Ok(combined)
}

/// Where a node that has joined looks first: the seeds of its token, kept for starts without one.
pub(crate) fn token_seeds(config: &Config) -> Vec<String> {
    match config.join.as_deref().map(Token::parse) {
        Some(Ok(token)) => token.seeds().to_vec(),
        _ => std::fs::read_to_string(config.state.join(SEEDS))
            .map(|text| text.lines().map(str::to_owned).collect())
            .unwrap_or_default(),
    }
}

fn keep_seeds(config: &Config, seeds: &[String]) {
    let path = config.state.join(SEEDS);
    if let Err(error) = std::fs::write(&path, seeds.join("\n")) {
        tracing::warn!("cannot write {}: {error}; the next start needs --seed or the token", path.display());
    }
}

/// Renews the certificate in time, for as long as the agent runs.
pub(crate) async fn rotate(agent: Arc<Agent>) {
    let mut rotation = Rotation::new(&agent.membership.current().svid, agent.incarnation.0);
    loop {
        // Looks at the clock now and then, as it may be set; and never hastily, whatever the certificate says.
        let wait = rotation.wait(SystemTime::now());
        tokio::time::sleep(wait.clamp(Duration::from_secs(1), Duration::from_secs(3600))).await;
        if !rotation.wait(SystemTime::now()).is_zero() {
            continue;
        }
        match renew(&agent).await {
            Ok(()) => {
                rotation.renewed(&agent.membership.current().svid);
                agent.certificate_is_fresh();
            }
            Err(why) => {
                rotation.failed(SystemTime::now());
                agent.certificate_stays(&why);
            }
        }
    }
}

async fn renew(agent: &Arc<Agent>) -> Result<(), String> {
    let now = SystemTime::now();
    if let Some(authority) = agent.authority.clone() {
        let membership = Arc::clone(&agent.membership);
        return blocking(move || membership.issue_again(&authority, now)).await;
    }
    let request = agent.membership.renewal().map_err(|error| error.to_string())?;
    let before = agent.membership.current();
    let renewed = agent.renewed.notified();
    if !agent.look(|control| control.ask_renewal(request)) {
        return Err("no authority is linked".to_owned());
    }
    let _ = timeout(RENEWAL_DEADLINE, renewed).await;
    if Arc::ptr_eq(&before, &agent.membership.current()) {
        return Err("the authority gave no certificate".to_owned());
    }
    Ok(())
}

/// Does what writes files on a thread that may wait for them.
async fn blocking(work: impl FnOnce() -> Result<(), MembershipError> + Send + 'static) -> Result<(), String> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    }
}

impl Agent {
    /// Whose certificate ended what this node and `peer` share, and what to do.
    pub(crate) fn whose_certificate_ran_out(&self, peer: &NodeName) -> String {
        let whose = if self.membership.remaining(SystemTime::now()).is_zero() {
            "this node's certificate".to_owned()
        } else {
            format!("the certificate of {peer}")
        };
        format!("{whose}, which ran out; is the authority reached from there?")
    }

    /// The authority answered our renewal.
    pub(crate) fn take_renewal(self: &Arc<Self>, answer: Vec<u8>) {
        let agent = Arc::clone(self);
        tokio::spawn(async move {
            let membership = Arc::clone(&agent.membership);
            if let Err(error) = blocking(move || membership.renewed(&answer, SystemTime::now())).await {
                agent.tell(Happening::new(Kind::RenewalFailed, error));
            }
            agent.renewed.notify_waiters();
        });
    }

    /// A member wants a new certificate of the authority that we hold.
    pub(crate) fn answer_renewal(self: &Arc<Self>, from: NodeName, request: Vec<u8>) {
        let Some(authority) = self.authority.clone() else { return };
        let Some(link) = self.link_to(&from) else { return };
        let decision = self.renewals.lock().ask(self.clock.now(), &from);
        if let Decision::Ignore { first } = decision {
            if first {
                let text = format!("{from} asks for renewals too often; most are ignored");
                self.tell(Happening::new(Kind::EnrolmentRefused, text).peer(&from));
            }
            return;
        }
        let agent = Arc::clone(self);
        tokio::task::spawn_blocking(move || {
            let now = SystemTime::now();
            let chain = [rustls::pki_types::CertificateDer::from(&link.peer().leaf[..])];
            let Ok(peer) = agent.membership.trust().verify(&chain, now) else { return };
            let answer = match EnrolRequest::decode(&request) {
                Ok(request) => match authority.answer(&request, Some(&peer), now) {
                    Ok(response) => response,
                    Err(error) => {
                        let text = format!("a renewal of {} was refused: {error}", peer.identity());
                        agent.tell(Happening::new(Kind::EnrolmentRefused, text).peer(&from));
                        EnrolResponse::refused(error.refusal())
                    }
                },
                Err(_) => return,
            };
            agent.look(|control| control.answer_renewal(&from, answer.encode()));
        });
    }
}

/// Offers what discovery finds to the dialler, for as long as the agent runs.
pub(crate) async fn search(agent: Arc<Agent>, mut discovery: Combined, port: u16) {
    let identity = agent.membership.identity();
    discovery.announce(&Own { mesh: identity.mesh, node: identity.node, port });
    while let Some(finding) = discovery.next().await {
        match finding {
            Finding::Found(found) => {
                let seed = found.source == aire_discovery::Source::Seed;
                agent.control(|now, control| {
                    control.offer_address(now, found.address, found.node.as_ref(), seed);
                });
            }
            Finding::Trouble(trouble) => {
                agent.tell(Happening::new(Kind::Discovery, trouble.to_string()));
            }
        }
    }
}

/// Opens the authority that the configuration names.
pub(crate) fn open_authority(config: &Config) -> Result<Option<Authority>, RunError> {
    let opened = config.authority.as_deref().map(Authority::open).transpose();
    let authority = opened.map_err(|error| RunError::Membership(error.into()))?;
    Ok(authority.map(|authority| authority.with_lifetime(config.svid_lifetime)))
}

/// The address table of an emulated network, where the configuration names one.
pub(crate) fn open_underlay(config: &Config) -> Result<Underlay, RunError> {
    let Some(path) = &config.underlay else { return Ok(Underlay::new()) };
    let read = || -> Result<Vec<(SocketAddr, SocketAddr)>, String> {
        let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
        let table: std::collections::BTreeMap<SocketAddr, SocketAddr> =
            serde_json::from_str(&text).map_err(|error| error.to_string())?;
        Ok(table.into_iter().collect())
    };
    let table = read().map_err(|why| RunError::Underlay(format!("{}: {why}", path.display())))?;
    Ok(Underlay::rewritten(table.into_iter().collect()))
}
