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

/// Whom a handshake lets through. Who it is, the caller asks afterwards.
#[derive(Debug)]
pub(crate) enum PeerVerifier {
    /// Every member of the mesh.
    Members(TrustBundle),
    /// Members of the mesh whose authority has this fingerprint, if they show its certificate.
    Pinned { mesh: MeshName, ca: Fingerprint },
}

impl PeerVerifier {
    fn check(
        &self,
        leaf: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        let chain: Vec<CertificateDer<'_>> = std::iter::once(leaf).chain(rest).cloned().collect();
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(now.as_secs());
        let verified = match self {
            PeerVerifier::Members(bundle) => bundle.verify(&chain, at),
            PeerVerifier::Pinned { mesh, ca } => rest
                .iter()
                .find(|certificate| Fingerprint::of(certificate) == *ca)
                .ok_or_else(|| TrustError::NotOfMesh { mesh: mesh.clone() })
                .and_then(|ca| TrustBundle::new(mesh.clone(), vec![ca.clone().into_owned()]))
                .and_then(|bundle| bundle.verify(&chain, at)),
        };
        verified.map(|_| ()).map_err(|error| refusal(error, now))
    }
}

/// The peer learns the reason from the alert that each of these maps to.
fn refusal(error: TrustError, now: UnixTime) -> Error {
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

/// How both kinds of verifier check the signature of a handshake.
macro_rules! tls13_signatures {
    () => {
        /// Every configuration is for TLS 1.3, so rustls never asks.
        fn verify_tls12_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Err(Error::General("TLS 1.2 is never spoken".to_owned()))
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
    };
}

impl ServerCertVerifier for PeerVerifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check(leaf, rest, now)?;
        Ok(ServerCertVerified::assertion())
    }

    tls13_signatures!();
}

impl ClientCertVerifier for PeerVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.check(leaf, rest, now)?;
        Ok(ClientCertVerified::assertion())
    }

    tls13_signatures!();
}
