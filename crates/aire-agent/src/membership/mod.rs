//! This node as a member of the mesh: its key, its certificate and whom it trusts.

mod kept;

pub(crate) use kept::Applicant;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aire_identity::{
    Files, FilesError, Issued, JoinError, MessageError, NodeKey, StateError, Svid, TlsError, TokenError,
    TrustBundle, TrustError, Verified, WorkloadApi, WorkloadApiError,
};
use aire_types::{Identity, NodeName, Role};
use aire_wire::{ALPN_CARRIER, ALPN_ENROL, ALPN_LINK};
use parking_lot::{Mutex, RwLock};
use rustls::{ClientConfig, ServerConfig};

use crate::crypto::hkdf_sha256;

/// Why this node is no member.
#[derive(Debug, thiserror::Error)]
pub enum MembershipError {
    /// Neither a certificate on disk nor a way to get one.
    #[error(
        "this node has no certificate in {0}; start it with --join TOKEN (from 'aire mesh invite'), or with --authority DIR"
    )]
    NotJoined(PathBuf),
    /// The certificate is of another node, app or mesh than asked for.
    #[error("{source_of} of {held}, but {asked} is asked for; {remedy}")]
    Other {
        /// What holds the certificate.
        source_of: String,
        /// Whose certificate it is.
        held: Identity,
        /// What the configuration asks for.
        asked: String,
        /// What the operator can do.
        remedy: &'static str,
    },
    /// A running agent was given another identity.
    #[error(
        "the new certificate is of {given}, but this agent runs as {held}; restart the agent if it is to become somebody else"
    )]
    Changed {
        /// Who it is.
        held: Identity,
        /// Who it would be.
        given: Identity,
    },
    /// The certificate has run out, and a token is needed to get a new one.
    #[error(
        "this node's certificate has expired: it was not renewed in time, or this machine's clock is wrong; check the clock first, then join again with a new token ('aire mesh invite') and see that the authority can be reached"
    )]
    Expired,
    /// The state folder.
    #[error(transparent)]
    State(#[from] StateError),
    /// The files of an identity.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// The Workload API.
    #[error(transparent)]
    WorkloadApi(#[from] WorkloadApiError),
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

/// Where a node's identity comes from, and what keeps it fresh.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    /// The mesh's authority, held by this node or asked with a token; kept in this state folder.
    Authority(PathBuf),
    /// Files that somebody else writes.
    Files(Files),
    /// A SPIFFE Workload API.
    WorkloadApi(WorkloadApi),
}

impl Source {
    /// For operators.
    pub(crate) const fn as_str(&self) -> &'static str {
        match self {
            Source::Authority(_) => "authority",
            Source::Files(_) => "files",
            Source::WorkloadApi(_) => "workload-api",
        }
    }

    fn holder(&self) -> (String, &'static str) {
        match self {
            Source::Authority(dir) => (
                format!("{} holds the certificate", dir.display()),
                "choose another --state, or remove that folder's svid.pem and join with a new token",
            ),
            Source::Files(files) => (
                format!("{} is the certificate", files.certificate.display()),
                "start with the --node and --app that it names, or have another certificate issued",
            ),
            Source::WorkloadApi(api) => (
                format!("{} gave the certificate", api.endpoint()),
                "start with the --node and --app that are registered, or register others",
            ),
        }
    }
}

/// The certificate in force and the TLS configurations made of it.
#[derive(Debug)]
pub(crate) struct Current {
    pub(crate) svid: Svid,
    pub(crate) key: Arc<NodeKey>,
    /// What goes into signed messages.
    shown: Vec<u8>,
    pub(crate) link_client: Arc<ClientConfig>,
    pub(crate) carrier_client: Arc<ClientConfig>,
    pub(crate) link_server: Arc<ServerConfig>,
    pub(crate) carrier_server: Arc<ServerConfig>,
    pub(crate) enrol_server: Arc<ServerConfig>,
}

/// A node that has a certificate.
pub(crate) struct Membership {
    source: Source,
    trust: TrustBundle,
    current: RwLock<Arc<Current>>,
    trouble: Mutex<Option<String>>,
}

impl Membership {
    /// A member as whom `source` issued.
    pub(crate) fn new(source: Source, issued: Issued) -> Result<Self, MembershipError> {
        let trust = TrustBundle::new(issued.svid.identity().mesh.clone(), issued.roots)?;
        let current = RwLock::new(Arc::new(configure(issued.svid, issued.key, &trust)?));
        Ok(Membership { source, trust, current, trouble: Mutex::default() })
    }

    /// Trusts as the source now says, and makes ready what it issued; `None` where that is what is in force. Connections
    /// that are open stay open.
    pub(crate) fn prepare(&self, issued: Issued) -> Result<Option<Current>, MembershipError> {
        let (held, given) = (self.identity(), issued.svid.identity().clone());
        if held != given {
            return Err(MembershipError::Changed { held, given });
        }
        let before = self.trust.fingerprints();
        self.trust.replace(issued.roots)?;
        if before == self.trust.fingerprints() && self.current().svid == issued.svid {
            return Ok(None);
        }
        Ok(Some(configure(issued.svid, issued.key, &self.trust)?))
    }

    /// From now on this certificate is shown. Where its key is new, nobody may be about to sign with the old one.
    pub(crate) fn install(&self, next: Current) {
        *self.current.write() = Arc::new(next);
    }

    /// Where the certificate comes from.
    pub(crate) fn source(&self) -> &Source {
        &self.source
    }

    /// Why there is no newer certificate, where there should be one.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.trouble.lock().clone()
    }

    /// Notes what keeps the certificate from being renewed, or that nothing does any more. Is it news?
    pub(crate) fn set_trouble(&self, trouble: Option<String>) -> bool {
        let mut held = self.trouble.lock();
        let news = *held != trouble;
        *held = trouble;
        news
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

    /// The keys of link and enrolment preambles. Dialling takes the first.
    pub(crate) fn knock_keys(&self) -> Vec<[u8; 32]> {
        self.trust.fingerprints().iter().map(|ca| knock_key(ca.as_bytes())).collect()
    }

    /// The certificates that go into signed messages, see [`Svid::shown`].
    pub(crate) fn certificates(&self) -> Vec<u8> {
        self.current.read().shown.clone()
    }

    /// Signs with the node's key.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, StateError> {
        self.current().key.sign(message)
    }

    /// Checks that `message` was signed by the key of `certificates`, which are of this mesh.
    pub(crate) fn verify(
        &self,
        certificates: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<Verified, TrustError> {
        self.trust.verify_signature(certificates, message, signature, SystemTime::now())
    }

    /// Fails when the membership is of another role than the configuration asks for.
    pub(crate) fn check_role(&self, node: &NodeName, role: Option<&Role>) -> Result<(), MembershipError> {
        let held = self.identity();
        let other = |asked: String| {
            let (source_of, remedy) = self.source.holder();
            MembershipError::Other { source_of, held: held.clone(), asked, remedy }
        };
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

/// The key of link and enrolment preambles, from the fingerprint of an authority of the mesh.
pub(crate) fn knock_key(ca: &[u8; 32]) -> [u8; 32] {
    hkdf_sha256(b"aire knock 1", ca, b"")
}

fn configure(svid: Svid, key: Arc<NodeKey>, trust: &TrustBundle) -> Result<Current, TlsError> {
    Ok(Current {
        link_client: Arc::new(aire_identity::client_config(&svid, &key, trust, &[ALPN_LINK])?),
        carrier_client: Arc::new(aire_identity::client_config(&svid, &key, trust, &[ALPN_CARRIER])?),
        link_server: Arc::new(aire_identity::server_config(&svid, &key, trust, &[ALPN_LINK])?),
        carrier_server: Arc::new(aire_identity::server_config(&svid, &key, trust, &[ALPN_CARRIER])?),
        enrol_server: Arc::new(aire_identity::enrol_server_config(&svid, &key, trust, &[ALPN_ENROL])?),
        shown: svid.shown(trust),
        key,
        svid,
    })
}
