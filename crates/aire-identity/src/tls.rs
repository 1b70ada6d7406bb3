use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, ring};
use rustls::server::NoServerSessionStorage;
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

fn check_key(svid: &Svid, key: &NodeKey) -> Result<(), TlsError> {
    if svid.public_key() == key.public_key() { Ok(()) } else { Err(TlsError::KeyMismatch) }
}

/// Members know the authority's certificate; sending it would only make handshakes longer.
fn chain_for_members(svid: &Svid, trust: &TrustBundle) -> Vec<CertificateDer<'static>> {
    svid.chain().iter().filter(|certificate| !trust.certificates().contains(certificate)).cloned().collect()
}

fn finish_client(mut config: ClientConfig, alpn: &[&[u8]]) -> ClientConfig {
    config.alpn_protocols = protocols(alpn);
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;
    config.enable_sni = false;
    config
}

fn finish_server(mut config: ServerConfig, alpn: &[&[u8]]) -> ServerConfig {
    config.alpn_protocols = protocols(alpn);
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    config.ignore_client_order = true;
    config
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
    check_key(svid, key)?;
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(PeerVerifier::Members(trust.clone())))
        .with_client_auth_cert(chain_for_members(svid, trust), key.private_key())?;
    Ok(finish_client(config, alpn))
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
    check_key(svid, key)?;
    let config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(Arc::new(PeerVerifier::Members(trust.clone())))
        .with_single_cert(chain_for_members(svid, trust), key.private_key())?;
    Ok(finish_server(config, alpn))
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
    let verifier = PeerVerifier::Pinned { mesh: mesh.clone(), ca: *ca };
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok(finish_client(config, alpn))
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
    check_key(svid, key)?;
    // Strangers know the fingerprint of the authority's certificate only.
    let mut chain = chain_for_members(svid, trust);
    chain.extend_from_slice(trust.certificates());
    let config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])?
        .with_no_client_auth()
        .with_single_cert(chain, key.private_key())?;
    Ok(finish_server(config, alpn))
}
