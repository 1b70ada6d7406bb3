//! Many registries on one virtual clock, joined by links that delay, drop, break and heal.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aire_registry::{Config, NoticeOutput, Notices, Output, Rank, Registry, Unsigned, VerifiedRecord};
use aire_types::{Identity, Incarnation, MeshName, NodeName, NodeProfile, Time, fnv};
use aire_wire::{Message, Notice, NoticeKind, Record, RecordBody};

/// Reproducible numbers for the network and the faults.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Dice(seed ^ 0x5851_f42d_4c95_7f2d)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let x = self.0 ^ (self.0 >> 29);
        x.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    pub(crate) fn chance(&mut self, share: f64) -> bool {
        ((self.next() % 1_000_000) as f64) < share * 1e6
    }
}

pub(crate) fn identity(name: &str) -> Identity {
    format!("spiffe://sim/app/app-{}/{name}", name.len() % 3).parse().expect("a good identity")
}

pub(crate) fn mesh() -> MeshName {
    MeshName::new("sim").expect("a good name")
}

/// Stands for ECDSA: only who knows `signer` (that is, its own host) calls it.
fn signature(signer: &Identity, record: &Record) -> Vec<u8> {
    let key = fnv::hash(signer.to_string().as_bytes());
    let mut bytes = record.signed();
    bytes.extend(key.to_be_bytes());
    fnv::hash(&bytes).to_be_bytes().repeat(9)
}

/// Signs what `claimed` says with the key of `signer`; honest where they are the same.
pub(crate) fn sign(claimed: &Identity, signer: &Identity, unsigned: &Unsigned) -> Record {
    // About as long as real certificates.
    let mut certificates = claimed.to_string().into_bytes();
    certificates.resize(540, b' ');
    let mut record = Record {
        certificates,
        incarnation: unsigned.rank.incarnation,
        sequence: unsigned.rank.sequence,
        ttl_s: unsigned.ttl_s,
        body: serde_json::to_vec(&unsigned.body).expect("a body is JSON"),
        signature: Vec::new(),
    };
    record.signature = signature(signer, &record);
    record
}

fn owner(record: &Record) -> Identity {
    String::from_utf8_lossy(&record.certificates).trim().parse().expect("certificates hold identities")
}

pub(crate) fn verify(record: Record) -> Result<VerifiedRecord, String> {
    let signer = owner(&record);
    if signature(&signer, &record) != record.signature {
        return Err(format!("the signature is not that of {signer}"));
    }
    let body = record.parse_body().map_err(|error| error.to_string())?;
    Ok(VerifiedRecord { signer, record, body })
}

pub(crate) fn body(zone: &str) -> RecordBody {
    RecordBody {
        addresses: vec!["192.0.2.17:7117".parse().expect("an address")],
        node: NodeProfile {
            zone: zone.to_owned(),
            cpus: 8.0,
            memory_mib: 32_000,
            relays: true,
            ..Default::default()
        },
        app: Some(Default::default()),
        ..Default::default()
    }
}

/// Stands for the authority's ECDSA.
pub(crate) fn sign_notice(notice: &Notice) -> Vec<u8> {
    fnv::hash(&[&notice.signed()[..], b"authority"].concat()).to_be_bytes().repeat(9)
}

/// One node: the registry and what an agent does around it.
pub(crate) struct Host {
    pub(crate) identity: Identity,
    pub(crate) registry: Option<Registry>,
    pub(crate) notices: Notices,
    /// What is on its disk.
    pub(crate) kept: BTreeMap<NoticeKind, Notice>,
    /// Notices that it refused: from whom, and why.
    pub(crate) refused: Vec<(Option<NodeName>, String)>,
    /// Full copies of notices that it was sent.
    pub(crate) copies: u64,
    pub(crate) incarnation: u64,
    pub(crate) bytes_sent: u64,
    pub(crate) messages_sent: u64,
    pub(crate) rejected: Vec<(Option<NodeName>, Option<NodeName>)>,
    pub(crate) removed: Vec<NodeName>,
    pub(crate) suspected: Vec<NodeName>,
    pub(crate) outrun: Vec<Rank>,
    /// The highest rank that was ever applied here, by owner, in this run.
    highest: BTreeMap<NodeName, Rank>,
    wake: Time,
}

enum Event {
    Deliver { from: usize, to: usize, epoch: u64, bytes: Vec<u8> },
    Wake { host: usize },
}

#[derive(Clone, Copy)]
pub(crate) struct Wire {
    pub(crate) delay: Duration,
    pub(crate) loss: f64,
    up: bool,
    epoch: u64,
    last: [Time; 2],
}

pub(crate) struct Sim {
    pub(crate) now: Time,
    pub(crate) dice: Dice,
    pub(crate) hosts: Vec<Host>,
    pub(crate) wires: BTreeMap<(usize, usize), Wire>,
    /// Check the invariants of a host after every so many events.
    pub(crate) check_every: u64,
    /// Records that were seen on the wire, for replaying.
    pub(crate) overheard: Vec<Record>,
    pub(crate) config: fn(&mut Config),
    queue: BTreeMap<(Time, u64), Event>,
    serial: u64,
}

impl Sim {
    pub(crate) fn new(seed: u64, hosts: usize, config: fn(&mut Config)) -> Self {
        let host = |i: usize| Host {
            identity: identity(&format!("node-{i}")),
            registry: None,
            notices: Notices::new(mesh(), i as u64),
            kept: BTreeMap::new(),
            refused: Vec::new(),
            copies: 0,
            incarnation: 0,
            bytes_sent: 0,
            messages_sent: 0,
            rejected: Vec::new(),
            removed: Vec::new(),
            suspected: Vec::new(),
            outrun: Vec::new(),
            highest: BTreeMap::new(),
            wake: Time::NEVER,
        };
        Sim {
            now: Time::from_millis(1000),
            dice: Dice::new(seed),
            hosts: (0..hosts).map(host).collect(),
            wires: BTreeMap::new(),
            check_every: 1,
            overheard: Vec::new(),
            config,
            queue: BTreeMap::new(),
            serial: 0,
        }
    }

    pub(crate) fn name(&self, host: usize) -> NodeName {
        self.hosts[host].identity.node.clone()
    }

    /// A ring and random chords, so that each host has about `degree` links.
    pub(crate) fn lay_wires(&mut self, degree: usize) {
        let n = self.hosts.len();
        for i in 0..n {
            self.lay_wire(i, (i + 1) % n);
        }
        while n > degree && self.wires.len() < n * degree / 2 {
            let (a, b) = (self.dice.below(n), self.dice.below(n));
            self.lay_wire(a, b);
        }
    }

    fn lay_wire(&mut self, a: usize, b: usize) {
        if a != b {
            let delay = Duration::from_millis(1 + self.dice.next() % 150);
            let wire = Wire { delay, loss: 0.0, up: false, epoch: 0, last: [Time::ZERO; 2] };
            self.wires.entry((a.min(b), a.max(b))).or_insert(wire);
        }
    }

    pub(crate) fn start(&mut self, host: usize) {
        self.start_as(host, self.now.as_micros());
    }

    pub(crate) fn start_as(&mut self, host: usize, incarnation: u64) {
        let seed = self.dice.next();
        let identity = self.hosts[host].identity.clone();
        let mut config = Config::new(identity, Incarnation(incarnation), seed);
        (self.config)(&mut config);
        let mut registry = Registry::new(self.now, config);
        registry.set_own(self.now, body(&format!("zone of {}", self.name(host))));
        let it = &mut self.hosts[host];
        it.incarnation = incarnation;
        it.highest.clear();
        it.registry = Some(registry);
        it.notices = Notices::new(mesh(), seed);
        it.kept.values().for_each(|notice| it.notices.restore(notice.clone()));
        it.wake = Time::NEVER;
        self.settle(host);
        for pair in self.wires_of(host) {
            self.link(pair, true);
        }
    }

    pub(crate) fn kill(&mut self, host: usize) {
        for pair in self.wires_of(host) {
            self.link(pair, false);
        }
        self.hosts[host].registry = None;
    }

    fn wires_of(&self, host: usize) -> Vec<(usize, usize)> {
        self.wires.keys().copied().filter(|(a, b)| *a == host || *b == host).collect()
    }

    /// Opens or breaks a link; it opens only between two that live. What is on the way is lost when it breaks.
    pub(crate) fn link(&mut self, pair: (usize, usize), up: bool) {
        let both = self.hosts[pair.0].registry.is_some() && self.hosts[pair.1].registry.is_some();
        let Some(wire) = self.wires.get_mut(&pair) else { return };
        if wire.up == up || (up && !both) {
            return;
        }
        wire.up = up;
        wire.epoch += 1;
        for (host, peer) in [pair, (pair.1, pair.0)] {
            let peer = self.name(peer);
            let now = self.now;
            let it = &mut self.hosts[host];
            if let Some(registry) = &mut it.registry {
                if up {
                    registry.handle_link_up(now, peer.clone());
                    it.notices.handle_link_up(now, peer);
                } else {
                    registry.handle_link_down(now, &peer);
                    it.notices.handle_link_down(&peer);
                }
            }
            self.settle(host);
        }
    }

    /// Opens all links between live hosts and ends all loss.
    pub(crate) fn heal(&mut self) {
        let pairs: Vec<_> = self.wires.keys().copied().collect();
        for pair in pairs {
            self.link(pair, true);
            if let Some(wire) = self.wires.get_mut(&pair) {
                wire.loss = 0.0;
            }
        }
    }

    /// Calls `act` on a live host's registry and carries out what comes of it.
    pub(crate) fn on(&mut self, host: usize, act: impl FnOnce(&mut Registry, Time)) {
        if let Some(registry) = &mut self.hosts[host].registry {
            act(registry, self.now);
            self.settle(host);
        }
    }

    pub(crate) fn run_until(&mut self, end: Time) {
        let mut steps = 0u64;
        while let Some(entry) = self.queue.first_entry() {
            if entry.key().0 > end {
                break;
            }
            let ((at, _), event) = entry.remove_entry();
            assert!(at >= self.now, "time goes forward");
            self.now = at;
            let host = match event {
                Event::Deliver { from, to, epoch, bytes } => {
                    self.deliver(from, to, epoch, &bytes);
                    to
                }
                Event::Wake { host } => {
                    self.wake(host);
                    host
                }
            };
            steps += 1;
            if steps.is_multiple_of(self.check_every)
                && let Some(registry) = &self.hosts[host].registry
            {
                registry.check_invariants();
                self.hosts[host].notices.check_invariants();
            }
        }
        self.now = end;
    }

    pub(crate) fn run_for(&mut self, seconds: u64) {
        self.run_until(self.now + Duration::from_secs(seconds));
    }

    fn wake(&mut self, host: usize) {
        let it = &mut self.hosts[host];
        if it.wake != self.now {
            return;
        }
        it.wake = Time::NEVER;
        if let Some(registry) = &mut it.registry {
            registry.handle_timeout(self.now);
            it.notices.handle_timeout(self.now);
            self.settle(host);
        }
    }

    fn deliver(&mut self, from: usize, to: usize, epoch: u64, bytes: &[u8]) {
        let alive = self.wires.get(&(from.min(to), from.max(to))).is_some_and(|w| w.up && w.epoch == epoch);
        if !alive || self.hosts[to].registry.is_none() {
            return;
        }
        let sender = self.name(from);
        match Message::decode(bytes).expect("what registries send can be read") {
            Message::Gossip(records) => {
                for record in records {
                    self.receive(to, &sender, record);
                }
            }
            Message::Held(versions) => self.hosts[to].notices.handle_held(self.now, &sender, versions),
            Message::Notice(notice) => self.receive_notice(to, Some(&sender), notice),
            message => self.on(to, |registry, now| registry.handle_message(now, &sender, &message)),
        }
        self.settle(to);
    }

    /// What an agent does with a notice; `from` is `None` for the authority's own folder.
    pub(crate) fn receive_notice(&mut self, to: usize, from: Option<&NodeName>, notice: Notice) {
        let it = &mut self.hosts[to];
        it.copies += 1;
        if it.notices.wants(self.now, from, &notice) {
            if sign_notice(&notice) == notice.signature {
                it.notices.handle_notice(self.now, from, notice);
            } else {
                let why = "forged".to_owned();
                it.notices.handle_forgery(from, notice.kind, notice.version, why);
            }
        }
        self.settle(to);
    }

    /// What an agent does with one record: looks whether it is news, verifies it, hands it in.
    fn receive(&mut self, to: usize, sender: &NodeName, record: Record) {
        let (node, rank) = (owner(&record).node, Rank::of(&record));
        let now = self.now;
        let Some(registry) = &mut self.hosts[to].registry else { return };
        if !registry.is_news(&node, rank) {
            // An agent drops it here; every other one goes in, so that the registry's own order is tested as well.
            if self.dice.chance(0.5) {
                return;
            }
        }
        match verify(record) {
            Ok(verified) => registry.handle_record(now, Some(sender), verified),
            Err(why) => registry.handle_forgery(Some(sender.clone()), Some(node.clone()), why),
        }
        self.check_order(to, &node);
    }

    /// What is held of `node` was said by it, and nothing older than what was held before.
    fn check_order(&mut self, host: usize, node: &NodeName) {
        let it = &mut self.hosts[host];
        let Some(member) = it.registry.as_ref().and_then(|registry| registry.member(node)) else { return };
        assert!(
            member.body.node.zone.contains(node.as_str()),
            "{node} did not say {:?}",
            member.body.node.zone
        );
        let highest = it.highest.entry(node.clone()).or_default();
        assert!(member.rank() >= *highest, "{node} went back from {highest} to {}", member.rank());
        *highest = member.rank();
    }

    /// Carries out all outputs of a host and notes when it wants to wake.
    fn settle(&mut self, host: usize) {
        while let Some(output) = self.hosts[host].registry.as_mut().and_then(Registry::poll_output) {
            let it = &mut self.hosts[host];
            match output {
                Output::Send { to, message } => self.send(host, &to, &message),
                Output::Sign(unsigned) => {
                    let record = sign(&it.identity, &it.identity, &unsigned);
                    let verified = verify(record).expect("an honest signature");
                    let now = self.now;
                    if let Some(registry) = &mut it.registry {
                        registry.handle_signed(now, verified);
                    }
                }
                Output::Changed { node } => self.check_order(host, &node),
                Output::Removed { node } => it.removed.push(node),
                Output::Suspect { node } => it.suspected.push(node),
                Output::Rejected { from, owner, .. } => it.rejected.push((from, owner)),
                Output::Outrun { rank } => {
                    it.outrun.push(rank);
                    it.incarnation = rank.incarnation.0 + 1;
                    let (now, next) = (self.now, Incarnation(it.incarnation));
                    if let Some(registry) = &mut it.registry {
                        registry.set_incarnation(now, next);
                    }
                }
            }
        }
        while let Some(output) = self.hosts[host].notices.poll_output() {
            let it = &mut self.hosts[host];
            match output {
                NoticeOutput::Send { to, message } => self.send(host, &to, &message),
                NoticeOutput::Adopted(notice) => {
                    let before = it.kept.insert(notice.kind, notice.clone());
                    assert!(before.is_none_or(|before| before.version < notice.version), "an older notice");
                }
                NoticeOutput::Refused { from, why, .. } => it.refused.push((from, why)),
            }
        }
        let it = &mut self.hosts[host];
        let notices = it.notices.poll_timeout().unwrap_or(Time::NEVER);
        let wanted = it.registry.as_ref().and_then(Registry::poll_timeout).unwrap_or(Time::NEVER);
        let wanted = wanted.min(notices).max(self.now);
        if wanted < it.wake {
            it.wake = wanted;
            self.serial += 1;
            self.queue.insert((wanted, self.serial), Event::Wake { host });
        }
    }

    pub(crate) fn send(&mut self, from: usize, to: &NodeName, message: &Message) {
        let bytes = message.encode();
        self.hosts[from].bytes_sent += bytes.len() as u64;
        self.hosts[from].messages_sent += 1;
        if let Message::Gossip(records) = message
            && self.overheard.len() < 200
        {
            self.overheard.extend(records.iter().cloned());
        }
        let to: usize = to.as_str().trim_start_matches("node-").parse().expect("a host's name");
        let jitter = Duration::from_micros(self.dice.next() % 20_000);
        let lost = self.dice.next() % 1_000_000;
        let Some(wire) = self.wires.get_mut(&(from.min(to), from.max(to))) else { return };
        if !wire.up || (lost as f64) < wire.loss * 1e6 {
            return;
        }
        // A link keeps the order.
        let direction = usize::from(from > to);
        let at = (self.now + wire.delay + jitter).max(wire.last[direction]);
        wire.last[direction] = at;
        let epoch = wire.epoch;
        self.serial += 1;
        self.queue.insert((at, self.serial), Event::Deliver { from, to, epoch, bytes });
    }

    pub(crate) fn alive(&self) -> Vec<usize> {
        (0..self.hosts.len()).filter(|host| self.hosts[*host].registry.is_some()).collect()
    }

    fn registry(&self, host: usize) -> &Registry {
        self.hosts[host].registry.as_ref().expect("the host is alive")
    }

    pub(crate) fn ranks(&self) -> BTreeMap<NodeName, Rank> {
        self.alive().into_iter().map(|host| (self.name(host), self.registry(host).own_rank())).collect()
    }

    /// Who lacks what: nothing when every live host holds at least `ranks` of all others, and nobody else.
    pub(crate) fn differences(&self, ranks: &BTreeMap<NodeName, Rank>) -> Vec<String> {
        let mut found = Vec::new();
        for host in self.alive() {
            let (me, registry) = (self.name(host), self.registry(host));
            let held: BTreeSet<&NodeName> = registry.members().map(|member| member.node()).collect();
            for member in registry.members() {
                if !ranks.contains_key(member.node()) {
                    found.push(format!("{me} still holds {}", member.node()));
                }
            }
            for (node, rank) in ranks {
                if *node != me && !held.contains(node) {
                    found.push(format!("{me} lacks {node}"));
                } else if let Some(member) = registry.member(node)
                    && member.rank() < *rank
                {
                    found.push(format!("{me} holds {} of {node}, not {rank}", member.rank()));
                }
            }
        }
        found
    }
}
