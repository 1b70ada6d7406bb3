use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls_pki_types::CertificateDer;

use aire_types::Identity;

use crate::key::NodeKey;
use crate::leaf::spoken;
use crate::svid::Svid;
use crate::trust::{TrustBundle, TrustError};

/// Why a certificate, a key and roots do not make an identity. Whoever issued or wrote them is to blame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IssuedError {
    /// The certificate is not that of a node.
    #[error("the certificate is not an SVID of a node: {0}")]
    NotSvid(String),
    /// No root leads to the certificate.
    #[error(
        "the certificate of {0} was not issued by any of the given authorities; give the roots of the authority that issued it, and put intermediate certificates behind the leaf"
    )]
    WrongAuthority(Identity),
    /// The key is of another certificate.
    #[error(
        "the key is not that of the certificate of {0}; one of the two is old, or they were mixed up: write both again"
    )]
    WrongKey(Identity),
    /// Too late.
    #[error("the certificate of {who} expired {} ago; have it renewed, and check this machine's clock", spoken(*by))]
    Expired {
        /// Whose.
        who: Identity,
        /// How long ago.
        by: Duration,
    },
    /// Too early.
    #[error("the certificate of {who} is valid only in {}; check this machine's clock and that of the authority", spoken(*by))]
    NotYetValid {
        /// Whose.
        who: Identity,
        /// In how long.
        by: Duration,
    },
    /// The roots.
    #[error("the authorities' certificates cannot be used: {0}")]
    Roots(String),
}

/// What a source of identities gave this node: a certificate, its key, and whom to trust. The parts belong together and
/// were valid when it was made.
#[derive(Debug)]
pub struct Issued {
    /// The certificate.
    pub svid: Svid,
    /// Its key.
    pub key: Arc<NodeKey>,
    /// The authorities' certificates.
    pub roots: Vec<CertificateDer<'static>>,
}

impl Issued {
    /// Checks that `chain` (leaf first), `key` and `roots` belong together as of `now`.
    ///
    /// # Errors
    /// See [`IssuedError`].
    pub fn new(
        chain: Vec<CertificateDer<'static>>,
        key: NodeKey,
        roots: Vec<CertificateDer<'static>>,
        now: SystemTime,
    ) -> Result<Self, IssuedError> {
        let svid = Svid::from_chain(chain).map_err(IssuedError::NotSvid)?;
        let who = svid.identity().clone();
        let trust = TrustBundle::new(who.mesh.clone(), roots.clone())
            .map_err(|error| IssuedError::Roots(error.to_string()))?;
        trust.verify(svid.chain(), now).map_err(|error| match error {
            TrustError::Expired { who, by } => IssuedError::Expired { who, by },
            TrustError::NotYetValid { who, by } => IssuedError::NotYetValid { who, by },
            TrustError::NotOfMesh { .. } => IssuedError::WrongAuthority(who.clone()),
            other => IssuedError::NotSvid(other.to_string()),
        })?;
        if svid.public_key() != key.public_key() {
            return Err(IssuedError::WrongKey(who));
        }
        Ok(Issued { svid, key: Arc::new(key), roots })
    }
}
