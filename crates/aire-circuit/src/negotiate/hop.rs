use std::time::Duration;

use aire_types::{NodeName, Time};
use aire_wire::{CircuitId, Grant, Message, Offer, Refusal, RefusalCode, Request};

use super::circuits::Circuits;
use super::config::{Denial, Gate, Output, Terms};
use super::pending::Pending;
use super::verify::content_hash;
use crate::crypto::{Crypto, Key, hop_key, probe_key};
use crate::lease::{Asked, Held};

/// A CIRCUIT_REQUEST as it came.
pub(super) struct Arrived<'a> {
    pub(super) now: Time,
    pub(super) unix_s: u64,
    pub(super) from: &'a NodeName,
    pub(super) body: Vec<u8>,
    pub(super) signature: Vec<u8>,
    pub(super) offers: Vec<Offer>,
}

/// A request that was found in order.
struct Admitted {
    asked: Asked,
    content: [u8; 32],
    next: Option<NodeName>,
    terms: Terms,
    keys: HopKeys,
}

/// The keys that a hop has for one circuit.
struct HopKeys {
    public: Key,
    hop: Key,
    probe: Option<Key>,
}

/// Why a request goes no further.
struct Turned {
    denial: Denial,
    /// The app here denies it, to a source that was verified: worth a signature.
    by_destination: bool,
}

impl From<Denial> for Turned {
    fn from(denial: Denial) -> Self {
        Turned { denial, by_destination: false }
    }
}

fn bad(reason: impl Into<String>) -> Denial {
    Denial { code: RefusalCode::BadRequest, reason: reason.into() }
}

impl<C: Crypto> Circuits<C> {
    pub(super) fn handle_request(&mut self, arrived: Arrived<'_>, gate: &mut dyn Gate) {
        let request = match Request::decode(&arrived.body) {
            Ok(request) => request,
            Err(error) => return self.reject(arrived.from, None, error.to_string()),
        };
        match self.admit(&arrived, &request, gate) {
            Ok(admitted) if admitted.next.is_none() => self.grant(arrived, admitted),
            Ok(admitted) => self.pass_on(arrived, admitted),
            Err(Turned { denial, by_destination: true }) => {
                self.send_signed_refusal(&arrived, request.circuit, denial);
            }
            Err(Turned { denial, .. }) => {
                if denial.code == RefusalCode::BadRequest {
                    self.reject(arrived.from, Some(request.circuit), denial.reason.clone());
                }
                self.send_refusal(arrived.from, request.circuit, denial.code, &denial.reason);
            }
        }
    }

    fn admit(
        &mut self,
        arrived: &Arrived<'_>,
        request: &Request,
        gate: &mut dyn Gate,
    ) -> Result<Admitted, Turned> {
        let place = self.check_form(arrived.unix_s, arrived.from, request, &arrived.offers).map_err(bad)?;
        self.check_room(request.circuit)?;
        let asked = self
            .check_source(arrived.from, &place, request, &arrived.body, &arrived.signature)
            .map_err(bad)?;
        let content = content_hash(&self.crypto, request);
        self.check_live(&asked, arrived.from, &content)?;
        let terms = match &place.next {
            Some(next) => gate.relay(&asked, next)?,
            None => gate.connect(&asked).map_err(|denial| Turned { denial, by_destination: true })?,
        };
        let lease = terms.lease.clamp(Duration::from_secs(1), self.config.max_lease);
        let terms = Terms { lease: Duration::from_secs(lease.as_secs()), rate: terms.rate };
        let keys = self.hop_keys(&asked, place.next.is_none(), &request.public_key)?;
        Ok(Admitted { asked, content, next: place.next, terms, keys })
    }

    fn send_signed_refusal(&mut self, arrived: &Arrived<'_>, circuit: CircuitId, denial: Denial) {
        let Denial { code, reason } = denial;
        let message = Refusal::signed(code, &self.crypto.sha256(&arrived.body));
        let (certificates, signature) = (self.crypto.certificates(), self.crypto.sign(&message));
        let by = self.config.node.clone();
        let refusal = Refusal { circuit, by, code, reason, certificates, signature };
        self.send(arrived.from, Message::CircuitRefusal(refusal));
    }

    /// Signatures are dear, so an agent without room says so before it looks at one.
    fn check_room(&self, circuit: CircuitId) -> Result<(), Denial> {
        if self.pending.is_over(circuit) || self.own.contains_key(&circuit) {
            return Err(bad("the circuit's id was used before"));
        }
        if self.draining {
            return Err(Denial { code: RefusalCode::Draining, reason: "this agent is draining".to_owned() });
        }
        let full = match self.leases.get(circuit) {
            Some(_) => self.pending.len() >= self.config.max_circuits,
            None => self.load() >= self.config.max_circuits,
        };
        if full && self.pending.get(circuit).is_none() {
            return Err(Denial { code: RefusalCode::Capacity, reason: "too many circuits here".to_owned() });
        }
        Ok(())
    }

    /// A circuit that is live or under way can only be asked for again by its source, the same way, with the same content.
    fn check_live(&self, asked: &Asked, from: &NodeName, content: &[u8; 32]) -> Result<(), Denial> {
        let held = self.leases.get(asked.circuit).map(|held| (&held.content, &held.asked, &held.previous));
        let known = held.or_else(|| {
            let pending = self.pending.get(asked.circuit)?;
            Some((&pending.content, &pending.asked, &pending.previous))
        });
        if let Some((known_content, known_asked, previous)) = known {
            let same = known_content == content && known_asked.source == asked.source && previous == from;
            return if same { Ok(()) } else { Err(bad("a circuit with this id and other content is live")) };
        }
        let source = &asked.source.node;
        let count = self.leases.of_source(source) + self.pending.of_source(source);
        if count < self.config.max_per_source {
            return Ok(());
        }
        let reason = format!("{source} has {count} circuits here already");
        Err(Denial { code: RefusalCode::Capacity, reason })
    }

    fn hop_keys(&mut self, asked: &Asked, ends_here: bool, source_key: &Key) -> Result<HopKeys, Denial> {
        if let Some(held) = self.leases.get(asked.circuit) {
            return Ok(HopKeys { public: held.public_key, hop: held.hop_key, probe: held.probe_key });
        }
        if let Some(pending) = self.pending.get(asked.circuit) {
            return Ok(HopKeys { public: pending.offer.public_key, hop: pending.hop_key, probe: None });
        }
        let (secret, public) = self.crypto.generate();
        let agreed = self.crypto.agree(secret, &[*source_key]).and_then(|keys| keys.first().copied());
        let agreed = agreed.ok_or_else(|| bad("the source's key is of low order"))?;
        let hop = hop_key(&self.crypto, asked.circuit, &agreed);
        let probe = ends_here.then(|| probe_key(&self.crypto, asked.circuit, &agreed));
        Ok(HopKeys { public, hop, probe })
    }

    fn my_offer(&self, admitted: &Admitted) -> Offer {
        Offer {
            node: self.config.node.clone(),
            public_key: admitted.keys.public,
            lease_s: u32::try_from(admitted.terms.lease.as_secs()).unwrap_or(u32::MAX),
            rate: admitted.terms.rate,
        }
    }

    /// As the destination.
    fn grant(&mut self, arrived: Arrived<'_>, admitted: Admitted) {
        let mut offers = arrived.offers;
        offers.push(self.my_offer(&admitted));
        let grant = Grant {
            circuit: admitted.asked.circuit,
            request_hash: self.crypto.sha256(&arrived.body),
            certificates: self.crypto.certificates(),
            incarnation: self.config.incarnation,
            offers,
        };
        self.hold(Held {
            asked: admitted.asked,
            previous: arrived.from.clone(),
            next: None,
            content: admitted.content,
            public_key: admitted.keys.public,
            hop_key: admitted.keys.hop,
            probe_key: admitted.keys.probe,
            lease_until: arrived.now + admitted.terms.lease,
            rate: admitted.terms.rate,
            window: Default::default(),
            carriers: 0,
        });
        let grant = grant.encode();
        let signature = self.sign(Grant::SIGNED_PREFIX, &grant);
        self.send(arrived.from, Message::CircuitGrant { grant, signature });
    }

    /// As a relay.
    fn pass_on(&mut self, arrived: Arrived<'_>, admitted: Admitted) {
        let mine = self.my_offer(&admitted);
        let Some(next) = admitted.next else { return };
        let mut offers = arrived.offers;
        offers.push(mine.clone());
        self.pending.insert(Pending {
            asked: admitted.asked,
            previous: arrived.from.clone(),
            next: next.clone(),
            request_hash: self.crypto.sha256(&arrived.body),
            content: admitted.content,
            offer: mine,
            hop_key: admitted.keys.hop,
            received: arrived.now,
            deadline: arrived.now + self.config.pending_timeout,
        });
        let (request, signature) = (arrived.body, arrived.signature);
        self.send(&next, Message::CircuitRequest { request, signature, offers });
    }

    /// Holds a granted circuit, or renews it.
    pub(super) fn hold(&mut self, held: Held) {
        let (asked, role, lease_until) = (held.asked.clone(), held.role(), held.lease_until);
        if self.leases.get(asked.circuit).is_some() {
            return self.leases.renew(asked.circuit, lease_until, held.rate);
        }
        self.leases.insert(held);
        self.outputs.push_back(Output::Held { asked, role, lease_until });
    }
}
