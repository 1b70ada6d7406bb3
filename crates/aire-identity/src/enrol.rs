//! What a node and the authority say to each other: one request, one response, each a JSON document of at most
//! [`MAX_MESSAGE`] bytes.

use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::CertificateDer;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use aire_types::{Identity, MeshName, NodeName};

use crate::digest::Fingerprint;
use crate::key::NodeKey;
use crate::state::StateError;
use crate::svid::Svid;
use crate::token::Token;
use crate::trust::{TrustBundle, TrustError};

/// The longest request or response, bytes.
pub const MAX_MESSAGE: usize = 16 * 1024;
const VERSION: u32 = 1;

/// Why bytes are not a request or a response. The peer is to blame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// More than [`MAX_MESSAGE`] bytes.
    #[error("the enrolment message has {0} bytes, more than {MAX_MESSAGE}")]
    TooLong(usize),
    /// Of another version of AIRE.
    #[error(
        "the peer enrols by version {0} and this agent by version {VERSION}; use the same release on both"
    )]
    Version(u32),
    /// Anything else.
    #[error("the peer sent no enrolment message: {0}")]
    Malformed(String),
}

/// DER, carried as base64.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Der(pub(crate) Vec<u8>);

impl Serialize for Der {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Der {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(text).map(Der).map_err(|_| D::Error::custom("not base64"))
    }
}

/// What a node asks of the authority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnrolRequest(pub(crate) Body);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub(crate) enum Body {
    /// A new node, with a token.
    Enrol(Enrol),
    /// A member whose certificate is to be renewed; the connection says who it is.
    Renew { version: u32, csr: Der },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Enrol {
    pub(crate) version: u32,
    /// SHA-256 of the token's secret.
    pub(crate) invite: Fingerprint,
    pub(crate) mesh: MeshName,
    pub(crate) node: NodeName,
    pub(crate) csr: Der,
    /// Made with the token's secret over [`Enrol::proven`].
    pub(crate) proof: Der,
}

impl Enrol {
    /// What the proof is about. Names have no zero byte, so it reads in one way only.
    pub(crate) fn proven(&self) -> Vec<u8> {
        let (mesh, node) = (self.mesh.as_str().as_bytes(), self.node.as_str().as_bytes());
        [b"aire enrol 1\0", mesh, b"\0", node, b"\0", &self.csr.0].concat()
    }
}

impl EnrolRequest {
    /// Asks to become `node` with the rights of `token`. The token's secret stays here; only a proof of it is sent.
    ///
    /// # Errors
    /// The request could not be made.
    pub fn with_token(token: &Token, node: &NodeName, key: &NodeKey) -> Result<Self, StateError> {
        let identity = token.scope().identity(token.mesh(), node);
        let mut enrol = Enrol {
            version: VERSION,
            invite: token.secret.id(),
            mesh: token.mesh().clone(),
            node: node.clone(),
            csr: Der(key.csr(&identity)?),
            proof: Der(Vec::new()),
        };
        enrol.proof = Der(token.secret.prove(&enrol.proven()));
        Ok(EnrolRequest(Body::Enrol(enrol)))
    }

    /// Asks for a new certificate of the identity that the connection is authenticated as.
    ///
    /// # Errors
    /// The request could not be made.
    pub fn renewal(identity: &Identity, key: &NodeKey) -> Result<Self, StateError> {
        Ok(EnrolRequest(Body::Renew { version: VERSION, csr: Der(key.csr(identity)?) }))
    }

    /// Whether it is for a connection with a client certificate.
    pub fn is_renewal(&self) -> bool {
        matches!(self.0, Body::Renew { .. })
    }

    /// The bytes to send.
    pub fn encode(&self) -> Vec<u8> {
        encode(&self.0)
    }

    /// Reads a request.
    ///
    /// # Errors
    /// See [`MessageError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, MessageError> {
        decode(bytes).map(EnrolRequest)
    }
}

/// Why the authority said no.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(deny_unknown_fields)]
#[error("the authority refused ({code}): {message}")]
pub struct Refusal {
    /// A word that programs may rely on, such as `expired` or `name-taken`.
    pub code: String,
    /// What happened and what to do, for people.
    pub message: String,
}

/// What the authority answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnrolResponse(Answer);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
enum Answer {
    Issued { version: u32, svid: Vec<Der>, ca: Der },
    Refused { version: u32, code: String, message: String },
}

/// Why an answer of the authority is of no use.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// It said no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The certificate does not verify; whoever answered is to blame, or a clock.
    #[error("the authority's answer is of no use: {0}")]
    Untrusted(#[from] TrustError),
    /// It is not the authority that the token names.
    #[error(
        "the answer came from another authority than the token names; someone stands in between, or the mesh was made anew: ask for a new token"
    )]
    WrongAuthority,
    /// The certificate is for someone else or another key.
    #[error(
        "the authority answered with a certificate of {0} instead of the one asked for; this is a bug in AIRE"
    )]
    NotOurs(Identity),
}

impl EnrolResponse {
    pub(crate) fn issued(svid: &Svid, ca: &CertificateDer<'_>) -> Self {
        EnrolResponse(Answer::Issued {
            version: VERSION,
            svid: svid.chain().iter().map(|certificate| Der(certificate.to_vec())).collect(),
            ca: Der(ca.to_vec()),
        })
    }

    /// A refusal, for drivers that refuse before the authority is asked (such as a rate limit).
    pub fn refused(refusal: Refusal) -> Self {
        let Refusal { code, message } = refusal;
        EnrolResponse(Answer::Refused { version: VERSION, code, message })
    }

    /// What was refused, for the log of the authority.
    pub fn refusal(&self) -> Option<Refusal> {
        match &self.0 {
            Answer::Issued { .. } => None,
            Answer::Refused { code, message, .. } => {
                Some(Refusal { code: code.clone(), message: message.clone() })
            }
        }
    }

    /// The bytes to send.
    pub fn encode(&self) -> Vec<u8> {
        encode(&self.0)
    }

    /// Reads a response.
    ///
    /// # Errors
    /// See [`MessageError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, MessageError> {
        decode(bytes).map(EnrolResponse)
    }

    /// What a node that joined with `token` as `node` got: its certificate and whom to trust from now on.
    ///
    /// # Errors
    /// See [`JoinError`].
    pub fn accept_enrolment(
        &self,
        token: &Token,
        node: &NodeName,
        key: &NodeKey,
        now: SystemTime,
    ) -> Result<(Svid, TrustBundle), JoinError> {
        let (chain, ca) = self.certificates()?;
        if Fingerprint::of(&ca) != *token.ca() {
            return Err(JoinError::WrongAuthority);
        }
        let bundle = TrustBundle::new(token.mesh().clone(), vec![ca])?;
        let svid = ours(chain, &token.scope().identity(token.mesh(), node), key, &bundle, now)?;
        Ok((svid, bundle))
    }

    /// The new certificate of a member.
    ///
    /// # Errors
    /// See [`JoinError`].
    pub fn accept_renewal(
        &self,
        current: &Svid,
        key: &NodeKey,
        bundle: &TrustBundle,
        now: SystemTime,
    ) -> Result<Svid, JoinError> {
        let (chain, ca) = self.certificates()?;
        if !bundle.contains(&Fingerprint::of(&ca)) {
            return Err(JoinError::WrongAuthority);
        }
        ours(chain, current.identity(), key, bundle, now)
    }

    fn certificates(&self) -> Result<(Vec<CertificateDer<'static>>, CertificateDer<'static>), Refusal> {
        match &self.0 {
            Answer::Issued { svid, ca, .. } => {
                let chain = svid.iter().map(|der| CertificateDer::from(der.0.clone())).collect();
                Ok((chain, CertificateDer::from(ca.0.clone())))
            }
            Answer::Refused { code, message, .. } => {
                Err(Refusal { code: code.clone(), message: message.clone() })
            }
        }
    }
}

fn ours(
    chain: Vec<CertificateDer<'static>>,
    wanted: &Identity,
    key: &NodeKey,
    bundle: &TrustBundle,
    now: SystemTime,
) -> Result<Svid, JoinError> {
    let verified = bundle.verify(&chain, now)?;
    if verified.identity() != wanted || verified.public_key() != key.public_key() {
        return Err(JoinError::NotOurs(verified.identity().clone()));
    }
    Ok(Svid::from_chain(chain).map_err(TrustError::Malformed)?)
}

fn encode(body: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(body).expect("text, lists and numbers always encode")
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, MessageError> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    if bytes.len() > MAX_MESSAGE {
        return Err(MessageError::TooLong(bytes.len()));
    }
    let malformed = |error: serde_json::Error| MessageError::Malformed(error.to_string());
    let Versioned { version } = serde_json::from_slice(bytes).map_err(malformed)?;
    if version != VERSION {
        return Err(MessageError::Version(version));
    }
    serde_json::from_slice(bytes).map_err(malformed)
}
