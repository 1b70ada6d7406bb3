use std::fmt;
use std::path::Path;

use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair, UnparsedPublicKey,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use aire_types::Identity;

use crate::digest::Fingerprint;
use crate::state::{self, StateError};
use crate::{csr, pem};

/// What stands before the point in the DER of every P-256 SubjectPublicKeyInfo (RFC 5480).
const SPKI_PREFIX: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
const SPKI_LENGTH: usize = SPKI_PREFIX.len() + 65;

const FILE: &str = "node.key";
const REMEDY: &str =
    "restore it from a backup, or move it away and join with a fresh token under a new node name";

/// The signature was not made by this key over this message. The sender, or whoever carried it, is to blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the signature is not of this message and key")]
pub struct SignatureError;

/// Why a private key cannot be a node's. Whoever made it is to blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// There is none, or it is encrypted or damaged.
    #[error("no readable private key in it; it must be PEM, PKCS#8 or SEC1, and not encrypted")]
    Unreadable,
    /// Nodes sign what they say about themselves with ECDSA P-256.
    #[error(
        "its key is not ECDSA P-256, as that of a node must be; make one with 'openssl ecparam -name prime256v1 -genkey -noout' and have it certified"
    )]
    NotP256,
}

/// A P-256 public key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey([u8; SPKI_LENGTH]);

impl PublicKey {
    /// From a DER SubjectPublicKeyInfo; `None` unless it is an uncompressed P-256 point.
    pub fn from_spki(der: &[u8]) -> Option<Self> {
        let spki: [u8; SPKI_LENGTH] = der.try_into().ok()?;
        (spki.starts_with(&SPKI_PREFIX) && spki[SPKI_PREFIX.len()] == 4).then_some(PublicKey(spki))
    }

    fn from_point(point: &[u8]) -> Option<Self> {
        Self::from_spki(&[&SPKI_PREFIX, point].concat())
    }

    /// The DER SubjectPublicKeyInfo.
    pub fn spki(&self) -> &[u8] {
        &self.0
    }

    /// SHA-256 of the SubjectPublicKeyInfo: what the authority binds a node's name to.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of_bytes(&self.0)
    }

    fn point(&self) -> &[u8] {
        &self.0[SPKI_PREFIX.len()..]
    }

    /// Checks a signature of [`NodeKey::sign`].
    ///
    /// # Errors
    /// Another key or another message.
    pub fn verify_signature(&self, message: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, self.point())
            .verify(message, signature)
            .map_err(|_| SignatureError)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.fingerprint())
    }
}

impl rcgen::PublicKeyData for PublicKey {
    fn der_bytes(&self) -> &[u8] {
        self.point()
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

/// The node's own key: ECDSA P-256, made once and kept for the life of the node, because the authority binds
/// the node's name to it.
pub struct NodeKey {
    pair: EcdsaKeyPair,
    public: PublicKey,
    pkcs8: PrivatePkcs8KeyDer<'static>,
}

impl NodeKey {
    /// A new key.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub fn generate() -> Result<Self, StateError> {
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new())
            .map_err(|_| StateError::Random)?;
        Self::from_pkcs8(PrivatePkcs8KeyDer::from(document.as_ref().to_vec())).ok_or(StateError::Random)
    }

    fn from_pkcs8(pkcs8: PrivatePkcs8KeyDer<'static>) -> Option<Self> {
        let der = pkcs8.secret_pkcs8_der();
        let pair =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, der, &SystemRandom::new()).ok()?;
        let public = PublicKey::from_point(pair.public_key().as_ref())?;
        Some(NodeKey { pair, public, pkcs8 })
    }

    /// The key kept in the state directory `dir`.
    ///
    /// # Errors
    /// There is none, it cannot be read, or it is damaged; each names the file.
    pub fn load(dir: &Path) -> Result<Self, StateError> {
        Self::read(&dir.join(FILE), "join the mesh with a token first")
    }

    /// The key kept in `dir`, or a new one, saved there (mode 0600; `dir` is made with mode 0700).
    ///
    /// # Errors
    /// It cannot be read or written, or it is damaged; a damaged key is never replaced.
    pub fn load_or_generate(dir: &Path) -> Result<Self, StateError> {
        state::private_dir(dir)?;
        let _lock = state::Lock::acquire(&dir.join("node.key.lock"))?;
        match Self::load(dir) {
            Err(StateError::Missing { .. }) => {
                let key = Self::generate()?;
                key.save(dir)?;
                Ok(key)
            }
            other => other,
        }
    }

    /// From a private key of another source, in PKCS#8 or SEC1.
    ///
    /// # Errors
    /// See [`KeyError`].
    pub fn from_der(key: PrivateKeyDer<'_>) -> Result<Self, KeyError> {
        let pkcs8 = match key {
            PrivateKeyDer::Pkcs8(pkcs8) => pkcs8.clone_key(),
            PrivateKeyDer::Sec1(sec1) => PrivatePkcs8KeyDer::from(wrap_sec1(sec1.secret_sec1_der())),
            _ => return Err(KeyError::NotP256),
        };
        Self::from_pkcs8(pkcs8).ok_or(KeyError::NotP256)
    }

    /// The first private key of a PEM text.
    ///
    /// # Errors
    /// See [`KeyError`].
    pub fn from_pem(text: &[u8]) -> Result<Self, KeyError> {
        PrivateKeyDer::from_pem_slice(text).map_err(|_| KeyError::Unreadable).and_then(Self::from_der)
    }

    pub(crate) fn read(path: &Path, missing: &'static str) -> Result<Self, StateError> {
        state::closed(path)?;
        let text = state::read(path, missing)?;
        let pkcs8 = PrivatePkcs8KeyDer::from_pem_slice(&text)
            .map_err(|error| StateError::corrupt(path, error, REMEDY))?;
        Self::from_pkcs8(pkcs8)
            .ok_or_else(|| StateError::corrupt(path, "not a P-256 private key in PKCS#8", REMEDY))
    }

    /// Keeps the key in `dir` (mode 0600).
    ///
    /// # Errors
    /// It cannot be written.
    pub fn save(&self, dir: &Path) -> Result<(), StateError> {
        state::private_dir(dir)?;
        self.write(&dir.join(FILE))
    }

    pub(crate) fn write(&self, path: &Path) -> Result<(), StateError> {
        state::write_atomic(path, pem::encode("PRIVATE KEY", self.pkcs8.secret_pkcs8_der()).as_bytes())
    }

    /// The public half.
    pub const fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// A certificate signing request for `identity`, DER.
    ///
    /// # Errors
    /// The request could not be encoded (a bug).
    pub fn csr(&self, identity: &Identity) -> Result<Vec<u8>, StateError> {
        csr::make(self, identity)
    }

    /// Signs `message`: ECDSA P-256 with SHA-256, ASN.1. The same key signs TLS handshakes, so every kind of message
    /// must begin with a context string of its own.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, StateError> {
        let signature = self.pair.sign(&SystemRandom::new(), message).map_err(|_| StateError::Random)?;
        Ok(signature.as_ref().to_vec())
    }

    pub(crate) fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(self.pkcs8.clone_key())
    }

    pub(crate) fn rcgen(&self) -> Result<rcgen::KeyPair, StateError> {
        rcgen::KeyPair::from_pkcs8_der_and_sign_algo(&self.pkcs8, &rcgen::PKCS_ECDSA_P256_SHA256)
            .map_err(|error| StateError::Certificate(error.to_string()))
    }
}

/// SEC1 (RFC 5915) within PKCS#8 (RFC 5208), as P-256 keys.
fn wrap_sec1(sec1: &[u8]) -> Vec<u8> {
    let algorithm = &SPKI_PREFIX[2..23];
    let inner = [&[0x02, 0x01, 0x00], algorithm, &der(0x04, sec1)[..]].concat();
    der(0x30, &inner)
}

fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let start = length.iter().position(|byte| *byte != 0).unwrap_or(length.len() - 1);
    let mut out = vec![tag];
    if content.len() >= 0x80 {
        out.push(0x80 | u8::try_from(length.len() - start).expect("at most eight bytes"));
    }
    out.extend_from_slice(&length[start..]);
    out.extend_from_slice(content);
    out
}

impl fmt::Debug for NodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeKey").field("public", &self.public).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_key_is_the_same_key() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        assert!(matches!(NodeKey::load(&state), Err(StateError::Missing { .. })));
        let made = NodeKey::load_or_generate(&state).unwrap();
        let kept = NodeKey::load_or_generate(&state).unwrap();
        assert_eq!(made.public_key(), kept.public_key());
        let signature = made.sign(b"record").unwrap();
        assert_eq!(kept.public_key().verify_signature(b"record", &signature), Ok(()));
        assert_eq!(kept.public_key().verify_signature(b"recorD", &signature), Err(SignatureError));
        assert!(!format!("{made:?}").contains("pkcs8"));
    }

    #[test]
    fn a_damaged_key_is_named_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        for text in ["", "garbage", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"] {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
            let error = NodeKey::load_or_generate(dir.path()).unwrap_err().to_string();
            assert!(error.contains("node.key") && error.contains("backup"), "{error}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
    }

    #[test]
    fn other_keys_are_not_p256() {
        let p384 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
        assert_eq!(PublicKey::from_spki(&rcgen::PublicKeyData::subject_public_key_info(&p384)), None);
        assert_eq!(PublicKey::from_spki(b""), None);
    }
}
