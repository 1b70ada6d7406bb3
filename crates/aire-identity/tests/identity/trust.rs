use std::time::Duration;

use aire_identity::{Scope, SignatureError, TrustBundle, TrustError};
use aire_types::MeshName;
use aire_wire::Subject;
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose as Eku, IsCa, KeyUsagePurpose, SanType};
use rustls_pki_types::CertificateDer;

use crate::mesh::{DAY, HOUR, Mesh, app, node, start};

#[test]
fn clocks_may_be_an_hour_slow_and_no_more() {
    let member = Mesh::new("prod").member(app("db"), "n1", start());
    let at = |now| member.bundle.verify(member.svid.chain(), now);
    assert!(at(start() - HOUR).is_ok());
    assert!(at(start() + DAY).is_ok());
    match at(start() - 3 * HOUR).unwrap_err() {
        error @ TrustError::NotYetValid { by, .. } => {
            assert_eq!(by, 2 * HOUR);
            assert!(error.to_string().contains("clock"), "{error}");
        }
        other => panic!("{other}"),
    }
    match at(start() + DAY + Duration::from_secs(90)).unwrap_err() {
        error @ TrustError::Expired { by, .. } => {
            assert_eq!(by, Duration::from_secs(90));
            assert!(error.to_string().contains("90 s ago") && error.to_string().contains("clock"), "{error}");
        }
        other => panic!("{other}"),
    }
}

#[test]
fn members_of_other_meshes_are_strangers() {
    let (ours, twin, other) = (Mesh::new("prod"), Mesh::new("prod"), Mesh::new("test"));
    let bundle = ours.authority.bundle().unwrap();
    for stranger in [&twin, &other] {
        let member = stranger.member(app("db"), "n1", start());
        for now in [start(), start() + 9 * DAY, start() - 9 * DAY] {
            let error = bundle.verify(member.svid.chain(), now).unwrap_err();
            assert!(matches!(error, TrustError::NotOfMesh { .. }), "{error}");
        }
    }
    // One authority, asked about another trust domain.
    let member = ours.member(app("db"), "n1", start());
    let bundle = TrustBundle::new(MeshName::new("test").unwrap(), bundle.certificates().to_vec()).unwrap();
    let error = bundle.verify(member.svid.chain(), start()).unwrap_err();
    assert!(matches!(error, TrustError::WrongTrustDomain { .. }), "{error}");
}

#[test]
fn a_revocation_counts_at_once_and_in_copies() {
    let mesh = Mesh::new("prod");
    let (first, second) = (mesh.member(app("db"), "n1", start()), mesh.member(app("web"), "n2", start()));
    let bundle = mesh.authority.bundle().unwrap();
    let copy = bundle.clone();
    let (one, two) = (first.verified(start()), second.verified(start()));
    bundle.set_revoked([Subject::Node(node("n1")), Subject::App("web".parse().unwrap())].into());
    for member in [&first, &second] {
        assert!(matches!(copy.verify(member.svid.chain(), start()), Err(TrustError::Revoked(_))));
    }
    assert!(copy.revoked(one.identity()).is_some() && copy.revoked(two.identity()).is_some());
    bundle.set_revoked([Subject::Node(node("n3"))].into());
    assert!(copy.verify(first.svid.chain(), start()).is_ok() && copy.revoked(two.identity()).is_none());
}

#[test]
fn messages_are_of_their_signer() {
    let mesh = Mesh::new("prod");
    let (first, second) = (mesh.member(app("db"), "n1", start()), mesh.member(Scope::Relay, "r1", start()));
    let signature = first.key.sign(b"record").unwrap();
    let check =
        |leaf: &[u8], message: &[u8]| first.bundle.verify_signature(leaf, message, &signature, start());
    assert_eq!(check(&first.svid.shown(&first.bundle), b"record").unwrap().identity(), first.svid.identity());
    assert!(matches!(check(&first.svid.shown(&first.bundle), b"other"), Err(TrustError::Signature(_))));
    assert!(matches!(check(&second.svid.shown(&first.bundle), b"record"), Err(TrustError::Signature(_))));
    let peer = first.verified(start());
    assert_eq!(peer.verify_signature(b"record", &signature), Ok(()));
    assert_eq!(peer.verify_signature(b"record", b""), Err(SignatureError));
}

/// A certificate by the mesh's own authority that differs from an SVID in one way.
fn odd(mesh: &Mesh, change: impl FnOnce(&mut CertificateParams)) -> CertificateDer<'static> {
    let read = |name: &str| std::fs::read_to_string(mesh.dir.path().join("ca").join(name)).unwrap();
    let key = rcgen::KeyPair::from_pem(&read("ca.key")).unwrap();
    let issuer = rcgen::Issuer::from_ca_cert_pem(&read("ca.pem"), key).unwrap();
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![uri("spiffe://prod/relay/r1")];
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![Eku::ClientAuth, Eku::ServerAuth];
    change(&mut params);
    params.signed_by(&rcgen::KeyPair::generate().unwrap(), &issuer).unwrap().der().clone()
}

fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().unwrap())
}

#[test]
fn only_svids_count_even_from_the_right_authority() {
    let mesh = Mesh::new("prod");
    let bundle = mesh.authority.bundle().unwrap();
    let error = |leaf: CertificateDer<'static>| bundle.verify(&[leaf], start()).unwrap_err();
    assert!(bundle.verify(&[odd(&mesh, |_| {})], start()).is_ok());

    let nameless = odd(&mesh, |p| p.subject_alt_names.clear());
    assert!(matches!(error(nameless), TrustError::NoSpiffeId(_)));
    let double = odd(&mesh, |p| p.subject_alt_names.push(uri("spiffe://prod/relay/r2")));
    assert!(matches!(error(double), TrustError::NoSpiffeId(_)));
    let foreign = odd(&mesh, |p| p.subject_alt_names = vec![uri("https://prod/relay/r1")]);
    assert!(matches!(error(foreign), TrustError::NoSpiffeId(_)));

    let authority = odd(&mesh, |p| p.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained));
    assert!(matches!(error(authority), TrustError::Malformed(_)));
    let signer = odd(&mesh, |p| p.key_usages.push(KeyUsagePurpose::KeyCertSign));
    assert!(matches!(error(signer), TrustError::Malformed(_)));
    for usage in [Eku::ClientAuth, Eku::ServerAuth] {
        let half = odd(&mesh, |p| p.extended_key_usages = vec![usage]);
        assert!(matches!(error(half), TrustError::Malformed(_)));
    }
    assert!(matches!(
        error(bundle.certificates()[0].clone()),
        TrustError::NoSpiffeId(_) | TrustError::Malformed(_)
    ));
}

#[test]
fn no_bytes_make_it_panic() {
    let member = Mesh::new("prod").member(app("db"), "n1", start());
    let leaf = &member.svid.chain()[0];
    assert_eq!(member.bundle.verify(&[], start()), Err(TrustError::NoCertificate));
    assert!(member.bundle.verify(&vec![leaf.clone(); 9], start()).is_err());
    for at in 0..leaf.len() {
        let mut edited = leaf.to_vec();
        edited[at] ^= 0x81;
        assert!(member.bundle.verify(&[edited.into()], start()).is_err(), "byte {at}");
        assert!(member.bundle.verify(&[leaf[..at].to_vec().into()], start()).is_err(), "cut at {at}");
    }
    assert!(TrustBundle::new("prod".parse().unwrap(), Vec::new()).is_err());
    assert!(TrustBundle::new("prod".parse().unwrap(), vec![vec![0; 9].into()]).is_err());
}
