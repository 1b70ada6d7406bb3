use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, ring};
use rustls::server::NoServerSessionStorage;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::TLS13;
use rustls::{ClientConfig, Error, ServerConfig};
use rustls_pki_types::CertificateDer;

use aire_types::MeshName;

use crate::digest::Fingerprint;
use crate::key::NodeKey;
use crate::svid::Svid;
use crate::trust::TrustBundle;
use crate::verifier::{ALGORITHMS, PeerVerifier};

/// Why no TLS configuration could be made.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// Certificate and key do not belong together.
    #[error(
        "the node's certificate is not of the node's key; one of the two files in the state directory was replaced: move svid.pem away and start with the token again"
    )]
    KeyMismatch,
    /// Anything else.
    #[error("TLS cannot be set up: {0}; this is a bug in AIRE")]
    Setup(#[from] Error),
}

fn provider() -> Arc<CryptoProvider> {
    let mut provider = ring::default_provider();
    provider.cipher_suites = vec![
        ring::cipher_suite::TLS13_AES_128_GCM_SHA256,
        ring::cipher_suite::TLS13_AES_256_GCM_SHA384,
        ring::cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
    ];
    provider.kx_groups = vec![ring::kx_group::X25519, ring::kx_group::SECP256R1];
    provider.signature_verification_algorithms = ALGORITHMS;
    Arc::new(provider)
}

fn protocols(alpn: &[&[u8]]) -> Vec<Vec<u8>> {
    alpn.iter().map(|protocol| protocol.to_vec()).collect()
}

/// What this end shows: its chain with its key.
fn shown(
    chain: Vec<CertificateDer<'static>>,
    svid: &Svid,
    key: &NodeKey,
) -> Result<Arc<SingleCertAndKey>, TlsError> {
    if svid.public_key() != key.public_key() {
        return Err(TlsError::KeyMismatch);
    }
    let certified = CertifiedKey::from_der(chain, key.private_key(), &provider())?;
    Ok(Arc::new(SingleCertAndKey::from(certified)))
}

/// TLS 1.3 as a client, without resumption and early data; `shown` to servers that ask.
fn client(
    verifier: PeerVerifier,
    shown: Option<Arc<SingleCertAndKey>>,
    alpn: &[&[u8]],
) -> Result<ClientConfig, TlsError> {
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let mut config = match shown {
        Some(shown) => config.with_client_cert_resolver(shown),
        None => config.with_no_client_auth(),
    };
    config.alpn_protocols = protocols(alpn);
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;
    config.enable_sni = false;
    Ok(config)
}

/// The other end of [`client`]; without a verifier it asks for no certificate.
fn server(
    verifier: Option<PeerVerifier>,
    shown: Arc<SingleCertAndKey>,
    alpn: &[&[u8]],
) -> Result<ServerConfig, TlsError> {
    let config = ServerConfig::builder_with_provider(provider()).with_protocol_versions(&[&TLS13])?;
    let config = match verifier {
        Some(verifier) => config.with_client_cert_verifier(Arc::new(verifier)),
        None => config.with_no_client_auth(),
    };
    let mut config = config.with_cert_resolver(shown);
    config.alpn_protocols = protocols(alpn);
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    config.ignore_client_order = true;
    Ok(config)
}

/// For connections to members: mutual TLS 1.3, without resumption and early data. Any member of the mesh is
/// accepted; the caller passes the peer's certificates to [`TrustBundle::verify`] to learn which one it is.
/// Within the handshake, the time is that of the configuration's `time_provider`: the system's clock.
///
/// # Errors
/// See [`TlsError`].
pub fn client_config(
    svid: &Svid,
    key: &NodeKey,
    trust: &TrustBundle,
    alpn: &[&[u8]],
) -> Result<ClientConfig, TlsError> {
    let shown = shown(svid.without_roots(trust), svid, key)?;
    client(PeerVerifier::Members(trust.clone()), Some(shown), alpn)
}

/// For connections from members: the other end of [`client_config`]. A client that offers no ALPN protocol at all
/// passes the handshake, so the caller looks at the negotiated one.
///
/// # Errors
/// See [`TlsError`].
pub fn server_config(
    svid: &Svid,
    key: &NodeKey,
    trust: &TrustBundle,
    alpn: &[&[u8]],
) -> Result<ServerConfig, TlsError> {
    let shown = shown(svid.without_roots(trust), svid, key)?;
    server(Some(PeerVerifier::Members(trust.clone())), shown, alpn)
}

/// For the connection of a node that only has a token: no client certificate, and a server of `mesh` that shows the
/// authority's certificate with the fingerprint `ca`.
///
/// # Errors
/// See [`TlsError`].
pub fn enrol_client_config(
    mesh: &MeshName,
    ca: &Fingerprint,
    alpn: &[&[u8]],
) -> Result<ClientConfig, TlsError> {
    client(PeerVerifier::Pinned { mesh: mesh.clone(), ca: *ca }, None, alpn)
}

/// For connections from nodes that only have a token: the other end of [`enrol_client_config`]. Never use it for
/// anything but enrolment; its clients are strangers.
///
/// # Errors
/// See [`TlsError`].
pub fn enrol_server_config(
    svid: &Svid,
    key: &NodeKey,
    trust: &TrustBundle,
    alpn: &[&[u8]],
) -> Result<ServerConfig, TlsError> {
    // Strangers know the fingerprint of the authority's certificate only.
    let mut chain = svid.without_roots(trust);
    chain.extend(trust.certificates());
    server(None, shown(chain, svid, key)?, alpn)
}
