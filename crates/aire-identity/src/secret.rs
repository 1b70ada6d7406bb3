//! The secret of an invitation.
//!
//! It is the seed of an Ed25519 key. The joining node signs its request with it and the authority keeps the public
//! key only. So neither the authority's files nor a member that poses as the authority learn what would be needed to
//! use the invitation.

use std::fmt;

use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

use crate::digest::Fingerprint;
use crate::state::{StateError, random};

/// 32 random bytes that nobody sees by accident.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret([u8; 32]);

impl Secret {
    pub(crate) fn generate() -> Result<Self, StateError> {
        Ok(Secret(random()?))
    }

    pub(crate) const fn from_bytes(bytes: [u8; 32]) -> Self {
        Secret(bytes)
    }

    /// For the token's text, and nothing else.
    pub(crate) const fn reveal(&self) -> &[u8; 32] {
        &self.0
    }

    /// The public name of the invitation: SHA-256 of the secret.
    pub(crate) fn id(&self) -> Fingerprint {
        Fingerprint::of_bytes(&self.0)
    }

    fn pair(&self) -> Ed25519KeyPair {
        Ed25519KeyPair::from_seed_unchecked(&self.0).expect("every 32 bytes are an Ed25519 seed")
    }

    pub(crate) fn public_key(&self) -> Vec<u8> {
        self.pair().public_key().as_ref().to_vec()
    }

    pub(crate) fn prove(&self, message: &[u8]) -> Vec<u8> {
        self.pair().sign(message).as_ref().to_vec()
    }
}

/// Whether the holder of the secret behind `public_key` made `proof` over `message`.
pub(crate) fn proves(public_key: &[u8], message: &[u8], proof: &[u8]) -> bool {
    UnparsedPublicKey::new(&ED25519, public_key).verify(message, proof).is_ok()
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}
