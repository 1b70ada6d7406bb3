//! The policies that are compared.

mod bandit;
mod bench;
mod destination;
mod driven;
mod factorisation;
mod mesh;
mod models;
mod portfolio;
mod random;
mod scouts;
mod table;

pub use driven::{Driven, round_s};
pub use models::{ModelError, models};
pub use scouts::{Scouts, Stages};

use crate::replay::{Budget, Policy};

/// A policy under a name and a budget.
pub struct Entry {
    /// The name in reports.
    pub name: String,
    /// What it may spend.
    pub budget: Budget,
    /// Makes a fresh one.
    pub make: Box<dyn Fn() -> Box<dyn Policy> + Send + Sync>,
}

impl Entry {
    /// Under the budget, by its own name.
    pub fn kept(make: impl Fn() -> Box<dyn Policy> + Send + Sync + 'static) -> Self {
        Entry { name: make().name().to_owned(), budget: Budget::Kept, make: Box::new(make) }
    }

    /// Without a budget, by its own name and `-unlimited`.
    pub fn unlimited(make: impl Fn() -> Box<dyn Policy> + Send + Sync + 'static) -> Self {
        Entry {
            name: format!("{}-unlimited", make().name()),
            budget: Budget::Unlimited,
            make: Box::new(make),
        }
    }
}

/// All baselines, each under the budget and without one.
pub fn baselines() -> Vec<Entry> {
    let makers: [fn() -> Box<dyn Policy>; 11] = [
        || Box::new(mesh::Mesh::last()),
        || Box::new(mesh::Mesh::average()),
        || Box::new(random::Lots::best_of_four()),
        || Box::new(random::Lots::race()),
        || Box::new(portfolio::Handful::hubs()),
        || Box::new(portfolio::Handful::by_history()),
        || Box::new(factorisation::Factorisation::new()),
        || Box::new(bandit::Bandit::confidence()),
        || Box::new(bandit::Bandit::thompson()),
        || Box::new(Driven::rule()),
        || Box::new(Scouts::new()),
    ];
    let kept = makers.iter().map(|make| Entry::kept(*make));
    kept.chain(makers.iter().map(|make| Entry::unlimited(*make))).chain(stages()).collect()
}

/// The model with less than all its stages: what each of them is worth.
fn stages() -> impl Iterator<Item = Entry> {
    let stages = [
        ("model-averages", Stages { shrink: false, adapt: false, published: true }),
        ("model-shrunk", Stages { shrink: true, adapt: false, published: true }),
        ("model-unpublished", Stages { published: false, ..Stages::ALL }),
    ];
    stages.into_iter().map(|(name, stages)| Entry::kept(move || Box::new(Scouts::with(name, stages))))
}
