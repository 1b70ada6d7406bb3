//! What a leaf certificate says, before anybody checks who signed it.

use std::time::{Duration, SystemTime};

use rustls_pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

use aire_types::{Identity, IdentityError};

use crate::key::PublicKey;

/// The content of an SVID.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Leaf {
    pub(crate) identity: Identity,
    pub(crate) not_before: SystemTime,
    pub(crate) not_after: SystemTime,
    pub(crate) serial: Vec<u8>,
    pub(crate) key: PublicKey,
}

/// Why a certificate is not an SVID.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LeafError {
    #[error("it is not an X.509 certificate")]
    Encoding,
    #[error("it holds {0} URIs instead of one SPIFFE id")]
    NoSpiffeId(usize),
    #[error("{0}")]
    BadSpiffeId(#[from] IdentityError),
    #[error("{0}")]
    Purpose(&'static str),
}

impl Leaf {
    pub(crate) fn parse(der: &[u8]) -> Result<Self, LeafError> {
        let (rest, certificate) = X509Certificate::from_der(der).map_err(|_| LeafError::Encoding)?;
        if !rest.is_empty() {
            return Err(LeafError::Encoding);
        }
        let identity = spiffe_id(&certificate)?.parse()?;
        check_purpose(&certificate)?;
        let validity = certificate.validity();
        Ok(Leaf {
            identity,
            not_before: moment(validity.not_before.timestamp()),
            not_after: moment(validity.not_after.timestamp()),
            serial: certificate.raw_serial().to_vec(),
            key: PublicKey::from_spki(certificate.public_key().raw)
                .ok_or(LeafError::Purpose("its key is not ECDSA P-256"))?,
        })
    }
}

/// Whom certificates as [`Svid::shown`](crate::Svid::shown) gives them claim to be of. Nothing is verified: only good for
/// deciding whether verifying is worth it.
pub fn claimed_identity(certificates: &[u8]) -> Option<Identity> {
    let (rest, _) = X509Certificate::from_der(certificates).ok()?;
    let leaf = certificates.get(..certificates.len() - rest.len())?;
    Leaf::parse(leaf).ok().map(|leaf| leaf.identity)
}

/// Certificates that stand one behind the other; `None` where they are more than `most` or something else.
pub(crate) fn split(mut bytes: &[u8], most: usize) -> Option<Vec<CertificateDer<'_>>> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let (rest, _) = X509Certificate::from_der(bytes).ok()?;
        let (first, rest) = bytes.split_at_checked(bytes.len() - rest.len())?;
        found.push(CertificateDer::from(first));
        bytes = rest;
        if found.len() > most {
            return None;
        }
    }
    Some(found)
}

/// Since when a certificate is valid; what is none came first.
pub(crate) fn valid_from(certificate: &CertificateDer<'_>) -> i64 {
    X509Certificate::from_der(certificate).map_or(0, |(_, parsed)| parsed.validity().not_before.timestamp())
}

/// The one URI of the certificate (X.509-SVID, section 2).
pub(crate) fn spiffe_id<'a>(certificate: &'a X509Certificate<'_>) -> Result<&'a str, LeafError> {
    let names = certificate.subject_alternative_name().map_err(|_| LeafError::Encoding)?;
    let uris: Vec<&str> = names
        .iter()
        .flat_map(|extension| &extension.value.general_names)
        .filter_map(|name| match name {
            GeneralName::URI(uri) => Some(*uri),
            _ => None,
        })
        .collect();
    match uris.as_slice() {
        [uri] => Ok(uri),
        other => Err(LeafError::NoSpiffeId(other.len())),
    }
}

/// Path validation ignores key usage and asks for one extended usage only; an agent is client and server.
fn check_purpose(certificate: &X509Certificate<'_>) -> Result<(), LeafError> {
    let usage = certificate.key_usage().map_err(|_| LeafError::Encoding)?;
    if !usage.is_some_and(|usage| {
        usage.value.digital_signature() && !usage.value.key_cert_sign() && !usage.value.crl_sign()
    }) {
        return Err(LeafError::Purpose("its key usage is not that of an SVID"));
    }
    let extended = certificate.extended_key_usage().map_err(|_| LeafError::Encoding)?;
    if !extended.is_some_and(|usage| usage.value.client_auth && usage.value.server_auth) {
        return Err(LeafError::Purpose("it is not for both TLS clients and servers"));
    }
    Ok(())
}

/// Seconds since 1970; moments before that become 1970.
pub(crate) fn moment(seconds: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}

/// Whole seconds since 1970; moments before that become 0.
pub(crate) fn unix_seconds(at: SystemTime) -> u64 {
    at.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// A length of time for people: its largest unit.
pub(crate) fn spoken(length: Duration) -> String {
    let seconds = length.as_secs();
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min", seconds / 60),
        7_200..=172_799 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}
