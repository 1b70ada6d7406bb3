//! Addresses that change: ours, and those of peers.

use std::net::SocketAddr;

use aire_net::Plan;
use aire_types::{NodeName, Time};

use super::Control;

impl Control {
    /// We have other addresses; where one was `lost`, links are opened again from what is left, by us, as nobody else knows
    /// where we are.
    pub(crate) fn addresses_changed(&mut self, now: Time, addresses: Vec<SocketAddr>, lost: bool) {
        if lost {
            self.links.forget_observed();
            let links = &self.links;
            self.dialler.redial(now, |node| links.has(node));
        }
        self.publish_with(now, |body| body.addresses = addresses);
        self.pump(now);
    }

    /// The way to the first hop of a carrier: also to one that is not linked, as a link may be away for longer than the
    /// network.
    pub(crate) fn way_to_first(&self, node: &NodeName) -> Option<(SocketAddr, Plan)> {
        let known = || self.registry.member(node)?.body.addresses.first().copied();
        self.way_to(node).or_else(|| Some((known()?, Plan::Dial)))
    }
}
