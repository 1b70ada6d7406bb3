//! Connections of the applications on this machine, on their way into the mesh.

mod flow;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use aire_ingress::{Accepted, Arrival, Flow, Kind as ListenerKind, Listener, Notice, Refusal, UdpListener};
use aire_types::{AppName, Class, Instance, Protocol, RouteId};
use aire_wire::{ResetCode, StreamId};
use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::RunError;
use crate::agent::Agent;
use crate::carry::{Association, OpenError, stream};
use crate::control::Placement;
use crate::happening::{Happening, Kind};
use crate::in_turn::begin;
use crate::outgoing::Outgoing;

/// How long a new connection waits for its app to be heard of.
const APP_DEADLINE: Duration = Duration::from_secs(3);
/// How long it waits for the app to take it.
const OPEN_DEADLINE: Duration = Duration::from_secs(15);
/// How often a connection is tried at instances that restarted or are about to stop.
const ATTEMPTS: u32 = 4;
/// How much of what an application says first travels before its connection was taken.
const AHEAD: usize = 16 * 1024;

/// Opens all listeners that the configuration names and serves them until the agent ends.
pub(crate) async fn listen(agent: &Arc<Agent>) -> Result<(), RunError> {
    let (arrivals, mut arrived) = mpsc::channel::<Arrival>(256);
    let (notices, mut noticed) = mpsc::channel::<Notice>(64);
    let (flows, begun) = mpsc::channel::<Flow>(256);
    for to in agent.config.to.iter().filter(|to| to.protocol == Protocol::Udp) {
        let listener = UdpListener::bind(to.app.clone(), to.listen).await?;
        tokio::spawn(listener.run(flows.clone(), notices.clone()));
    }
    tokio::spawn(flow::serve(Arc::clone(agent), begun));
    let to = agent.config.to.iter().filter(|to| to.protocol == Protocol::Tcp);
    let to = to.map(|to| (ListenerKind::To(to.app.clone()), to.listen));
    let proxy = agent.config.proxy.map(|address| (ListenerKind::Proxy, address));
    for (kind, address) in to.chain(proxy) {
        let listener = Listener::bind(kind, address).await?;
        tokio::spawn(listener.run(arrivals.clone(), flows.clone(), notices.clone()));
    }
    let noting = Arc::clone(agent);
    tokio::spawn(async move {
        while let Some(notice) = noticed.recv().await {
            noting.tell(Happening::new(Kind::Listener, notice.trouble.to_string()).address(notice.listener));
        }
    });
    let serving = Arc::clone(agent);
    tokio::spawn(async move {
        while let Some(arrival) = arrived.recv().await {
            // Streams are opened in the order of arrival: there are applications that count on it.
            begin(connect(Arc::clone(&serving), arrival)).await;
        }
    });
    Ok(())
}

/// Keeps carriers open to the apps that the configuration names, so that the first connection waits for nothing.
pub(crate) async fn keep_warm(agent: Arc<Agent>) {
    loop {
        let changed = agent.topology_changed.notified();
        for to in &agent.config.to {
            let class = to.class.unwrap_or_else(|| agent.look(|control| control.class_of(&to.app)));
            if let Some(route) = agent.control(|now, control| control.place(now, &to.app, class)) {
                Outgoing::find(&agent, &route.instance, class);
            }
        }
        changed.await;
    }
}

/// One connection: where to, is it taken, then bytes.
async fn connect(agent: Arc<Agent>, arrival: Arrival) {
    let arrived = Instant::now();
    if agent.is_draining() {
        agent.metrics.refused(Refusal::Draining.word());
        return arrival.refuse(Refusal::Draining).await;
    }
    if agent.revoked().is_some() {
        return arrival.refuse(Refusal::NotAllowed).await;
    }
    let class = class_of(&agent, &arrival.app, arrival.class, (Protocol::Tcp, arrival.listener));
    let wanted = Wanted { app: &arrival.app, class, says: Says::Words(&arrival) };
    match open(&agent, &wanted).await {
        Ok((association, Taken { stream, ahead })) => match accept(arrival, ahead).await {
            Ok(accepted) => {
                agent.metrics.stream_opened(arrived.elapsed());
                stream::run(association, stream, accepted.socket, accepted.early).await;
            }
            Err(_) => {
                association.reset(stream, ResetCode::Application);
                association.forget(stream);
            }
        },
        Err(refusal) => {
            agent.metrics.refused(refusal.word());
            arrival.refuse(refusal).await;
        }
    }
}

/// What an application wants.
struct Wanted<'a> {
    app: &'a AppName,
    class: Class,
    says: Says<'a>,
}

/// What the application says while nobody has taken its stream yet.
enum Says<'a> {
    /// Whatever comes over its connection.
    Words(&'a Arrival),
    /// The first datagram of a flow.
    Datagram(&'a Bytes),
}

impl Says<'_> {
    const fn protocol(&self) -> Protocol {
        match self {
            Says::Words(_) => Protocol::Tcp,
            Says::Datagram(_) => Protocol::Udp,
        }
    }
}

/// The class of a new stream: what the listener is configured for, or else what the application asks for, or else the app's.
fn class_of(
    agent: &Arc<Agent>,
    app: &AppName,
    asked: Option<Class>,
    (protocol, listener): (Protocol, SocketAddr),
) -> Class {
    let configured = agent.config.to.iter().find(|to| (to.protocol, to.listen) == (protocol, listener));
    let class = configured.and_then(|to| to.class).or(asked);
    class.unwrap_or_else(|| agent.look(|control| control.class_of(app)))
}

/// The application's socket, without what went ahead.
async fn accept(mut arrival: Arrival, ahead: usize) -> std::io::Result<Accepted> {
    arrival.forget_words(ahead).await?;
    arrival.accept().await
}

/// A stream that the app has taken.
struct Taken {
    stream: StreamId,
    /// Bytes of the application that went ahead.
    ahead: usize,
}

/// A stream that nobody has taken.
struct Missed {
    /// The reset that came instead; nothing at the deadline.
    code: Option<ResetCode>,
    /// Bytes of the application went ahead, and who knows whether the app has read them.
    spoke: bool,
}

/// A stream that the app has taken. An instance that came back without memory of us, or is about to stop, took nothing,
/// so the next attempt may succeed.
async fn open(agent: &Arc<Agent>, wanted: &Wanted<'_>) -> Result<(Arc<Association>, Taken), Refusal> {
    let deadline = Instant::now() + OPEN_DEADLINE;
    let mut draining = None;
    for attempt in 1.. {
        let route = place(agent, wanted, draining.as_ref()).await?;
        let outgoing = Outgoing::find(agent, &route.instance, wanted.class);
        let missed = match attempt_open(agent, wanted, &outgoing, deadline).await {
            Ok(taken) => {
                if wanted.says.protocol() == Protocol::Udp {
                    outgoing.seek_shortcut();
                }
                return Ok((Arc::clone(&outgoing.association), taken));
            }
            Err(missed) => missed,
        };
        match missed.code {
            // What the app may have read is not said to it twice.
            Some(ResetCode::PeerRestarted) if attempt < ATTEMPTS && !missed.spoke => {}
            Some(ResetCode::Draining) if attempt < ATTEMPTS => draining = Some(route.instance),
            Some(code) => return Err(refusal(code)),
            None if outgoing.was_denied() => return Err(Refusal::NotAllowed),
            None => return Err(Refusal::TimedOut),
        }
    }
    Err(Refusal::Unreachable)
}

/// Opens a stream and waits until the app takes it. What the application says meanwhile goes ahead, so that a short
/// request takes one round trip.
async fn attempt_open(
    agent: &Arc<Agent>,
    wanted: &Wanted<'_>,
    outgoing: &Outgoing,
    deadline: Instant,
) -> Result<Taken, Missed> {
    let association = &outgoing.association;
    let stream = match association.open(wanted.class, wanted.says.protocol(), wanted.app.clone()) {
        Ok(stream) => stream,
        Err(OpenError::Over) => return Err(Missed { code: Some(ResetCode::PeerRestarted), spoke: false }),
        Err(OpenError::Refused(error)) => {
            agent.tell(Happening::new(Kind::Machine, error.to_string()).app(wanted.app));
            return Err(Missed { code: Some(ResetCode::Limit), spoke: false });
        }
    };
    let about = (wanted.app.clone(), outgoing.instance.node.clone(), wanted.class);
    agent.ledger.begin(agent, outgoing.id(), association, stream, about);
    let mut ahead = 0;
    let opened = async {
        match wanted.says {
            // A datagram may be said twice.
            Says::Datagram(payload) => {
                association.send_record(stream, payload);
            }
            Says::Words(arrival) => tokio::select! {
                biased;
                opened = association.opened(stream) => return opened,
                words = arrival.first_words(AHEAD) => ahead = association.send_ahead(stream, words),
            },
        }
        association.opened(stream).await
    };
    let code = match timeout_at(deadline, opened).await {
        Ok(Ok(())) => return Ok(Taken { stream, ahead }),
        Ok(Err(code)) => Some(code),
        Err(_) => {
            association.reset(stream, ResetCode::NoPath);
            None
        }
    };
    association.forget(stream);
    Err(Missed { code, spoke: ahead > 0 })
}

/// The best instance and path; waits a moment for an app that nobody has spoken of yet, for a way to it, or for another
/// instance than one that is about to stop.
async fn place(
    agent: &Arc<Agent>,
    &Wanted { app, class, .. }: &Wanted<'_>,
    draining: Option<&Instance>,
) -> Result<RouteId, Refusal> {
    let deadline = Instant::now() + APP_DEADLINE;
    loop {
        let changed = agent.topology_changed.notified();
        let (kind, text, refusal) = match agent.control(|now, control| control.place_or_ask(now, app, class))
        {
            Placement::Route(route) if Some(&route.instance) == draining => {
                (Kind::NoInstance, format!("the only instance of {app} is about to stop"), Refusal::Draining)
            }
            Placement::Route(route) => return Ok(route),
            Placement::Denied(reason) => {
                tracing::debug!(%app, reason, "a connection was denied");
                return Err(Refusal::NotAllowed);
            }
            Placement::NoWay => {
                let text = format!("no way to {app} can be used now; 'aire explain {app}' says why");
                (Kind::NoPath, text, Refusal::Unreachable)
            }
            Placement::NoInstance => (
                Kind::NoInstance,
                format!("no instance of {app} is known; is its agent running and its app's name right?"),
                Refusal::NoInstance,
            ),
        };
        tokio::select! {
            () = changed => {}
            () = sleep_until(deadline) => {
                agent.tell(Happening::new(kind, text).app(app));
                return Err(refusal);
            }
        }
    }
}

/// What an application is told about a reset that came in place of its connection.
fn refusal(code: ResetCode) -> Refusal {
    match code {
        ResetCode::NotAllowed | ResetCode::PolicyChanged | ResetCode::Revoked => Refusal::NotAllowed,
        ResetCode::NoSuchApp => Refusal::NoSuchApp,
        ResetCode::TargetRefused => Refusal::TargetRefused,
        ResetCode::TargetTimedOut => Refusal::TimedOut,
        ResetCode::Draining => Refusal::Draining,
        ResetCode::Limit => Refusal::Overloaded,
        ResetCode::Application | ResetCode::PeerRestarted | ResetCode::NoPath | ResetCode::Protocol => {
            Refusal::Unreachable
        }
    }
}
