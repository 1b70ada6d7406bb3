//! Links: dialling them, and what arrives on them.

use std::net::SocketAddr;
use std::sync::Arc;

use aire_net::{ClosedBy, Link, LinkEvent, LinkEvents};
use aire_registry::VerifiedRecord;
use aire_types::NodeName;
use aire_wire::{DatagramHead, Message, Record};

use crate::agent::Agent;
use crate::control::{Examined, LinkSerial};
use crate::happening::{Happening, Kind};
use crate::notices;

/// Opens a link to `address`, where an agent of the mesh may be.
pub(crate) async fn dial(agent: Arc<Agent>, address: SocketAddr) {
    let Some(endpoint) = agent.endpoint.get() else { return };
    match endpoint.dial_link(address).await {
        Ok((link, events)) => attach(&agent, link, events, Some(address)),
        Err(error) => {
            tracing::debug!(%address, %error, "no link");
            if let aire_net::NetError::Peer { why, .. } = &error {
                let text = format!("the agent at {address} is not of this mesh: {why}");
                agent.tell(Happening::new(Kind::StrangerRejected, text).address(address));
            }
            agent.control(|now, control| control.handle_dial_failed(now, address));
        }
    }
}

/// Takes an open link in.
pub(crate) fn attach(agent: &Arc<Agent>, link: Link, events: LinkEvents, dialled: Option<SocketAddr>) {
    let node = link.peer().identity.node.clone();
    if let Some(serial) = agent.control(|now, control| control.handle_link(now, link, dialled)) {
        tokio::spawn(follow(Arc::clone(agent), node, serial, events));
    }
}

async fn follow(agent: Arc<Agent>, node: NodeName, serial: LinkSerial, mut events: LinkEvents) {
    let mut why = "its task ended".to_owned();
    while let Some(event) = events.recv().await {
        match event {
            LinkEvent::Message(bytes) => receive(&agent, &node, &bytes),
            LinkEvent::Datagram(bytes) if DatagramHead::begins(&bytes) => {
                crate::ends::receive(&agent, &node, bytes);
            }
            LinkEvent::Datagram(bytes) => {
                crate::ends::hear(&agent, &node, &bytes);
                agent.control(|now, control| control.handle_datagram(now, &node, &bytes));
            }
            LinkEvent::Closed { by, reason } => {
                if by == ClosedBy::Breach {
                    let text = format!("the link to {node} was closed: {reason}");
                    agent.tell(Happening::new(Kind::MessageRejected, text).peer(&node));
                }
                why = reason;
                break;
            }
        }
    }
    agent.control(|now, control| control.handle_link_closed(now, &node, serial, &why));
}

fn receive(agent: &Arc<Agent>, from: &NodeName, bytes: &[u8]) {
    match Message::decode(bytes) {
        Ok(Message::Gossip(records)) => {
            let examined = examine(agent, records);
            agent.control(|now, control| control.handle_records(now, from, examined));
        }
        Ok(Message::Notice(notice)) => notices::receive(agent, Some(from), notice),
        Ok(message) => agent.control(|now, control| control.handle_message(now, from, message)),
        Err(error) => {
            let text = format!("a message from {from} cannot be read: {error}");
            agent.tell(Happening::new(Kind::MessageRejected, text).peer(from));
        }
    }
}

/// Verifies records outside the control plane's lock; those that are no news are left out.
pub(crate) fn examine(agent: &Arc<Agent>, records: Vec<Record>) -> Vec<Examined> {
    records
        .into_iter()
        .filter_map(|record| {
            let claimed = aire_identity::claimed_identity(&record.certificates).map(|identity| identity.node);
            if let Some(owner) = &claimed
                && !agent.look(|control| control.wants_record(owner, &record))
            {
                return None;
            }
            Some(verify(agent, claimed, record))
        })
        .collect()
}

fn verify(agent: &Agent, claimed: Option<NodeName>, record: Record) -> Examined {
    let verified = agent.membership.verify(&record.certificates, &record.signed(), &record.signature);
    let signer = match verified {
        Ok(verified) => verified.identity().clone(),
        Err(error) => return Examined::Forged { owner: claimed, why: error.to_string() },
    };
    match record.parse_body() {
        Ok(body) => Examined::Genuine(Box::new(VerifiedRecord { signer, record, body })),
        Err(error) => Examined::Forged { owner: claimed, why: error.to_string() },
    }
}
