use aire_types::{Identity, NodeName, Role};
use aire_wire::{Grant, Offer, Request};

use super::circuits::Circuits;
use crate::crypto::{Crypto, Digest};
use crate::lease::Asked;

/// Where this agent stands in a request.
pub(super) struct Place {
    /// How many hops come before.
    pub(super) index: usize,
    /// Whom to pass the request on to; `None` at the destination.
    pub(super) next: Option<NodeName>,
}

/// What a renewal must repeat: everything but the expiry and the certificate, which may rotate.
pub(super) fn content_hash(digest: &impl Digest, request: &Request) -> [u8; 32] {
    let content = Request { certificates: Vec::new(), expires_unix_s: 0, ..request.clone() };
    digest.sha256(&content.encode())
}

fn signed(prefix: &[u8], body: &[u8]) -> Vec<u8> {
    [prefix, body].concat()
}

impl<C: Crypto> Circuits<C> {
    /// What can be checked without a signature: expiry, that this agent stands in the route once and right behind
    /// the sender, and that the offers are of the hops before.
    pub(super) fn check_form(
        &self,
        unix_s: u64,
        from: &NodeName,
        request: &Request,
        offers: &[Offer],
    ) -> Result<Place, String> {
        let slack = self.config.clock_slack_s;
        if request.expires_unix_s.saturating_add(slack) < unix_s {
            return Err("the request has expired; are the clocks right?".to_owned());
        }
        if request.expires_unix_s > unix_s.saturating_add(slack).saturating_add(600) {
            return Err("the request expires too far in the future; are the clocks right?".to_owned());
        }
        let relays = request.path.relays();
        if relays.contains(&request.destination) {
            return Err("the destination is also a relay".to_owned());
        }
        let me = &self.config.node;
        let index = relays
            .iter()
            .chain([&request.destination])
            .position(|hop| hop == me)
            .ok_or("this node is not on the path")?;
        if index > 0 && relays[index - 1] != *from {
            return Err(format!("it came from {from}, but {} is the hop before", relays[index - 1]));
        }
        if offers.len() != index || offers.iter().zip(relays).any(|(offer, relay)| offer.node != *relay) {
            return Err("its offers are not those of the hops before".to_owned());
        }
        let next = relays.get(index).map(|_| relays.get(index + 1).unwrap_or(&request.destination).clone());
        Ok(Place { index, next })
    }

    /// Checks the signature and that it is the source's own.
    pub(super) fn check_source(
        &self,
        from: &NodeName,
        place: &Place,
        request: &Request,
        body: &[u8],
        signature: &[u8],
    ) -> Result<Asked, String> {
        let message = signed(Request::SIGNED_PREFIX, body);
        let source = self.crypto.verify(&request.certificates, &message, signature)?;
        if source.mesh != self.config.mesh {
            return Err(format!("the source is of mesh {}", source.mesh));
        }
        if place.index == 0 && source.node != *from {
            return Err(format!("it came from {from}, but {} signed it", source.node));
        }
        let hops = request.path.relays().iter().chain([&request.destination]);
        if hops.into_iter().any(|hop| *hop == source.node) {
            return Err("the source is also a hop".to_owned());
        }
        Ok(Asked {
            circuit: request.circuit,
            source,
            incarnation: request.incarnation,
            app: request.app.clone(),
            class: request.class,
            path: request.path.clone(),
            destination: request.destination.clone(),
        })
    }

    /// Checks that a grant is the destination's answer to the request of this hash, with offers of exactly the route's hops.
    pub(super) fn check_grant(
        &self,
        grant: &Grant,
        body: &[u8],
        signature: &[u8],
        request_hash: &[u8; 32],
        route: &Route<'_>,
    ) -> Result<Identity, String> {
        if grant.request_hash != *request_hash {
            return Err("the grant is for another request".to_owned());
        }
        let hops = route.relays.iter().chain([route.destination]);
        if grant.offers.len() != route.relays.len() + 1
            || grant.offers.iter().zip(hops).any(|(offer, hop)| offer.node != *hop)
        {
            return Err("the grant's offers are not of the hops of the path".to_owned());
        }
        let message = signed(Grant::SIGNED_PREFIX, body);
        let destination = self.crypto.verify(&grant.certificates, &message, signature)?;
        if destination.mesh != self.config.mesh || destination.node != *route.destination {
            return Err(format!("{destination} signed the grant, not {}", route.destination));
        }
        if destination.role != Role::App(route.app.clone()) {
            return Err(format!("{destination} is no instance of {}", route.app));
        }
        Ok(destination)
    }

    pub(super) fn sign(&self, prefix: &[u8], body: &[u8]) -> Vec<u8> {
        self.crypto.sign(&signed(prefix, body))
    }
}

/// Which hops a grant must come from.
pub(super) struct Route<'a> {
    pub(super) relays: &'a [NodeName],
    pub(super) destination: &'a NodeName,
    pub(super) app: &'a aire_types::AppName,
}
