//! What the endpoint and the links need to reach each other's ports: neighbours that are asked to dial back, and links
//! by introduction.

use std::net::SocketAddr;
use std::sync::{Arc, Weak};

use aire_net::{Neighbour, NextHop, Opening, Plan, Ticket};
use aire_types::NodeName;
use tokio::task::JoinSet;

use crate::agent::Agent;
use crate::linking;

/// A linked node on the way of a carrier.
struct Towards {
    agent: Weak<Agent>,
    node: NodeName,
}

impl Neighbour for Towards {
    fn ask_back(&self, ticket: &Ticket) -> Result<(), String> {
        let agent = self.agent.upgrade().ok_or("the agent stops")?;
        agent.control(|_, control| control.ask_back(&self.node, ticket))
    }

    fn connected(&self, opening: Option<Opening>) {
        if let Some(agent) = self.agent.upgrade() {
            agent.control(|_, control| control.connected(&self.node, opening));
        }
    }
}

/// The next hop `node` of a carrier, which listens at the address where it can be dialled.
pub(crate) fn next_hop(agent: Weak<Agent>, node: NodeName, (address, plan): (SocketAddr, Plan)) -> NextHop {
    NextHop::new(address, plan, Arc::new(Towards { agent, node }))
}

/// Opens the connection that a neighbour asked for.
pub(crate) async fn dial_back(agent: Arc<Agent>, address: SocketAddr, ticket: Ticket) {
    let Some(endpoint) = agent.endpoint.get() else { return };
    if let Err(error) = endpoint.dial_back(address, &ticket).await {
        tracing::debug!(%address, %error, "not dialled back");
    }
}

/// Dials a node at several addresses while it dials us. The first link is taken.
pub(crate) async fn punch(agent: Arc<Agent>, node: NodeName, addresses: Vec<SocketAddr>) {
    let mut dials = JoinSet::new();
    for address in addresses {
        let Some(endpoint) = agent.endpoint.get().cloned() else { return };
        dials.spawn(async move { (address, endpoint.punch_link(address).await) });
    }
    while let Some(done) = dials.join_next().await {
        match done {
            Ok((address, Ok((link, events)))) => {
                if link.peer().identity.node == node {
                    return linking::attach(&agent, link, events, Some(address));
                }
                link.close(0, "another node was meant");
            }
            Ok((address, Err(error))) => tracing::debug!(%node, %address, %error, "no link by introduction"),
            Err(_) => {}
        }
    }
}
