//! Certificates as PEM text (RFC 7468).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

/// DER as one PEM section.
pub(crate) fn encode(label: &str, der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    let mut text = format!("-----BEGIN {label}-----\n");
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, tail) = rest.split_at(rest.len().min(64));
        text.push_str(line);
        text.push('\n');
        rest = tail;
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}

/// Certificates, one section each.
pub(crate) fn encode_certificates(chain: &[CertificateDer<'_>]) -> String {
    chain.iter().map(|certificate| encode("CERTIFICATE", certificate)).collect()
}

/// All certificates of a PEM text; at least one.
pub(crate) fn decode_certificates(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
    match found {
        Ok(chain) if chain.is_empty() => Err("no certificate in it".to_owned()),
        Ok(chain) => Ok(chain),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_back() {
        for length in [1, 47, 48, 49, 500] {
            let chain = vec![CertificateDer::from(vec![7; length]), CertificateDer::from(vec![9; 3])];
            let text = encode_certificates(&chain);
            assert!(text.lines().all(|line| line.len() <= 64));
            assert_eq!(decode_certificates(text.as_bytes()).unwrap(), chain);
        }
        assert!(decode_certificates(b"hello").is_err());
        assert!(decode_certificates(b"-----BEGIN CERTIFICATE-----\nAAAA\n").is_err());
    }
}
