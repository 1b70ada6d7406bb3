//! Toy cryptography with the algebra of the real one, and gates, for tests.

use std::time::Duration;

use aire_circuit::{Asked, Crypto, Denial, Digest, Gate, Key, Terms};
use aire_types::{Identity, NodeName};
use aire_wire::RefusalCode;

#[derive(Debug)]
pub(crate) struct Random(pub u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub(crate) fn chance(&mut self, p: f64) -> bool {
        self.unit() < p
    }

    pub(crate) fn gauss(&mut self) -> f64 {
        (0..12).map(|_| self.unit()).sum::<f64>() - 6.0
    }
}

const PRIME: u128 = (1 << 61) - 1;

fn hash(parts: &[&[u8]]) -> [u8; 32] {
    let mut state =
        [0x6a09_e667_f3bc_c908_u64, 0xbb67_ae85_84ca_a73b, 0x3c6e_f372_fe94_f82b, 0xa54f_f53a_5f1d_36f1];
    for part in parts {
        for byte in part.iter().copied().chain((part.len() as u64).to_be_bytes()) {
            for (i, word) in state.iter_mut().enumerate() {
                *word = Random(*word ^ u64::from(byte) ^ (i as u64) << 32).next();
            }
        }
    }
    let mut out = [0; 32];
    for (chunk, word) in out.chunks_mut(8).zip(state) {
        chunk.copy_from_slice(&word.to_be_bytes());
    }
    out
}

fn number(key: &Key) -> u128 {
    u128::from(u64::from_be_bytes(key[..8].try_into().unwrap())) % PRIME
}

fn key(number: u128) -> Key {
    let mut out = [0; 32];
    out[..8].copy_from_slice(&u64::try_from(number).unwrap().to_be_bytes());
    out
}

pub(crate) struct Fake {
    pub(crate) identity: Identity,
    pub(crate) random: Random,
    pub(crate) revoked: Vec<NodeName>,
}

impl Fake {
    pub(crate) fn new(identity: &str, seed: u64) -> Self {
        Fake { identity: identity.parse().unwrap(), random: Random(seed), revoked: Vec::new() }
    }
}

impl Digest for Fake {
    fn hkdf(&self, salt: &[u8], secret: &[u8], info: &[u8]) -> Key {
        hash(&[b"hkdf", salt, secret, info])
    }

    fn mac(&self, key: &Key, bytes: &[u8]) -> [u8; 16] {
        hash(&[b"mac", key, bytes])[..16].try_into().unwrap()
    }

    fn sha256(&self, bytes: &[u8]) -> [u8; 32] {
        hash(&[b"sha", bytes])
    }
}

impl Crypto for Fake {
    type Secret = u128;

    fn generate(&mut self) -> (u128, Key) {
        let secret = u128::from(self.random.next()) % (PRIME - 2) + 1;
        (secret, key(secret * 7 % PRIME))
    }

    fn agree(&mut self, secret: u128, peers: &[Key]) -> Option<Vec<Key>> {
        peers
            .iter()
            .map(|peer| Some(number(peer)).filter(|n| *n != 0).map(|n| key(secret * n % PRIME)))
            .collect()
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        hash(&[b"sign", self.identity.to_string().as_bytes(), message]).to_vec()
    }

    fn verify(&self, certificates: &[u8], message: &[u8], signature: &[u8]) -> Result<Identity, String> {
        let text = std::str::from_utf8(certificates).map_err(|error| error.to_string())?;
        let identity: Identity = text.parse().map_err(|error| format!("{error}"))?;
        if self.revoked.contains(&identity.node) {
            return Err("revoked".to_owned());
        }
        let right = hash(&[b"sign", certificates, message]);
        if signature == right { Ok(identity) } else { Err("the signature is wrong".to_owned()) }
    }

    fn certificates(&self) -> Vec<u8> {
        self.identity.to_string().into_bytes()
    }

    fn random_id(&mut self) -> [u8; 16] {
        hash(&[&self.random.next().to_be_bytes()])[..16].try_into().unwrap()
    }
}

/// Lets all but one source relay.
pub(crate) struct Doorkeeper {
    pub(crate) lease: Duration,
    pub(crate) rate: u64,
    pub(crate) relay_denied: Vec<NodeName>,
    pub(crate) connect_denied: Vec<NodeName>,
    pub(crate) asked: usize,
}

impl Default for Doorkeeper {
    fn default() -> Self {
        Doorkeeper {
            lease: Duration::from_secs(60),
            rate: 0,
            relay_denied: vec![],
            connect_denied: vec![],
            asked: 0,
        }
    }
}

impl Doorkeeper {
    fn answer(&mut self, denied: bool) -> Result<Terms, Denial> {
        self.asked += 1;
        if denied {
            return Err(Denial { code: RefusalCode::Policy, reason: "the policy says no".to_owned() });
        }
        Ok(Terms { lease: self.lease, rate: self.rate })
    }
}

impl Gate for Doorkeeper {
    fn relay(&mut self, asked: &Asked, _: &NodeName) -> Result<Terms, Denial> {
        self.answer(self.relay_denied.contains(&asked.source.node))
    }

    fn connect(&mut self, asked: &Asked) -> Result<Terms, Denial> {
        self.answer(self.connect_denied.contains(&asked.source.node))
    }
}

pub(crate) fn node(name: &str) -> NodeName {
    NodeName::new(name).unwrap()
}
