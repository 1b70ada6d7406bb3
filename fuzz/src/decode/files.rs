//! What lies on disk, which a failing disk or an operator may have changed: models in their envelopes, keys and
//! certificates, the peer cache, and what an authority remembers.

use std::io::Write;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use aire_agent::{ModelError, open_model};
use aire_brain::model::Artefact;
use aire_discovery::{CachedPeer, MAX_ADDRESSES, MAX_PEERS, PeerCache};
use aire_identity::{Authority, Files, NodeKey, fuzzing};
use aire_types::{AppName, NodeName, Role};
use ring::signature::{Ed25519KeyPair, KeyPair};
use tempfile::NamedTempFile;

use super::split;

/// Where the artefact begins in its envelope, and its signature before it.
const SIGNATURE: usize = 8 + 1 + 32;
const ARTEFACT: usize = SIGNATURE + 64;

pub(crate) fn run(input: &[u8]) {
    let (kind, rest) = split(input);
    match kind % 5 {
        0 => model(rest),
        1 => identity(rest),
        2 => key(rest),
        3 => peers(rest),
        _ => {
            fuzzing::invite(rest);
            fuzzing::node(rest);
        }
    }
}

fn signer() -> &'static Ed25519KeyPair {
    static SIGNER: OnceLock<Ed25519KeyPair> = OnceLock::new();
    SIGNER.get_or_init(|| Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("invariant: 32 bytes"))
}

/// As it is trusted.
fn public_key() -> &'static str {
    static KEY: OnceLock<String> = OnceLock::new();
    let shown = || signer().public_key().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    KEY.get_or_init(shown)
}

/// Whatever it is, with a right signature.
fn sealed(artefact: &[u8]) -> Vec<u8> {
    let head = [&b"AIREMODL\x01"[..], signer().public_key().as_ref()].concat();
    let signature = signer().sign(&[&head[..], artefact].concat());
    [&head[..], signature.as_ref(), artefact].concat()
}

/// Only what a trusted key signed is read at all.
fn model(bytes: &[u8]) {
    if open_model(bytes, [public_key()]).is_ok() {
        assert_eq!(sealed(&bytes[ARTEFACT..]), bytes, "nobody signed it");
    }
    assert!(open_model(bytes, []).is_err(), "nobody is trusted");
    let sealed = sealed(bytes);
    match open_model(&sealed, [public_key()]) {
        Ok(artefact) => assert_eq!(Artefact::decode(bytes), Ok(artefact)),
        Err(ModelError::Artefact(_)) => {}
        Err(other) => panic!("its envelope is right: {other}"),
    }
}

fn file(content: &[u8]) -> NamedTempFile {
    let mut file = NamedTempFile::new().expect("a temporary file");
    file.write_all(content).expect("room for a file");
    file
}

/// Certificate, key and roots, all of one file. What is taken belongs together.
fn identity(text: &[u8]) {
    let file = file(text);
    let path = || file.path().to_owned();
    let files = Files { certificate: path(), key: path(), ca: path() };
    match files.load(SystemTime::now()) {
        Ok(issued) => {
            assert_eq!(issued.svid.public_key(), issued.key.public_key());
            assert_eq!(issued.roots, issued.svid.chain());
        }
        Err(error) => assert!(error.to_string().contains(&*path().to_string_lossy()), "{error}"),
    }
}

/// A key that was read can be used.
fn key(text: &[u8]) {
    let Ok(key) = NodeKey::from_pem(text) else { return };
    let signature = key.sign(text).expect("random numbers");
    assert_eq!(key.public_key().verify_signature(text, &signature), Ok(()));
}

fn peers(content: &[u8]) {
    let file = file(content);
    match PeerCache::new(file.path()).load() {
        Ok(peers) => {
            assert!(peers.len() <= MAX_PEERS, "{} peers", peers.len());
            let most = peers.iter().map(|peer| peer.addresses.len()).max();
            assert!(most <= Some(MAX_ADDRESSES), "{most:?} addresses of one peer");
        }
        Err(error) => assert!(error.to_string().contains("is begun anew"), "{error}"),
    }
}

/// The first file of a folder, with the byte that picks its decoder before it.
fn found(kind: u8, folder: &std::path::Path) -> Option<Vec<u8>> {
    let entry = std::fs::read_dir(folder).ok()?.flatten().next()?;
    Some([&[kind], &*std::fs::read(entry.path()).ok()?].concat())
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (dir, now) = (folder.path(), SystemTime::now());
    let (app, node) = (AppName::new("db").expect("a name"), NodeName::new("n1").expect("a name"));
    let authority = Authority::create(dir, "m".parse().expect("a name"), now).expect("an authority");
    let scope = aire_identity::Scope::App(app.clone());
    authority.invite(scope, Duration::from_secs(60), 1, Vec::new(), now).expect("a token");
    let key = NodeKey::generate().expect("a key");
    let svid = authority.issue_own(&node, Role::App(app), &key, now).expect("a certificate");
    let state = dir.join("state");
    key.save(&state).expect("room for a key");
    svid.save(&state).expect("room for a certificate");
    let read = |name: &str| std::fs::read(state.join(name)).expect("it was written");
    let cache = PeerCache::new(state.join("peers.json"));
    let addresses = vec![
        "192.0.2.1:7117".parse().expect("an address"),
        "[2001:db8::1]:7117".parse().expect("an address"),
    ];
    cache.save(&[CachedPeer { node, addresses, seen_unix_s: 1 }]).expect("room for a cache");
    let zero = Artefact::untrained("zero").encode();
    let mut seeds = vec![
        [&[0], &*sealed(&zero)].concat(),
        [&[0], &*zero].concat(),
        [&[1], &*read("svid.pem"), &*read("node.key")].concat(),
        [&[2], &*read("node.key")].concat(),
        [&[3], &*read("peers.json")].concat(),
    ];
    seeds.extend(["invites", "nodes"].iter().filter_map(|kept| found(4, &dir.join(kept))));
    seeds
}
