use std::sync::Arc;
use std::time::Duration;

use aire_ingress::{Flow, Refusal};
use aire_types::Protocol;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::{Says, Taken, Wanted, class_of, open};
use crate::agent::Agent;
use crate::carry::flow;
use crate::happening::{Happening, Kind};

/// A flow that was refused or reset is not tried again sooner, however many datagrams come.
const REST: Duration = Duration::from_secs(1);

/// Serves the flows of applications on this machine until the agent ends.
pub(super) async fn serve(agent: Arc<Agent>, mut begun: mpsc::Receiver<Flow>) {
    while let Some(flow) = begun.recv().await {
        tokio::spawn(carry(Arc::clone(&agent), flow));
    }
}

/// One flow: where to, is it taken, then datagrams. The first one goes with the wish, which saves a round trip.
async fn carry(agent: Arc<Agent>, mut flow: Flow) {
    let begun = Instant::now();
    let Some(first) = flow.recv().await else { return };
    if agent.is_draining() {
        return refuse(&agent, flow, Refusal::Draining).await;
    }
    if agent.revoked().is_some() {
        return refuse(&agent, flow, Refusal::NotAllowed).await;
    }
    let class = class_of(&agent, &flow.app, None, (Protocol::Udp, flow.listener));
    let wanted = Wanted { app: &flow.app, class, says: Says::Datagram(&first) };
    let (association, Taken { stream, .. }) = match open(&agent, &wanted).await {
        Ok(opened) => opened,
        Err(refusal) => return refuse(&agent, flow, refusal).await,
    };
    agent.metrics.stream_opened(begun.elapsed());
    let mut application = flow::Application::Client(flow);
    let end = flow::run(&agent, &association, stream, &mut application).await;
    if let (flow::End::Reset(_), flow::Application::Client(flow)) = (end, application) {
        rest(flow).await;
    }
}

/// Datagrams have no answer that would tell the application why; the operator is told.
async fn refuse(agent: &Agent, flow: Flow, refusal: Refusal) {
    agent.metrics.refused(refusal.word());
    let text = format!("datagrams of {} to {} go nowhere: {refusal}", flow.client, flow.app);
    agent.tell(Happening::new(Kind::FlowRefused, text).app(&flow.app));
    rest(flow).await;
}

async fn rest(mut flow: Flow) {
    let rested = Instant::now() + REST;
    while let Ok(Some(_)) = timeout_at(rested, flow.recv()).await {}
}
