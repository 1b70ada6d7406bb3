use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use aire_types::{Class, Identity};
use aire_wire::{CircuitId, Preamble, PreambleKind};
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use rustls_pki_types::{CertificateDer, ServerName};

/// What a TLS server is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A link: mutual, ALPN `aire-link/1`.
    Link,
    /// A carrier: mutual, ALPN `aire-carrier/1`.
    Carrier,
    /// Enrolment: no client certificate, ALPN `aire-enrol/1`.
    Enrolment,
}

/// Who is at the other end, from its certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerInfo {
    /// The workload.
    pub identity: Identity,
    /// Its certificate, DER.
    pub leaf: Vec<u8>,
    /// Until when the certificate is valid.
    pub not_after: SystemTime,
}

/// What this agent shows to its peers, and how it judges theirs. Asked anew for every connection, so that
/// certificates may rotate.
pub trait Credentials: Send + Sync + 'static {
    /// TLS towards links.
    fn link_client(&self) -> Arc<rustls::ClientConfig>;

    /// TLS towards the destinations of carriers.
    fn carrier_client(&self) -> Arc<rustls::ClientConfig>;

    /// TLS for those who dial; `None` where this agent does not serve that purpose.
    fn server(&self, purpose: Purpose) -> Option<Arc<rustls::ServerConfig>>;

    /// The key of our link and enrolment preambles, which keeps scanners from costing a handshake.
    fn knock_key(&self) -> [u8; 32];

    /// Keys with which others may knock: more than one while the mesh changes its authority.
    fn knocks(&self) -> Vec<[u8; 32]> {
        vec![self.knock_key()]
    }

    /// Checks a peer's certificates in full (chain, time, revocation) and says who it is.
    ///
    /// # Errors
    /// What is wrong with them, for the operator.
    fn peer(&self, chain: &[CertificateDer<'_>]) -> Result<PeerInfo, String>;

    /// The name put into handshakes; identities are in certificates, so it stands for nobody.
    fn server_name(&self) -> ServerName<'static> {
        placeholder_name()
    }
}

pub(crate) fn placeholder_name() -> ServerName<'static> {
    ServerName::try_from("peer.aire.invalid").expect("the constant is a DNS name")
}

/// The MAC of a preamble under the key of a hop or the key of the mesh's knock.
pub fn preamble_mac(key: &[u8; 32], preamble: &Preamble) -> [u8; 16] {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), &preamble.signed());
    let mut mac = [0; 16];
    mac.copy_from_slice(&tag.as_ref()[..16]);
    mac
}

/// Was the preamble made with this key? Takes the same time whatever the answer.
pub fn preamble_is_authentic(key: &[u8; 32], preamble: &Preamble) -> bool {
    let right = preamble_mac(key, preamble);
    right.iter().zip(preamble.mac).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

/// A preamble for a link or an enrolment.
pub(crate) fn knock(kind: PreambleKind, key: &[u8; 32]) -> Preamble {
    let mut circuit = [0; 16];
    // without randomness the preamble is no less authentic, only not unique
    let _ = SystemRandom::new().fill(&mut circuit);
    let mut preamble =
        Preamble { kind, class: Class::Interactive, circuit: CircuitId(circuit), counter: 0, mac: [0; 16] };
    preamble.mac = preamble_mac(key, &preamble);
    preamble
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Purpose::Link => "link",
            Purpose::Carrier => "carrier",
            Purpose::Enrolment => "enrolment",
        })
    }
}
