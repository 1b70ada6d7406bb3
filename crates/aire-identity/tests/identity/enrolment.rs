use std::time::Duration;

use aire_identity::{
    EnrolError, EnrolRequest, EnrolResponse, JoinError, MAX_MESSAGE, MessageError, NodeKey, Scope, Token,
};
use aire_types::Role;

use crate::mesh::{DAY, HOUR, Mesh, app, node, start};

#[test]
fn a_token_makes_a_member() {
    let mesh = Mesh::new("prod");
    let token = Token::parse(&mesh.invite(app("db"), 1).reveal()).unwrap();
    assert_eq!(token.seeds(), ["seed.example:7600"]);
    let key = NodeKey::generate().unwrap();
    let response = mesh.enrol(&token, "n1", &key, start()).unwrap();
    let (svid, bundle) = response.accept_enrolment(&token, &node("n1"), &key, start()).unwrap();
    assert_eq!(svid.identity().to_string(), "spiffe://prod/app/db/n1");
    assert_eq!(svid.not_before(), start() - HOUR);
    assert_eq!(svid.not_after(), start() + DAY);
    assert_eq!(svid.renew_at(), start() - HOUR + (DAY + HOUR) / 2);
    assert_eq!(bundle.verify(svid.chain(), start()).unwrap().public_key(), key.public_key());
}

#[test]
fn a_member_renews_for_itself_only() {
    let mesh = Mesh::new("prod");
    let member = mesh.member(Scope::Relay, "r1", start());
    let later = start() + DAY / 2;
    let peer = member.verified(later);
    let request = EnrolRequest::renewal(member.svid.identity(), &member.key).unwrap();
    let request = EnrolRequest::decode(&request.encode()).unwrap();
    assert!(request.is_renewal());
    let response = mesh.authority.answer(&request, Some(&peer), later).unwrap();
    let renewed = response.accept_renewal(&member.svid, &member.key, &member.bundle, later).unwrap();
    assert_eq!(renewed.identity(), member.svid.identity());
    assert_eq!(renewed.not_after(), later + DAY);
    assert_ne!(
        member.bundle.verify(renewed.chain(), later).unwrap().serial(),
        peer.serial(),
        "serial numbers are random"
    );

    assert!(matches!(mesh.authority.answer(&request, None, later), Err(EnrolError::NotAMember)));
    let other = "spiffe://prod/app/db/r1".parse().unwrap();
    let request = EnrolRequest::renewal(&other, &member.key).unwrap();
    assert!(matches!(mesh.authority.answer(&request, Some(&peer), later), Err(EnrolError::NotOwn(_))));
    let key = NodeKey::generate().unwrap();
    let request = EnrolRequest::renewal(member.svid.identity(), &key).unwrap();
    assert!(matches!(mesh.authority.answer(&request, Some(&peer), later), Err(EnrolError::NotOwn(_))));
}

#[test]
fn a_token_is_good_for_its_uses_and_again_for_those_who_used_it() {
    let mesh = Mesh::new("prod");
    let token = mesh.invite(app("db"), 2);
    let keys: Vec<NodeKey> = (0..3).map(|_| NodeKey::generate().unwrap()).collect();
    mesh.enrol(&token, "n0", &keys[0], start()).unwrap();
    mesh.enrol(&token, "n0", &keys[0], start()).unwrap();
    mesh.enrol(&token, "n1", &keys[1], start()).unwrap();
    assert!(matches!(mesh.enrol(&token, "n2", &keys[2], start()), Err(EnrolError::UsedUp)));
    let late = start() + 100 * DAY;
    mesh.enrol(&token, "n0", &keys[0], late).unwrap();
    assert!(matches!(mesh.enrol(&token, "n1", &keys[0], late), Err(EnrolError::Expired { .. })));
}

#[test]
fn a_token_ends() {
    let mesh = Mesh::new("prod");
    let token = mesh.invite(app("db"), 1);
    let key = NodeKey::generate().unwrap();
    mesh.enrol(&token, "n1", &key, start() + HOUR + Duration::from_secs(1)).map(drop).unwrap_err();
    match mesh.enrol(&token, "n1", &key, start() + 3 * HOUR) {
        Err(error @ EnrolError::Expired { by }) => {
            assert_eq!(by, 2 * HOUR);
            assert!(error.to_string().contains("2 h ago"), "{error}");
        }
        other => panic!("{other:?}"),
    }
    mesh.enrol(&token, "n1", &key, start() + HOUR).unwrap();
}

#[test]
fn a_name_belongs_to_its_first_key() {
    let mesh = Mesh::new("prod");
    let member = mesh.member(app("db"), "n1", start());
    let token = mesh.invite(app("db"), 1);
    let thief = NodeKey::generate().unwrap();
    match mesh.enrol(&token, "n1", &thief, start()) {
        Err(error @ EnrolError::NameTaken { .. }) => assert!(error.to_string().contains("nodes/n1.json")),
        other => panic!("{other:?}"),
    }
    assert!(matches!(
        mesh.authority.issue_own(&node("n1"), Role::Relay, &thief, start()),
        Err(EnrolError::NameTaken { .. })
    ));
    // The refusal spent nothing, and the owner of the name may come with a token for something else.
    let relay = mesh.invite(Scope::Relay, 1);
    mesh.enrol(&relay, "n1", &member.key, start()).unwrap();
    mesh.enrol(&token, "n2", &thief, start()).unwrap();
    // The way out that the message names.
    std::fs::remove_file(mesh.dir.path().join("ca/nodes/n1.json")).unwrap();
    mesh.authority.issue_own(&node("n1"), Role::Relay, &thief, start()).unwrap();
}

#[test]
fn tokens_of_others_are_refused() {
    let (ours, other, twin) = (Mesh::new("prod"), Mesh::new("test"), Mesh::new("prod"));
    let key = NodeKey::generate().unwrap();
    let refused = |token: &Token| ours.enrol(token, "n1", &key, start()).unwrap_err();
    assert!(matches!(refused(&other.invite(app("db"), 1)), EnrolError::WrongMesh { .. }));
    assert!(matches!(refused(&twin.invite(app("db"), 1)), EnrolError::UnknownToken));

    // A request with one field changed was not made by the holder of the token.
    let token = ours.invite(app("db"), 1);
    let request = EnrolRequest::with_token(&token, &node("n1"), &key).unwrap().encode();
    let edited = String::from_utf8(request).unwrap().replace("\"n1\"", "\"n2\"");
    let edited = EnrolRequest::decode(edited.as_bytes()).unwrap();
    assert!(matches!(ours.authority.enrol(&edited, start()), Err(EnrolError::Proof)));
}

#[test]
fn a_scope_cannot_be_widened() {
    let mesh = Mesh::new("prod");
    let token = mesh.invite(app("db"), 1);
    let key = NodeKey::generate().unwrap();
    // The invitation is edited on the authority: the token in the node's hand still says "db".
    let invites = mesh.dir.path().join("ca/invites");
    let file = std::fs::read_dir(invites).unwrap().next().unwrap().unwrap().path();
    let text = std::fs::read_to_string(&file).unwrap().replace("\"db\"", "\"web\"");
    std::fs::write(&file, text).unwrap();
    match mesh.enrol(&token, "n1", &key, start()) {
        Err(EnrolError::Scope { granted, asked }) => {
            assert_eq!(granted, app("web"));
            assert_eq!(asked.to_string(), "spiffe://prod/app/db/n1");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn one_use_is_one_use_however_many_ask_at_once() {
    let mesh = Mesh::new("prod");
    let token = mesh.invite(app("db"), 3);
    let won = std::thread::scope(|scope| {
        let tries: Vec<_> = (0..8)
            .map(|n| {
                let (mesh, token) = (&mesh, &token);
                scope.spawn(move || {
                    // Each with its own handle, as separate processes would have.
                    let authority = aire_identity::Authority::open(&mesh.dir.path().join("ca")).unwrap();
                    let key = NodeKey::generate().unwrap();
                    let request = EnrolRequest::with_token(token, &node(&format!("n{n}")), &key).unwrap();
                    authority.enrol(&request, start()).is_ok()
                })
            })
            .collect();
        tries.into_iter().map(|thread| thread.join().unwrap()).filter(|won| *won).count()
    });
    assert_eq!(won, 3);
}

#[test]
fn a_node_checks_what_it_is_given() {
    let (mesh, twin) = (Mesh::new("prod"), Mesh::new("prod"));
    let (token, foreign) = (mesh.invite(app("db"), 2), twin.invite(app("db"), 1));
    let (key, other) = (NodeKey::generate().unwrap(), NodeKey::generate().unwrap());
    let response = mesh.enrol(&token, "n1", &key, start()).unwrap();
    let accept = |token: &Token, name: &str, key: &NodeKey, now| {
        response.accept_enrolment(token, &node(name), key, now).map(drop)
    };
    assert!(accept(&token, "n1", &key, start()).is_ok());
    assert!(matches!(accept(&foreign, "n1", &key, start()), Err(JoinError::WrongAuthority)));
    assert!(matches!(accept(&token, "n2", &key, start()), Err(JoinError::NotOurs(_))));
    assert!(matches!(accept(&token, "n1", &other, start()), Err(JoinError::NotOurs(_))));
    assert!(matches!(accept(&token, "n1", &key, start() + 2 * DAY), Err(JoinError::Untrusted(_))));

    let error = mesh.enrol(&token, "n1", &other, start()).unwrap_err();
    let response = EnrolResponse::decode(&EnrolResponse::refused(error.refusal()).encode()).unwrap();
    assert_eq!(response.refusal().unwrap().code, "name-taken");
    let error = response.accept_enrolment(&token, &node("n1"), &other, start()).unwrap_err();
    assert!(matches!(error, JoinError::Refused(_)) && error.to_string().contains("another key"), "{error}");
}

#[test]
fn messages_are_bounded_and_garbage_is_refused() {
    let mesh = Mesh::new("prod");
    let key = NodeKey::generate().unwrap();
    let request = EnrolRequest::with_token(&mesh.invite(app("db"), 1), &node("n1"), &key).unwrap().encode();
    assert!(request.len() < MAX_MESSAGE / 4);
    for cut in 0..request.len() {
        assert!(
            matches!(EnrolRequest::decode(&request[..cut]), Err(MessageError::Malformed(_))),
            "cut at {cut}"
        );
    }
    let long = vec![b' '; MAX_MESSAGE + 1];
    assert_eq!(EnrolRequest::decode(&long), Err(MessageError::TooLong(long.len())));
    assert_eq!(EnrolRequest::decode(br#"{"version":2,"kind":"new"}"#), Err(MessageError::Version(2)));
    for garbage in [
        r#"{"version":1}"#,
        r#"{"version":1,"kind":"renew"}"#,
        r#"{"version":1,"kind":"renew","csr":"!"}"#,
        r#"{"version":1,"kind":"renew","csr":"AAAA","more":1}"#,
        r#"{"version":-1,"kind":"renew","csr":"AAAA"}"#,
        &"[".repeat(10_000),
    ] {
        assert!(EnrolRequest::decode(garbage.as_bytes()).is_err(), "{garbage}");
        assert!(EnrolResponse::decode(garbage.as_bytes()).is_err(), "{garbage}");
    }
    let junk = EnrolRequest::decode(br#"{"version":1,"kind":"renew","csr":"AAAA"}"#).unwrap();
    let peer = mesh.member(app("db"), "n9", start()).verified(start());
    assert!(matches!(mesh.authority.answer(&junk, Some(&peer), start()), Err(EnrolError::Csr(_))));
}

#[test]
fn an_old_authority_stops_and_its_last_certificates_end_with_it() {
    let mesh = Mesh::new("prod");
    let end = start() + aire_identity::CA_LIFETIME;
    let key = NodeKey::generate().unwrap();
    let own = |now| mesh.authority.issue_own(&node("n1"), Role::Relay, &key, now);
    assert_eq!(own(end - HOUR).unwrap().not_after(), end);
    assert!(matches!(own(end), Err(EnrolError::AuthorityExpired)));
}
