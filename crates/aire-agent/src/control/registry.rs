use aire_registry::{Output, Rank, Unsigned, VerifiedRecord};
use aire_types::{Incarnation, NodeName, Time};
use aire_wire::{Record, RecordBody};

use super::Control;
use crate::happening::{Happening, Kind};

/// Addresses of one node that are worth dialling.
const MAX_ADDRESSES: usize = 8;

/// A record that came over a link, after its signature was looked at.
pub(crate) enum Examined {
    /// In order.
    Genuine(Box<VerifiedRecord>),
    /// Not what it claims to be.
    Forged { owner: Option<NodeName>, why: String },
}

impl Control {
    /// Is this record worth verifying?
    pub(crate) fn wants_record(&self, owner: &NodeName, record: &Record) -> bool {
        self.registry.is_news(owner, Rank::of(record))
    }

    /// Records arrived from a peer.
    pub(crate) fn handle_records(&mut self, now: Time, from: &NodeName, records: Vec<Examined>) {
        for record in records {
            match record {
                Examined::Genuine(verified) => self.registry.handle_record(now, Some(from), *verified),
                Examined::Forged { owner, why } => {
                    self.registry.handle_forgery(Some(from.clone()), owner, why);
                }
            }
        }
        self.pump(now);
    }

    /// Says something else about ourselves than before.
    pub(crate) fn publish(&mut self, now: Time, body: RecordBody) {
        self.own_body = body;
        self.own_body.draining |= self.draining;
        self.published = true;
        self.publish_with(now, |_| {});
        self.pump(now);
    }

    pub(super) fn publish_with(&mut self, now: Time, change: impl FnOnce(&mut RecordBody)) {
        change(&mut self.own_body);
        if !self.published {
            return;
        }
        let mut body = self.own_body.clone();
        for address in self.links.observed() {
            if !body.addresses.contains(&address) {
                body.addresses.push(address);
            }
        }
        body.addresses.truncate(MAX_ADDRESSES);
        body.set_legs(self.brain.legs());
        self.registry.set_own(now, body);
    }

    /// The certificate was renewed: our record is signed again with it.
    pub(crate) fn certificate_renewed(&mut self, now: Time) {
        self.registry.handle_certificate_renewed(now);
        self.pump(now);
    }

    pub(super) fn pump_registry(&mut self, now: Time) -> bool {
        let mut quiet = true;
        while let Some(output) = self.registry.poll_output() {
            quiet = false;
            match output {
                Output::Send { to, message } => {
                    self.send(&to, &message);
                }
                Output::Sign(unsigned) => self.sign(now, unsigned),
                Output::Changed { node } => {
                    self.topology_is_old = true;
                    self.offer_member(now, &node);
                }
                Output::Removed { node } => {
                    self.topology_is_old = true;
                    self.runs.remove(&node);
                    let text = format!("{node} was not heard of any more");
                    self.tell(Happening::new(Kind::NodeGone, text).peer(&node));
                }
                Output::Suspect { node } => {
                    if !self.links.has(&node) {
                        self.offer_member(now, &node);
                        self.dialler.lost(now, &node);
                    }
                }
                Output::Rejected { from, owner, why } => {
                    let owner = owner.map_or_else(|| "an unknown node".to_owned(), |owner| owner.to_string());
                    let text = format!("a record of {owner} was rejected: {why}");
                    let happening = Happening::new(Kind::RecordRejected, text);
                    self.tell(match &from {
                        Some(from) => happening.peer(from),
                        None => happening,
                    });
                }
                Output::Outrun { rank } => {
                    // Only for our record: circuits and associations know this run by its real name.
                    let later = Incarnation(rank.incarnation.0.saturating_add(1));
                    self.registry.set_incarnation(now, later);
                    let text = "the mesh knows a later run of this node: its clock went back, or its state was copied";
                    self.tell(Happening::new(Kind::Outrun, text.to_owned()));
                }
            }
        }
        quiet
    }

    fn sign(&mut self, now: Time, unsigned: Unsigned) {
        let body = match serde_json::to_vec(&unsigned.body) {
            Ok(body) => body,
            Err(error) => return tracing::error!(%error, "our own record cannot be written; this is a bug"),
        };
        let mut record = Record {
            certificates: self.membership.certificates(),
            incarnation: unsigned.rank.incarnation,
            sequence: unsigned.rank.sequence,
            ttl_s: unsigned.ttl_s,
            body,
            signature: Vec::new(),
        };
        match self.membership.sign(&record.signed()) {
            Ok(signature) => record.signature = signature,
            Err(error) => return tracing::error!(%error, "this node's key does not sign"),
        }
        self.brain.handle_published(unsigned.body.legs.iter().map(|(node, ms)| (node, f64::from(*ms))));
        let signer = self.membership.identity();
        self.registry.handle_signed(now, VerifiedRecord { signer, record, body: unsigned.body });
    }

    pub(super) fn offer_member(&mut self, now: Time, node: &NodeName) {
        let Some(member) = self.registry.member(node) else { return };
        for address in member.body.addresses.iter().take(MAX_ADDRESSES) {
            self.dialler.offer(now, *address, Some(node), false);
        }
    }
}
