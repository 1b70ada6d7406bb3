//! One contract for all adapters.
#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;
use std::time::Duration;

use aire_discovery::{
    Cache, CachedPeer, Combined, Discovery, Finding, Found, Mdns, Own, Pace, PeerCache, Seeds, Source,
};
use aire_types::{MeshName, NodeName};
use tokio::time::{Instant, timeout, timeout_at};

const PACE: Pace = Pace { first: Duration::from_millis(20), longest: Duration::from_millis(80) };
/// Several of the longest pauses: who says nothing for so long is silent.
const SILENCE: Duration = Duration::from_millis(400);
const PATIENCE: Duration = Duration::from_secs(10);

fn own(node: &str, port: u16) -> Own {
    Own { mesh: mesh(), node: NodeName::new(node).unwrap(), port }
}

fn mesh() -> MeshName {
    MeshName::new("contract").unwrap()
}

async fn found(adapter: &mut dyn Discovery) -> Found {
    loop {
        match timeout(PATIENCE, adapter.next()).await.expect("a finding in time").expect("no end") {
            Finding::Found(found) => return found,
            Finding::Trouble(trouble) => eprintln!("trouble: {trouble}"),
        }
    }
}

/// Waits for one of the addresses again; more than one of them may come first.
async fn found_again(adapter: &mut dyn Discovery, address: SocketAddr) {
    let deadline = Instant::now() + PATIENCE;
    while found(adapter).await.address != address {
        assert!(Instant::now() < deadline, "{address} was not found again");
    }
}

/// No address that matters is found for a while.
async fn silent_about(adapter: &mut dyn Discovery, matters: impl Fn(&Found) -> bool) -> bool {
    let deadline = Instant::now() + SILENCE;
    loop {
        match timeout_at(deadline, adapter.next()).await {
            Ok(Some(Finding::Found(found))) if matters(&found) => return false,
            Ok(Some(Finding::Found(_))) => {}
            Ok(Some(Finding::Trouble(trouble))) => eprintln!("trouble: {trouble}"),
            Ok(None) | Err(_) => return true,
        }
    }
}

/// What every adapter promises. `adapter` must come to know exactly one other agent, the node `expected` where it
/// knows names at all.
async fn contract(adapter: &mut dyn Discovery, source: Source, expected: Option<&str>) {
    adapter.announce(&own("me", 7400));
    let first = found(adapter).await;
    assert_eq!(first.source, source);
    assert_eq!(first.node.as_ref().map(NodeName::as_str), expected);

    // Not linked: again and again, and a dropped future loses nothing.
    for _ in 0..50 {
        drop(adapter.next());
        if let Ok(finding) = timeout(Duration::from_millis(1), adapter.next()).await {
            assert!(finding.is_some());
        }
    }
    found_again(adapter, first.address).await;

    // Linked: silence. One agent may be reached at several addresses; all of them are linked here.
    let deadline = Instant::now() + PATIENCE;
    adapter.linked(first.address);
    while let Ok(Some(Finding::Found(other))) = timeout(SILENCE, adapter.next()).await {
        assert!(Instant::now() < deadline, "never silent: {other:?}");
        assert_ne!(other.address, first.address, "found while linked");
        assert_eq!(other.node, first.node);
        adapter.linked(other.address);
    }

    // Lost: soon again.
    adapter.lost(first.address);
    assert_eq!(found(adapter).await.address, first.address);

    // What was never found does no harm.
    let stranger = "192.0.2.200:1".parse().unwrap();
    adapter.linked(stranger);
    adapter.lost(stranger);
    adapter.linked(first.address);
    assert!(silent_about(adapter, |found| found.address == first.address).await);
}

#[tokio::test]
async fn seeds_keep_the_contract() {
    let mut seeds = Seeds::new(["127.0.0.1:7401".to_owned()], PACE).unwrap();
    contract(&mut seeds, Source::Seed, None).await;
    let mut named = Seeds::new(["localhost:7401".to_owned()], PACE).unwrap();
    contract(&mut named, Source::Seed, None).await;
}

fn cache_of(directory: &tempfile::TempDir) -> PeerCache {
    let cache = PeerCache::new(directory.path().join("peers.json"));
    let peer = |node: &str, ports: &[u16]| CachedPeer {
        node: NodeName::new(node).unwrap(),
        addresses: ports.iter().map(|&port| SocketAddr::from(([127, 0, 0, 1], port))).collect(),
        seen_unix_s: 1,
    };
    cache.save(&[peer("other", &[7401, 7402]), peer("me", &[7400])]).unwrap();
    cache
}

#[tokio::test]
async fn the_cache_keeps_the_contract() {
    let directory = tempfile::tempdir().unwrap();
    let mut cache = Cache::open(&cache_of(&directory), PACE);
    contract(&mut cache, Source::Cache, Some("other")).await;
}

#[tokio::test]
async fn adapters_together_keep_the_contract() {
    let directory = tempfile::tempdir().unwrap();
    let none = Seeds::new([], PACE).unwrap();
    let mut both = Combined::new().with(none).with(Cache::open(&cache_of(&directory), PACE));
    contract(&mut both, Source::Cache, Some("other")).await;
    assert_eq!(Combined::new().next().await, None);
}

#[tokio::test]
async fn no_adapter_silences_another() {
    let busy = |port: u16| {
        let pace = Pace { first: Duration::ZERO, longest: Duration::ZERO };
        Seeds::new([format!("127.0.0.1:{port}")], pace).unwrap()
    };
    let mut both = Combined::new().with(busy(7401)).with(busy(7402));
    for port in [7401, 7402] {
        found_again(&mut both, SocketAddr::from(([127, 0, 0, 1], port))).await;
    }
}

/// A UDP port of its own for each test, so that neither other tests nor agents on this network are heard.
fn free_port() -> u16 {
    std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// An agent on multicast DNS that is asked all the time, until it is dropped.
struct Running(tokio::task::JoinHandle<()>);

impl Running {
    fn start(mut adapter: Mdns) -> Self {
        Running(tokio::spawn(async move { while adapter.next().await.is_some() {} }))
    }

    async fn stop(mut self) {
        self.0.abort();
        let ended = (&mut self.0).await;
        assert!(ended.is_err_and(|error| error.is_cancelled()));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Whether programs on this machine hear each other over multicast; says loudly when not.
async fn multicast_works(adapter: &mut Mdns) -> bool {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match timeout_at(deadline, adapter.next()).await {
            Ok(Some(Finding::Found(_))) => return true,
            Ok(Some(Finding::Trouble(trouble))) => eprintln!("trouble: {trouble}"),
            Ok(None) | Err(_) => {
                eprintln!("SKIPPED: MULTICAST DOES NOT WORK ON THIS MACHINE, multicast DNS was not tested");
                let required = std::env::var_os("AIRE_REQUIRE_MULTICAST").is_some();
                assert!(!required, "AIRE_REQUIRE_MULTICAST is set and multicast does not work");
                return false;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn multicast_dns_keeps_the_contract() {
    let port = free_port();
    let agent = |mesh: &str, node: &str, own_port| {
        let mesh = MeshName::new(mesh).unwrap();
        let mut adapter = Mdns::browse_on(mesh.clone(), PACE, port);
        adapter.announce(&Own { mesh, ..own(node, own_port) });
        adapter
    };
    let _other = Running::start(agent("contract", "other", 7401));
    let mut adapter = agent("contract", "me", 7400);
    if !multicast_works(&mut adapter).await {
        return;
    }
    contract(&mut adapter, Source::Mdns, Some("other")).await;

    // Somebody new is found, and forgotten when they say goodbye.
    let new = Running::start(agent("contract", "new", 7403));
    let is_new = |found: &Found| found.node.as_ref().is_some_and(|node| node.as_str() == "new");
    while !is_new(&found(&mut adapter).await) {}
    new.stop().await;
    let gone = async { while !silent_about(&mut adapter, is_new).await {} };
    timeout(PATIENCE, gone).await.expect("who says goodbye is not found any more");

    // Two more of another mesh find each other, so their announcements are heard; we ignore them, and they us.
    let _stranger = Running::start(agent("elsewhere", "stranger", 7404));
    let mut second = agent("elsewhere", "second", 7405);
    for _ in 0..20 {
        assert_eq!(found(&mut second).await.node, Some(NodeName::new("stranger").unwrap()));
    }
    let is_ours = |found: &Found| found.node.as_ref().is_some_and(|node| node.as_str() == "other");
    assert!(silent_about(&mut adapter, |found| !is_ours(found)).await);
}
