//! What is learned of relays, in the replay: [`aire_brain::relays`] at every node, on what the replay lets a node know.

mod agent;
mod lore;

use aire_brain::relays::Settings;

use self::agent::ScoutAgent;
use self::lore::Lore;
use crate::replay::{Agent, History, Policy, Seat};

/// Which stages are at work: each has to earn its place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stages {
    /// Averages are shrunk as far as history found right; else every average is believed.
    pub shrink: bool,
    /// How much to shrink and how far values persist is learned while running.
    pub adapt: bool,
    /// Legs that others publish form the prior; else only history and own probes do.
    pub published: bool,
}

impl Stages {
    /// All of them.
    pub const ALL: Stages = Stages { shrink: true, adapt: true, published: true };
}

/// Relays chosen by coverage, forecasts with shrinkage, own probes as proof.
#[derive(Debug)]
pub struct Scouts {
    name: String,
    settings: Settings,
    published: bool,
    lore: Lore,
}

impl Scouts {
    /// The policy with all stages: what is called `model`.
    pub fn new() -> Self {
        Scouts::with("model", Stages::ALL)
    }

    /// The policy with some stages, for the ablation.
    pub fn with(name: &str, stages: Stages) -> Self {
        let settings = Settings { shrink: stages.shrink, adapt: stages.adapt, ..Settings::default() };
        Scouts { name: name.to_owned(), settings, published: stages.published, lore: Lore::none() }
    }
}

impl Default for Scouts {
    fn default() -> Self {
        Scouts::new()
    }
}

impl Policy for Scouts {
    fn name(&self) -> &str {
        &self.name
    }

    fn learn(&mut self, history: &History) {
        self.lore = Lore::learn(history);
    }

    fn agent<'a>(&'a self, seat: &Seat) -> Box<dyn Agent + 'a> {
        Box::new(ScoutAgent::new(seat, &self.lore, self.settings, self.published))
    }
}
