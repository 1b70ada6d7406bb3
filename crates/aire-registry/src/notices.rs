//! The authority's notices: which are in force, and how they get to everybody.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use aire_types::{MeshName, NodeName, Random, Time};
use aire_wire::{Message, Notice, NoticeKind, NoticeVersions};

/// A notice up to this length is pushed over all links.
const SMALL: usize = 4096;
/// Links over which a longer one is pushed; the others are told its version and ask.
const PUSHED: usize = 4;
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_secs(30);

/// What [`Notices`] want done, or known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoticeOutput {
    /// Send over the link to this node; drop it where the link is gone or full.
    Send {
        /// Over which link.
        to: NodeName,
        /// What.
        message: Message,
    },
    /// This one is in force from now on: keep it, and act on it.
    Adopted(Notice),
    /// One was refused. For the events: `from` is to blame, or passed on what it should have refused itself; `None` is
    /// this node's own folder.
    Refused {
        /// Who sent it.
        from: Option<NodeName>,
        /// What it is about.
        kind: NoticeKind,
        /// Its version.
        version: u64,
        /// What is wrong with it.
        why: String,
    },
}

/// The other end of a link.
#[derive(Clone, Debug)]
struct Peer {
    /// What it said that it holds.
    holds: NoticeVersions,
    /// What it was sent since then.
    sent: NoticeVersions,
    /// When it is told again what it has not confirmed.
    retry_at: Time,
    wait: Duration,
    /// It is not asked again before.
    asked_until: Time,
}

/// The newest notice of each kind, and who has it.
///
/// Versions only rise. News is sent over every link until its other end confirms it; a mesh in which everybody has
/// everything is silent. Signatures are checked by who drives this, after [`Notices::wants`].
#[derive(Clone, Debug)]
pub struct Notices {
    mesh: MeshName,
    held: BTreeMap<NoticeKind, Notice>,
    peers: BTreeMap<NodeName, Peer>,
    random: Random,
    outputs: VecDeque<NoticeOutput>,
}

impl Notices {
    /// Holds none.
    pub const fn new(mesh: MeshName, seed: u64) -> Self {
        Notices {
            mesh,
            held: BTreeMap::new(),
            peers: BTreeMap::new(),
            random: Random::new(seed),
            outputs: VecDeque::new(),
        }
    }

    /// Takes what an earlier run kept, its signature checked again. Nothing is told of it.
    pub fn restore(&mut self, notice: Notice) {
        if notice.mesh == self.mesh && notice.version > self.versions().of(notice.kind) {
            self.held.insert(notice.kind, notice);
        }
    }

    /// The one in force.
    pub fn held(&self, kind: NoticeKind) -> Option<&Notice> {
        self.held.get(&kind)
    }

    /// The versions in force.
    pub fn versions(&self) -> NoticeVersions {
        let mut versions = NoticeVersions::default();
        self.held.iter().for_each(|(kind, notice)| versions.set(*kind, notice.version));
        versions
    }

    /// A link to `node` is open, or another one than before.
    pub fn handle_link_up(&mut self, now: Time, node: NodeName) {
        let peer = Peer {
            holds: NoticeVersions::default(),
            sent: NoticeVersions::default(),
            retry_at: now + FIRST_RETRY,
            wait: FIRST_RETRY,
            asked_until: Time::ZERO,
        };
        self.peers.insert(node.clone(), peer);
        self.say_held(&node);
    }

    /// The link to `node` is gone.
    pub fn handle_link_down(&mut self, node: &NodeName) {
        self.peers.remove(node);
    }

    /// A peer said what it holds.
    pub fn handle_held(&mut self, now: Time, from: &NodeName, holds: NoticeVersions) {
        let ours = self.versions();
        let Some(peer) = self.peers.get_mut(from) else { return };
        peer.holds = holds;
        let lacking = NoticeKind::ALL.iter().any(|kind| holds.of(*kind) > ours.of(*kind));
        if lacking && peer.asked_until <= now {
            peer.asked_until = now + FIRST_RETRY;
            self.say_held(from);
        }
        self.offer(now, from);
    }

    /// A notice arrived: is its signature worth checking? It is not where it is no news, or is wrong as it stands.
    pub fn wants(&mut self, now: Time, from: Option<&NodeName>, notice: &Notice) -> bool {
        let Notice { kind, version, .. } = *notice;
        if notice.mesh != self.mesh {
            let why = format!("it is of the mesh {}, and this is {}", notice.mesh, self.mesh);
            self.refuse(from, kind, version, why);
            return false;
        }
        let Some(held) = self.held.get(&kind) else { return true };
        if version > held.version {
            return true;
        }
        if version < held.version {
            let why = format!("it is old: version {} is in force", held.version);
            self.refuse(from, kind, version, why);
        } else if notice.body != held.body {
            let why =
                "another one of this version is in force; the authority's folder was copied or restored"
                    .to_owned();
            self.refuse(from, kind, version, why);
        } else if let Some(peer) = from.and_then(|from| self.peers.get_mut(from)) {
            peer.holds.set(kind, version);
        }
        self.confirm(now, from);
        false
    }

    /// A notice with a good signature: in force from now on if it is news.
    pub fn handle_notice(&mut self, now: Time, from: Option<&NodeName>, notice: Notice) {
        if !self.wants(now, from, &notice) {
            return;
        }
        let (kind, version) = (notice.kind, notice.version);
        let is_small = notice.body.len() <= SMALL;
        self.held.insert(kind, notice.clone());
        if let Some(peer) = from.and_then(|from| self.peers.get_mut(from)) {
            peer.holds.set(kind, version);
        }
        self.confirm(now, from);
        let mut nodes: Vec<NodeName> =
            self.peers.keys().filter(|node| Some(*node) != from).cloned().collect();
        let mut pushed = if is_small { nodes.len() } else { PUSHED };
        while !nodes.is_empty() {
            let node = nodes.swap_remove(self.random.below(nodes.len()));
            if let Some(peer) = self.peers.get_mut(&node) {
                (peer.wait, peer.retry_at) = (FIRST_RETRY, now + FIRST_RETRY);
            }
            if pushed > 0 {
                pushed -= 1;
                self.offer(now, &node);
            } else {
                self.say_held(&node);
            }
        }
        self.outputs.push_back(NoticeOutput::Adopted(notice));
    }

    /// The signature of a notice is not the authority's.
    pub fn handle_forgery(&mut self, from: Option<&NodeName>, kind: NoticeKind, version: u64, why: String) {
        self.refuse(from, kind, version, why);
    }

    /// The next effect, until there is none.
    pub fn poll_output(&mut self) -> Option<NoticeOutput> {
        self.outputs.pop_front()
    }

    /// When [`Notices::handle_timeout`] wants to be called next.
    pub fn poll_timeout(&self) -> Option<Time> {
        let ours = self.versions();
        self.peers.values().filter(|peer| peer.lacks(ours)).map(|peer| peer.retry_at).min()
    }

    /// Sends again what was not confirmed in time.
    pub fn handle_timeout(&mut self, now: Time) {
        let ours = self.versions();
        let late = self.peers.iter_mut().filter(|(_, peer)| peer.lacks(ours) && peer.retry_at <= now);
        let late: Vec<NodeName> = late
            .map(|(node, peer)| {
                peer.sent = NoticeVersions::default();
                peer.wait = (2 * peer.wait).min(LAST_RETRY);
                peer.retry_at = now + peer.wait;
                node.clone()
            })
            .collect();
        late.iter().for_each(|node| self.offer(now, node));
    }

    /// Gives a peer what it lacks and was not just given.
    fn offer(&mut self, now: Time, node: &NodeName) {
        let Some(peer) = self.peers.get_mut(node) else { return };
        for (kind, notice) in &self.held {
            if notice.version > peer.holds.of(*kind).max(peer.sent.of(*kind)) {
                peer.sent.set(*kind, notice.version);
                peer.retry_at = now + peer.wait;
                let message = Message::Notice(notice.clone());
                self.outputs.push_back(NoticeOutput::Send { to: node.clone(), message });
            }
        }
    }

    fn say_held(&mut self, to: &NodeName) {
        let message = Message::Held(self.versions());
        self.outputs.push_back(NoticeOutput::Send { to: to.clone(), message });
    }

    /// Tells who sent a notice what is in force now.
    fn confirm(&mut self, now: Time, from: Option<&NodeName>) {
        if let Some(from) = from.filter(|from| self.peers.contains_key(*from)) {
            self.say_held(from);
            self.offer(now, from);
        }
    }

    fn refuse(&mut self, from: Option<&NodeName>, kind: NoticeKind, version: u64, why: String) {
        self.outputs.push_back(NoticeOutput::Refused { from: from.cloned(), kind, version, why });
    }

    /// Panics where the state contradicts itself. For tests.
    ///
    /// # Panics
    /// A bug here.
    pub fn check_invariants(&self) {
        let ours = self.versions();
        for (kind, notice) in &self.held {
            assert!(*kind == notice.kind && notice.mesh == self.mesh, "a notice in a wrong place");
        }
        for peer in self.peers.values() {
            for kind in NoticeKind::ALL {
                assert!(peer.sent.of(kind) <= ours.of(kind), "what is not held was sent");
            }
        }
    }
}

impl Peer {
    fn lacks(&self, ours: NoticeVersions) -> bool {
        NoticeKind::ALL.iter().any(|kind| ours.of(*kind) > self.holds.of(*kind))
    }
}
