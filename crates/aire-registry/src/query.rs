//! Questions about the mesh, and the invariants.

use aire_types::{AppName, Identity, NodeName};
use aire_wire::{Record, RecordBody};

use crate::{Member, Rank, Registry, Stats};

impl Registry {
    /// Who we are.
    pub const fn identity(&self) -> &Identity {
        &self.config.identity
    }

    /// Our own record as last signed, and what it says.
    pub fn own(&self) -> Option<(&Record, &RecordBody)> {
        self.own.published.as_ref().map(|(record, body)| (record, body))
    }

    /// The rank that our own record has or is about to get.
    pub const fn own_rank(&self) -> Rank {
        self.own.rank
    }

    /// All other nodes, by name.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.values()
    }

    /// Another node.
    pub fn member(&self, node: &NodeName) -> Option<&Member> {
        self.members.get(node)
    }

    /// Other nodes that serve this app and take new streams, by name.
    pub fn instances<'a>(&'a self, app: &'a AppName) -> impl Iterator<Item = &'a Member> {
        self.members().filter(move |member| member.app() == Some(app) && !member.body.draining)
    }

    /// Other nodes that relay and take new circuits, by name.
    pub fn relays(&self) -> impl Iterator<Item = &Member> {
        self.members().filter(|member| member.body.node.relays && !member.body.draining)
    }

    /// Nodes that we have a link to, by name.
    pub fn links(&self) -> impl Iterator<Item = &NodeName> {
        self.links.keys()
    }

    /// The records worth keeping for the next start, by node; [`Registry::handle_cached`] takes them back.
    pub fn export(&self) -> impl Iterator<Item = &Record> {
        self.members().filter(|member| !member.body.addresses.is_empty()).map(|member| &member.record)
    }

    /// Counters since the start.
    pub const fn stats(&self) -> Stats {
        self.stats
    }

    /// Panics where the registry contradicts itself. For tests.
    pub fn check_invariants(&self) {
        let own = &self.config.identity;
        assert!(!self.members.contains_key(&own.node), "we are not our own member");
        assert!(!self.links.contains_key(&own.node), "no link to ourselves");
        assert!(self.members.len() <= self.config.max_nodes, "the bound on nodes");
        assert!(self.tombstones.len() <= self.config.max_nodes, "the bound on tombstones");
        assert!(self.wanted.len() <= self.config.max_nodes, "the bound on requests");
        assert_eq!(self.deadlines.len(), self.members.len(), "one deadline for each member");
        for (node, member) in &self.members {
            assert_eq!(*node, member.identity.node, "a record stands under its signer's name");
            assert_eq!(member.identity.mesh, own.mesh, "members are of our mesh");
            assert!(self.deadlines.contains(&(member.deadline(), node.clone())), "{node}'s deadline");
            assert!(!self.tombstones.contains_key(node), "{node} is dead or alive");
            let life = member.expires.since(member.accepted);
            assert!(life <= self.config.ttl_max, "{node} lives too long");
        }
        if let Some((record, _)) = &self.own.published {
            assert!(Rank::of(record) <= self.own.rank, "our rank never falls");
        }
        assert!(self.news.is_empty() || self.announce_at < aire_types::Time::NEVER, "news will be announced");
    }
}
