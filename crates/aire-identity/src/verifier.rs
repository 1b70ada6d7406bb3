//! How TLS asks us about peers: by [`TrustBundle`], never by DNS name.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, SignatureScheme,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use aire_types::MeshName;

use crate::digest::Fingerprint;
use crate::trust::{TrustBundle, TrustError};

/// SVIDs have P-256 keys, so nothing else needs to be spoken.
pub(crate) static ALGORITHMS: WebPkiSupportedAlgorithms = WebPkiSupportedAlgorithms {
    all: &[webpki::ring::ECDSA_P256_SHA256],
    mapping: &[(SignatureScheme::ECDSA_NISTP256_SHA256, &[webpki::ring::ECDSA_P256_SHA256])],
};

/// Accepts every member of the mesh; who it is, the caller asks after the handshake.
#[derive(Debug)]
pub(crate) struct MemberVerifier(pub(crate) TrustBundle);

/// Accepts members of the mesh whose authority has this fingerprint, and shows its certificate.
#[derive(Debug)]
pub(crate) struct PinnedVerifier {
    pub(crate) mesh: MeshName,
    pub(crate) ca: Fingerprint,
}

fn check(
    bundle: &TrustBundle,
    leaf: &CertificateDer<'_>,
    rest: &[CertificateDer<'_>],
    now: UnixTime,
) -> Result<(), TrustError> {
    let chain: Vec<CertificateDer<'_>> = std::iter::once(leaf).chain(rest).cloned().collect();
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(now.as_secs());
    bundle.verify(&chain, now).map(|_| ())
}

/// The peer learns the reason from the alert that each of these maps to.
fn refuse(error: TrustError, now: UnixTime) -> Error {
    let at = |seconds: u64| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
    Error::InvalidCertificate(match error {
        TrustError::NotOfMesh { .. } => CertificateError::UnknownIssuer,
        TrustError::Expired { by, .. } => CertificateError::ExpiredContext {
            time: now,
            not_after: at(now.as_secs().saturating_sub(by.as_secs())),
        },
        TrustError::NotYetValid { by, .. } => CertificateError::NotValidYetContext {
            time: now,
            not_before: at(now.as_secs().saturating_add(by.as_secs())),
        },
        TrustError::Revoked(_) => CertificateError::Revoked,
        other => CertificateError::Other(OtherError(Arc::new(other))),
    })
}

fn no_tls12() -> Error {
    Error::General("TLS 1.2 is never spoken".to_owned())
}

impl ServerCertVerifier for MemberVerifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        check(&self.0, leaf, rest, now).map_err(|error| refuse(error, now))?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(no_tls12())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, leaf, signature, &ALGORITHMS)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ALGORITHMS.supported_schemes()
    }
}

impl ClientCertVerifier for MemberVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        check(&self.0, leaf, rest, now).map_err(|error| refuse(error, now))?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(no_tls12())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, leaf, signature, &ALGORITHMS)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ALGORITHMS.supported_schemes()
    }
}

impl ServerCertVerifier for PinnedVerifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let not_of_mesh = || TrustError::NotOfMesh { mesh: self.mesh.clone() };
        rest.iter()
            .find(|certificate| Fingerprint::of(certificate) == self.ca)
            .ok_or_else(not_of_mesh)
            .and_then(|ca| TrustBundle::new(self.mesh.clone(), vec![ca.clone().into_owned()]))
            .and_then(|bundle| check(&bundle, leaf, rest, now))
            .map_err(|error| refuse(error, now))?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(no_tls12())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, leaf, signature, &ALGORITHMS)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ALGORITHMS.supported_schemes()
    }
}
