//! The mesh's certificate authority: a directory that the command line and the running agent share.

mod enrolment;
mod issue;
mod notices;
mod records;

#[cfg(feature = "fuzzing")]
pub use records::fuzzing;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustls_pki_types::CertificateDer;

use aire_types::MeshName;

use crate::digest::Fingerprint;
use crate::key::NodeKey;
use crate::leaf::unix_seconds;
use crate::pem;
use crate::secret::Secret;
use crate::state::{self, Lock, StateError};
use crate::token::{Scope, Token};
use crate::trust::{TrustBundle, TrustError};

pub use enrolment::EnrolError;
pub use issue::{CA_LIFETIME, CLOCK_SKEW, SVID_LIFETIME};
pub use notices::NoticeError;

use issue::Issuer;
use records::{Invite, Records};

const CERTIFICATE: &str = "ca.pem";
const KEY: &str = "ca.key";
const LOCK: &str = "lock";
const REMEDY: &str = "restore the authority's directory from a backup";
const CREATE: &str = "make a mesh with 'aire mesh create' or name its directory";

/// The certificate authority of one mesh.
///
/// ```text
/// DIR/ca.pem                 its certificate
/// DIR/ca.key                 its key
/// DIR/invites/SHA256.json    an invitation, named by the hash of its secret
/// DIR/nodes/NODE.json        the key that a node's name is bound to; remove it to give the name to another key
/// DIR/notices/KIND-N.notice  what was said to the whole mesh: policies and revocations, signed
/// DIR/lock                   held while invitations and names change
/// ```
///
/// All methods may be called from many threads and processes at once.
#[derive(Debug)]
pub struct Authority {
    dir: PathBuf,
    mesh: MeshName,
    certificate: CertificateDer<'static>,
    issuer: Issuer,
    key: NodeKey,
    records: Records,
}

impl Authority {
    /// Makes a new mesh in `dir`, which becomes closed to other users.
    ///
    /// # Errors
    /// There is an authority in `dir` already, or it cannot be written.
    pub fn create(dir: &Path, mesh: MeshName, now: SystemTime) -> Result<Self, StateError> {
        state::close_dir(dir)?;
        let lock = Lock::acquire(&dir.join(LOCK))?;
        let (certificate_path, key_path) = (dir.join(CERTIFICATE), dir.join(KEY));
        if certificate_path.exists() || key_path.exists() {
            return Err(StateError::Exists { path: dir.to_owned() });
        }
        let key = NodeKey::generate()?;
        let certificate = issue::self_signed(&mesh, &key, now)?;
        Records::create(dir)?;
        key.write(&key_path)?;
        // Written last: with it, the mesh exists.
        state::write_atomic(&certificate_path, pem::encode("CERTIFICATE", &certificate).as_bytes())?;
        drop(lock);
        Self::open(dir)
    }

    /// Opens the authority in `dir`.
    ///
    /// # Errors
    /// There is none, a file cannot be read, or it is damaged; each names the file.
    pub fn open(dir: &Path) -> Result<Self, StateError> {
        let path = dir.join(CERTIFICATE);
        let text = state::read(&path, CREATE)?;
        let corrupt = |what: String| StateError::corrupt(&path, what, REMEDY);
        let mut certificates = pem::decode_certificates(&text).map_err(corrupt)?;
        let certificate = certificates.swap_remove(0);
        let ca = issue::describe(&certificate).map_err(corrupt)?;
        let key_path = dir.join(KEY);
        let key = NodeKey::read(&key_path, REMEDY)?;
        if *key.public_key() != ca.key {
            return Err(StateError::corrupt(&key_path, "not the key of ca.pem", REMEDY));
        }
        Ok(Authority {
            dir: dir.to_owned(),
            mesh: ca.mesh,
            issuer: Issuer::new(&certificate, &key, ca.not_after)?,
            key,
            certificate,
            records: Records::open(dir)?,
        })
    }

    /// The same authority, whose SVIDs hold for `lifetime` instead of 24 hours.
    #[must_use]
    pub fn with_lifetime(mut self, lifetime: Duration) -> Self {
        self.issuer.lifetime = lifetime;
        self
    }

    /// The mesh.
    pub fn mesh(&self) -> &MeshName {
        &self.mesh
    }

    /// The fingerprint of the authority's certificate.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.certificate)
    }

    /// What members of the mesh trust.
    ///
    /// # Errors
    /// The authority's certificate cannot anchor trust (it was replaced by something else).
    pub fn bundle(&self) -> Result<TrustBundle, TrustError> {
        TrustBundle::new(self.mesh.clone(), vec![self.certificate.clone()])
    }

    /// Invites `uses` nodes for `ttl`. `seeds` are `HOST:PORT` texts, carried along unchecked.
    ///
    /// # Errors
    /// The invitation cannot be written.
    pub fn invite(
        &self,
        scope: Scope,
        ttl: Duration,
        uses: u32,
        seeds: Vec<String>,
        now: SystemTime,
    ) -> Result<Token, StateError> {
        let secret = Secret::generate()?;
        let expires = unix_seconds(now).saturating_add(ttl.as_secs());
        self.records.write_invite(
            &secret.id(),
            &Invite {
                mesh: self.mesh.clone(),
                scope: scope.clone(),
                expires,
                uses_left: uses,
                public_key: hex::encode(secret.public_key()),
                used_by: BTreeMap::new(),
            },
        )?;
        Ok(Token { mesh: self.mesh.clone(), ca: self.fingerprint(), seeds, secret, scope, expires })
    }

    fn lock(&self) -> Result<Lock, StateError> {
        Lock::acquire(&self.dir.join(LOCK))
    }
}
