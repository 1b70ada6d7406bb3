//! Connections of the applications on this machine, on their way into the mesh.

use std::sync::Arc;
use std::time::Duration;

use aire_ingress::{Arrival, Kind as ListenerKind, Listener, Notice, Refusal};
use aire_types::RouteId;
use aire_wire::ResetCode;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

use crate::RunError;
use crate::agent::Agent;
use crate::carry::stream;
use crate::control::Placement;
use crate::happening::{Happening, Kind};
use crate::outgoing::Outgoing;

/// How long a new connection waits for its app to be heard of.
const APP_DEADLINE: Duration = Duration::from_secs(3);
/// How long it waits for the app to take it.
const OPEN_DEADLINE: Duration = Duration::from_secs(15);

/// Opens all listeners that the configuration names and serves them until the agent ends.
pub(crate) async fn listen(agent: &Arc<Agent>) -> Result<(), RunError> {
    let (arrivals, mut arrived) = mpsc::channel::<Arrival>(256);
    let (notices, mut noticed) = mpsc::channel::<Notice>(64);
    let to = agent.config.to.iter().map(|to| (ListenerKind::To(to.app.clone()), to.listen));
    let proxy = agent.config.proxy.map(|address| (ListenerKind::Proxy, address));
    for (kind, address) in to.chain(proxy) {
        let listener = Listener::bind(kind, address).await?;
        tokio::spawn(listener.run(arrivals.clone(), notices.clone()));
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
            tokio::spawn(connect(Arc::clone(&serving), arrival));
        }
    });
    Ok(())
}

/// Keeps carriers open to the apps that the configuration names, so that the first connection waits for nothing.
pub(crate) async fn keep_warm(agent: Arc<Agent>) {
    loop {
        let changed = agent.topology_changed.notified();
        for to in &agent.config.to {
            let class = to.class.unwrap_or_else(|| agent.control(|_, control| control.class_of(&to.app)));
            if let Some(route) = agent.control(|now, control| control.place(now, &to.app, class)) {
                Outgoing::find(&agent, &route.instance, class);
            }
        }
        changed.await;
    }
}

/// One connection: where to, is it taken, then bytes.
async fn connect(agent: Arc<Agent>, arrival: Arrival) {
    if agent.is_draining() {
        return arrival.refuse(Refusal::Draining).await;
    }
    let app = arrival.app.clone();
    let class = arrival.class.unwrap_or_else(|| agent.control(|_, control| control.class_of(&app)));
    let configured = agent.config.to.iter().find(|to| to.app == app && to.listen == arrival.listener);
    let class = configured.and_then(|to| to.class).unwrap_or(class);
    let route = match place(&agent, &arrival, class).await {
        Ok(route) => route,
        Err(refusal) => return arrival.refuse(refusal).await,
    };
    let outgoing = Outgoing::find(&agent, &route.instance, class);
    let stream = match outgoing.association.open(class, app.clone()) {
        Ok(stream) => stream,
        Err(error) => {
            agent.tell(Happening::new(Kind::Machine, error.to_string()).app(&app));
            return arrival.refuse(Refusal::Unreachable).await;
        }
    };
    let about = (app, route.instance.node.clone(), class);
    agent.ledger.begin(&agent, outgoing.id(), &outgoing.association, stream, about);
    let opened = timeout(OPEN_DEADLINE, outgoing.association.opened(stream)).await;
    let refusal = match opened {
        Ok(Ok(())) => None,
        Ok(Err(code)) => Some(refusal(code)),
        Err(_) => {
            outgoing.association.reset(stream, ResetCode::NoPath);
            Some(if outgoing.refusal().is_some() { Refusal::NotAllowed } else { Refusal::TimedOut })
        }
    };
    if let Some(refusal) = refusal {
        outgoing.association.forget(stream);
        return arrival.refuse(refusal).await;
    }
    match arrival.accept().await {
        Ok(accepted) => {
            let association = Arc::clone(&outgoing.association);
            stream::run(association, stream, accepted.socket, accepted.early).await;
        }
        Err(_) => {
            outgoing.association.reset(stream, ResetCode::Application);
            outgoing.association.forget(stream);
        }
    }
}

/// The best instance and path; waits a moment for an app that nobody has spoken of yet, or for a way to it.
async fn place(agent: &Arc<Agent>, arrival: &Arrival, class: aire_types::Class) -> Result<RouteId, Refusal> {
    let deadline = Instant::now() + APP_DEADLINE;
    let app = &arrival.app;
    loop {
        let changed = agent.topology_changed.notified();
        let (kind, text, refusal) = match agent.control(|now, control| control.place_or_ask(now, app, class))
        {
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
        ResetCode::NotAllowed | ResetCode::PolicyChanged => Refusal::NotAllowed,
        ResetCode::NoSuchApp => Refusal::NoSuchApp,
        ResetCode::TargetRefused => Refusal::TargetRefused,
        ResetCode::TargetTimedOut => Refusal::TimedOut,
        ResetCode::Draining => Refusal::Draining,
        ResetCode::Application
        | ResetCode::PeerRestarted
        | ResetCode::NoPath
        | ResetCode::Limit
        | ResetCode::Protocol => Refusal::Unreachable,
    }
}
