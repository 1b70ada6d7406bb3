//! Certificates: what is in them, and for how long.

use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyUsagePurpose, SerialNumber,
};
use rustls_pki_types::CertificateDer;
use time::OffsetDateTime;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use aire_types::{Identity, MeshName};

use crate::csr::spiffe_san;
use crate::key::{NodeKey, PublicKey};
use crate::leaf::{moment, spiffe_id, unix_seconds};
use crate::state::{StateError, random};
use crate::svid::Svid;

/// How long an authority's certificate is valid: ten years.
pub const CA_LIFETIME: Duration = Duration::from_secs(3_652 * 86_400);
/// How long an SVID is valid after it is issued: 24 hours.
pub const SVID_LIFETIME: Duration = Duration::from_secs(86_400);
/// How much earlier than its issue a certificate is valid, for clocks that are slow: one hour.
pub const CLOCK_SKEW: Duration = Duration::from_secs(3_600);

/// What an authority's certificate says.
pub(super) struct Description {
    pub(super) mesh: MeshName,
    pub(super) key: PublicKey,
    pub(super) not_after: SystemTime,
}

/// The key and name that sign.
#[derive(Debug)]
pub(super) struct Issuer {
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
    certificate: CertificateDer<'static>,
    not_after: SystemTime,
    /// Of the SVIDs that it signs.
    pub(super) lifetime: Duration,
}

fn failed(error: rcgen::Error) -> StateError {
    StateError::Certificate(error.to_string())
}

fn date(at: SystemTime) -> Result<OffsetDateTime, StateError> {
    i64::try_from(unix_seconds(at))
        .ok()
        .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
        .ok_or_else(|| StateError::Certificate("the date is out of range".to_owned()))
}

/// What all certificates have: names, a random serial number and a validity.
fn params(
    common_name: &str,
    uri: &str,
    not_before: SystemTime,
    not_after: SystemTime,
) -> Result<CertificateParams, StateError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.subject_alt_names = vec![spiffe_san(uri).map_err(failed)?];
    params.not_before = date(not_before)?;
    params.not_after = date(not_after)?;
    let mut serial: [u8; 16] = random()?;
    // Positive, and of full length in DER.
    serial[0] = serial[0] & 0x7f | 0x40;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    Ok(params)
}

pub(super) fn self_signed(
    mesh: &MeshName,
    key: &NodeKey,
    now: SystemTime,
) -> Result<CertificateDer<'static>, StateError> {
    let uri = format!("spiffe://{mesh}");
    let mut params = params(mesh.as_str(), &uri, now - CLOCK_SKEW, now + CA_LIFETIME)?;
    params.distinguished_name.push(DnType::OrganizationName, "AIRE mesh authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let certificate = params.self_signed(&key.rcgen()?).map_err(failed)?;
    Ok(certificate.der().clone())
}

/// Reads an authority's certificate.
pub(super) fn describe(der: &CertificateDer<'_>) -> Result<Description, String> {
    let (_, certificate) = X509Certificate::from_der(der).map_err(|error| error.to_string())?;
    if !certificate.is_ca() {
        return Err("not the certificate of an authority".to_owned());
    }
    let uri = spiffe_id(&certificate).map_err(|error| error.to_string())?;
    let mesh = uri.strip_prefix("spiffe://").ok_or("no SPIFFE trust domain in it")?;
    Ok(Description {
        mesh: mesh.parse().map_err(|error: aire_types::NameError| error.to_string())?,
        key: PublicKey::from_spki(certificate.public_key().raw).ok_or("its key is not ECDSA P-256")?,
        not_after: moment(certificate.validity().not_after.timestamp()),
    })
}

impl Issuer {
    pub(super) fn new(
        certificate: &CertificateDer<'static>,
        key: &NodeKey,
        not_after: SystemTime,
    ) -> Result<Self, StateError> {
        let issuer = rcgen::Issuer::from_ca_cert_der(certificate, key.rcgen()?).map_err(failed)?;
        Ok(Issuer { issuer, certificate: certificate.clone(), not_after, lifetime: SVID_LIFETIME })
    }

    /// Until when it may sign.
    pub(super) fn not_after(&self) -> SystemTime {
        self.not_after
    }

    /// An SVID for `identity` and `key`; it does not outlive the authority.
    pub(super) fn issue(
        &self,
        identity: &Identity,
        key: &PublicKey,
        now: SystemTime,
    ) -> Result<Svid, StateError> {
        let until = (now + self.lifetime).min(self.not_after);
        // Where they hold shortly, half of their life must not be over at once.
        let from = now - CLOCK_SKEW.min(self.lifetime / 2);
        let mut params = params(identity.node.as_str(), &identity.to_string(), from, until)?;
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
        let leaf = params.signed_by(key, &self.issuer).map_err(failed)?;
        Svid::from_chain(vec![leaf.der().clone(), self.certificate.clone()]).map_err(StateError::Certificate)
    }
}
