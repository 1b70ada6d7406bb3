//! Certificate signing requests (RFC 2986).

use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::oid_registry::OID_SIG_ECDSA_WITH_SHA256;
use x509_parser::prelude::FromDer;

use aire_types::Identity;

use crate::key::{NodeKey, PublicKey};
use crate::state::StateError;

/// What a request asks for, checked to come from the holder of the key.
pub(crate) struct Wanted {
    pub(crate) key: PublicKey,
    pub(crate) identity: Identity,
}

/// What is wrong with a request; the node that sent it is to blame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CsrError {
    #[error("it is not a PKCS#10 request")]
    Encoding,
    #[error("its key is not ECDSA P-256")]
    Key,
    #[error("its signature is not by its key")]
    Signature,
    #[error("it does not ask for exactly one SPIFFE id of this mesh's form")]
    Name,
}

pub(crate) fn make(key: &NodeKey, identity: &Identity) -> Result<Vec<u8>, StateError> {
    let failed = |error: rcgen::Error| StateError::Certificate(error.to_string());
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, identity.node.as_str());
    params.subject_alt_names = vec![spiffe_san(&identity.to_string()).map_err(failed)?];
    let request = params.serialize_request(&key.rcgen()?).map_err(failed)?;
    Ok(request.der().to_vec())
}

pub(crate) fn spiffe_san(uri: &str) -> Result<rcgen::SanType, rcgen::Error> {
    Ok(rcgen::SanType::URI(uri.try_into()?))
}

pub(crate) fn check(der: &[u8]) -> Result<Wanted, CsrError> {
    let (rest, request) = X509CertificationRequest::from_der(der).map_err(|_| CsrError::Encoding)?;
    if !rest.is_empty() {
        return Err(CsrError::Encoding);
    }
    let info = &request.certification_request_info;
    let key = PublicKey::from_spki(info.subject_pki.raw).ok_or(CsrError::Key)?;
    let signed_by = &request.signature_algorithm;
    if signed_by.algorithm != OID_SIG_ECDSA_WITH_SHA256 || signed_by.parameters.is_some() {
        return Err(CsrError::Key);
    }
    if request.signature_value.unused_bits != 0 {
        return Err(CsrError::Encoding);
    }
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &info.subject_pki.subject_public_key.data)
        .verify(info.raw, &request.signature_value.data)
        .map_err(|_| CsrError::Signature)?;
    Ok(Wanted { key, identity: identity_of(&request)? })
}

fn identity_of(request: &X509CertificationRequest<'_>) -> Result<Identity, CsrError> {
    let names: Vec<&GeneralName<'_>> = request
        .requested_extensions()
        .into_iter()
        .flatten()
        .filter_map(|extension| match extension {
            ParsedExtension::SubjectAlternativeName(names) => Some(&names.general_names),
            _ => None,
        })
        .flatten()
        .collect();
    match names.as_slice() {
        [GeneralName::URI(uri)] => uri.parse().map_err(|_| CsrError::Name),
        _ => Err(CsrError::Name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_says_who_and_with_which_key() {
        let key = NodeKey::generate().unwrap();
        let identity: Identity = "spiffe://m/app/db/n1".parse().unwrap();
        let der = key.csr(&identity).unwrap();
        let wanted = check(&der).unwrap();
        assert_eq!((wanted.key, wanted.identity), (*key.public_key(), identity));
    }

    #[test]
    fn no_edit_changes_what_is_asked() {
        let key = NodeKey::generate().unwrap();
        let identity: Identity = "spiffe://m/app/db/n1".parse().unwrap();
        let der = key.csr(&identity).unwrap();
        for at in 0..der.len() {
            let mut edited = der.clone();
            edited[at] ^= 1;
            // What stands around the signed part can be written in other ways (a SET for a SEQUENCE).
            if let Ok(wanted) = check(&edited) {
                assert_eq!((wanted.key, &wanted.identity), (*key.public_key(), &identity), "byte {at}");
            }
            assert!(check(&der[..at]).is_err(), "cut at {at}");
        }
        assert_eq!(check(&[der.as_slice(), b"x"].concat()).err(), Some(CsrError::Encoding));
    }

    #[test]
    fn other_keys_and_names_are_refused() {
        let p384 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
        let p256 = rcgen::KeyPair::generate().unwrap();
        let request = |key: &rcgen::KeyPair, names: &[&str]| {
            let mut params = rcgen::CertificateParams::default();
            params.subject_alt_names = names.iter().map(|name| spiffe_san(name).unwrap()).collect();
            params.serialize_request(key).unwrap().der().to_vec()
        };
        let one = "spiffe://m/relay/r";
        assert!(check(&request(&p256, &[one])).is_ok());
        assert_eq!(check(&request(&p384, &[one])).err(), Some(CsrError::Key));
        assert_eq!(check(&request(&p256, &[])).err(), Some(CsrError::Name));
        assert_eq!(check(&request(&p256, &[one, one])).err(), Some(CsrError::Name));
        assert_eq!(check(&request(&p256, &["https://m/relay/r"])).err(), Some(CsrError::Name));
    }
}
