//! The keys of an established TLS 1.3 session (RFC 8446 §7), taken over from rustls when its handshake is done.
//!
//! A carrier protects its own records: rustls reads at most one record per system call and copies every byte twice
//! more than needed, which would cost a third of a carrier's rate. Handshakes, certificates and everything that
//! decides about trust stay with rustls.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use ring::aead::{
    AES_128_GCM, AES_256_GCM, Algorithm, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey,
};
use ring::digest::{self, digest};
use ring::hkdf::{HKDF_SHA256, HKDF_SHA384, KeyType, Prk};
use rustls::{CipherSuite, Connection, Error, KeyLog};

/// Hears the secrets of one handshake.
#[derive(Default)]
pub(crate) struct Listener(Mutex<Heard>);

#[derive(Default)]
struct Heard {
    client: Option<Prk>,
    server: Option<Prk>,
    exporter: Option<Prk>,
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Listener")
    }
}

impl KeyLog for Listener {
    fn log(&self, label: &str, _client_random: &[u8], secret: &[u8]) {
        let algorithm = if secret.len() == 48 { HKDF_SHA384 } else { HKDF_SHA256 };
        let secret = Some(Prk::new_less_safe(algorithm, secret));
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match label {
            "CLIENT_TRAFFIC_SECRET_0" => heard.client = secret,
            "SERVER_TRAFFIC_SECRET_0" => heard.server = secret,
            "EXPORTER_SECRET" => heard.exporter = secret,
            _ => {}
        }
    }

    fn will_log(&self, label: &str) -> bool {
        matches!(label, "CLIENT_TRAFFIC_SECRET_0" | "SERVER_TRAFFIC_SECRET_0" | "EXPORTER_SECRET")
    }
}

/// What a suite of TLS 1.3 consists of.
#[derive(Clone, Copy, Debug)]
struct Suite {
    aead: &'static Algorithm,
    hash: &'static digest::Algorithm,
}

/// The secrets of a session from the point where application data may flow.
pub(super) struct Keys {
    /// Protects what this end sends.
    pub(super) send: Direction,
    /// Protects what the peer sends.
    pub(super) receive: Direction,
    exporter: Prk,
    suite: Suite,
}

impl Keys {
    /// The keys of `session`, whose handshake is complete and which `listener` heard. Neither end may have sent
    /// anything under them.
    pub(super) fn new(session: &Connection, listener: &Listener) -> Result<Self, Error> {
        let suite = session.negotiated_cipher_suite().ok_or(Error::HandshakeNotComplete)?;
        let suite = match suite.suite() {
            CipherSuite::TLS13_AES_128_GCM_SHA256 => Suite { aead: &AES_128_GCM, hash: &digest::SHA256 },
            CipherSuite::TLS13_AES_256_GCM_SHA384 => Suite { aead: &AES_256_GCM, hash: &digest::SHA384 },
            CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => {
                Suite { aead: &CHACHA20_POLY1305, hash: &digest::SHA256 }
            }
            _ => return Err(Error::General("a cipher suite that carriers do not speak".into())),
        };
        let mut heard = listener.0.lock().unwrap_or_else(PoisonError::into_inner);
        let missing = || Error::General("the handshake told no secrets".into());
        let client = Direction::new(suite, heard.client.take().ok_or_else(missing)?)?;
        let server = Direction::new(suite, heard.server.take().ok_or_else(missing)?)?;
        let exporter = heard.exporter.take().ok_or_else(missing)?;
        let (send, receive) = match session {
            Connection::Client(_) => (client, server),
            Connection::Server(_) => (server, client),
        };
        Ok(Keys { send, receive, exporter, suite })
    }

    /// The two ends of one direction.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn both_ends() -> (Direction, Direction) {
        let suite = Suite { aead: &AES_128_GCM, hash: &digest::SHA256 };
        let end = || Direction::new(suite, prk(suite, &[7; 32])).expect("invariant: a secret of 32 bytes");
        (end(), end())
    }

    /// RFC 8446 §7.5.
    pub(super) fn export(&self, label: &[u8], context: &[u8]) -> Result<[u8; 32], Error> {
        let hash = self.suite.hash;
        let mut secret = vec![0; hash.output_len()];
        expand_label(&self.exporter, label, digest(hash, b"").as_ref(), &mut secret)?;
        let secret = prk(self.suite, &secret);
        let mut out = [0; 32];
        expand_label(&secret, b"exporter", digest(hash, context).as_ref(), &mut out)?;
        Ok(out)
    }
}

/// One direction's key and how many records it has protected.
pub(super) struct Direction {
    suite: Suite,
    secret: Prk,
    key: LessSafeKey,
    iv: [u8; NONCE_LEN],
    sequence: u64,
}

impl Direction {
    fn new(suite: Suite, secret: Prk) -> Result<Self, Error> {
        let mut key = vec![0; suite.aead.key_len()];
        expand_label(&secret, b"key", b"", &mut key)?;
        let key = UnboundKey::new(suite.aead, &key).map_err(|_| Error::EncryptError)?;
        let mut iv = [0; NONCE_LEN];
        expand_label(&secret, b"iv", b"", &mut iv)?;
        Ok(Direction { suite, secret, key: LessSafeKey::new(key), iv, sequence: 0 })
    }

    /// The next generation of the key (RFC 8446 §7.2).
    pub(super) fn update(&mut self) -> Result<(), Error> {
        let mut secret = vec![0; self.suite.hash.output_len()];
        expand_label(&self.secret, b"traffic upd", b"", &mut secret)?;
        *self = Direction::new(self.suite, prk(self.suite, &secret))?;
        Ok(())
    }

    /// How many records this key has protected.
    pub(super) fn records(&self) -> u64 {
        self.sequence
    }

    pub(super) fn key(&self) -> &LessSafeKey {
        &self.key
    }

    /// The nonce of the next record; each is given out once.
    pub(super) fn nonce(&mut self) -> Nonce {
        let mut nonce = self.iv;
        for (byte, counter) in nonce[4..].iter_mut().zip(self.sequence.to_be_bytes()) {
            *byte ^= counter;
        }
        self.sequence += 1;
        Nonce::assume_unique_for_key(nonce)
    }
}

fn prk(suite: Suite, secret: &[u8]) -> Prk {
    let algorithm = if suite.hash == &digest::SHA384 { HKDF_SHA384 } else { HKDF_SHA256 };
    Prk::new_less_safe(algorithm, secret)
}

struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

/// HKDF-Expand-Label (RFC 8446 §7.1).
fn expand_label(secret: &Prk, label: &[u8], context: &[u8], out: &mut [u8]) -> Result<(), Error> {
    let too_long = |_| Error::General("an exporter label or context that is too long".into());
    let length = (out.len() as u16).to_be_bytes();
    let label_length = [u8::try_from(6 + label.len()).map_err(too_long)?];
    let context_length = [u8::try_from(context.len()).map_err(too_long)?];
    let info = [&length[..], &label_length, b"tls13 ", label, &context_length, context];
    secret
        .expand(&info, Length(out.len()))
        .and_then(|okm| okm.fill(out))
        .map_err(|_| Error::General("HKDF cannot give so many bytes".into()))
}
