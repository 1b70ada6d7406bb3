//! This node as a member of the mesh: its key, its certificate and whom it trusts.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aire_identity::{
    Authority, EnrolRequest, EnrolResponse, Fingerprint, JoinError, MessageError, NodeKey, StateError, Svid,
    TlsError, Token, TokenError, TrustBundle, TrustError, Verified,
};
use aire_types::{Identity, MeshName, NodeName, Role};
use aire_wire::{ALPN_CARRIER, ALPN_ENROL, ALPN_LINK};
use parking_lot::RwLock;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, ServerConfig};

/// Why this node is no member.
#[derive(Debug, thiserror::Error)]
pub enum MembershipError {
    /// Neither a certificate on disk nor a way to get one.
    #[error(
        "this node has no certificate in {0}; start it with --join TOKEN (from 'aire mesh invite'), or with --authority DIR"
    )]
    NotJoined(PathBuf),
    /// What is on disk is of another node, app or mesh than asked for.
    #[error(
        "{dir} holds the certificate of {held}, but {asked} is asked for; choose another --state, or remove that folder's svid.pem and join with a new token"
    )]
    Other {
        /// The state folder.
        dir: PathBuf,
        /// Whose certificate it holds.
        held: Identity,
        /// What the configuration asks for.
        asked: String,
    },
    /// The certificate has run out, and a token is needed to get a new one.
    #[error(
        "this node's certificate expired and was not renewed in time; join again with a new token ('aire mesh invite'), and check that the authority can be reached"
    )]
    Expired,
    /// The state folder.
    #[error(transparent)]
    State(#[from] StateError),
    /// The token.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The answer to an enrolment.
    #[error(transparent)]
    Join(#[from] JoinError),
    /// The answer to an enrolment was not one.
    #[error("the authority's answer cannot be read: {0}")]
    Answer(#[from] MessageError),
    /// Certificate and trust do not belong together.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// Certificate and key do not belong together.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// The certificate in force and the TLS configurations made of it.
#[derive(Debug)]
pub(crate) struct Current {
    pub(crate) svid: Svid,
    pub(crate) link_client: Arc<ClientConfig>,
    pub(crate) carrier_client: Arc<ClientConfig>,
    pub(crate) link_server: Arc<ServerConfig>,
    pub(crate) carrier_server: Arc<ServerConfig>,
    pub(crate) enrol_server: Arc<ServerConfig>,
}

/// A node that has a certificate.
pub(crate) struct Membership {
    dir: PathBuf,
    key: NodeKey,
    trust: TrustBundle,
    current: RwLock<Arc<Current>>,
}

impl Membership {
    /// The membership kept in `dir`; `None` where there is none yet.
    pub(crate) fn load(dir: &Path, now: SystemTime) -> Result<Option<Self>, MembershipError> {
        let svid = match Svid::load(dir) {
            Err(StateError::Missing { .. }) => return Ok(None),
            other => other?,
        };
        let trust = TrustBundle::load(dir, svid.identity().mesh.clone())?;
        if svid.not_after() <= now {
            return Err(MembershipError::Expired);
        }
        trust.verify(svid.chain(), now)?;
        Self::new(dir, NodeKey::load(dir)?, trust, svid).map(Some)
    }

    fn new(dir: &Path, key: NodeKey, trust: TrustBundle, svid: Svid) -> Result<Self, MembershipError> {
        let current = RwLock::new(Arc::new(configure(svid, &key, &trust)?));
        Ok(Membership { dir: dir.to_owned(), key, trust, current })
    }

    fn save(dir: &Path, key: NodeKey, trust: TrustBundle, svid: Svid) -> Result<Self, MembershipError> {
        trust.save(dir)?;
        svid.save(dir)?;
        Self::new(dir, key, trust, svid)
    }

    /// Issues the certificate of the agent that holds the authority.
    pub(crate) fn issue(
        authority: &Authority,
        dir: &Path,
        node: &NodeName,
        role: Role,
        now: SystemTime,
    ) -> Result<Self, MembershipError> {
        let key = NodeKey::load_or_generate(dir)?;
        let svid = authority
            .issue_own(node, role, &key, now)
            .map_err(|error| JoinError::Refused(error.refusal()))?;
        Self::save(dir, key, authority.bundle()?, svid)
    }

    /// The same certificate, issued anew.
    pub(crate) fn issue_again(&self, authority: &Authority, now: SystemTime) -> Result<(), MembershipError> {
        let identity = self.identity();
        let svid = authority
            .issue_own(&identity.node, identity.role, &self.key, now)
            .map_err(|error| JoinError::Refused(error.refusal()))?;
        self.adopt(svid)
    }

    fn adopt(&self, svid: Svid) -> Result<(), MembershipError> {
        svid.save(&self.dir)?;
        *self.current.write() = Arc::new(configure(svid, &self.key, &self.trust)?);
        Ok(())
    }

    /// The request for a renewal.
    pub(crate) fn renewal(&self) -> Result<Vec<u8>, MembershipError> {
        Ok(EnrolRequest::renewal(&self.identity(), &self.key)?.encode())
    }

    /// Takes the authority's answer to [`Membership::renewal`].
    pub(crate) fn renewed(&self, answer: &[u8], now: SystemTime) -> Result<(), MembershipError> {
        let response = EnrolResponse::decode(answer)?;
        let current = self.current();
        self.adopt(response.accept_renewal(&current.svid, &self.key, &self.trust, now)?)
    }

    /// The certificate in force.
    pub(crate) fn current(&self) -> Arc<Current> {
        Arc::clone(&self.current.read())
    }

    /// Who this node is.
    pub(crate) fn identity(&self) -> Identity {
        self.current.read().svid.identity().clone()
    }

    /// Whom this node trusts.
    pub(crate) fn trust(&self) -> &TrustBundle {
        &self.trust
    }

    /// The leaf certificate, DER.
    pub(crate) fn leaf(&self) -> Vec<u8> {
        self.current.read().svid.leaf().to_vec()
    }

    /// Signs with the node's key.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, StateError> {
        self.key.sign(message)
    }

    /// Checks that `message` was signed by the key of `leaf`, a certificate of this mesh.
    pub(crate) fn verify(
        &self,
        leaf: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<Verified, TrustError> {
        self.trust.verify_signature(&CertificateDer::from(leaf), message, signature, SystemTime::now())
    }

    /// Fails when the membership is of another role than the configuration asks for.
    pub(crate) fn check_role(&self, node: &NodeName, role: Option<&Role>) -> Result<(), MembershipError> {
        let held = self.identity();
        let other =
            |asked: String| MembershipError::Other { dir: self.dir.clone(), held: held.clone(), asked };
        if held.node != *node {
            return Err(other(format!("node {node}")));
        }
        match role {
            Some(role) if *role != held.role => Err(other(match role {
                Role::App(app) => format!("app {app}"),
                Role::Relay => "a relay".to_owned(),
            })),
            _ => Ok(()),
        }
    }

    /// How much longer the certificate holds.
    pub(crate) fn remaining(&self, now: SystemTime) -> Duration {
        self.current.read().svid.not_after().duration_since(now).unwrap_or_default()
    }
}

/// A node on its way into the mesh.
pub(crate) struct Applicant {
    token: Token,
    node: NodeName,
    key: NodeKey,
    dir: PathBuf,
}

impl Applicant {
    /// Reads the token and makes the node's key.
    pub(crate) fn new(
        token: &str,
        node: &NodeName,
        dir: &Path,
        now: SystemTime,
    ) -> Result<Self, MembershipError> {
        let token = Token::parse(token)?;
        token.check(now)?;
        let key = NodeKey::load_or_generate(dir)?;
        Ok(Applicant { token, node: node.clone(), key, dir: dir.to_owned() })
    }

    pub(crate) fn mesh(&self) -> &MeshName {
        self.token.mesh()
    }

    pub(crate) fn ca(&self) -> &Fingerprint {
        self.token.ca()
    }

    pub(crate) fn seeds(&self) -> &[String] {
        self.token.seeds()
    }

    /// The role that the token gives.
    pub(crate) fn role(&self) -> Role {
        self.token.scope().identity(self.token.mesh(), &self.node).role
    }

    pub(crate) fn request(&self) -> Result<Vec<u8>, MembershipError> {
        Ok(EnrolRequest::with_token(&self.token, &self.node, &self.key)?.encode())
    }

    /// The TLS configuration that is pinned to the token's authority.
    pub(crate) fn client_config(&self) -> Result<ClientConfig, MembershipError> {
        Ok(aire_identity::enrol_client_config(self.mesh(), self.ca(), &[ALPN_ENROL])?)
    }

    /// Takes the authority's answer to [`Applicant::request`].
    pub(crate) fn accept(self, answer: &[u8], now: SystemTime) -> Result<Membership, MembershipError> {
        let response = EnrolResponse::decode(answer)?;
        let (svid, trust) = response.accept_enrolment(&self.token, &self.node, &self.key, now)?;
        Membership::save(&self.dir, self.key, trust, svid)
    }
}

fn configure(svid: Svid, key: &NodeKey, trust: &TrustBundle) -> Result<Current, TlsError> {
    Ok(Current {
        link_client: Arc::new(aire_identity::client_config(&svid, key, trust, &[ALPN_LINK])?),
        carrier_client: Arc::new(aire_identity::client_config(&svid, key, trust, &[ALPN_CARRIER])?),
        link_server: Arc::new(aire_identity::server_config(&svid, key, trust, &[ALPN_LINK])?),
        carrier_server: Arc::new(aire_identity::server_config(&svid, key, trust, &[ALPN_CARRIER])?),
        enrol_server: Arc::new(aire_identity::enrol_server_config(&svid, key, trust, &[ALPN_ENROL])?),
        svid,
    })
}
