//! Identities in files.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rustls_pki_types::CertificateDer;

use crate::pki::{Pair, Pki, pem};
use crate::stage::{CLIENT, SERVER, Two, echo, fresh, refused};

const HOUR: Duration = Duration::from_secs(3600);

/// The files of one node.
struct Folder<'a>(&'a Path, &'a str);

impl Folder<'_> {
    fn path(&self, what: &str) -> String {
        self.0.join(format!("{}.{what}", self.1)).display().to_string()
    }

    fn flags(&self) -> Vec<String> {
        let flags = [("--identity-cert", "cert"), ("--identity-key", "key"), ("--identity-ca", "ca")];
        flags.into_iter().flat_map(|(flag, what)| [flag.to_owned(), self.path(what)]).collect()
    }

    fn pair(&self, pair: &Pair) {
        replace(&self.path("cert"), &pem(&pair.chain));
        replace(&self.path("key"), &pair.key.serialize_pem());
    }

    fn roots(&self, roots: &[&Pki]) {
        let roots: Vec<CertificateDer<'_>> = roots.iter().map(|pki| pki.root.clone()).collect();
        replace(&self.path("ca"), &pem(&roots));
    }
}

fn replace(path: &str, text: &str) {
    let new = format!("{path}.new");
    fs::write(&new, text).unwrap();
    fs::rename(new, path).unwrap();
}

#[test]
fn roots_and_pairs_change_under_a_running_stream() {
    let folder = tempfile::tempdir().unwrap();
    let now = SystemTime::now();
    let (old, new) = (Pki::new("old", now - 2 * HOUR), Pki::new("new", now - HOUR));
    let nodes = [("n1", SERVER), ("n2", CLIENT)];
    let write = |pki: &Pki| {
        for (node, id) in nodes {
            Folder(folder.path(), node).pair(&fresh(pki, id));
        }
    };
    let trust = |roots: &[&Pki]| nodes.map(|(node, _)| Folder(folder.path(), node).roots(roots));
    trust(&[&old]);
    write(&old.intermediate(now - HOUR));
    let two = Two::start(|node| Folder(folder.path(), node).flags());
    let mut stream = two.connect();
    assert_eq!(two.server.status()["identity_source"], "files");
    assert_eq!(two.server.status()["id"], SERVER);

    trust(&[&new, &old]);
    two.renewed(1);
    echo(&mut stream, b"both roots").unwrap();
    write(&new.intermediate(now - HOUR));
    // A pair may be seen when the half of it is written, which is no renewal.
    two.renewed(2);
    trust(&[&new]);
    two.renewed(3);
    echo(&mut stream, b"the new root").unwrap();
    echo(&mut two.connect(), b"a new stream").unwrap();

    let (node, right) = (Folder(folder.path(), "n1"), fresh(&new, SERVER));
    replace(&node.path("key"), &fresh(&new, SERVER).key.serialize_pem());
    two.server.trouble("mixed up");
    assert!(two.server.events("renewal-failed") > 0);
    node.pair(&fresh(&new, "spiffe://example.org/app/other/n1"));
    two.server.trouble("restart the agent");
    node.pair(&fresh(&new, "spiffe://example.com/app/echo/n1"));
    two.server.trouble("restart the agent");
    node.pair(&new.issue(SERVER, now - HOUR, now - HOUR / 2));
    two.server.trouble("expired");
    fs::remove_file(node.path("cert")).unwrap();
    two.server.trouble("does not exist");
    node.pair(&right);
    two.server.no_trouble();
    echo(&mut stream, b"right again").unwrap();
    two.was_calm();
}

#[test]
fn what_is_wrong_at_the_start_is_said_with_whose_fault_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let now = SystemTime::now();
    let (pki, other) = (Pki::new("right", now - HOUR), Pki::new("wrong", now - HOUR));
    let node = Folder(folder.path(), "n1");
    let refused = || {
        let flags = node.flags();
        refused(&flags.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let says = |part: &str| {
        let text = refused();
        assert!(text.contains(part), "'{part}' in {text}");
    };
    says("does not exist");
    node.roots(&[&other]);
    node.pair(&fresh(&pki, SERVER));
    says("not issued by any of the given authorities");
    node.roots(&[&pki]);
    fs::write(node.path("key"), fresh(&pki, SERVER).key.serialize_pem()).unwrap();
    says("the key is not that of the certificate");
    fs::write(node.path("key"), "-----BEGIN PRIVATE KEY-----\n").unwrap();
    says("no readable private key");
    node.pair(&pki.issue_for(SERVER, &rcgen::PKCS_ED25519, now - HOUR, now + HOUR));
    says("not ECDSA P-256");
    node.pair(&pki.issue(SERVER, now - HOUR, now - HOUR / 2));
    says("expired 30 min ago");
    node.pair(&fresh(&pki, "spiffe://example.org/ns/default/sa/echo"));
    says("is not spiffe://MESH/app/APP/NODE");
    node.pair(&fresh(&pki, "spiffe://example.org/app/echo/n7"));
    says("but node n1 is asked for");
    fs::write(node.path("ca"), "nothing").unwrap();
    says("holds no certificates");
    fs::remove_file(node.path("ca")).unwrap();
    fs::create_dir(node.path("ca")).unwrap();
    says("cannot read");
}
