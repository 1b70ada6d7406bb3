//! Our own record: when it is published anew.

use aire_types::{Incarnation, Time};
use aire_wire::{Record, RecordBody};

use crate::member::same_but_for_load;
use crate::{Output, Rank, Registry, Unsigned, VerifiedRecord};

/// What we say about ourselves.
#[derive(Clone, Debug)]
pub(crate) struct Own {
    /// What we want to say.
    pub(crate) body: Option<RecordBody>,
    /// What we said last, signed.
    pub(crate) published: Option<(Record, RecordBody)>,
    /// The rank that was given out last; sequence 0 was never used.
    pub(crate) rank: Rank,
    /// When to say it (again).
    pub(crate) publish_at: Time,
    /// When a signature was last asked for.
    signed_at: Option<Time>,
}

impl Own {
    pub(crate) const fn new(incarnation: Incarnation) -> Self {
        Own {
            body: None,
            published: None,
            rank: Rank { incarnation, sequence: 0 },
            publish_at: Time::NEVER,
            signed_at: None,
        }
    }
}

impl Registry {
    /// Says what we are from now on. Published at once when it is new; when only load differs with the next renewal, and
    /// sooner by a relay of which others should know.
    pub fn set_own(&mut self, now: Time, body: RecordBody) {
        let is_news = self.own.body.as_ref().is_none_or(|old| !same_but_for_load(old, &body));
        let is_news = is_news || self.load_is_news(now, &body);
        self.own.body = Some(body);
        if is_news {
            self.publish_soon(now);
        }
    }

    /// Whoever chooses among relays wants to know which are busy; but all relays together must not fill the links with it.
    fn load_is_news(&self, now: Time, body: &RecordBody) -> bool {
        let Some(((_, said), signed_at)) = self.own.published.as_ref().zip(self.own.signed_at) else {
            return false;
        };
        let changed = (said.node.load() - body.node.load()).abs() >= self.config.load_change;
        if !body.node.relays || !changed || now.since(signed_at) < self.config.load_interval {
            return false;
        }
        let relays = 1.0 + self.relays().count() as f64;
        now.since(signed_at).as_secs_f64() >= relays / self.config.loads_per_second.max(0.001)
    }

    /// Our certificate was renewed: publishes again, signed with the new key.
    pub fn handle_certificate_renewed(&mut self, now: Time) {
        self.publish_soon(now);
    }

    /// Goes on as a later run of this node, after an [`Output::Outrun`]. An earlier incarnation changes nothing.
    pub fn set_incarnation(&mut self, now: Time, incarnation: Incarnation) {
        if incarnation > self.own.rank.incarnation {
            self.own.rank = Rank { incarnation, sequence: 0 };
            self.publish_soon(now);
        }
    }

    /// The answer to [`Output::Sign`]. One that was overtaken by a later request is dropped.
    pub fn handle_signed(&mut self, now: Time, verified: VerifiedRecord) {
        if verified.signer != self.config.identity || Rank::of(&verified.record) != self.own.rank {
            return;
        }
        let is_news = match &self.own.published {
            Some((_, said)) => !same_but_for_load(said, &verified.body),
            None => true,
        };
        self.own.published = Some((verified.record, verified.body));
        let node = self.config.identity.node.clone();
        self.spread(now, &node, None, is_news);
    }

    /// A verified record of ours came from elsewhere: we lost our state, or it is merely old.
    pub(crate) fn handle_echo(&mut self, now: Time, rank: Rank) {
        if rank <= self.own.rank {
            self.stats.records_old += 1;
        } else if rank.incarnation == self.own.rank.incarnation {
            self.own.rank.sequence = rank.sequence;
            self.publish_soon(now);
        } else {
            self.outputs.push_back(Output::Outrun { rank });
        }
    }

    fn publish_soon(&mut self, now: Time) {
        if self.own.body.is_none() {
            return;
        }
        let earliest = self.own.signed_at.map_or(now, |last| last + self.config.publish_interval);
        self.own.publish_at = self.own.publish_at.min(now.max(earliest));
        self.publish_if_due(now);
    }

    pub(crate) fn publish_if_due(&mut self, now: Time) {
        let Some(body) = &self.own.body else { return };
        if now < self.own.publish_at {
            return;
        }
        let renewal = self.renewal();
        let ttl_s = renewal.as_secs().saturating_mul(3).max(1);
        self.own.rank.sequence = self.own.rank.sequence.saturating_add(1);
        self.outputs.push_back(Output::Sign(Unsigned { rank: self.own.rank, ttl_s, body: body.clone() }));
        self.own.signed_at = Some(now);
        // Never later than a third of the life that was promised.
        self.own.publish_at = now + self.random.scale(renewal, 0.8, 1.0);
    }

    /// Between two renewals: the larger the mesh, the rarer, so that all of them together stay at one rate.
    fn renewal(&self) -> std::time::Duration {
        let nodes = (self.members.len() + 1) as f64;
        let wanted = (nodes / self.config.renewals_per_second.max(0.001)).min(1e9);
        let (low, high) = (self.config.renewal_min, self.config.renewal_max);
        std::time::Duration::from_secs_f64(wanted).clamp(low, high.max(low))
    }
}
