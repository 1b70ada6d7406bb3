use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::RwLock;
use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};

use aire_types::{Identity, MeshName, Role};
use aire_wire::{Notice, Subject};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use crate::digest::Fingerprint;
use crate::key::{PublicKey, SignatureError};
use crate::leaf::{Leaf, LeafError, split, spoken, valid_from};
use crate::pem;
use crate::state::{self, StateError};

const FILE: &str = "bundle.pem";
const REMEDY: &str = "move it away and start with the token again; the node's key and name stay";
/// More certificates than any sane chain has.
const MAX_CHAIN: usize = 4;

/// Why a peer's certificate does not count here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// There is none.
    #[error(
        "the peer showed no certificate; it is a stranger, or wanted to enrol where members are expected"
    )]
    NoCertificate,
    /// Another authority signed it, or nobody.
    #[error("the peer's certificate is not of mesh {mesh}; it belongs to another mesh or to a stranger")]
    NotOfMesh {
        /// Our mesh.
        mesh: MeshName,
    },
    /// Too late.
    #[error("the certificate of {who} expired {} ago; check the clocks of both machines, and that the peer reaches the authority to renew", spoken(*by))]
    Expired {
        /// Whose.
        who: Identity,
        /// How long ago.
        by: Duration,
    },
    /// Too early.
    #[error("the certificate of {who} is valid only in {}; check the clocks of both machines", spoken(*by))]
    NotYetValid {
        /// Whose.
        who: Identity,
        /// In how long.
        by: Duration,
    },
    /// It names no workload.
    #[error("the peer's certificate has no usable SPIFFE id: {0}; it was not issued by an AIRE authority")]
    NoSpiffeId(String),
    /// It names a workload of another mesh.
    #[error("the peer is {found}, which is not of mesh {mesh}")]
    WrongTrustDomain {
        /// Our mesh.
        mesh: MeshName,
        /// Who it says it is.
        found: Identity,
    },
    /// It was taken back.
    #[error("the certificate of {0} was revoked; an operator of the mesh took it back")]
    Revoked(Identity),
    /// It is not what an SVID is.
    #[error("the peer's certificate is not an SVID: {0}; the peer or its authority is at fault")]
    Malformed(String),
    /// The message was not signed by the certificate's key.
    #[error("the message of {0} has a wrong signature; it was changed on its way or forged")]
    Signature(Identity),
    /// A notice that the authority did not sign.
    #[error("it was not signed by the authority of mesh {mesh}; it was changed on its way or forged")]
    NotByAuthority {
        /// Our mesh.
        mesh: MeshName,
    },
}

/// A peer whose certificate was checked, with its key ready for checking messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    leaf: Leaf,
}

impl Verified {
    /// Who it is.
    pub fn identity(&self) -> &Identity {
        &self.leaf.identity
    }

    /// Its key.
    pub fn public_key(&self) -> &PublicKey {
        &self.leaf.key
    }

    /// Until when its certificate is valid.
    pub fn not_after(&self) -> SystemTime {
        self.leaf.not_after
    }

    /// The serial number of its certificate.
    pub fn serial(&self) -> &[u8] {
        &self.leaf.serial
    }

    /// Checks a message signed by the certificate's key; parses nothing again.
    ///
    /// # Errors
    /// Another key or another message.
    pub fn verify_signature(&self, message: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
        self.leaf.key.verify_signature(message, signature)
    }
}

/// Authorities that are trusted at one time.
struct Roots {
    /// In the order of [`TrustBundle::fingerprints`].
    certificates: Vec<CertificateDer<'static>>,
    anchors: Vec<TrustAnchor<'static>>,
}

impl Roots {
    fn new(mut certificates: Vec<CertificateDer<'static>>) -> Result<Self, TrustError> {
        if certificates.is_empty() {
            return Err(TrustError::Malformed("no authority is given".to_owned()));
        }
        certificates.sort_by_key(|certificate| (valid_from(certificate), Fingerprint::of(certificate)));
        certificates.dedup();
        let anchors = certificates
            .iter()
            .map(|der| Ok(webpki::anchor_from_trusted_cert(der)?.to_owned()))
            .collect::<Result<_, webpki::Error>>()
            .map_err(|error| TrustError::Malformed(format!("the authority's certificate: {error}")))?;
        Ok(Roots { certificates, anchors })
    }
}

struct Inner {
    mesh: MeshName,
    roots: RwLock<Arc<Roots>>,
    revoked: RwLock<BTreeSet<Subject>>,
}

/// The authorities' certificates and what was taken back. Copies share both, so that TLS configurations made earlier
/// know of later ones.
#[derive(Clone)]
pub struct TrustBundle(Arc<Inner>);

impl TrustBundle {
    /// Trusts `certificates` as authorities of `mesh`.
    ///
    /// # Errors
    /// One of them is not a certificate, or there is none.
    pub fn new(mesh: MeshName, certificates: Vec<CertificateDer<'static>>) -> Result<Self, TrustError> {
        let roots = RwLock::new(Arc::new(Roots::new(certificates)?));
        Ok(TrustBundle(Arc::new(Inner { mesh, roots, revoked: RwLock::default() })))
    }

    /// The bundle kept in the state directory `dir`.
    ///
    /// # Errors
    /// There is none, it cannot be read, or it is damaged; each names the file.
    pub fn load(dir: &Path, mesh: MeshName) -> Result<Self, StateError> {
        let path = dir.join(FILE);
        let text = state::read(&path, "join the mesh with a token first")?;
        pem::decode_certificates(&text)
            .and_then(|certificates| Self::new(mesh, certificates).map_err(|error| error.to_string()))
            .map_err(|what| StateError::corrupt(&path, what, REMEDY))
    }

    /// Keeps the bundle in `dir`, without revocations.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn save(&self, dir: &Path) -> Result<(), StateError> {
        state::private_dir(dir)?;
        state::write_atomic(&dir.join(FILE), pem::encode_certificates(&self.certificates()).as_bytes())
    }

    /// The mesh.
    pub fn mesh(&self) -> &MeshName {
        &self.0.mesh
    }

    /// The authorities' certificates.
    pub fn certificates(&self) -> Vec<CertificateDer<'static>> {
        self.roots().certificates.clone()
    }

    /// The authorities' fingerprints: the one that has been valid for longest first, so that everybody agrees on the
    /// first while a new one is being handed out.
    pub fn fingerprints(&self) -> Vec<Fingerprint> {
        self.roots().certificates.iter().map(Fingerprint::of).collect()
    }

    /// Whether the authority with this fingerprint is one of them.
    pub fn contains(&self, authority: &Fingerprint) -> bool {
        self.fingerprints().contains(authority)
    }

    /// Trusts `certificates` from now on and no others, here and in every copy. Connections that are open stay open.
    ///
    /// # Errors
    /// As [`TrustBundle::new`]; nothing has changed then.
    pub fn replace(&self, certificates: Vec<CertificateDer<'static>>) -> Result<(), TrustError> {
        *self.0.roots.write() = Arc::new(Roots::new(certificates)?);
        Ok(())
    }

    fn roots(&self) -> Arc<Roots> {
        Arc::clone(&self.0.roots.read())
    }

    /// Replaces what was taken back, here and in every copy. The caller cuts connections that are open already.
    pub fn set_revoked(&self, revoked: BTreeSet<Subject>) {
        *self.0.revoked.write() = revoked;
    }

    /// What was taken back of this identity, if anything: a certificate checked earlier counts no more.
    pub fn revoked(&self, identity: &Identity) -> Option<Subject> {
        let revoked = self.0.revoked.read();
        if revoked.is_empty() {
            return None;
        }
        let node = Subject::Node(identity.node.clone());
        let app = match &identity.role {
            Role::App(app) => Some(Subject::App(app.clone())),
            Role::Relay => None,
        };
        [Some(node), app].into_iter().flatten().find(|subject| revoked.contains(subject))
    }

    /// Checks that the mesh's authority signed a notice, with the key of its certificate.
    ///
    /// # Errors
    /// [`TrustError::NotByAuthority`].
    pub fn verify_notice(&self, notice: &Notice) -> Result<(), TrustError> {
        let signed = notice.signed();
        let by = |authority: &CertificateDer<'_>| {
            let (_, certificate) = X509Certificate::from_der(authority).ok()?;
            let key = PublicKey::from_spki(certificate.public_key().raw)?;
            key.verify_signature(&signed, &notice.signature).ok()
        };
        if notice.mesh == self.0.mesh && self.certificates().iter().any(|ca| by(ca).is_some()) {
            return Ok(());
        }
        Err(TrustError::NotByAuthority { mesh: self.0.mesh.clone() })
    }

    /// Checks a certificate chain (leaf first, the authority's own certificate optional) as of `now`.
    ///
    /// # Errors
    /// See [`TrustError`].
    pub fn verify(&self, chain: &[CertificateDer<'_>], now: SystemTime) -> Result<Verified, TrustError> {
        let [first, rest @ ..] = chain else {
            return Err(TrustError::NoCertificate);
        };
        if chain.len() > MAX_CHAIN {
            return Err(TrustError::Malformed(format!("{} certificates were presented", chain.len())));
        }
        let signed = self.check_path(first, rest, now);
        // What the certificate says is believed only for telling the operator more, until `signed` is clear.
        let leaf = match (signed, Leaf::parse(first)) {
            (Ok(()), leaf) => leaf.map_err(TrustError::from)?,
            (Err(error), Ok(leaf)) => return Err(self.path_error(error, leaf, first, rest)),
            (Err(error), Err(leaf)) => return Err(self.unreadable(&error, leaf)),
        };
        if leaf.identity.mesh != self.0.mesh {
            return Err(TrustError::WrongTrustDomain { mesh: self.0.mesh.clone(), found: leaf.identity });
        }
        if self.revoked(&leaf.identity).is_some() {
            return Err(TrustError::Revoked(leaf.identity));
        }
        Ok(Verified { leaf })
    }

    /// Checks that `message` was signed by the key of the first of `certificates` (see [`Svid::shown`]), and that one by the
    /// authority. For many messages of one peer, keep the [`Verified`] and call [`Verified::verify_signature`].
    ///
    /// [`Svid::shown`]: crate::Svid::shown
    ///
    /// # Errors
    /// As [`TrustBundle::verify`], or [`TrustError::Signature`].
    pub fn verify_signature(
        &self,
        certificates: &[u8],
        message: &[u8],
        signature: &[u8],
        now: SystemTime,
    ) -> Result<Verified, TrustError> {
        let chain = split(certificates, MAX_CHAIN)
            .ok_or_else(|| TrustError::Malformed("it is no sequence of certificates".to_owned()))?;
        let peer = self.verify(&chain, now)?;
        match peer.verify_signature(message, signature) {
            Ok(()) => Ok(peer),
            Err(SignatureError) => Err(TrustError::Signature(peer.leaf.identity)),
        }
    }

    fn check_path(
        &self,
        leaf: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        now: SystemTime,
    ) -> Result<(), webpki::Error> {
        let since_epoch = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        webpki::EndEntityCert::try_from(leaf)?.verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            &self.roots().anchors,
            rest,
            UnixTime::since_unix_epoch(since_epoch),
            webpki::KeyUsage::server_auth(),
            None,
            None,
        )?;
        Ok(())
    }

    fn path_error(
        &self,
        error: webpki::Error,
        leaf: Leaf,
        first: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
    ) -> TrustError {
        use webpki::Error as E;
        let between = |late: UnixTime, early: UnixTime| {
            Duration::from_secs(late.as_secs().saturating_sub(early.as_secs()))
        };
        // The dates are looked at before the signature: a stranger's old certificate is a stranger's first.
        let ours = || self.check_path(first, rest, leaf.not_after).is_ok();
        match error {
            E::CertExpired { time, not_after } if ours() => {
                TrustError::Expired { who: leaf.identity, by: between(time, not_after) }
            }
            E::CertNotValidYet { time, not_before } if ours() => {
                TrustError::NotYetValid { who: leaf.identity, by: between(not_before, time) }
            }
            E::UnknownIssuer
            | E::InvalidSignatureForPublicKey
            | E::CertExpired { .. }
            | E::CertNotValidYet { .. } => TrustError::NotOfMesh { mesh: self.0.mesh.clone() },
            other => TrustError::Malformed(other.to_string()),
        }
    }

    fn unreadable(&self, error: &webpki::Error, leaf: LeafError) -> TrustError {
        match error {
            webpki::Error::UnknownIssuer | webpki::Error::InvalidSignatureForPublicKey => {
                TrustError::NotOfMesh { mesh: self.0.mesh.clone() }
            }
            _ => leaf.into(),
        }
    }
}

impl From<LeafError> for TrustError {
    fn from(error: LeafError) -> Self {
        match error {
            LeafError::NoSpiffeId(_) | LeafError::BadSpiffeId(_) => TrustError::NoSpiffeId(error.to_string()),
            LeafError::Encoding | LeafError::Purpose(_) => TrustError::Malformed(error.to_string()),
        }
    }
}

impl fmt::Debug for TrustBundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrustBundle")
            .field("mesh", &self.0.mesh)
            .field("authorities", &self.fingerprints())
            .finish_non_exhaustive()
    }
}
