//! What a running agent does again and again: reads its policies and its machine, writes its peer cache.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::sync::atomic::Ordering;
use std::time::Duration;

use aire_discovery::{CachedPeer, PeerCache};
use aire_types::{AppProfile, NodeProfile};
use aire_wire::{CarrierClose, RecordBody};
use parking_lot::Mutex;

use crate::agent::Agent;
use crate::happening::{Happening, Kind};
use crate::machine::{LoadMeter, read_posture};
use crate::run::reachable_addresses;

/// How often policies are looked at; a change cuts streams within a second.
const POLICY_INTERVAL: Duration = Duration::from_millis(250);
/// How often the machine is measured and the links' round trips are read.
const PROFILE_INTERVAL: Duration = Duration::from_secs(5);
/// How often the peer cache is written.
const CACHE_INTERVAL: Duration = Duration::from_secs(60);

/// Follows changes of the policy files.
pub(crate) async fn watch_policies(agent: Arc<Agent>) {
    let mut broken = None;
    loop {
        tokio::time::sleep(POLICY_INTERVAL).await;
        match agent.gate.reload() {
            Ok(false) => broken = None,
            Ok(true) => {
                broken = None;
                agent.tell(Happening::new(Kind::PolicyLoaded, "the policies changed".to_owned()));
                agent.reauthorize();
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
    /// Cuts what the policies do not allow any more.
    pub(crate) fn reauthorize(self: &Arc<Self>) {
        self.control(|now, control| control.reauthorize(now));
        let incoming: Vec<_> = self.incoming.lock().values().cloned().collect();
        incoming.iter().for_each(|incoming| incoming.reauthorize(self));
    }
}

/// What this node says about itself that does not change with load.
pub(crate) struct OwnRecord {
    addresses: OnceLock<Vec<SocketAddr>>,
    app: Mutex<Option<AppProfile>>,
}

impl OwnRecord {
    pub(crate) fn new(app: Option<AppProfile>) -> Self {
        OwnRecord { addresses: OnceLock::new(), app: Mutex::new(app) }
    }

    /// The agent listens.
    pub(crate) fn set_addresses(&self, advertise: &[SocketAddr], listen: SocketAddr) {
        let _ = self.addresses.set(reachable_addresses(advertise, listen));
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
    let mut posture = read_posture().await;
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
            addresses: agent.own_record.addresses.get().cloned().unwrap_or_default(),
            node,
            app: agent.own_record.app(),
            authority: agent.authority.is_some(),
            draining: agent.is_draining(),
        };
        agent.control(|now, control| {
            control.publish(now, body);
            control.refresh_topology(now);
        });
        tokio::time::sleep(PROFILE_INTERVAL).await;
    }
}

impl Agent {
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
        passed + into + out + totals.bytes_in.load(Ordering::Relaxed) + totals.bytes_out.load(Ordering::Relaxed)
    }
}

/// Remembers the peers for the next start.
pub(crate) async fn keep_cache(agent: Arc<Agent>, cache: PeerCache) {
    let mut first = true;
    loop {
        tokio::time::sleep(if first { PROFILE_INTERVAL } else { CACHE_INTERVAL }).await;
        first = false;
        save_peers(&agent, cache.clone()).await;
    }
}

/// Writes the peers that are linked now.
pub(crate) async fn save_peers(agent: &Arc<Agent>, cache: PeerCache) {
    let peers: Vec<CachedPeer> = agent.control(|_, control| {
        let linked: Vec<_> = control.links().iter().map(|(node, _)| node.clone()).collect();
        linked
            .into_iter()
            .filter_map(|node| {
                let addresses = vec![control.dial_address(&node)?];
                Some(CachedPeer { node, addresses, seen_unix_s: crate::clock::unix_seconds() })
            })
            .collect()
    });
    if peers.is_empty() {
        return;
    }
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
    let outgoing: Vec<_> = agent.outgoing.lock().values().cloned().collect();
    outgoing.iter().for_each(|outgoing| outgoing.association.with_pool(|now, pool| pool.drain(now)));
    let deadline = tokio::time::Instant::now() + agent.config.drain;
    while tokio::time::Instant::now() < deadline {
        if agent.ledger.len() == 0 && agent.relays_nothing() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for outgoing in outgoing {
        outgoing.association.close_all(CarrierClose::Draining, "the agent stops");
    }
    let incoming: Vec<_> = agent.incoming.lock().values().cloned().collect();
    for incoming in incoming {
        incoming.association.close_all(CarrierClose::Draining, "the agent stops");
    }
    agent.control(|_, control| control.close_links("the agent stops"));
}

impl Agent {
    fn relays_nothing(self: &Arc<Self>) -> bool {
        self.control(|_, control| control.circuits().all_held().all(|held| held.carriers == 0))
            && self.relayed.lock().values().all(|relayed| relayed.kill.is_cancelled())
    }
}
