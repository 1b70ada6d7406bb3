//! From a configuration to a running agent, and to its end.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;

use aire_admin::{Log, Server, ServerLimits};
use aire_discovery::{Cache, Pace, PeerCache};
use aire_net::Endpoint;
use aire_wire::NoticeVersions;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::agent::Agent;
use crate::config::Config;
use crate::gate::Gate;
use crate::handler::{NodeCredentials, Reception};
use crate::happening::{Happening, Kind};
use crate::{RunError, history, inspect, joining, local, notices, sources, upkeep, view};

/// Runs an agent until it is told to stop (SIGTERM, SIGINT, or the admin API), which serves `log`.
///
/// # Errors
/// Why it could not start.
pub async fn run(config: Config, log: Log) -> Result<(), RunError> {
    let gate = Gate::open(config.node.clone(), config.policy.clone())?;
    let _state = joining::take_state(&config.state).await?;
    if let Some(taken) = inspect::taken_port(&config) {
        return Err(RunError::Port(taken));
    }
    let admin = Server::bind(config.admin, ServerLimits::default()).await?;
    let authority = joining::open_authority(&config)?;
    let underlay = joining::open_underlay(&config)?;
    let membership = joining::obtain(&config, authority.as_ref(), &underlay).await?;
    let cache = PeerCache::new(config.state.join("peers.json"));
    let discovery = joining::discover(&config, &joining::token_seeds(&config), membership.identity().mesh)?
        .with(Cache::open(&cache, Pace::default()));

    let agent = Agent::new(config, membership, authority, gate, underlay);
    notices::restore(&agent)?;
    let in_force = agent.look(|control| control.notice_versions());
    let credentials = NodeCredentials {
        membership: Arc::clone(&agent.membership),
        is_authority: agent.authority.is_some(),
    };
    let endpoint = Endpoint::bind(
        agent.config.listen,
        agent.underlay.clone(),
        Arc::new(credentials),
        Arc::new(Reception(Arc::downgrade(&agent))),
    )?;
    let listen = endpoint.local_addr();
    let _ = agent.endpoint.set(endpoint.clone());
    agent.own_record.set_addresses(&agent.config.advertise, listen);
    local::listen(&agent).await?;

    let mut stop = Stop::listen()?;
    tokio::spawn(admin.run(view::desk(&agent, log)));
    let identity = agent.membership.identity();
    agent.tell(Happening::new(Kind::Started, format!("{identity} listens on {listen}")));
    agent.control(|now, control| control.started(now, listen.port()));
    want_what_is_configured(&agent);
    keep_up(&agent, listen, in_force, &cache);
    let history = history::Keeper::start(&agent);
    tokio::spawn(joining::search(Arc::clone(&agent), discovery, listen.port()));

    let mut asked = agent.drain_requested.subscribe();
    tokio::select! {
        () = stop.next() => {}
        _ = asked.wait_for(|asked| *asked) => {}
    }
    let end = async {
        upkeep::save_peers(&agent, cache).await;
        upkeep::drain(&agent).await;
        history.end().await;
        endpoint.close();
        endpoint.closed().await;
    };
    tokio::select! {
        () = end => {}
        // Whoever asks twice does not want to wait.
        () = stop.next() => endpoint.close(),
    }
    Ok(())
}

/// Starts what goes on beside the traffic for as long as the agent runs.
fn keep_up(agent: &Arc<Agent>, listen: SocketAddr, in_force: NoticeVersions, cache: &PeerCache) {
    tokio::spawn(Arc::clone(agent).keep_time());
    tokio::spawn(crate::addresses::watch(Arc::clone(agent), listen));
    tokio::spawn(upkeep::publish_profile(Arc::clone(agent)));
    tokio::spawn(upkeep::watch_policies(Arc::clone(agent)));
    tokio::spawn(crate::model::watch(Arc::clone(agent)));
    tokio::spawn(notices::follow(Arc::clone(agent), in_force));
    if agent.authority.is_some() {
        tokio::spawn(notices::watch_authority(Arc::clone(agent)));
    }
    tokio::spawn(upkeep::keep_cache(Arc::clone(agent), cache.clone()));
    tokio::spawn(local::keep_warm(Arc::clone(agent)));
    tokio::spawn(sources::keep_fresh(Arc::clone(agent)));
}

/// Tells the control plane which apps the configuration names, and what our own one needs.
fn want_what_is_configured(agent: &Arc<Agent>) {
    for to in &agent.config.to {
        agent.control(|now, control| control.want_app(now, &to.app, to.class));
    }
    if let Some(served) = &agent.config.app {
        agent.control(|now, control| control.set_own_profile(now, served.profile.clone()));
    }
}

/// SIGTERM and SIGINT; none is missed between two looks.
struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    fn listen() -> Result<Self, RunError> {
        let machine = |error: std::io::Error| RunError::Machine(error.to_string());
        let terminate = signal(SignalKind::terminate()).map_err(machine)?;
        Ok(Stop { terminate, interrupt: signal(SignalKind::interrupt()).map_err(machine)? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// The addresses under which others may reach a socket bound to `listen`.
pub(crate) fn reachable_addresses(advertise: &[SocketAddr], listen: SocketAddr) -> Vec<SocketAddr> {
    let mut addresses = advertise.to_vec();
    if !listen.ip().is_unspecified() {
        addresses.push(listen);
    } else {
        addresses.extend(outward_addresses().into_iter().map(|ip| SocketAddr::new(ip, listen.port())));
    }
    addresses.dedup();
    addresses
}

/// The machine's own addresses towards other networks: what a UDP socket is bound to when it is connected to a
/// documentation address (RFC 5737, RFC 3849). Nothing is sent.
fn outward_addresses() -> Vec<IpAddr> {
    let towards = [("0.0.0.0:0", "192.0.2.1:9"), ("[::]:0", "[2001:db8::1]:9")];
    let local = |(from, to): (&str, &str)| {
        let socket = UdpSocket::bind(from).ok()?;
        socket.connect(to).ok()?;
        Some(socket.local_addr().ok()?.ip())
    };
    towards.into_iter().filter_map(local).filter(|ip| !ip.is_unspecified()).collect()
}
