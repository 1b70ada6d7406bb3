//! What a policy is asked, and all that it can know.

use crate::data::{Matrix, Quantity};

/// How many direct measurements a node publishes at most, where budgets hold.
pub const MOST_LEGS: usize = 64;

/// A way of probing and deciding, for a whole mesh. A fresh one is made for every fold of the replay.
pub trait Policy: Send + Sync {
    /// The name in reports.
    fn name(&self) -> &str;

    /// Once, before any agent is made: what was recorded of the known nodes before the replay begins. Nothing is
    /// learned by default.
    fn learn(&mut self, _history: &History) {}

    /// The part of the policy that runs at one node. Agents share nothing that changes.
    fn agent<'a>(&'a self, seat: &Seat) -> Box<dyn Agent + 'a>;
}

/// A policy at one node. Agents of different nodes may be called from different threads.
pub trait Agent: Send {
    /// Asks for measurements in this round, as long as `outbox` takes them.
    fn probe(&mut self, view: &View<'_>, outbox: &mut Outbox);

    /// What was measured, in the order in which it was asked for.
    fn observe(&mut self, view: &View<'_>, measured: &[Measurement]);

    /// Sets `choices[k]` for `destinations[k]` of the seat; each holds the choice of the round before, direct at first.
    /// Choices towards nodes that are not present do not count.
    fn decide(&mut self, view: &View<'_>, choices: &mut [Choice]);

    /// What to tell the others of the node's own direct measurements. By default the last values, in turns.
    fn publish(&mut self, _view: &View<'_>) -> Publication {
        Publication::Turns
    }
}

/// Where an agent sits. Nodes have numbers, the same for everybody.
#[derive(Clone, Debug, PartialEq)]
pub struct Seat {
    /// The agent's own node.
    pub node: usize,
    /// How many nodes there are, those not present yet included.
    pub nodes: usize,
    /// Where traffic goes to; some may not be present yet.
    pub destinations: Vec<usize>,
    /// What is measured.
    pub quantity: Quantity,
    /// From one round to the next, seconds.
    pub step_s: f64,
    /// Nothing was known of the node before; its first round has a few landmark probes in all.
    pub newcomer: bool,
    /// Probes per destination and round; `None`: as many as it likes.
    pub budget: Option<f64>,
    /// A decision counts at least so many rounds later; 0 where all rounds are at one moment.
    pub horizon: usize,
    /// Where all randomness of the agent comes from.
    pub seed: u64,
}

/// What an agent sees of the world in one round.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The round. Only differences mean anything.
    pub round: usize,
    /// Who is in the mesh, by node.
    pub present: &'a [bool],
    /// What the others said of themselves until the round before.
    pub published: &'a Published,
}

/// One way from a node to a destination.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Via {
    /// No relay.
    #[default]
    Direct,
    /// Over this node.
    Relay(usize),
}

/// What is used from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Choice {
    /// One path.
    Path(Via),
    /// All three at once: each costs its full traffic, the best one counts.
    Race([Via; 3]),
}

impl Choice {
    /// The direct path.
    pub const DIRECT: Choice = Choice::Path(Via::Direct);
}

/// One probe, end to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Probe {
    /// Where to.
    pub to: usize,
    /// Which way.
    pub via: Via,
}

/// What one probe gave.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measurement {
    /// The probe.
    pub probe: Probe,
    /// Milliseconds or Mbit/s by the seat's quantity; NaN where no answer came.
    pub value: f32,
}

/// Takes an agent's probes of one round, within its budget.
#[derive(Clone, Debug)]
pub struct Outbox {
    node: usize,
    left: usize,
    probes: Vec<Probe>,
}

impl Outbox {
    /// For the agent at `node`, with room for `left` probes.
    pub fn new(node: usize, left: usize) -> Self {
        Outbox { node, left, probes: Vec::new() }
    }

    /// How many more it takes.
    pub fn left(&self) -> usize {
        self.left
    }

    /// Sends a probe; false where the budget is spent. A probe to the node itself or with an end as its relay is no
    /// probe and costs nothing.
    pub fn send(&mut self, to: usize, via: Via) -> bool {
        if self.left == 0 {
            return false;
        }
        let ends = to == self.node || via == Via::Relay(to) || via == Via::Relay(self.node);
        if !ends {
            self.left -= 1;
            self.probes.push(Probe { to, via });
        }
        true
    }

    /// What was asked for.
    pub fn probes(&self) -> &[Probe] {
        &self.probes
    }
}

/// What an agent tells the others in one round.
#[derive(Clone, Debug, PartialEq)]
pub enum Publication {
    /// The last value of direct measurements, those first that were not told for longest.
    Turns,
    /// Node and value, the agent's average perhaps. What the agent never measured directly is dropped, and what is too
    /// much.
    These(Vec<(usize, f32)>),
}

/// A direct measurement that a node published.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Leg {
    /// What it says.
    pub value: f32,
    /// The round in which it was published.
    pub round: usize,
}

/// All that nodes have published, the newest word of each for each pair. Their word alone.
#[derive(Clone, Debug)]
pub struct Published {
    nodes: usize,
    values: Vec<f32>,
    /// The same, row = to.
    turned: Vec<f32>,
    rounds: Vec<u32>,
}

impl Published {
    /// Nothing was said yet among so many nodes.
    pub fn nothing(nodes: usize) -> Self {
        let unknown = vec![f32::NAN; nodes * nodes];
        Published { nodes, values: unknown.clone(), turned: unknown, rounds: vec![0; nodes * nodes] }
    }

    /// What `from` says of its direct path to `to`.
    ///
    /// # Panics
    /// Where a node is unknown.
    pub fn leg(&self, from: usize, to: usize) -> Option<Leg> {
        let at = from * self.nodes + to;
        let value = self.values[at];
        (!value.is_nan()).then(|| Leg { value, round: self.rounds[at] as usize })
    }

    /// The newest values out of `from`, by node; NaN where it said nothing.
    ///
    /// # Panics
    /// Where `from` is unknown.
    pub fn values(&self, from: usize) -> &[f32] {
        &self.values[from * self.nodes..(from + 1) * self.nodes]
    }

    /// The newest values towards `to`, by node; NaN where it said nothing.
    ///
    /// # Panics
    /// Where `to` is unknown.
    pub fn values_to(&self, to: usize) -> &[f32] {
        &self.turned[to * self.nodes..(to + 1) * self.nodes]
    }

    /// `from` says that its direct path to `to` has this value.
    ///
    /// # Panics
    /// Where a node is unknown.
    pub fn put(&mut self, from: usize, to: usize, value: f32, round: usize) {
        self.values[from * self.nodes + to] = value;
        self.turned[to * self.nodes + from] = value;
        self.rounds[from * self.nodes + to] = u32::try_from(round).unwrap_or(u32::MAX);
    }
}

/// One recorded direct measurement.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Record {
    /// The round of the history, from 0.
    pub round: usize,
    /// Who measured.
    pub from: usize,
    /// To whom.
    pub to: usize,
    /// Milliseconds or Mbit/s; NaN where no answer came.
    pub value: f32,
}

/// What the known nodes recorded before the replay began; nothing of newcomers, neither from nor to them.
#[derive(Clone, Debug)]
pub struct History {
    /// How many nodes there are, newcomers included.
    pub nodes: usize,
    /// The known ones, ascending.
    pub known: Vec<usize>,
    /// What the values are.
    pub quantity: Quantity,
    /// From one round to the next, seconds.
    pub step_s: f64,
    /// The two ways between two nodes are one measurement.
    pub symmetric: bool,
    /// In order of rounds.
    pub records: Vec<Record>,
    /// Where randomness of learning comes from.
    pub seed: u64,
}

impl History {
    /// The average of what each node measured to each other; where the set is symmetric, of both ways.
    pub fn means(&self) -> Matrix {
        let mut sums = vec![(0.0f64, 0u32); self.nodes * self.nodes];
        for record in self.records.iter().filter(|record| record.value.is_finite()) {
            let ways = [(record.from, record.to), (record.to, record.from)];
            for (from, to) in ways.into_iter().take(1 + usize::from(self.symmetric)) {
                let (sum, count) = &mut sums[from * self.nodes + to];
                *sum += f64::from(record.value);
                *count += 1;
            }
        }
        let mut means = Matrix::missing(self.nodes);
        for (at, (sum, count)) in sums.into_iter().enumerate().filter(|(_, (_, count))| *count > 0) {
            means.set(at / self.nodes, at % self.nodes, (sum / f64::from(count)) as f32);
        }
        means
    }
}
