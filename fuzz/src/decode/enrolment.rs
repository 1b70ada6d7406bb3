//! What strangers with a token say, and what members ask of the authority.

use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use aire_identity::{
    Authority, EnrolRequest, EnrolResponse, NodeKey, Refusal, Scope, Token, TrustBundle, claimed_identity,
};
use aire_net::MAX_ENROLMENT;
use aire_net::fuzzing::enrolment_body;
use aire_types::{AppName, Identity, MeshName, NodeName, Role};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use rustls_pki_types::CertificateDer;

use super::split;

/// A mesh with one member.
struct Mesh {
    authority: Authority,
    bundle: TrustBundle,
    token: Token,
    key: NodeKey,
    identity: Identity,
    leaf: Vec<u8>,
}

fn mesh() -> &'static Mesh {
    static MESH: OnceLock<Mesh> = OnceLock::new();
    MESH.get_or_init(|| {
        // The folder goes at once: nothing here may come as far as to write to it.
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (name, node): (MeshName, NodeName) = (name("m"), name("n1"));
        let now = SystemTime::now();
        let authority = Authority::create(folder.path(), name.clone(), now).expect("an authority");
        let scope = Scope::App(AppName::new("db").expect("invariant: a name"));
        let seeds = vec!["seed.example:7117".to_owned()];
        let token = authority.invite(scope.clone(), Duration::from_secs(60), 1, seeds, now).expect("a token");
        let key = NodeKey::generate().expect("a key");
        let Identity { role, .. } = scope.identity(&name, &node);
        let svid = authority.issue_own(&node, role.clone(), &key, now).expect("a certificate");
        Mesh {
            bundle: authority.bundle().expect("a bundle"),
            authority,
            token,
            key,
            identity: Identity { mesh: name, role, node },
            leaf: svid.chain()[0].to_vec(),
        }
    })
}

fn name<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().expect("invariant: a name")
}

/// Raw text, or content with a right checksum around it, as whoever makes tokens can have it.
pub(crate) fn token(input: &[u8]) {
    let (kind, rest) = split(input);
    let text = if kind % 2 == 0 {
        let sum = digest(&SHA256, &[b"aire token 1\0", rest].concat());
        format!("aire1.{}", URL_SAFE_NO_PAD.encode([rest, &sum.as_ref()[..6]].concat()))
    } else {
        String::from_utf8_lossy(rest).into_owned()
    };
    let Ok(token) = Token::parse(&text) else { return };
    assert_eq!(Token::parse(&token.reveal()), Ok(token.clone()));
    let _ = token.check(SystemTime::now());
    let _ = (token.expires(), token.to_string());
    if let Role::App(app) = token.scope().identity(token.mesh(), &name("n1")).role {
        assert!(!app.as_str().is_empty());
    }
}

/// As it comes over TCP: nothing before it is whole, and never more than an authority reads.
fn framing(input: &[u8]) {
    if let Ok(Some(body)) = enrolment_body(input) {
        assert!(body.len() <= MAX_ENROLMENT && enrolment_body(&input[..3 + body.len()]) == Ok(None));
    }
    let framed = [&(input.len() as u32).to_be_bytes()[..], input].concat();
    match enrolment_body(&framed) {
        Ok(body) => assert_eq!(body, Some(input)),
        Err(_) => assert!(input.len() > MAX_ENROLMENT, "it is not too long"),
    }
}

pub(crate) fn messages(input: &[u8]) {
    framing(input);
    if let Ok(request) = EnrolRequest::decode(input) {
        assert_eq!(EnrolRequest::decode(&request.encode()), Ok(request.clone()));
        let mesh = mesh();
        let answer = mesh.authority.answer(&request, None, SystemTime::now());
        assert!(answer.is_err(), "a stranger got a certificate");
    }
    if let Ok(response) = EnrolResponse::decode(input) {
        assert_eq!(EnrolResponse::decode(&response.encode()), Ok(response.clone()));
        let (mesh, now) = (mesh(), SystemTime::now());
        let taken = response.accept_enrolment(&mesh.token, &mesh.identity.node, &mesh.key, now);
        assert!(taken.is_err(), "a certificate of nobody was taken");
    }
}

/// A request for a certificate, from a member.
pub(crate) fn csr(input: &[u8]) {
    let mesh = mesh();
    let stranger = NodeKey::generate().expect("a key");
    let renewed = mesh.authority.renew(&mesh.identity, stranger.public_key(), input, SystemTime::now());
    assert!(renewed.is_err(), "a certificate for the key of somebody else");
    let _ = mesh.authority.renew(&mesh.identity, mesh.key.public_key(), input, SystemTime::now());
}

pub(crate) fn certificate(input: &[u8]) {
    let mesh = mesh();
    let claimed = claimed_identity(input);
    let leaf = CertificateDer::from(input);
    if let Ok(verified) = mesh.bundle.verify(std::slice::from_ref(&leaf), SystemTime::now()) {
        assert_eq!(Some(verified.identity()), claimed.as_ref());
        assert_eq!(*verified.identity(), mesh.identity, "nobody else has a certificate");
    }
}

pub(crate) fn token_seeds() -> Vec<Vec<u8>> {
    let text = mesh().token.reveal();
    let bytes = URL_SAFE_NO_PAD.decode(text.trim_start_matches("aire1.")).unwrap_or_default();
    let content = &bytes[..bytes.len().saturating_sub(6)];
    vec![[&[0], content].concat(), [&[1], text.as_bytes()].concat(), b"\x01aire2.AAAA".to_vec()]
}

pub(crate) fn message_seeds() -> Vec<Vec<u8>> {
    let mesh = mesh();
    let enrol = EnrolRequest::with_token(&mesh.token, &name("n9"), &mesh.key).expect("a request");
    let renewal = EnrolRequest::renewal(&mesh.identity, &mesh.key).expect("a request");
    let refused = EnrolResponse::refused(Refusal { code: "expired".into(), message: "too late".into() });
    let issued = r#"{"kind":"issued","version":1,"svid":["MAA="],"ca":"MAA="}"#;
    vec![enrol.encode(), renewal.encode(), refused.encode(), issued.into()]
}

pub(crate) fn csr_seeds() -> Vec<Vec<u8>> {
    let mesh = mesh();
    vec![mesh.key.csr(&mesh.identity).expect("a request")]
}

pub(crate) fn certificate_seeds() -> Vec<Vec<u8>> {
    let mesh = mesh();
    let authorities = mesh.bundle.certificates();
    let authorities = authorities.iter().map(|certificate| certificate.to_vec());
    std::iter::once(mesh.leaf.clone()).chain(authorities).collect()
}
