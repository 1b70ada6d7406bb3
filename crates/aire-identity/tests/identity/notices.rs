//! What the authority says to the whole mesh, on its own disk and on those of members.

use aire_identity::{
    Authority, EnrolError, NodeKey, NoticeError, StateError, TrustError, keep_notice, load_notices,
};
use aire_types::Role;
use aire_wire::{NoticeKind, PolicyText, Subject};

use crate::mesh::{HOUR, Mesh, app, node, start};

fn texts(text: &str) -> Option<Vec<PolicyText>> {
    Some(vec![PolicyText { name: "p.cedar".into(), text: text.into() }])
}

fn subject(text: &str) -> Subject {
    text.parse().unwrap()
}

#[test]
fn versions_rise_also_when_rolled_back_and_withdrawn() {
    let mesh = Mesh::new("prod");
    let authority = &mesh.authority;
    assert!(matches!(authority.roll_policy_back(None, start()), Err(NoticeError::NoPolicy)));
    authority.publish_policy(texts("one"), start()).unwrap();
    assert!(matches!(authority.roll_policy_back(None, start()), Err(NoticeError::NoEarlier { current: 1 })));
    authority.publish_policy(texts("two"), start()).unwrap();
    let (third, of) = authority.roll_policy_back(None, start()).unwrap();
    assert_eq!((third.version, of, third.policy().unwrap().texts), (3, 1, texts("one")));
    authority.publish_policy(None, start()).unwrap();
    let (fifth, of) = authority.roll_policy_back(Some(2), start()).unwrap();
    assert_eq!((fifth.version, of, fifth.policy().unwrap().texts), (5, 2, texts("two")));
    assert!(matches!(authority.roll_policy_back(Some(9), start()), Err(NoticeError::NoVersion(9))));
    // Another process sees the same.
    let again = Authority::open(&mesh.dir.path().join("ca")).unwrap();
    assert_eq!(again.notice(NoticeKind::Policy).unwrap(), Some(fifth));
    assert_eq!(again.versions(NoticeKind::Policy).unwrap(), [1, 2, 3, 4, 5]);
}

#[test]
fn what_does_not_fit_is_said_and_changes_nothing() {
    let mesh = Mesh::new("prod");
    let error = mesh.authority.publish_policy(texts(&"x".repeat(70_000)), start()).unwrap_err().to_string();
    assert!(error.contains("63488") && error.contains("70"), "{error}");
    assert_eq!(mesh.authority.notice(NoticeKind::Policy).unwrap(), None);
    let reason = "x".repeat(257);
    let refused = mesh.authority.revoke(&subject("app/db"), &reason, start());
    assert!(matches!(refused, Err(NoticeError::Reason)));
}

#[test]
fn members_take_only_what_their_authority_signed() {
    let (mesh, other) = (Mesh::new("prod"), Mesh::new("prod"));
    let member = mesh.member(app("db"), "n1", start());
    let notice = mesh.authority.publish_policy(texts("one"), start()).unwrap();
    assert_eq!(member.bundle.verify_notice(&notice), Ok(()));
    let mut changed = notice.clone();
    changed.version += 1;
    let foreign = other.authority.publish_policy(texts("one"), start()).unwrap();
    for wrong in [changed, foreign] {
        assert!(matches!(member.bundle.verify_notice(&wrong), Err(TrustError::NotByAuthority { .. })));
    }
    // A member's key signs nothing that counts.
    let mut own = notice;
    own.signature = member.key.sign(&own.signed()).unwrap();
    assert!(member.bundle.verify_notice(&own).is_err());
}

#[test]
fn kept_notices_come_back_and_damaged_ones_are_named() {
    let mesh = Mesh::new("prod");
    let member = mesh.member(app("db"), "n1", start());
    let dir = mesh.dir.path().join("state");
    assert_eq!(load_notices(&dir, &member.bundle).unwrap(), []);
    let policy = mesh.authority.publish_policy(texts("one"), start()).unwrap();
    let revocations = mesh.authority.revoke(&subject("app/web"), "", start()).unwrap().unwrap();
    keep_notice(&dir, &revocations).unwrap();
    keep_notice(&dir, &policy).unwrap();
    assert_eq!(load_notices(&dir, &member.bundle).unwrap(), [policy.clone(), revocations]);
    let path = dir.join("policy.notice");
    let good = std::fs::read(&path).unwrap();
    let mut changed = good.clone();
    changed[40] ^= 1;
    for damaged in [&b""[..], b"garbage", &good[..good.len() - 1], &changed] {
        std::fs::write(&path, damaged).unwrap();
        let error = load_notices(&dir, &member.bundle).unwrap_err();
        assert!(matches!(error, StateError::Corrupt { .. }));
        assert!(
            error.to_string().contains("policy.notice") && error.to_string().contains("remove it"),
            "{error}"
        );
    }
}

#[test]
fn who_is_revoked_gets_no_certificate_until_reinstated() {
    let mesh = Mesh::new("prod");
    let authority = &mesh.authority;
    let missing = authority.revoke(&subject("node/n1"), "", start());
    assert!(matches!(missing, Err(NoticeError::NoNode(_))), "nobody of this name");
    let (key, token) = (NodeKey::generate().unwrap(), mesh.invite(app("db"), 5));
    mesh.enrol(&token, "n1", &key, start()).unwrap();
    for what in ["node/n1", "app/db"] {
        let what = subject(what);
        assert!(authority.revoke(&what, "stolen", start()).unwrap().is_some());
        assert!(authority.revoke(&what, "stolen", start()).unwrap().is_none(), "once is enough");
        let error = mesh.enrol(&token, "n1", &key, start() + HOUR).unwrap_err();
        assert!(matches!(&error, EnrolError::Revoked { subject, .. } if *subject == what), "{error}");
        assert!(error.to_string().contains("stolen"), "{error}");
        let own = authority.issue_own(&node("n1"), Role::App("db".parse().unwrap()), &key, start());
        assert!(matches!(own, Err(EnrolError::Revoked { .. })));
        authority.reinstate(&what, start()).unwrap();
        assert!(matches!(authority.reinstate(&what, start()), Err(NoticeError::NotRevoked(_))));
        mesh.enrol(&token, "n1", &key, start()).unwrap();
    }
    assert!(authority.revocations().unwrap().revoked.is_empty());
}

#[test]
fn an_authority_restored_from_an_old_copy_counts_on_from_what_the_mesh_knows() {
    let mesh = Mesh::new("prod");
    let published = [0; 3].map(|_| mesh.authority.publish_policy(None, start()).unwrap());
    let newest = published[2].clone();
    let dir = mesh.dir.path().join("ca/notices");
    std::fs::remove_dir_all(&dir).unwrap();
    assert!(mesh.authority.keep_newer(&newest).unwrap());
    assert_eq!(mesh.authority.publish_policy(None, start()).unwrap().version, 4);
    let mut forged = newest;
    forged.version = 99;
    assert!(!mesh.authority.keep_newer(&forged).unwrap());
    assert_eq!(mesh.authority.versions(NoticeKind::Policy).unwrap(), [3, 4]);
}
