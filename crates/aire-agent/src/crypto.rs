//! Cryptography and identity for the negotiation of circuits.

use std::sync::Arc;

use aire_circuit::{Crypto, Digest, Key};
use aire_types::Identity;
use ring::rand::{SecureRandom, SystemRandom};
use ring::{digest, hkdf, hmac};
use x25519_dalek::{PublicKey, StaticSecret};

use crate::membership::Membership;

/// Signs as this node, verifies as its mesh, agrees on keys by X25519.
pub(crate) struct NodeCrypto {
    membership: Arc<Membership>,
    random: SystemRandom,
}

impl NodeCrypto {
    pub(crate) fn new(membership: Arc<Membership>) -> Self {
        NodeCrypto { membership, random: SystemRandom::new() }
    }

    fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        // Linux gives random numbers without fail once it has started (getrandom(2)).
        self.random.fill(&mut bytes).expect("the kernel's random numbers");
        bytes
    }
}

/// A length for HKDF's output.
struct Len32;

impl hkdf::KeyType for Len32 {
    fn len(&self) -> usize {
        32
    }
}

/// HKDF-SHA-256 (RFC 5869), 32 bytes.
pub(crate) fn hkdf_sha256(salt: &[u8], secret: &[u8], info: &[u8]) -> Key {
    let mut key = [0; 32];
    let pseudo_random = hkdf::Salt::new(hkdf::HKDF_SHA256, salt).extract(secret);
    let info = [info];
    pseudo_random
        .expand(&info, Len32)
        .and_then(|okm| okm.fill(&mut key))
        .expect("32 bytes are within HKDF's limit of 255 hashes");
    key
}

/// HMAC-SHA-256.
pub(crate) fn hmac_sha256(key: &[u8], bytes: &[u8]) -> [u8; 32] {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), bytes);
    let mut out = [0; 32];
    out.copy_from_slice(tag.as_ref());
    out
}

impl Digest for NodeCrypto {
    fn hkdf(&self, salt: &[u8], secret: &[u8], info: &[u8]) -> Key {
        hkdf_sha256(salt, secret, info)
    }

    fn mac(&self, key: &Key, bytes: &[u8]) -> [u8; 16] {
        let mut mac = [0; 16];
        mac.copy_from_slice(&hmac_sha256(key, bytes)[..16]);
        mac
    }

    fn sha256(&self, bytes: &[u8]) -> [u8; 32] {
        let mut out = [0; 32];
        out.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
        out
    }
}

impl Crypto for NodeCrypto {
    type Secret = StaticSecret;

    fn generate(&mut self) -> (StaticSecret, Key) {
        let secret = StaticSecret::from(self.bytes::<32>());
        let public = PublicKey::from(&secret).to_bytes();
        (secret, public)
    }

    fn agree(&mut self, secret: StaticSecret, peers: &[Key]) -> Option<Vec<Key>> {
        peers
            .iter()
            .map(|peer| {
                let shared = secret.diffie_hellman(&PublicKey::from(*peer));
                shared.was_contributory().then(|| shared.to_bytes())
            })
            .collect()
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        // An empty signature verifies nowhere; what kept the key from signing shows at every peer and in the log.
        self.membership.sign(message).unwrap_or_else(|error| {
            tracing::error!(%error, "this node's key does not sign");
            Vec::new()
        })
    }

    fn verify(&self, certificates: &[u8], message: &[u8], signature: &[u8]) -> Result<Identity, String> {
        self.membership
            .verify(certificates, message, signature)
            .map(|verified| verified.identity().clone())
            .map_err(|error| error.to_string())
    }

    fn certificates(&self) -> Vec<u8> {
        self.membership.certificates()
    }

    fn random_id(&mut self) -> [u8; 16] {
        self.bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 5869, test case 1, cut to 32 bytes.
    #[test]
    fn hkdf_is_that_of_the_rfc() {
        let salt: Vec<u8> = (0..=0x0c).collect();
        let info: Vec<u8> = (0xf0..=0xf9).collect();
        let key = hkdf_sha256(&salt, &[0x0b; 22], &info);
        assert_eq!(key[..8], [0x3c, 0xb2, 0x5f, 0x25, 0xfa, 0xac, 0xd5, 0x7a]);
    }

    /// RFC 4231, test case 2.
    #[test]
    fn hmac_is_that_of_the_rfc() {
        let mac = hmac_sha256(b"Jefe", b"what do ya want for nothing?");
        assert_eq!(mac[..4], [0x5b, 0xdc, 0xc1, 0x46]);
    }
}
