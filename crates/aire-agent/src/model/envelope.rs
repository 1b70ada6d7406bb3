//! The envelope that models travel in: whoever writes an agent's model steers its traffic, so only what a trusted key signed
//! is read at all.
//!
//! ```text
//! "AIREMODL" u8 version, 32 bytes public key, 64 bytes Ed25519 signature of magic, version, key and artefact, artefact
//! ```

use aire_brain::model::{Artefact, ArtefactError};
use ring::signature::{ED25519, UnparsedPublicKey};

const MAGIC: &[u8; 8] = b"AIREMODL";
const VERSION: u8 = 1;
const HEAD: usize = MAGIC.len() + 1 + 32;
const SIGNATURE: usize = 64;
/// No model is longer.
pub(super) const LONGEST: u64 = 1 << 20;

/// Why a model is not used. The one in force stays.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ModelError {
    /// The file.
    #[error("cannot read the model {path}: {why}")]
    Unreadable {
        /// Which.
        path: String,
        /// What the system says.
        why: String,
    },
    /// Not a model at all.
    #[error("the file is not a signed model; 'aire train --out FILE' writes them")]
    Envelope,
    /// An envelope of another version.
    #[error(
        "the model's envelope has version {0}, this agent reads version {VERSION}; sign it with the same version of aire"
    )]
    Version(u8),
    /// Signed by somebody else.
    #[error(
        "the model is signed by a key that is not trusted here: {0}; if it is yours, add it to 'trust' in [model]"
    )]
    Stranger(String),
    /// Changed after it was signed.
    #[error(
        "the model's signature is wrong: it was damaged or changed after it was signed; get it again from who trained it"
    )]
    Signature,
    /// Signed, but not for this agent.
    #[error(transparent)]
    Artefact(#[from] ArtefactError),
}

/// Is `text` a public key as `trust` takes it?
pub(crate) fn is_key(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The artefact in `bytes`, if one of the keys `trusted` (hexadecimal) signed it.
///
/// # Errors
/// Who is to blame and what to do.
pub fn open_model<'a>(
    bytes: &[u8],
    trusted: impl IntoIterator<Item = &'a str>,
) -> Result<Artefact, ModelError> {
    let (head, rest) = bytes.split_at_checked(HEAD).ok_or(ModelError::Envelope)?;
    let (signature, artefact) = rest.split_at_checked(SIGNATURE).ok_or(ModelError::Envelope)?;
    let Some((version, key)) = head.strip_prefix(MAGIC).and_then(|rest| rest.split_first()) else {
        return Err(ModelError::Envelope);
    };
    if *version != VERSION {
        return Err(ModelError::Version(*version));
    }
    let shown: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    if !trusted.into_iter().any(|trusted| trusted.eq_ignore_ascii_case(&shown)) {
        return Err(ModelError::Stranger(shown));
    }
    UnparsedPublicKey::new(&ED25519, key)
        .verify(&[head, artefact].concat(), signature)
        .map_err(|_| ModelError::Signature)?;
    Ok(Artefact::decode(artefact)?)
}

#[cfg(test)]
pub(super) mod tests {
    use ring::signature::{Ed25519KeyPair, KeyPair};

    use super::*;

    /// A signed, untrained model of that name, and the key that signed it.
    pub(crate) fn signed(name: &str, seed: u8) -> (Vec<u8>, String) {
        let key = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
        let head = [&MAGIC[..], &[VERSION], key.public_key().as_ref()].concat();
        let artefact = Artefact::untrained(name).encode();
        let signature = key.sign(&[&head[..], &artefact].concat());
        let shown = key.public_key().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        ([&head[..], signature.as_ref(), &artefact].concat(), shown)
    }

    #[test]
    fn a_trusted_signature_opens_it() {
        let (bytes, key) = signed("m1", 1);
        assert!(is_key(&key));
        assert_eq!(open_model(&bytes, [&*key]).unwrap().name, "m1");
        assert_eq!(open_model(&bytes, [&*key.to_uppercase()]).unwrap().name, "m1");
    }

    #[test]
    fn every_changed_bit_and_every_strange_key_is_refused() {
        let (bytes, key) = signed("m1", 1);
        let (other, stranger) = signed("m1", 2);
        assert_eq!(open_model(&other, [&*key]), Err(ModelError::Stranger(stranger)));
        for at in (0..bytes.len()).step_by(7) {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(open_model(&changed, [&*key]).is_err(), "byte {at}");
        }
        assert_eq!(open_model(&bytes[..50], [&*key]), Err(ModelError::Envelope));
        assert_eq!(open_model(b"AIRE", []), Err(ModelError::Envelope));
    }
}
