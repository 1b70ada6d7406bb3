use std::time::Duration;

use aire_types::{Identity, NodeName, Time};
use aire_wire::{CircuitClose, CircuitId, Grant, Message, RefusalCode};

use super::circuits::Circuits;
use super::config::Output;
use super::own::{Asking, Granted, Own};
use super::verify::Route;
use crate::crypto::{Crypto, hop_key, probe_key};
use crate::lease::Held;

impl<C: Crypto> Circuits<C> {
    pub(super) fn handle_grant(&mut self, now: Time, from: &NodeName, body: Vec<u8>, signature: Vec<u8>) {
        let grant = match Grant::decode(&body) {
            Ok(grant) => grant,
            Err(error) => return self.reject(from, None, error.to_string()),
        };
        let circuit = grant.circuit;
        if self.own.contains_key(&circuit) {
            return self.granted_to_me(now, from, &grant, &body, &signature);
        }
        let Some(pending) = self.pending.get(circuit) else {
            // Given up or closed meanwhile: whoever holds it must let go.
            if self.leases.get(circuit).is_none() {
                self.send_close(from, circuit, CircuitClose::Unwanted, "no such request here");
            }
            return;
        };
        if pending.next != *from {
            return self.reject(
                from,
                Some(circuit),
                "a grant from a node that is not the next hop".to_owned(),
            );
        }
        if pending.request_hash != grant.request_hash && self.leases.get(circuit).is_some() {
            return; // to an earlier renewal
        }
        let route = Route {
            relays: pending.asked.path.relays(),
            destination: &pending.asked.destination,
            app: &pending.asked.app,
        };
        let checked =
            self.check_grant(&grant, &body, &signature, &pending.request_hash, &route).and_then(|_| {
                let unchanged = grant.offers.contains(&pending.offer);
                unchanged.then_some(()).ok_or_else(|| "this node's offer was changed on the way".to_owned())
            });
        match checked {
            Ok(()) => self.hold_as_relay(circuit, body, signature),
            Err(reason) => self.refuse_grant(from, circuit, &reason),
        }
    }

    fn hold_as_relay(&mut self, circuit: CircuitId, grant: Vec<u8>, signature: Vec<u8>) {
        let Some(pending) = self.pending.remove(circuit) else { return };
        let previous = pending.previous.clone();
        self.hold(Held {
            asked: pending.asked,
            previous: pending.previous,
            next: Some(pending.next),
            content: pending.content,
            public_key: pending.offer.public_key,
            hop_key: pending.hop_key,
            probe_key: None,
            lease_until: pending.received + Duration::from_secs(pending.offer.lease_s.into()),
            rate: pending.offer.rate,
            window: Default::default(),
            carriers: 0,
        });
        self.send(&previous, Message::CircuitGrant { grant, signature });
    }

    fn refuse_grant(&mut self, from: &NodeName, circuit: CircuitId, reason: &str) {
        self.reject(from, Some(circuit), reason.to_owned());
        let Some(pending) = self.pending.remove(circuit) else { return };
        self.send_refusal(&pending.previous, circuit, RefusalCode::BadRequest, reason);
        // A bad answer to a renewal leaves the lease as it was.
        if self.leases.get(circuit).is_none() {
            self.pending.end(circuit);
            self.send_close(from, circuit, CircuitClose::Unwanted, reason);
        }
    }

    fn granted_to_me(&mut self, now: Time, from: &NodeName, grant: &Grant, body: &[u8], signature: &[u8]) {
        let circuit = grant.circuit;
        let Some(own) = self.own.get(&circuit) else { return };
        let Some(asking) = own.asking.clone() else { return };
        if own.first_hop() != from {
            return self.reject(
                from,
                Some(circuit),
                "a grant from a node that is not the first hop".to_owned(),
            );
        }
        let route =
            Route { relays: own.want.path.relays(), destination: &own.want.destination, app: &own.want.app };
        let result = self
            .check_grant(grant, body, signature, &asking.request_hash, &route)
            .and_then(|destination| self.take_grant(now, grant, &asking, destination));
        if let Err(reason) = result {
            self.reject(from, Some(circuit), reason.clone());
            let by = from.clone();
            self.asking_failed(circuit, by, RefusalCode::BadRequest, reason, true);
        }
    }

    fn take_grant(
        &mut self,
        now: Time,
        grant: &Grant,
        asking: &Asking,
        destination: Identity,
    ) -> Result<(), String> {
        let circuit = grant.circuit;
        let publics: Vec<_> = grant.offers.iter().map(|offer| offer.public_key).collect();
        let lease_s = grant.offers.iter().map(|offer| offer.lease_s).min().unwrap_or(0);
        let lease = Duration::from_secs(lease_s.into()).min(self.config.max_lease);
        // Counted from before the hops saw the request, so that this side lapses first.
        let lease_until = asking.sent + lease;
        let rate = grant.offers.iter().map(|offer| offer.rate).filter(|rate| *rate > 0).min().unwrap_or(0);
        let Some(own) = self.own.get_mut(&circuit) else { return Ok(()) };
        if let Some(granted) = &mut own.granted {
            if granted.publics != publics || granted.destination != destination {
                return Err("the renewal has other keys than the circuit".to_owned());
            }
            if granted.incarnation != grant.incarnation {
                return Err("the destination restarted".to_owned());
            }
            granted.lease_until = granted.lease_until.max(lease_until);
        } else {
            let secret = own.secret.take().ok_or("the secret was used up")?;
            let agreed = self.crypto.agree(secret, &publics).filter(|keys| keys.len() == publics.len());
            let agreed = agreed.ok_or("a hop's key is of low order")?;
            let last = agreed.last().ok_or("the grant has no offers")?;
            own.granted = Some(Granted {
                hop_keys: agreed.iter().map(|key| hop_key(&self.crypto, circuit, key)).collect(),
                probe_key: probe_key(&self.crypto, circuit, last),
                publics,
                destination,
                incarnation: grant.incarnation,
                lease_until,
                lapsed: false,
                counter: 0,
            });
            let want = own.want.clone();
            let incarnation = grant.incarnation;
            self.outputs.push_back(Output::Granted { circuit, want, incarnation, lease_until, rate });
        }
        plan_renewal(own, now, lease);
        Ok(())
    }
}

/// A lease is renewed when a third of it is left.
fn plan_renewal<S>(own: &mut Own<S>, now: Time, lease: Duration) {
    own.asking = None;
    own.renew_at = own
        .granted
        .as_ref()
        .map(|granted| now.max(granted.lease_until - lease / 3))
        .filter(|_| !lease.is_zero());
}
