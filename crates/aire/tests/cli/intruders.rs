//! Those who must get nowhere: strangers, apps and relays without a policy, and a member that lies.

use std::any::Any;
use std::fs;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aire_identity::{EnrolRequest, NodeKey, Svid, TrustBundle};
use aire_lab::emulate::free_addresses;
use aire_net::{
    Carrier, Credentials, Endpoint, Enrolled, Handler, Link, LinkEvent, LinkEvents, NetEvent, PeerInfo,
    PreambleVerdict, Purpose, Underlay,
};
use aire_wire::{ALPN_CARRIER, ALPN_LINK, Message, Preamble, Record};
use rustls::pki_types::CertificateDer;
use serde_json::Value;

use crate::stage::{Agent, aire, done, get, read_out, service, stderr, wait_for};

/// A mesh in a folder of its own, whose authority runs on the node `hub`.
pub(crate) struct Mesh {
    folder: tempfile::TempDir,
    name: &'static str,
    pub(crate) seed: SocketAddr,
    pub(crate) hub: Agent,
}

impl Mesh {
    /// `seeds` are addresses of others that the hub looks for.
    pub(crate) fn create(name: &'static str, seeds: &[SocketAddr]) -> Self {
        let seeds: Vec<String> = seeds.iter().map(SocketAddr::to_string).collect();
        let flags: Vec<&str> = seeds.iter().flat_map(|seed| ["--seed", seed.as_str()]).collect();
        Self::create_with(name, &flags)
    }

    /// `flags` are more arguments of the hub.
    pub(crate) fn create_with(name: &'static str, flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("mesh").display().to_string();
        done(&["mesh", "create", name, "--dir", &dir]);
        let [seed, admin] = addresses();
        let state = folder.path().join("hub.state").display().to_string();
        let (listen, policy) = (seed.to_string(), format!("{dir}/policy.cedar"));
        let mut arguments = vec!["--node", "hub", "--listen", &listen, "--state", &state];
        arguments.extend(["--authority", &dir, "--policy", &policy]);
        arguments.extend(flags);
        let hub = Agent::start(admin, &arguments);
        Mesh { folder, name, seed, hub }
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    pub(crate) fn token(&self, scope: &[&str]) -> String {
        let (dir, seed) = (self.path("mesh"), self.seed.to_string());
        done(&[&["mesh", "invite", "--dir", &dir, "--seed", &seed], scope].concat()).trim().to_owned()
    }

    /// Starts a member with the starter policy and what `policy` adds.
    pub(crate) fn member(&self, node: &str, scope: &[&str], policy: &str, flags: &[&str]) -> Agent {
        let [listen] = addresses();
        self.member_at(node, listen, scope, policy, flags)
    }

    /// The same at this address.
    pub(crate) fn member_at(
        &self,
        node: &str,
        listen: SocketAddr,
        scope: &[&str],
        policy: &str,
        flags: &[&str],
    ) -> Agent {
        let token = self.token(scope);
        let [admin] = addresses();
        let own = self.path(&format!("{node}.cedar"));
        let starter = fs::read_to_string(self.path("mesh/policy.cedar")).unwrap();
        fs::write(&own, format!("{starter}\n{policy}\n")).unwrap();
        let (listen, state) = (listen.to_string(), self.path(&format!("{node}.state")));
        let mut arguments = vec!["--node", node, "--listen", &listen, "--state", &state];
        arguments.extend(["--join", &token, "--policy", &own]);
        arguments.extend(flags);
        Agent::start(admin, &arguments)
    }
}

pub(crate) fn addresses<const N: usize>() -> [SocketAddr; N] {
    free_addresses(N).unwrap().try_into().unwrap()
}

pub(crate) fn json(agent: &Agent, command: &str) -> Value {
    serde_json::from_str(&agent.ask(&[command, "--json"])).unwrap()
}

/// The event of this kind that `fits`; waits for it.
pub(crate) fn event(agent: &Agent, kind: &str, fits: impl Fn(&Value) -> bool) -> Value {
    wait_for(&format!("the event {kind}"), || {
        let events = agent.ask(&["events", "--json"]);
        let mut events = events.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        events.find(|event| event["kind"] == kind && fits(event))
    })
}

pub(crate) fn says<'a>(key: &'a str, part: &'a str) -> impl Fn(&Value) -> bool + 'a {
    move |event| event[key].as_str().is_some_and(|text| text.contains(part))
}

/// What a stranger gets for `bytes`: everything until the end, within the deadline of a read.
pub(crate) fn answer_to(bytes: &[u8], at: SocketAddr) -> Vec<u8> {
    let mut stream = TcpStream::connect(at).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(bytes).unwrap();
    read_out(&mut stream)
}

#[test]
fn strangers_are_not_spoken_to() {
    let mesh = Mesh::create("prod", &[]);
    let garbage = [b"GET / HTTP/1.1\r\nHost: mesh\r\n\r\n".as_slice(), &[0x41; 200]].concat();
    assert_eq!(answer_to(&garbage, mesh.seed), b"");
    event(&mesh.hub, "stranger-rejected", says("who", "127.0.0.1:"));

    // TLS as everybody speaks it, with the right protocol and even the right authority in mind.
    let token = aire_identity::Token::parse(&mesh.token(&["--relay"])).unwrap();
    let config = aire_identity::enrol_client_config(token.mesh(), token.ca(), &[ALPN_LINK]).unwrap();
    let name = "peer.aire.invalid".try_into().unwrap();
    let mut client = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let mut hello = Vec::new();
    client.write_tls(&mut hello).unwrap();
    assert_eq!(answer_to(&hello, mesh.seed), b"");

    let strangers = || {
        let events = mesh.hub.ask(&["events", "--json"]);
        events.lines().filter(|line| line.contains("stranger-rejected")).count()
    };
    wait_for("an event for each stranger", || (strangers() >= 2).then_some(()));
    assert_eq!(json(&mesh.hub, "status")["peers"], 0);
}

#[test]
fn members_of_another_mesh_are_strangers() {
    let mesh = Mesh::create("prod", &[]);
    // Its name is the same, its authority is not.
    let other = Mesh::create("prod", &[mesh.seed]);
    assert_eq!(other.name, mesh.name);
    event(&mesh.hub, "stranger-rejected", says("what", "handshake"));
    event(&other.hub, "stranger-rejected", |event| says("who", &mesh.seed.to_string())(event));
    assert_eq!(json(&mesh.hub, "status")["peers"], 0);
    assert_eq!(json(&other.hub, "status")["peers"], 0);
}

#[test]
fn a_token_opens_the_mesh_as_often_as_it_says() {
    let mesh = Mesh::create("prod", &[]);
    let token = mesh.token(&["--relay"]);
    let [first, first_admin, second, second_admin] = addresses();
    let run = |node: &str, listen: SocketAddr| {
        let state = mesh.path(&format!("{node}.state"));
        ["--node", node, "--listen", &listen.to_string(), "--state", &state, "--join", &token]
            .map(str::to_owned)
    };
    let arguments = run("r1", first);
    let _r1 = Agent::start(first_admin, &arguments.each_ref().map(String::as_str));
    let arguments = run("r2", second);
    let admin = second_admin.to_string();
    let mut words = vec!["run", "--no-multicast", "--admin", &admin];
    words.extend(arguments.iter().map(String::as_str));
    let refused = aire(&words);
    assert_eq!(refused.status.code(), Some(1), "{}", stderr(&refused));
    event(&mesh.hub, "enrolment-refused", says("who", "127.0.0.1:"));
    let peers = json(&mesh.hub, "peers");
    assert!(peers.as_array().unwrap().iter().all(|peer| peer["node"] != "r2"), "{peers}");
}

#[test]
fn policy_decides_about_apps_and_relays() {
    let mesh = Mesh::create("prod", &[]);
    let permit =
        r#"permit(principal == App::"client", action == Action::"connect", resource == App::"web");"#;
    let target = format!("web={}", service("200 OK", "it works"));
    let web = mesh.member("w", &["--app", "web"], permit, &["--app", &target]);
    let forbid = r#"forbid(principal, action == Action::"relay", resource == Node::"r1");"#;
    let r1 = mesh.member("r1", &["--relay"], forbid, &[]);
    let _r2 = mesh.member("r2", &["--relay"], "", &[]);
    let [door, back_door] = addresses();
    let to = format!("web={door}");
    let client = mesh.member("c", &["--app", "client"], "", &["--app", "client=127.0.0.1:9", "--to", &to]);
    let to = format!("web={back_door}");
    let thief = mesh.member("t", &["--app", "thief"], "", &["--app", "thief=127.0.0.1:9", "--to", &to]);

    let works = Some((200, "it works".to_owned()));
    wait_for("an answer for the client", || {
        get(door, "/").ok().filter(|answer| Some(answer) == works.as_ref())
    });

    // An app that no policy names: nothing arrives, and both ends say so.
    assert!(get(back_door, "/").is_err());
    event(&web, "circuit-denied", |event| event["app"] == "web" && says("who", "t")(event));
    event(&thief, "circuit-refused", |event| event["app"] == "web");

    // A relay that policy excludes: refused there, said here, and another one is used.
    wait_for("a path over the other relay", || {
        let ping = aire(&["ping", "web", "--via", "r2", "--admin", &client.admin]);
        ping.status.success().then_some(())
    });
    let refused = aire(&["ping", "web", "--via", "r1", "--admin", &client.admin]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("r1"), "{}", stderr(&refused));
    event(&r1, "circuit-denied", says("who", "c"));
    event(&client, "circuit-refused", says("who", "r1"));
    let explained = client.ask(&["explain", "web"]);
    let via = |relay: &str| explained.lines().find(|line| line.contains(&format!("via {relay} "))).unwrap();
    assert!(via("r1").contains("refused"), "{explained}");
    assert!(!via("r2").contains("refused"), "{explained}");
}

/// What a member keeps on its disk, in the hands of somebody who does not follow the protocol.
pub(crate) struct Liar {
    pub(crate) key: NodeKey,
    pub(crate) svid: Svid,
    pub(crate) trust: TrustBundle,
}

impl Liar {
    /// `dir` is the state folder of the agent that the identity was given to.
    pub(crate) fn from_state(dir: &Path) -> Self {
        let svid = Svid::load(dir).unwrap();
        let trust = TrustBundle::load(dir, svid.identity().mesh.clone()).unwrap();
        Liar { key: NodeKey::load(dir).unwrap(), svid, trust }
    }

    pub(crate) fn client(&self, alpn: &[u8]) -> Arc<rustls::ClientConfig> {
        Arc::new(aire_identity::client_config(&self.svid, &self.key, &self.trust, &[alpn]).unwrap())
    }
}

impl Credentials for Liar {
    fn link_client(&self) -> Arc<rustls::ClientConfig> {
        self.client(ALPN_LINK)
    }

    fn carrier_client(&self) -> Arc<rustls::ClientConfig> {
        self.client(ALPN_CARRIER)
    }

    fn server(&self, _purpose: Purpose) -> Option<Arc<rustls::ServerConfig>> {
        let server = aire_identity::server_config(&self.svid, &self.key, &self.trust, &[ALPN_LINK]);
        Some(Arc::new(server.unwrap()))
    }

    fn knock_key(&self) -> [u8; 32] {
        [0; 32]
    }

    fn peer(&self, chain: &[CertificateDer<'_>]) -> Result<PeerInfo, String> {
        let verified = self.trust.verify(chain, SystemTime::now()).map_err(|error| error.to_string())?;
        let leaf = chain[0].to_vec();
        Ok(PeerInfo { identity: verified.identity().clone(), leaf, not_after: verified.not_after() })
    }
}

/// Nobody is answered.
struct Deaf;

impl Handler for Deaf {
    fn check_preamble(&self, _: &Preamble, _: SocketAddr) -> PreambleVerdict {
        PreambleVerdict::Refuse("nobody is answered".to_owned())
    }

    fn link(&self, _: Link, _: LinkEvents) {}

    fn carrier(&self, _: Carrier, _: Box<dyn Any + Send>) {}

    fn enrol(&self, _: Vec<u8>, _: SocketAddr) -> Enrolled {
        Box::pin(async { None })
    }

    fn event(&self, _: NetEvent) {}
}

/// The record of `node` that the peer at the other end of the link holds.
async fn record_of(node: &str, link: &Link, events: &mut LinkEvents) -> Record {
    link.send(Message::Want(vec![node.parse().unwrap()]).encode()).unwrap();
    let owner =
        |record: &Record| aire_identity::claimed_identity(&record.certificates).map(|owner| owner.node);
    let heard = async {
        loop {
            let Some(LinkEvent::Message(bytes)) = events.recv().await else { continue };
            let Ok(Message::Gossip(records)) = Message::decode(&bytes) else { continue };
            let wanted = |record: &Record| owner(record).is_some_and(|owner| owner.as_str() == node);
            if let Some(record) = records.into_iter().find(wanted) {
                return record;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), heard).await.expect("no gossip about the node")
}

#[test]
fn a_member_speaks_for_itself_alone() {
    let mesh = Mesh::create("prod", &[]);
    let target = format!("web={}", service("200 OK", "it works"));
    let _web = mesh.member("w", &["--app", "web"], "", &["--app", &target]);
    drop(mesh.member("m", &["--relay"], "", &[]));
    let honest = wait_for("knowledge of the victim", || {
        let peers = json(&mesh.hub, "peers");
        let victim = peers.as_array()?.iter().find(|peer| peer["node"] == "w")?.clone();
        (!victim["addresses"].as_array()?.is_empty()).then_some(victim)
    });

    let state = mesh.path("m.state");
    let (state, victim) = (Path::new(&state), "spiffe://prod/app/web/w".parse().unwrap());
    let key = NodeKey::load(state).unwrap();
    let stolen = EnrolRequest::renewal(&victim, &key).unwrap().encode();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _link = runtime.block_on(async {
        let (local, liar) = ("127.0.0.1:0".parse().unwrap(), Arc::new(Liar::from_state(state)));
        let endpoint = Endpoint::bind(local, Underlay::new(), liar, Arc::new(Deaf)).unwrap();
        let (link, mut events) = endpoint.dial_link(mesh.seed).await.unwrap();
        let mut forged = record_of("w", &link, &mut events).await;
        let mut body = forged.parse_body().unwrap();
        body.addresses = vec![endpoint.local_addr()];
        forged.body = serde_json::to_vec(&body).unwrap();
        forged.sequence += 1000;
        forged.signature = key.sign(&forged.signed()).unwrap();
        link.send(Message::Gossip(vec![forged]).encode()).unwrap();
        link.send(Message::Renewal(stolen).encode()).unwrap();
        (link, events, endpoint)
    });
    event(&mesh.hub, "record-rejected", |event| event["who"] == "m" && says("what", "record of w")(event));
    event(&mesh.hub, "enrolment-refused", |event| event["who"] == "m");
    let peers = json(&mesh.hub, "peers");
    let victim = peers.as_array().unwrap().iter().find(|peer| peer["node"] == "w").unwrap();
    assert_eq!(victim["addresses"], honest["addresses"]);
}
