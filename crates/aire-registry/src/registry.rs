use std::collections::{BTreeMap, BTreeSet, VecDeque};

use aire_types::{NodeName, Random, Time};

use crate::member::same_but_for_load;
use crate::own::Own;
use crate::{Config, Member, Output, Rank, Stats, VerifiedRecord};

/// What is left of an expired record.
#[derive(Clone, Debug)]
pub(crate) struct Tombstone {
    pub(crate) rank: Rank,
    pub(crate) until: Time,
}

/// A link to another agent, as far as the registry is concerned.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    /// How many buckets we last sent hashes of; an answer names buckets of that division.
    pub(crate) asked: Option<usize>,
    /// When we last answered its hashes.
    pub(crate) answered: Option<Time>,
    /// Bytes of records that it may still fetch, at `counted`.
    pub(crate) budget: u64,
    pub(crate) counted: Time,
}

/// A record that was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) until: Time,
}

/// The members of the mesh, and the news about them. See the crate's documentation for the rules.
///
/// Facts go in through `handle_*` and `set_*`, effects come out of [`Registry::poll_output`], and
/// [`Registry::handle_timeout`] wants to be called at [`Registry::poll_timeout`].
#[derive(Clone, Debug)]
pub struct Registry {
    pub(crate) config: Config,
    pub(crate) random: Random,
    pub(crate) own: Own,
    /// All others, by node.
    pub(crate) members: BTreeMap<NodeName, Member>,
    /// Expired ones.
    pub(crate) tombstones: BTreeMap<NodeName, Tombstone>,
    /// [`Member::deadline`] of each member.
    pub(crate) deadlines: BTreeSet<(Time, NodeName)>,
    pub(crate) links: BTreeMap<NodeName, Link>,
    /// To be pushed: the owner, and who sent it to us.
    pub(crate) urgent: BTreeMap<NodeName, Option<NodeName>>,
    /// To be announced: the owner, and who is known to have it.
    pub(crate) news: BTreeMap<NodeName, BTreeSet<NodeName>>,
    pub(crate) announce_at: Time,
    pub(crate) wanted: BTreeMap<NodeName, Wanted>,
    pub(crate) sync_at: Time,
    pub(crate) outputs: VecDeque<Output>,
    pub(crate) stats: Stats,
}

impl Registry {
    /// An empty registry; `now` starts its timers.
    pub fn new(now: Time, config: Config) -> Self {
        let mut random = Random::new(config.seed);
        let sync_at = now + random.scale(config.sync_interval, 0.0, 1.0);
        Registry {
            own: Own::new(config.incarnation),
            random,
            members: BTreeMap::new(),
            tombstones: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            links: BTreeMap::new(),
            urgent: BTreeMap::new(),
            news: BTreeMap::new(),
            announce_at: Time::NEVER,
            wanted: BTreeMap::new(),
            sync_at,
            outputs: VecDeque::new(),
            stats: Stats::default(),
            config,
        }
    }

    /// A link to `node` is open. Links to ourselves are ignored.
    pub fn handle_link_up(&mut self, now: Time, node: NodeName) {
        if node == self.config.identity.node {
            return;
        }
        let begins = self.config.identity.node < node;
        self.links.insert(node.clone(), Link::new(now));
        if begins {
            self.start_sync(now, &node);
        }
    }

    /// The link to `node` is gone, which is no more than a reason to ask after it.
    pub fn handle_link_down(&mut self, _now: Time, node: &NodeName) {
        if self.links.remove(node).is_some() && self.members.contains_key(node) {
            self.outputs.push_back(Output::Suspect { node: node.clone() });
        }
    }

    /// Would a record of this rank be applied? For asking before a signature is verified at all.
    pub fn is_news(&self, owner: &NodeName, rank: Rank) -> bool {
        if *owner == self.config.identity.node {
            return rank > self.own.rank;
        }
        match (self.members.get(owner), self.tombstones.get(owner)) {
            (Some(member), _) if member.cached => rank >= member.rank(),
            (Some(member), _) => rank > member.rank(),
            (None, Some(tombstone)) => rank > tombstone.rank,
            (None, None) => true,
        }
    }

    /// A verified record came over the link from `from` (or out of nowhere, as with a discovery adapter: `None`).
    pub fn handle_record(&mut self, now: Time, from: Option<&NodeName>, verified: VerifiedRecord) {
        let owner = verified.signer.node.clone();
        let rank = Rank::of(&verified.record);
        if let Err(why) = self.check(&verified) {
            return self.reject(from.cloned(), Some(owner), why);
        }
        if owner == self.config.identity.node {
            return self.handle_echo(now, rank);
        }
        let asked = self.wanted.remove(&owner).is_some();
        if !self.is_news(&owner, rank) {
            self.stats.records_old += 1;
            return self.note_known(&owner, rank, from);
        }
        let held = self.members.get(&owner).filter(|member| !member.cached);
        let same = held.is_some_and(|m| m.identity == verified.signer && m.body == verified.body);
        let is_renewal =
            held.is_some_and(|m| m.identity == verified.signer && same_but_for_load(&m.body, &verified.body));
        self.stats.records_applied += 1;
        self.apply(Member::new(now, verified, self.config.ttl_max, false));
        if !same {
            self.outputs.push_back(Output::Changed { node: owner.clone() });
        }
        self.spread(now, &owner, from, !is_renewal && !asked);
    }

    /// A verified record out of the cache of an earlier run. It is not handed on, and gives way to any that is heard.
    pub fn handle_cached(&mut self, now: Time, verified: VerifiedRecord) {
        let owner = verified.signer.node.clone();
        let is_known = self.members.contains_key(&owner) || self.tombstones.contains_key(&owner);
        if is_known || owner == self.config.identity.node || self.check(&verified).is_err() {
            return;
        }
        self.apply(Member::new(now, verified, self.config.ttl_max, true));
        self.outputs.push_back(Output::Changed { node: owner });
    }

    /// A record whose certificate or signature did not verify came from `from`.
    pub fn handle_forgery(&mut self, from: Option<NodeName>, owner: Option<NodeName>, why: String) {
        self.reject(from, owner, why);
    }

    fn reject(&mut self, from: Option<NodeName>, owner: Option<NodeName>, why: String) {
        self.stats.records_rejected += 1;
        self.outputs.push_back(Output::Rejected { from, owner, why });
    }

    /// What makes a record unacceptable, whatever its rank.
    fn check(&self, verified: &VerifiedRecord) -> Result<(), String> {
        let signer = &verified.signer;
        if signer.mesh != self.config.identity.mesh {
            return Err(format!("{signer} is not of the mesh {}", self.config.identity.mesh));
        }
        if verified.record.ttl_s == 0 {
            return Err("its time to live is zero".to_owned());
        }
        match self.members.get(&signer.node) {
            Some(held)
                if held.identity != *signer && held.record.incarnation == verified.record.incarnation =>
            {
                Err(format!("{} became {signer} within one run", held.identity))
            }
            None if self.members.len() >= self.config.max_nodes
                && signer.node != self.config.identity.node =>
            {
                Err(format!("the registry is full with {} nodes", self.members.len()))
            }
            _ => Ok(()),
        }
    }

    fn apply(&mut self, member: Member) {
        let node = member.node().clone();
        self.tombstones.remove(&node);
        self.deadlines.insert((member.deadline(), node.clone()));
        if let Some(old) = self.members.insert(node.clone(), member.clone())
            && old.deadline() != member.deadline()
        {
            self.deadlines.remove(&(old.deadline(), node));
        }
    }

    /// The next effect, until there is none.
    pub fn poll_output(&mut self) -> Option<Output> {
        if self.outputs.is_empty() {
            self.push_urgent();
        }
        self.outputs.pop_front()
    }

    /// When [`Registry::handle_timeout`] wants to be called next.
    pub fn poll_timeout(&self) -> Option<Time> {
        let deadline = self.deadlines.first().map_or(Time::NEVER, |(at, _)| *at);
        Some(deadline.min(self.sync_at).min(self.announce_at).min(self.own.publish_at))
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Time) {
        self.expire(now);
        self.publish_if_due(now);
        if now >= self.announce_at {
            self.announce();
        }
        if now >= self.sync_at {
            self.tombstones.retain(|_, tombstone| now < tombstone.until);
            self.wanted.retain(|_, wanted| now < wanted.until);
            self.sync_with_one(now);
            self.sync_at = now + self.random.scale(self.config.sync_interval, 0.75, 1.25);
        }
    }

    fn expire(&mut self, now: Time) {
        while let Some((at, node)) = self.deadlines.pop_first() {
            if now < at {
                self.deadlines.insert((at, node));
                return;
            }
            let Some(member) = self.members.get_mut(&node) else { continue };
            if now < member.expires {
                member.suspect = true;
                self.deadlines.insert((member.expires, node.clone()));
                self.outputs.push_back(Output::Suspect { node });
            } else {
                self.remove(now, node);
            }
        }
    }

    /// Forgets a node whose records are not accepted any more; false where it was not known. If they are accepted again one
    /// day, the one that it has now counts.
    pub fn expel(&mut self, node: &NodeName) -> bool {
        self.news.remove(node);
        self.urgent.remove(node);
        self.wanted.remove(node);
        let Some(member) = self.members.remove(node) else { return false };
        self.deadlines.remove(&(member.deadline(), node.clone()));
        true
    }

    fn remove(&mut self, now: Time, node: NodeName) {
        let Some(member) = self.members.remove(&node) else { return };
        if !member.cached {
            // Long enough for every copy that was accepted while this one was offered.
            let until = now + member.expires.since(member.accepted) * 3;
            self.tombstones.insert(node.clone(), Tombstone { rank: member.rank(), until });
            if self.tombstones.len() > self.config.max_nodes {
                let oldest =
                    self.tombstones.iter().min_by_key(|(_, t)| t.until).map(|(node, _)| node.clone());
                oldest.map(|node| self.tombstones.remove(&node));
            }
        }
        self.outputs.push_back(Output::Removed { node });
    }
}
