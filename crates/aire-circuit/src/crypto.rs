use aire_types::Identity;
use aire_wire::CircuitId;

/// A symmetric key, or what a key agreement yields.
pub type Key = [u8; 32];

/// Hashes and keyed hashes. Pure functions.
pub trait Digest {
    /// HKDF-SHA-256 (RFC 5869), 32 bytes long.
    fn hkdf(&self, salt: &[u8], secret: &[u8], info: &[u8]) -> Key;
    /// The first 16 bytes of HMAC-SHA-256.
    fn mac(&self, key: &Key, bytes: &[u8]) -> [u8; 16];
    /// SHA-256.
    fn sha256(&self, bytes: &[u8]) -> [u8; 32];
}

/// What the negotiation needs of cryptography and of this agent's identity.
pub trait Crypto: Digest {
    /// The secret half of an X25519 key; used for one call of [`Crypto::agree`].
    type Secret;

    /// A fresh X25519 key: the secret and the public half.
    fn generate(&mut self) -> (Self::Secret, Key);

    /// X25519 with each of `peers` (one at a hop; at the source one for each hop, up to 3), in their order. The
    /// secret ends here, so a circuit's keys cannot be derived a second time. `None` where a peer's key gives
    /// the all-zero result (RFC 7748 §6.1).
    fn agree(&mut self, secret: Self::Secret, peers: &[Key]) -> Option<Vec<Key>>;

    /// Signs with the key of this agent's SVID.
    fn sign(&self, message: &[u8]) -> Vec<u8>;

    /// Checks that `certificates` (DER) is a valid, unrevoked SVID of the mesh and that `signature` over `message` is of its key.
    ///
    /// # Errors
    /// What is wrong, for people.
    fn verify(&self, certificates: &[u8], message: &[u8], signature: &[u8]) -> Result<Identity, String>;

    /// This agent's certificate now and the intermediate ones behind it, DER.
    fn certificates(&self) -> Vec<u8>;

    /// 16 random bytes.
    fn random_id(&mut self) -> [u8; 16];
}

pub(crate) fn hop_key(digest: &impl Digest, circuit: CircuitId, agreed: &Key) -> Key {
    digest.hkdf(&circuit.0, agreed, b"aire hop")
}

pub(crate) fn probe_key(digest: &impl Digest, circuit: CircuitId, agreed: &Key) -> Key {
    digest.hkdf(&circuit.0, agreed, b"aire probe")
}

/// Compares without telling by its duration where the first difference is.
pub(crate) fn same_mac(a: &[u8; 16], b: &[u8; 16]) -> bool {
    a.iter().zip(b).fold(0, |different, (x, y)| different | (x ^ y)) == 0
}
