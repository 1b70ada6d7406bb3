//! Identities of other authorities.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use aire_identity::{
    Files, FilesError, Issued, IssuedError, KeyError, NodeKey, StateError, TrustBundle, TrustError,
    client_config, server_config,
};
use rustls_pki_types::CertificateDer;

use crate::handshake::handshake;
use crate::mesh::{DAY, HOUR, start};
use crate::pki::{Pair, Pki, pem};

const ID: &str = "spiffe://example.org/app/db/n1";

fn issued(pair: &Pair, roots: &[&Pki]) -> Result<Issued, IssuedError> {
    let key = NodeKey::from_pem(pair.key.serialize_pem().as_bytes()).unwrap();
    let roots = roots.iter().map(|pki| pki.root.clone()).collect();
    Issued::new(pair.chain.clone(), key, roots, start())
}

fn good(pki: &Pki, id: &str) -> Pair {
    pki.issue(id, start() - HOUR, start() + DAY)
}

/// Writes the three files.
fn write(dir: &Path, pair: &Pair, roots: &[CertificateDer<'_>]) -> Files {
    let files = Files { certificate: dir.join("cert.pem"), key: dir.join("key.pem"), ca: dir.join("ca.pem") };
    fs::write(&files.certificate, pem(&pair.chain)).unwrap();
    fs::write(&files.key, pair.key.serialize_pem()).unwrap();
    fs::write(&files.ca, pem(roots)).unwrap();
    files
}

#[test]
fn members_below_an_intermediate_authority_meet_and_check_what_the_other_signed() {
    let root = Pki::new("root", start() - DAY);
    let (below, other) = (root.intermediate(start() - DAY), Pki::new("second root", start() - HOUR));
    let one = issued(&good(&below, ID), &[&root, &other]).unwrap();
    let two = issued(&good(&other, "spiffe://example.org/relay/n2"), &[&other, &root]).unwrap();
    let trust = TrustBundle::new("example.org".parse().unwrap(), one.roots.clone()).unwrap();
    let same = TrustBundle::new("example.org".parse().unwrap(), two.roots.clone()).unwrap();
    assert_eq!(trust.fingerprints(), same.fingerprints(), "whatever order the roots were given in");

    let client = client_config(&one.svid, &one.key, &trust, &[b"a"]).unwrap();
    let server = server_config(&two.svid, &two.key, &trust, &[b"a"]).unwrap();
    let (client, server) = handshake(client, server, start()).unwrap();
    let seen = trust.verify(client.peer_certificates().unwrap(), start()).unwrap();
    assert_eq!(seen.identity().to_string(), "spiffe://example.org/relay/n2");
    assert_eq!(server.peer_certificates().unwrap().len(), 2, "the leaf and the intermediate one");

    let (shown, signature) = (one.svid.shown(&trust), one.key.sign(b"record").unwrap());
    let signer = trust.verify_signature(&shown, b"record", &signature, start()).unwrap();
    assert_eq!(signer.identity().to_string(), ID);
    assert_eq!(aire_identity::claimed_identity(&shown).as_ref(), Some(signer.identity()));
    let leaf = &one.svid.chain()[0];
    let without = trust.verify_signature(leaf, b"record", &signature, start());
    assert!(matches!(without, Err(TrustError::NotOfMesh { .. })));
    for cut in 1..shown.len() {
        assert!(trust.verify_signature(&shown[..cut], b"record", &signature, start()).is_err(), "{cut}");
    }
    assert!(trust.verify_signature(&[&shown[..]; 5].concat(), b"record", &signature, start()).is_err());
}

#[test]
fn roots_change_for_configurations_made_before() {
    let (old, new) = (Pki::new("old", start() - DAY), Pki::new("new", start() - HOUR));
    let one = issued(&good(&old, ID), &[&old]).unwrap();
    let two = issued(&good(&new, "spiffe://example.org/relay/n2"), &[&old, &new]).unwrap();
    let bundle = |roots: &[&Pki]| {
        let roots = roots.iter().map(|pki| pki.root.clone()).collect();
        TrustBundle::new("example.org".parse().unwrap(), roots).unwrap()
    };
    let (first, both) = (bundle(&[&old]), bundle(&[&new, &old]));
    let client = client_config(&one.svid, &one.key, &first, &[b"a"]).unwrap();
    let server = server_config(&two.svid, &two.key, &both, &[b"a"]).unwrap();
    assert!(handshake(client.clone(), server.clone(), start()).is_err());
    assert_eq!(first.fingerprints()[0], both.fingerprints()[0], "the older root makes the knock");
    first.replace(vec![old.root.clone(), new.root.clone()]).unwrap();
    assert!(handshake(client.clone(), server.clone(), start()).is_ok());
    both.replace(vec![new.root.clone()]).unwrap();
    assert!(handshake(client, server, start()).is_err());
    assert!(both.replace(Vec::new()).is_err());
    assert_eq!(both.certificates(), std::slice::from_ref(&new.root));
}

#[test]
fn what_does_not_belong_together_is_refused_with_the_reason() {
    let (root, other) = (Pki::new("root", start() - DAY), Pki::new("other", start() - DAY));
    let pair = good(&root, ID);
    assert!(matches!(issued(&pair, &[&other]), Err(IssuedError::WrongAuthority(_))));
    assert!(matches!(issued(&pair, &[]), Err(IssuedError::Roots(_))));
    let mixed = Pair { key: good(&root, ID).key, chain: pair.chain.clone() };
    assert!(matches!(issued(&mixed, &[&root]), Err(IssuedError::WrongKey(_))));
    let old = root.issue(ID, start() - DAY, start() - HOUR);
    let error = issued(&old, &[&root]).unwrap_err();
    assert!(error.to_string().contains("expired 60 min ago"), "{error}");
    let early = root.issue(ID, start() + HOUR, start() + DAY);
    assert!(matches!(issued(&early, &[&root]), Err(IssuedError::NotYetValid { .. })));
    let odd = good(&root, "spiffe://example.org/ns/default/sa/db");
    let error = issued(&odd, &[&root]).unwrap_err().to_string();
    assert!(error.contains("spiffe://MESH/app/APP/NODE"), "{error}");
}

#[test]
fn keys_are_p256_in_either_encoding() {
    let root = Pki::new("root", start() - DAY);
    let pair = good(&root, ID);
    let pkcs8 = pair.key.serialize_der();
    // The OCTET STRING of a P-256 key in PKCS#8 (RFC 5208) is one in SEC1 (RFC 5915).
    let at = pkcs8.windows(3).position(|bytes| bytes == [0x02, 0x01, 0x01]).unwrap() - 2;
    let sec1 = rustls_pki_types::PrivateSec1KeyDer::from(pkcs8[at..].to_vec());
    let key = NodeKey::from_der(sec1.into()).unwrap();
    assert_eq!(key.public_key(), issued(&pair, &[&root]).unwrap().key.public_key());
    let other = root.issue_for(ID, &rcgen::PKCS_ED25519, start() - HOUR, start() + DAY);
    assert_eq!(NodeKey::from_pem(other.key.serialize_pem().as_bytes()).err(), Some(KeyError::NotP256));
    assert!(KeyError::NotP256.to_string().contains("prime256v1"));
    assert_eq!(NodeKey::from_pem(b"nothing").err(), Some(KeyError::Unreadable));
}

#[test]
fn files_are_named_when_they_are_wrong() {
    let (root, dir) = (Pki::new("root", start() - DAY), tempfile::tempdir().unwrap());
    let pair = good(&root, ID);
    let files = write(dir.path(), &pair, std::slice::from_ref(&root.root));
    let before = files.stamp();
    let issued = files.load(start()).unwrap();
    assert_eq!(issued.svid.identity().to_string(), ID);
    assert_eq!(Arc::strong_count(&issued.key), 1);
    assert_eq!(files.stamp(), before);

    fs::write(&files.key, "-----BEGIN PRIVATE KEY-----\nMI").unwrap();
    assert_ne!(files.stamp(), before);
    let error = files.load(start()).unwrap_err();
    assert!(matches!(&error, FilesError::Key { source: KeyError::Unreadable, .. }), "{error}");
    assert!(error.to_string().contains("key.pem"), "{error}");
    fs::write(&files.key, good(&root, ID).key.serialize_pem()).unwrap();
    let error = files.load(start()).unwrap_err().to_string();
    assert!(error.contains("cert.pem") && error.contains("mixed up"), "{error}");
    fs::write(&files.ca, "no").unwrap();
    let error = files.load(start()).unwrap_err().to_string();
    assert!(error.contains("ca.pem holds no certificates"), "{error}");
    fs::remove_file(&files.certificate).unwrap();
    assert!(matches!(files.load(start()), Err(FilesError::State(StateError::Missing { .. }))));
    let error = files.load(start()).unwrap_err().to_string();
    assert!(error.contains("cert.pem does not exist"), "{error}");
}
