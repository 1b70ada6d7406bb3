//! Identities from a SPIFFE Workload API.

use std::time::{Duration, SystemTime};

use crate::api::{Api, answer};
use crate::pki::Pki;
use crate::stage::{CLIENT, SERVER, Two, echo, fresh, refused};

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn agents_live_on_a_workload_api_that_renews_leaves_and_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let now = SystemTime::now();
    let root = Pki::new("spire", now - 2 * HOUR);
    let pki = root.intermediate(now - HOUR);
    let socket = |node: &str| folder.path().join(format!("{node}.sock"));
    let serve = |node: &str, id: &str| Api::start(&socket(node), answer(&[(id, &fresh(&pki, id))], &[&root]));
    let (first, second) = (serve("n1", SERVER), serve("n2", CLIENT));
    let two = Two::start(|node| vec!["--spiffe".to_owned(), format!("unix://{}", socket(node).display())]);
    let mut stream = two.connect();
    assert_eq!(two.client.status()["identity_source"], "workload-api");
    assert_eq!(two.client.status()["id"], CLIENT);

    // Renewed, with a new key, and among other identities of the same process.
    let other = "spiffe://example.org/ns/default/sa/other";
    for (api, id) in [(&first, SERVER), (&second, CLIENT)] {
        api.issue(answer(&[(other, &fresh(&pki, other)), (id, &fresh(&pki, id))], &[&root]));
    }
    two.renewed(1);
    echo(&mut stream, b"renewed").unwrap();
    echo(&mut two.connect(), b"a new stream").unwrap();

    // What is not of this node is refused, and what it has stays in force.
    first.issue(answer(&[(other, &fresh(&pki, other))], &[&root]));
    two.server.trouble("spiffe://example.org/ns/default/sa/other, and this node needs");
    let foreign = "spiffe://example.com/app/echo/n1";
    first.issue(answer(&[(foreign, &fresh(&pki, foreign))], &[&root]));
    two.server.trouble("restart the agent");

    drop((first, second));
    two.server.trouble("no SPIFFE Workload API answers");
    two.client.trouble("no SPIFFE Workload API answers");
    echo(&mut stream, b"without it").unwrap();
    let _back = (serve("n1", SERVER), serve("n2", CLIENT));
    two.renewed(2);
    two.server.no_trouble();
    two.client.no_trouble();
    echo(&mut stream, b"with it again").unwrap();
    two.was_calm();
}

#[test]
fn what_keeps_the_api_from_giving_an_identity_is_said_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let now = SystemTime::now();
    let (pki, wrong) = (Pki::new("spire", now - HOUR), Pki::new("other", now - HOUR));
    let socket = folder.path().join("api.sock");
    let says = |arguments: &[&str], parts: &[&str]| {
        let flag = format!("unix://{}", socket.display());
        let text = refused(&[&["--spiffe", &flag], arguments].concat());
        for part in parts {
            assert!(text.contains(part), "'{part}' in {text}");
        }
    };
    says(&[], &["no SPIFFE Workload API answers", "api.sock", "check that the SPIRE agent runs"]);
    let api = Api::start(&socket, answer(&[], &[]));
    says(&[], &["no identity for this process", "spire-server entry create"]);
    let odd = "spiffe://example.org/ns/default/sa/echo";
    api.issue(answer(&[(odd, &fresh(&pki, odd))], &[&pki]));
    says(&[], &[odd, "this node needs spiffe://MESH/app/APP/n1 or spiffe://MESH/relay/n1"]);
    api.issue(answer(&[(SERVER, &fresh(&pki, SERVER))], &[&pki]));
    says(&["--app", "db=127.0.0.1:9"], &[SERVER, "this node needs spiffe://MESH/app/db/n1"]);
    api.issue(answer(&[(SERVER, &fresh(&pki, SERVER))], &[&wrong]));
    says(&[], &["not issued by any of the given authorities"]);
    let old = pki.issue(SERVER, now - HOUR, now - HOUR / 2);
    api.issue(answer(&[(SERVER, &old)], &[&pki]));
    says(&[], &["expired 30 min ago"]);
}
