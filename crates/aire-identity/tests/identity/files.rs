use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use aire_identity::{Authority, EnrolError, NodeKey, Scope, StateError, Svid, TrustBundle};

use crate::mesh::{Mesh, app, start};

fn modes(dir: &Path, found: &mut Vec<(String, u32)>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        found.push((path.display().to_string(), mode));
        if path.is_dir() {
            modes(&path, found);
        }
    }
}

#[test]
fn nobody_else_can_read_anything() {
    let mesh = Mesh::new("prod");
    let member = mesh.member(app("db"), "n1", start());
    mesh.invite(Scope::Relay, 1);
    let state = mesh.dir.path().join("state");
    member.key.save(&state).unwrap();
    member.svid.save(&state).unwrap();
    member.bundle.save(&state).unwrap();
    let mut found = Vec::new();
    modes(mesh.dir.path(), &mut found);
    assert!(found.len() >= 12, "{found:?}");
    for (path, mode) in found {
        let wanted = if Path::new(&path).is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode, wanted, "{path}");
    }
}

#[test]
fn a_directory_that_was_open_is_closed() {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    Authority::create(dir.path(), "prod".parse().unwrap(), start()).unwrap();
    assert_eq!(fs::metadata(dir.path()).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn the_secret_is_in_no_file() {
    let mesh = Mesh::new("prod");
    let token = mesh.invite(app("db"), 1);
    let text = token.reveal();
    let json = String::from_utf8(base64_url(text.strip_prefix("aire1.").unwrap()))
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
    let secret = json.split("\"secret\":\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let hexadecimal: String = base64_url(&secret).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hexadecimal.len(), 64);
    let invites = mesh.dir.path().join("ca/invites");
    for entry in fs::read_dir(invites).unwrap() {
        let path = entry.unwrap().path();
        let content = format!("{} {}", path.display(), fs::read_to_string(&path).unwrap());
        assert!(!content.contains(&secret) && !content.contains(&hexadecimal), "{content}");
    }
}

fn base64_url(text: &str) -> Vec<u8> {
    use base64::Engine;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text).unwrap()
}

#[test]
fn a_mesh_is_never_made_over_another() {
    let mesh = Mesh::new("prod");
    let dir = mesh.dir.path().join("ca");
    let before = fs::read(dir.join("ca.key")).unwrap();
    let again = || Authority::create(&dir, "test".parse().unwrap(), start());
    assert!(matches!(again(), Err(StateError::Exists { .. })));
    fs::remove_file(dir.join("ca.pem")).unwrap();
    assert!(matches!(again(), Err(StateError::Exists { .. })), "a key alone is worth keeping too");
    assert_eq!(fs::read(dir.join("ca.key")).unwrap(), before);
}

#[test]
fn the_authority_survives_a_restart() {
    let mesh = Mesh::new("prod");
    let dir = mesh.dir.path().join("ca");
    let token = mesh.invite(app("db"), 1);
    fs::remove_dir(dir.join("nodes")).unwrap();
    let reopened = Mesh { authority: Authority::open(&dir).unwrap(), dir: mesh.dir };
    assert_eq!(reopened.authority.fingerprint(), *token.ca());
    assert_eq!(reopened.authority.mesh().as_str(), "prod");
    let key = NodeKey::generate().unwrap();
    let response = reopened.enrol(&token, "n1", &key, start()).unwrap();
    response.accept_enrolment(&token, &"n1".parse().unwrap(), &key, start()).unwrap();
}

#[test]
fn a_damaged_authority_names_the_file_and_the_remedy() {
    let nowhere = tempfile::tempdir().unwrap();
    let error = Authority::open(nowhere.path()).unwrap_err().to_string();
    assert!(error.contains("ca.pem") && error.contains("aire mesh create"), "{error}");

    let (mesh, other) = (Mesh::new("prod"), Mesh::new("prod"));
    let dir = mesh.dir.path().join("ca");
    let member = mesh.member(app("db"), "n1", start());
    let leaf_of = |name: &str| fs::read(other.dir.path().join("ca").join(name)).unwrap();
    member.svid.save(mesh.dir.path()).unwrap();
    let svid = fs::read(mesh.dir.path().join("svid.pem")).unwrap();
    for (file, content) in [
        ("ca.pem", b"".to_vec()),
        ("ca.pem", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_vec()),
        ("ca.pem", svid),
        ("ca.key", b"x".to_vec()),
        ("ca.key", leaf_of("ca.key")),
    ] {
        let path = dir.join(file);
        let good = fs::read(&path).unwrap();
        fs::write(&path, &content).unwrap();
        let error = Authority::open(&dir).unwrap_err();
        assert!(matches!(error, StateError::Corrupt { .. }), "{error}");
        assert!(error.to_string().contains(file) && error.to_string().contains("backup"), "{error}");
        fs::write(&path, good).unwrap();
    }
    Authority::open(&dir).unwrap();
}

#[test]
fn a_damaged_record_is_reported_to_the_operator_but_not_to_the_node() {
    let mesh = Mesh::new("prod");
    let token = mesh.invite(app("db"), 1);
    let key = NodeKey::generate().unwrap();
    let file = mesh.dir.path().join("ca/nodes/n1.json");
    fs::write(&file, "{").unwrap();
    let error = mesh.enrol(&token, "n1", &key, start()).unwrap_err();
    assert!(matches!(error, EnrolError::State(_)) && error.to_string().contains("n1.json"), "{error}");
    assert!(!error.refusal().message.contains("json"));
    fs::remove_file(&file).unwrap();
    mesh.enrol(&token, "n1", &key, start()).unwrap();
}

#[test]
fn what_a_node_keeps_comes_back_or_says_what_is_wrong() {
    let mesh = Mesh::new("prod");
    let member = mesh.member(app("db"), "n1", start());
    let state = mesh.dir.path().join("state");
    let name = || member.svid.identity().mesh.clone();
    assert!(matches!(Svid::load(&state), Err(StateError::Missing { .. })));
    assert!(matches!(TrustBundle::load(&state, name()), Err(StateError::Missing { .. })));
    member.svid.save(&state).unwrap();
    member.bundle.save(&state).unwrap();
    let svid = Svid::load(&state).unwrap();
    assert_eq!(svid, member.svid);
    TrustBundle::load(&state, name()).unwrap().verify(svid.chain(), start()).unwrap();

    for file in ["svid.pem", "bundle.pem"] {
        let half = fs::read_to_string(state.join(file)).unwrap();
        for text in [
            &half[..half.len() / 3],
            "",
            "not PEM",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        ] {
            fs::write(state.join(file), text).unwrap();
            let error = match file {
                "svid.pem" => Svid::load(&state).unwrap_err(),
                _ => TrustBundle::load(&state, name()).unwrap_err(),
            };
            assert!(matches!(error, StateError::Corrupt { .. }), "{error}");
            assert!(error.to_string().contains(file) && error.to_string().contains("token"), "{error}");
        }
    }
}
