use std::path::Path;
use std::time::SystemTime;

use rustls_pki_types::CertificateDer;

use aire_types::Identity;

use crate::key::PublicKey;
use crate::leaf::Leaf;
use crate::pem;
use crate::state::{self, StateError};
use crate::trust::TrustBundle;

const FILE: &str = "svid.pem";
const REMEDY: &str = "move it away and start with the token again; the node's key and name stay";

/// The node's certificate: leaf first, then whatever leads to the authority, the authority's own certificate last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Svid {
    chain: Vec<CertificateDer<'static>>,
    leaf: Leaf,
}

impl Svid {
    pub(crate) fn from_chain(chain: Vec<CertificateDer<'static>>) -> Result<Self, String> {
        let first = chain.first().ok_or("no certificate in it")?;
        let leaf = Leaf::parse(first).map_err(|error| error.to_string())?;
        Ok(Svid { chain, leaf })
    }

    /// The certificate kept in the state directory `dir`. That it is of this mesh and still valid is checked by
    /// [`TrustBundle::verify`](crate::TrustBundle::verify).
    ///
    /// # Errors
    /// There is none, it cannot be read, or it is damaged; each names the file.
    pub fn load(dir: &Path) -> Result<Self, StateError> {
        let path = dir.join(FILE);
        let text = state::read(&path, "join the mesh with a token first")?;
        pem::decode_certificates(&text)
            .and_then(Self::from_chain)
            .map_err(|what| StateError::corrupt(&path, what, REMEDY))
    }

    /// Keeps the certificate in `dir`.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn save(&self, dir: &Path) -> Result<(), StateError> {
        state::private_dir(dir)?;
        state::write_atomic(&dir.join(FILE), pem::encode_certificates(&self.chain).as_bytes())
    }

    /// The certificates, leaf first.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }

    /// What others need to check signatures of this node: the leaf and whatever leads to `trust`'s authorities, DER, one
    /// certificate behind the other.
    pub fn shown(&self, trust: &TrustBundle) -> Vec<u8> {
        self.without_roots(trust).iter().flat_map(|certificate| certificate.as_ref()).copied().collect()
    }

    /// Members know the authorities' certificates; sending them would only make messages longer.
    pub(crate) fn without_roots(&self, trust: &TrustBundle) -> Vec<CertificateDer<'static>> {
        let roots = trust.certificates();
        self.chain.iter().filter(|certificate| !roots.contains(certificate)).cloned().collect()
    }

    /// Who it says the node is.
    pub fn identity(&self) -> &Identity {
        &self.leaf.identity
    }

    /// The key that it is about.
    pub fn public_key(&self) -> &PublicKey {
        &self.leaf.key
    }

    /// The first moment at which it is valid.
    pub fn not_before(&self) -> SystemTime {
        self.leaf.not_before
    }

    /// The last moment at which it is valid.
    pub fn not_after(&self) -> SystemTime {
        self.leaf.not_after
    }

    /// Half of its life: when to renew it.
    pub fn renew_at(&self) -> SystemTime {
        let life = self.not_after().duration_since(self.not_before()).unwrap_or_default();
        self.not_before() + life / 2
    }
}
