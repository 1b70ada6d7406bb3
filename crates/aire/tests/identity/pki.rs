//! A certificate authority that is not AIRE's.

use std::time::SystemTime;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, SanType, SignatureAlgorithm,
};
use rustls_pki_types::CertificateDer;

/// An authority, or an intermediate one below it.
pub(crate) struct Pki {
    issuer: Issuer<'static, KeyPair>,
    /// What stands behind a leaf that it signs.
    behind: Vec<CertificateDer<'static>>,
    pub(crate) root: CertificateDer<'static>,
}

/// A certificate, leaf first, and its key.
pub(crate) struct Pair {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: KeyPair,
}

fn authority(name: &str, from: SystemTime) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.not_before = from.into();
    params
}

impl Pki {
    /// A root that is valid since `from`.
    pub(crate) fn new(name: &str, from: SystemTime) -> Self {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
        let params = authority(name, from);
        let root = params.self_signed(&key).unwrap().der().clone();
        Pki { issuer: Issuer::new(params, key), behind: Vec::new(), root }
    }

    /// An authority that this one signs.
    pub(crate) fn intermediate(&self, from: SystemTime) -> Self {
        let key = KeyPair::generate().unwrap();
        let params = authority("intermediate", from);
        let own = params.signed_by(&key, &self.issuer).unwrap().der().clone();
        let behind = [&[own], &self.behind[..]].concat();
        Pki { issuer: Issuer::new(params, key), behind, root: self.root.clone() }
    }

    /// An SVID.
    pub(crate) fn issue(&self, id: &str, from: SystemTime, until: SystemTime) -> Pair {
        self.issue_for(id, &PKCS_ECDSA_P256_SHA256, from, until)
    }

    /// An SVID with a key of this kind.
    pub(crate) fn issue_for(
        &self,
        id: &str,
        kind: &'static SignatureAlgorithm,
        from: SystemTime,
        until: SystemTime,
    ) -> Pair {
        let key = KeyPair::generate_for(kind).unwrap();
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![SanType::URI(id.try_into().unwrap())];
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
        (params.not_before, params.not_after) = (from.into(), until.into());
        let leaf = params.signed_by(&key, &self.issuer).unwrap().der().clone();
        Pair { chain: [&[leaf], &self.behind[..]].concat(), key }
    }
}

/// Certificates as PEM.
pub(crate) fn pem(certificates: &[CertificateDer<'_>]) -> String {
    use base64::Engine;
    let section = |certificate: &CertificateDer<'_>| {
        let text = base64::engine::general_purpose::STANDARD.encode(certificate);
        format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
    };
    certificates.iter().map(section).collect()
}
