//! What a running agent does again and again: reads its policies and its machine, writes its peer cache.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use aire_discovery::{CachedPeer, PeerCache};
use aire_types::{AppProfile, NodeProfile, Posture};
use aire_wire::{CarrierClose, RecordBody, ResetCode};
use parking_lot::Mutex;

use crate::agent::Agent;
use crate::happening::{Happening, Kind};
use crate::incoming::Incoming;
use crate::machine::{LoadMeter, read_posture};
use crate::outgoing::Outgoing;
use crate::run::reachable_addresses;

/// How often policies are looked at; a change cuts streams within a second.
const POLICY_INTERVAL: Duration = Duration::from_millis(250);
/// Before the circuits of streams that were cut are closed, too.
pub(crate) const HEAD_START: Duration = Duration::from_millis(100);
/// How often the machine is measured and the links' round trips are read.
const PROFILE_INTERVAL: Duration = Duration::from_secs(5);
/// How often a draining agent looks whether it has finished.
const DRAIN_INTERVAL: Duration = Duration::from_millis(20);
/// How long the last frames may take to leave.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// The least pause between two looks at whether the peer cache is to be written.
const CACHE_PAUSE: Duration = Duration::from_secs(1);

/// Follows changes of the policy files.
pub(crate) async fn watch_policies(agent: Arc<Agent>) {
    let mut broken = None;
    loop {
        tokio::time::sleep(POLICY_INTERVAL).await;
        let gate = Arc::clone(&agent.gate);
        let Ok(reloaded) = tokio::task::spawn_blocking(move || gate.reload()).await else { continue };
        match reloaded {
            Ok(false) => broken = None,
            Ok(true) => {
                broken = None;
                agent.tell(Happening::new(Kind::PolicyLoaded, "the policies changed".to_owned()));
                agent.reauthorize().await;
            }
            Err(error) => {
                let text = format!("the policies in force stay, because the changed ones are wrong: {error}");
                if broken.as_ref() != Some(&text) {
                    agent.tell(Happening::new(Kind::PolicyInvalid, text.clone()));
                    broken = Some(text);
                }
            }
        }
    }
}

impl Agent {
    /// Cuts what the policies do not allow any more. Streams first: their ends hear why over their carriers, which would
    /// be cut without a word if the circuits went first.
    pub(crate) async fn reauthorize(self: &Arc<Self>) {
        let incoming = self.all_incoming();
        incoming.iter().for_each(|incoming| incoming.reauthorize(self));
        tokio::time::sleep(HEAD_START).await;
        self.control(|now, control| control.reauthorize(now));
    }
}

/// What this node says about itself that does not change with load.
pub(crate) struct OwnRecord {
    addresses: Mutex<Vec<SocketAddr>>,
    app: Mutex<Option<AppProfile>>,
}

impl OwnRecord {
    pub(crate) fn new(app: Option<AppProfile>) -> Self {
        OwnRecord { addresses: Mutex::default(), app: Mutex::new(app) }
    }

    /// The agent listens.
    pub(crate) fn set_addresses(&self, advertise: &[SocketAddr], listen: SocketAddr) {
        self.replace_addresses(reachable_addresses(advertise, listen));
    }

    pub(crate) fn replace_addresses(&self, addresses: Vec<SocketAddr>) {
        *self.addresses.lock() = addresses;
    }

    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.addresses.lock().clone()
    }

    pub(crate) fn app(&self) -> Option<AppProfile> {
        self.app.lock().clone()
    }

    pub(crate) fn set_app(&self, profile: AppProfile) {
        *self.app.lock() = Some(profile);
    }
}

/// Measures the machine and publishes its profile.
pub(crate) async fn publish_profile(agent: Arc<Agent>) {
    let mut meter = LoadMeter::default();
    let mut carried = 0;
    // The first record does not wait for programs; the second one follows with what they say.
    let mut posture = Posture::default();
    for round in 0u64.. {
        let load = meter.read();
        if round % 12 == 11 {
            posture = read_posture().await;
        }
        let bytes = agent.carried_bytes();
        let rate = bytes.saturating_sub(carried) as f64 * 8.0 / PROFILE_INTERVAL.as_secs_f64() / 1e6;
        carried = bytes;
        let node = NodeProfile {
            cpus: load.cpus,
            cpu_load: (load.cpu_load * 20.0).round() / 20.0,
            memory_free_mib: load.memory_free_mib,
            memory_mib: load.memory_mib,
            bandwidth_used_mbps: if round == 0 { 0.0 } else { rate.round() },
            bandwidth_limit_mbps: agent.config.relay_limit_mbps,
            zone: agent.config.zone.clone(),
            posture,
            relays: agent.config.relay,
        };
        let body = RecordBody {
            addresses: agent.own_record.addresses(),
            node,
            app: agent.own_record.app(),
            authority: agent.authority.is_some(),
            draining: agent.is_draining(),
            ..RecordBody::default()
        };
        agent.control(|now, control| {
            control.publish(now, body);
            control.refresh_topology(now);
        });
        if round == 0 {
            posture = read_posture().await;
            continue;
        }
        agent.end_idle_associations();
        tokio::time::sleep(PROFILE_INTERVAL).await;
    }
}

impl Agent {
    /// Associations that nobody uses any more end; so do those with instances that are gone.
    fn end_idle_associations(self: &Arc<Self>) {
        for held in self.all_outgoing() {
            let instance = &held.instance;
            let exists = self.look(|control| {
                control.registry().instances(&instance.app).any(|member| *member.node() == instance.node)
            });
            held.end_if_idle(self, exists);
        }
    }

    /// Bytes that passed through this agent, as a relay or for its app.
    fn carried_bytes(&self) -> u64 {
        let relayed = self.relayed.lock();
        let passed: u64 = relayed
            .values()
            .map(|relayed| {
                let counters = &relayed.counters;
                counters.forward.load(Ordering::Relaxed) + counters.backward.load(Ordering::Relaxed)
            })
            .sum();
        drop(relayed);
        let (into, out) = self.ledger.bytes(self.clock.now());
        let totals = &self.totals;
        passed
            + into
            + out
            + totals.bytes_in.load(Ordering::Relaxed)
            + totals.bytes_out.load(Ordering::Relaxed)
    }
}

/// Remembers the peers for the next start, which may come without warning.
pub(crate) async fn keep_cache(agent: Arc<Agent>, cache: PeerCache) {
    let mut kept = Vec::new();
    loop {
        let changed = agent.topology_changed.notified();
        let peers = linked_peers(&agent);
        let known = |peer: &CachedPeer| kept.iter().any(|kept: &CachedPeer| kept.node == peer.node);
        if !peers.iter().all(known) {
            write_peers(&agent, &cache, peers.clone()).await;
            kept = peers;
        }
        changed.await;
        tokio::time::sleep(CACHE_PAUSE).await;
    }
}

fn linked_peers(agent: &Arc<Agent>) -> Vec<CachedPeer> {
    agent.look(|control| {
        let linked: Vec<_> = control.links().iter().map(|(node, _)| node.clone()).collect();
        linked
            .into_iter()
            .filter_map(|node| {
                let addresses = vec![control.dial_address(&node)?];
                Some(CachedPeer { node, addresses, seen_unix_s: crate::clock::unix_seconds() })
            })
            .collect()
    })
}

/// Writes the peers that are linked now.
pub(crate) async fn save_peers(agent: &Arc<Agent>, cache: PeerCache) {
    let peers = linked_peers(agent);
    if !peers.is_empty() {
        write_peers(agent, &cache, peers).await;
    }
}

async fn write_peers(agent: &Agent, cache: &PeerCache, peers: Vec<CachedPeer>) {
    let cache = cache.clone();
    match tokio::task::spawn_blocking(move || cache.save(&peers)).await {
        Ok(Ok(())) | Err(_) => {}
        Ok(Err(error)) => agent.tell(Happening::new(Kind::Machine, error.to_string())),
    }
}

/// Takes nothing new, lets running streams finish or move, and ends when they have, or when patience runs out.
pub(crate) async fn drain(agent: &Arc<Agent>) {
    agent.draining.store(true, Ordering::Relaxed);
    let open = agent.ledger.len();
    let text = format!("the agent drains: nothing new is taken, {open} streams may finish");
    agent.tell(Happening::new(Kind::Draining, text));
    agent.control(|now, control| control.drain(now));
    for held in agent.all_outgoing() {
        held.association.with_pool(|now, pool| pool.drain(now));
    }
    let quiet = || agent.ledger.len() == 0 && agent.relays_nothing();
    if wait_until(agent.config.drain, quiet).await {
        tracing::info!("all streams have finished");
    }
    // What still runs is told, so that nobody waits for it.
    for held in agent.all_outgoing() {
        held.association.reset_all(ResetCode::Draining);
    }
    let incoming = agent.all_incoming();
    incoming.iter().for_each(|held| held.association.reset_all(ResetCode::Draining));
    let outgoing = agent.all_outgoing();
    let associations = || {
        let outgoing = outgoing.iter().map(|held| &held.association);
        outgoing.chain(incoming.iter().map(|held| &held.association))
    };
    wait_until(LAST_WORDS, || associations().all(|association| association.is_settled())).await;
    associations().for_each(|association| association.close_all(CarrierClose::Draining, "the agent stops"));
    wait_until(LAST_WORDS, || associations().all(|association| association.carriers().is_empty())).await;
    agent.control(|_, control| control.close_links("the agent stops"));
}

/// Looks until `done` or until `patience` has run out; which of the two?
async fn wait_until(patience: Duration, done: impl Fn() -> bool) -> bool {
    let deadline = tokio::time::Instant::now() + patience;
    while !done() {
        if tokio::time::Instant::now() >= deadline {
            return false;
        }
        tokio::time::sleep(DRAIN_INTERVAL).await;
    }
    true
}

impl Agent {
    /// All associations that others opened with this agent.
    pub(crate) fn all_incoming(&self) -> Vec<Arc<Incoming>> {
        self.incoming.lock().values().cloned().collect()
    }

    /// All associations that this agent opened.
    pub(crate) fn all_outgoing(&self) -> Vec<Arc<Outgoing>> {
        self.outgoing.lock().values().cloned().collect()
    }

    /// Carriers of circuits that were closed for the drain go on for a while, so that their streams can move.
    fn relays_nothing(&self) -> bool {
        self.relaying.load(Ordering::Relaxed) == 0
    }
}
