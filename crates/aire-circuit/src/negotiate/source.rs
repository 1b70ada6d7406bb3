use std::time::Duration;

use aire_types::{NodeName, Time};
use aire_wire::{CircuitClose, CircuitId, Message, RefusalCode, Request};

use super::circuits::Circuits;
use super::config::{Output, RequestError, Want};
use super::own::{Asking, Own, Probes};
use crate::crypto::Crypto;

impl<C: Crypto> Circuits<C> {
    /// Asks for a circuit. It is answered by [`Output::Granted`] or [`Output::Refused`], the latter at the latest
    /// after `timeout` (where `None`: [`super::Config::request_timeout`]). A granted circuit renews its lease until it is closed.
    ///
    /// # Errors
    /// The request cannot be made; nothing is sent.
    pub fn request(
        &mut self,
        now: Time,
        unix_s: u64,
        want: Want,
        timeout: Option<Duration>,
    ) -> Result<CircuitId, RequestError> {
        if self.draining {
            return Err(RequestError::Draining);
        }
        if self.own.len() >= self.config.max_own {
            return Err(RequestError::Full(self.config.max_own));
        }
        let relays = want.path.relays();
        let me = &self.config.node;
        if relays.contains(me) || want.destination == *me || relays.contains(&want.destination) {
            return Err(RequestError::Route { path: want.path, destination: want.destination });
        }
        let circuit = CircuitId(self.crypto.random_id());
        let (secret, public_key) = self.crypto.generate();
        let request = Request {
            circuit,
            certificates: Vec::new(),
            incarnation: self.config.incarnation,
            app: want.app.clone(),
            class: want.class,
            path: want.path.clone(),
            destination: want.destination.clone(),
            expires_unix_s: 0,
            public_key,
        };
        let own = Own {
            want,
            request,
            secret: Some(secret),
            timeout: timeout.unwrap_or(self.config.request_timeout),
            asking: None,
            granted: None,
            renew_at: None,
            probes: Probes::default(),
        };
        self.own.insert(circuit, own);
        self.ask(now, unix_s, circuit);
        Ok(circuit)
    }

    /// Sends the request of a circuit, anew signed.
    fn ask(&mut self, now: Time, unix_s: u64, circuit: CircuitId) {
        let certificates = self.crypto.certificates();
        let Some(own) = self.own.get_mut(&circuit) else { return };
        own.request.certificates = certificates;
        own.request.expires_unix_s = unix_s.saturating_add(self.config.request_ttl_s);
        own.renew_at = None;
        let request = own.request.encode();
        let (first, timeout) = (own.first_hop().clone(), own.timeout);
        let request_hash = self.crypto.sha256(&request);
        own.asking = Some(Asking { request_hash, sent: now, deadline: now + timeout });
        let signature = self.sign(Request::SIGNED_PREFIX, &request);
        self.send(&first, Message::CircuitRequest { request, signature, offers: Vec::new() });
    }

    pub(super) fn time_out_own(&mut self, now: Time, unix_s: u64) {
        let due: Vec<CircuitId> = self
            .own
            .iter()
            .filter(|(_, own)| own.next_timeout().is_some_and(|at| at <= now))
            .map(|(circuit, _)| *circuit)
            .collect();
        for circuit in due {
            self.time_out_one(now, unix_s, circuit);
        }
    }

    fn time_out_one(&mut self, now: Time, unix_s: u64, circuit: CircuitId) {
        self.time_out_probes(now, circuit);
        let Some(own) = self.own.get_mut(&circuit) else { return };
        if own.asking.as_ref().is_some_and(|asking| asking.deadline <= now) {
            let first = own.first_hop().clone();
            self.asking_failed(circuit, first, RefusalCode::NoRoute, "no answer in time".to_owned(), true);
        }
        let Some(own) = self.own.get_mut(&circuit) else { return };
        if let Some(granted) = own.granted.as_mut().filter(|g| !g.lapsed && g.lease_until <= now) {
            granted.lapsed = true;
            own.renew_at = None;
            self.outputs.push_back(Output::Lapsed { circuit });
        } else if own.renew_at.is_some_and(|at| at <= now) {
            self.ask(now, unix_s, circuit);
        }
    }

    /// An own request was refused, or not answered. A granted circuit tries again while its lease runs.
    pub(super) fn asking_failed(
        &mut self,
        circuit: CircuitId,
        by: NodeName,
        code: RefusalCode,
        reason: String,
        tell_hops: bool,
    ) {
        let Some(own) = self.own.get_mut(&circuit) else { return };
        let Some(asking) = own.asking.take() else { return };
        if let Some(granted) = &own.granted {
            if code == RefusalCode::Policy {
                return self.close(circuit, CircuitClose::Policy, &reason);
            }
            let left = granted.lease_until.since(asking.sent);
            own.renew_at = (!granted.lapsed).then(|| asking.sent + own.timeout.max(left / 3));
            return;
        }
        let first = own.first_hop().clone();
        let Some(own) = self.own.remove(&circuit) else { return };
        if tell_hops {
            self.send_close(&first, circuit, CircuitClose::Unwanted, &reason);
        }
        self.outputs.push_back(Output::Refused { circuit, want: own.want, by, code, reason });
    }
}
