//! How carriers reach the peers that this agent is linked with: dialled, or over connections that they open on our word.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use aire_admin::documents;
use aire_net::{Opening, Plan, Ticket};
use aire_types::{NodeName, Time};
use aire_wire::Message;

use super::{Control, Effect};
use crate::allowance::Allowance;

/// What one peer may ask us to dial back: at once, and then a second.
const BACK_BURST: f64 = 64.0;
const BACK_PER_SECOND: f64 = 32.0;
/// A peer whose link we opened is dialled alone for this many of the link's round trips, and this much longer.
const HEAD_START_TRIPS: u32 = 2;
const HEAD_START: Duration = Duration::from_millis(100);

/// What is known of the peers that are linked now.
#[derive(Debug)]
pub(super) struct Reach {
    /// What worked last.
    worked: BTreeMap<NodeName, Opening>,
    backs: Allowance,
}

impl Default for Reach {
    fn default() -> Self {
        Reach { worked: BTreeMap::new(), backs: Allowance::new(BACK_BURST, BACK_PER_SECOND) }
    }
}

impl Reach {
    /// What to try next. `opened`: the round trip of a link that we opened, which says that dialling may work.
    fn plan(&self, node: &NodeName, opened: Option<Duration>) -> Plan {
        match self.worked.get(node) {
            Some(Opening::Dialled) => Plan::Dial,
            Some(Opening::DialledBack) => Plan::Back,
            None => {
                let head_start = opened.map(|rtt| rtt * HEAD_START_TRIPS + HEAD_START).unwrap_or_default();
                Plan::Race { head_start }
            }
        }
    }

    fn note(&mut self, node: &NodeName, opening: Option<Opening>) {
        match opening {
            Some(opening) => self.worked.insert(node.clone(), opening),
            None => self.worked.remove(node),
        };
    }

    /// The link is gone, and with it what was known.
    pub(super) fn forget(&mut self, now: Time, node: &NodeName) {
        self.worked.remove(node);
        self.backs.forget_idle(now);
    }
}

impl Control {
    /// Where a linked node listens, and what to try for a carrier to it.
    pub(crate) fn way_to(&self, node: &NodeName) -> Option<(SocketAddr, Plan)> {
        let address = self.dial_address(node)?;
        Some((address, self.reach.plan(node, self.links.opened(node))))
    }

    /// A connection for a carrier to `node` came about like this, or did not.
    pub(crate) fn connected(&mut self, node: &NodeName, opening: Option<Opening>) {
        if self.links.has(node) {
            self.reach.note(node, opening);
        }
    }

    /// Asks `node` to open a connection.
    pub(crate) fn ask_back(&self, node: &NodeName, ticket: &Ticket) -> Result<(), String> {
        let message = Message::DialBack { ticket: ticket.id, key: ticket.key };
        if self.send(node, &message) { Ok(()) } else { Err(format!("no link to {node}, or it is full")) }
    }

    /// `from` asks us to open a connection. It may where it is the hop before us on a circuit that we hold.
    pub(super) fn handle_dial_back(&mut self, now: Time, from: &NodeName, ticket: Ticket) {
        if !self.reach.backs.take(now, from) || !self.circuits.holds_from(from) {
            return tracing::debug!(%from, "it is not dialled back");
        }
        if let Some(address) = self.dial_address(from) {
            self.effects.push(Effect::DialBack { address, ticket });
        }
    }

    /// How a peer is reached, for operators.
    pub(crate) fn reach_of(&self, node: &NodeName) -> documents::Reach {
        match (self.links.has(node), self.reach.worked.get(node)) {
            (false, _) => documents::Reach::None,
            (true, Some(Opening::DialledBack)) => documents::Reach::DialsBack,
            (true, _) if self.links.opened(node).is_some() => documents::Reach::Dialled,
            (true, _) => documents::Reach::DialsUs,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_worked_is_tried_alone_until_it_fails() {
        let node: NodeName = "b".parse().unwrap();
        let mut reach = Reach::default();
        assert_eq!(reach.plan(&node, None), Plan::Race { head_start: Duration::ZERO });
        let linked = Some(Duration::from_millis(50));
        assert_eq!(reach.plan(&node, linked), Plan::Race { head_start: Duration::from_millis(200) });
        reach.note(&node, Some(Opening::DialledBack));
        assert_eq!(reach.plan(&node, linked), Plan::Back);
        reach.note(&node, None);
        assert!(matches!(reach.plan(&node, None), Plan::Race { .. }));
        reach.note(&node, Some(Opening::Dialled));
        assert_eq!(reach.plan(&node, None), Plan::Dial);
        reach.forget(Time::ZERO, &node);
        assert!(matches!(reach.plan(&node, None), Plan::Race { .. }));
    }
}
