//! Toy cryptography with the algebra of the real one: nobody can forge what the targets do not let them.

use std::hash::{DefaultHasher, Hash, Hasher};

use aire_circuit::{Crypto, Digest, Key};
use aire_types::Identity;

const PRIME: u128 = (1 << 61) - 1;

fn hash(parts: &[&[u8]]) -> [u8; 32] {
    let mut out = [0; 32];
    for (number, chunk) in out.chunks_mut(8).enumerate() {
        let mut hasher = DefaultHasher::new();
        (number, parts).hash(&mut hasher);
        chunk.copy_from_slice(&hasher.finish().to_be_bytes());
    }
    out
}

fn first<const N: usize>(bytes: &[u8]) -> [u8; N] {
    *bytes.first_chunk().expect("invariant: at most 32")
}

fn number(key: &Key) -> u128 {
    u128::from(u64::from_be_bytes(first(key))) % PRIME
}

fn key(number: u128) -> Key {
    let mut out = [0; 32];
    out[..8].copy_from_slice(&(number as u64).to_be_bytes());
    out
}

pub(super) struct Fake {
    pub(super) identity: Identity,
    counter: u64,
}

impl Fake {
    pub(super) fn new(identity: &str) -> Self {
        let identity: Identity = identity.parse().expect("invariant: an identity");
        Fake { identity, counter: 0 }
    }

    fn next(&mut self) -> [u8; 32] {
        self.counter += 1;
        hash(&[self.identity.node.as_str().as_bytes(), &self.counter.to_be_bytes()])
    }
}

impl Digest for Fake {
    fn hkdf(&self, salt: &[u8], secret: &[u8], info: &[u8]) -> Key {
        hash(&[b"hkdf", salt, secret, info])
    }

    fn mac(&self, key: &Key, bytes: &[u8]) -> [u8; 16] {
        first(&hash(&[b"mac", key, bytes]))
    }

    fn sha256(&self, bytes: &[u8]) -> [u8; 32] {
        hash(&[b"sha", bytes])
    }
}

impl Crypto for Fake {
    type Secret = u128;

    fn generate(&mut self) -> (u128, Key) {
        let secret = number(&self.next()) % (PRIME - 2) + 1;
        (secret, key(secret * 7 % PRIME))
    }

    fn agree(&mut self, secret: u128, peers: &[Key]) -> Option<Vec<Key>> {
        let one = |peer| Some(number(peer)).filter(|n| *n != 0).map(|n| key(secret * n % PRIME));
        peers.iter().map(one).collect()
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        hash(&[b"sign", self.identity.to_string().as_bytes(), message]).to_vec()
    }

    fn verify(&self, certificates: &[u8], message: &[u8], signature: &[u8]) -> Result<Identity, String> {
        let text = std::str::from_utf8(certificates).map_err(|error| error.to_string())?;
        let identity: Identity = text.parse().map_err(|error| format!("{error}"))?;
        let right = hash(&[b"sign", certificates, message]);
        if signature == right { Ok(identity) } else { Err("the signature is wrong".to_owned()) }
    }

    fn certificates(&self) -> Vec<u8> {
        self.identity.to_string().into_bytes()
    }

    fn random_id(&mut self) -> [u8; 16] {
        first(&self.next())
    }
}
