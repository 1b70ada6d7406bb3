//! Who vouches for a model: an Ed25519 key, and the envelope that agents take models in.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use aire_brain::model::Artefact;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::rand::SystemRandom;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

use super::Error;

const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const END: &str = "-----END PRIVATE KEY-----";

/// Signs models.
pub struct SigningKey(Ed25519KeyPair);

impl SigningKey {
    /// The key in `path` (PKCS#8, PEM or DER), or a new one written there as PEM with mode 0600. True where it is new.
    ///
    /// # Errors
    /// The file cannot be read or written, or holds no Ed25519 key.
    pub fn load_or_create(path: &Path) -> Result<(Self, bool), Error> {
        match fs::read(path) {
            Ok(bytes) => Ok((Self::parse(&bytes, path)?, false)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok((Self::create(path)?, true)),
            Err(source) => Err(Error::Read { path: path.to_owned(), source }),
        }
    }

    fn parse(bytes: &[u8], path: &Path) -> Result<Self, Error> {
        let no_key = || Error::Key { path: path.to_owned() };
        let der = match std::str::from_utf8(bytes).ok().and_then(|text| text.split_once(BEGIN)) {
            Some((_, rest)) => {
                let body = rest.split_once(END).ok_or_else(no_key)?.0;
                let body: String = body.split_whitespace().collect();
                STANDARD.decode(body).map_err(|_| no_key())?
            }
            None => bytes.to_vec(),
        };
        // other programs leave the public key out of the file
        Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).map(SigningKey).map_err(|_| no_key())
    }

    fn create(path: &Path) -> Result<Self, Error> {
        let unwritten = |source| Error::Write { path: path.to_owned(), source };
        let random = SystemRandom::new();
        let der = Ed25519KeyPair::generate_pkcs8(&random)
            .map_err(|_| Error::Bug("this machine gives no random numbers".to_owned()))?;
        let body = STANDARD.encode(der.as_ref());
        let lines: Vec<&str> =
            body.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
        let text = format!("{BEGIN}\n{}\n{END}\n", lines.join("\n"));
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(unwritten)?;
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(unwritten)?;
        Self::parse(text.as_bytes(), path)
    }

    /// What an agent has to trust.
    pub fn public_key(&self) -> &[u8] {
        self.0.public_key().as_ref()
    }
}

/// What a signed model begins with.
const MAGIC: &[u8; 8] = b"AIREMODL";
const VERSION: u8 = 1;

impl SigningKey {
    /// The artefact in the envelope that agents take: magic, version, public key (32 bytes), signature (64 bytes) of
    /// all the rest, artefact.
    pub fn seal(&self, artefact: &[u8]) -> Vec<u8> {
        let head = [&MAGIC[..], &[VERSION], self.public_key()].concat();
        let signature = self.0.sign(&[&head, artefact].concat());
        [&head, signature.as_ref(), artefact].concat()
    }
}

/// The artefact in an envelope that [`SigningKey::seal`] made. `None` where it is none or was changed since. Whether its
/// signer is to be trusted is for the agent to say.
pub fn unseal(sealed: &[u8]) -> Option<&[u8]> {
    open(sealed).map(|(_, artefact)| artefact)
}

/// A sealed model, and the public key of its signer.
///
/// # Errors
/// The file cannot be read or holds no sound model.
pub fn inspect(path: &Path) -> Result<(Artefact, Vec<u8>), Error> {
    let sealed = fs::read(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
    let model = |why: &str| Error::Model { path: path.to_owned(), why: why.to_owned() };
    let (signer, artefact) = open(&sealed).ok_or_else(|| model("it is not signed, or was changed since"))?;
    let artefact = Artefact::decode(artefact).map_err(|error| model(&error.to_string()))?;
    Ok((artefact, signer.to_owned()))
}

fn open(sealed: &[u8]) -> Option<(&[u8], &[u8])> {
    let (head, rest) = sealed.split_at_checked(MAGIC.len() + 1 + 32)?;
    let (signature, artefact) = rest.split_at_checked(64)?;
    let (kind, signer) = head.split_at_checked(MAGIC.len() + 1)?;
    let known = kind.starts_with(MAGIC) && kind.ends_with(&[VERSION]);
    let signed = UnparsedPublicKey::new(&ED25519, signer).verify(&[head, artefact].concat(), signature);
    (known && signed.is_ok()).then_some((signer, artefact))
}

/// A key as configurations write it.
pub fn hexadecimal(key: &[u8]) -> String {
    key.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_is_made_once_for_its_owner_alone_and_then_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("model.key");
        let (made, fresh) = SigningKey::load_or_create(&path).unwrap();
        assert!(fresh);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let (kept, fresh) = SigningKey::load_or_create(&path).unwrap();
        assert!(!fresh && kept.public_key() == made.public_key());
    }

    #[test]
    fn what_is_sealed_can_be_verified_and_holds_the_artefact() {
        let dir = tempfile::tempdir().unwrap();
        let (key, _) = SigningKey::load_or_create(&dir.path().join("k")).unwrap();
        let sealed = key.seal(b"weights");
        let (head, rest) = sealed.split_at(41);
        let (signature, artefact) = rest.split_at(64);
        assert_eq!(
            (&head[..8], head[8], &head[9..], artefact),
            (&MAGIC[..], 1, key.public_key(), &b"weights"[..])
        );
        let public = UnparsedPublicKey::new(&ED25519, key.public_key());
        public.verify(&[head, artefact].concat(), signature).unwrap();
        assert_eq!(unseal(&sealed), Some(&b"weights"[..]));
        let mut changed = sealed.clone();
        *changed.last_mut().unwrap() ^= 1;
        assert_eq!((unseal(&changed), unseal(&sealed[..100]), unseal(b"")), (None, None, None));
    }

    #[test]
    fn a_file_that_is_no_key_is_named_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("k");
        for text in [
            &b"hello"[..],
            b"-----BEGIN PRIVATE KEY-----\nAAAA\n",
            b"-----BEGIN PRIVATE KEY-----\n*\n-----END PRIVATE KEY-----\n",
        ] {
            fs::write(&path, text).unwrap();
            assert!(matches!(SigningKey::load_or_create(&path), Err(Error::Key { .. })));
            assert_eq!(fs::read(&path).unwrap(), text);
        }
    }

    #[test]
    fn keys_of_other_programs_are_taken() {
        // RFC 8410, section 10.3, without the public key
        let text = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";
        let key = SigningKey::parse(text.as_bytes(), Path::new("k")).unwrap();
        assert_eq!(key.public_key()[..4], [0x19, 0xbf, 0x44, 0x09]);
    }
}
