//! The cross-entropy method: draw parameters around a guess, keep the best, move the guess to them (Rubinstein and
//! Kroese 2004; with the noise of Szita and Lőrincz 2006, so that it does not narrow too early).

use std::sync::atomic::{AtomicUsize, Ordering};

use aire_brain::{HerdTuning, Rule};
use aire_types::Random;
use serde::Serialize;

use super::action::{Action, DIMENSIONS};
use super::environment::{Environment, cost};
use crate::herd::{Event, Scene};
use crate::policy::Contender;

/// How the search goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SearchConfig {
    /// Agents of each training scene.
    pub agents: usize,
    /// Generations.
    pub generations: usize,
    /// Draws of each generation.
    pub draws: usize,
    /// Of these, the best that the next guess is made of.
    pub elite: usize,
    /// Scenes of each event that every draw is tried in; a new set for each generation, the same for all its draws.
    pub scenes: usize,
    /// Which of the parameters are learned; the others stay as the rule has them.
    pub learned: [bool; DIMENSIONS],
    /// Where all randomness comes from. Scenes are numbered from a million times this on.
    pub seed: u64,
    /// Threads; the result does not depend on it.
    pub threads: usize,
}

impl SearchConfig {
    /// Sizes that take some minutes on two cores.
    pub fn new(seed: u64, threads: usize) -> Self {
        SearchConfig {
            agents: 200,
            generations: 8,
            draws: 14,
            elite: 4,
            scenes: 1,
            learned: [true; DIMENSIONS],
            seed,
            threads,
        }
    }
}

/// What one generation came to.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Generation {
    /// Which.
    pub number: usize,
    /// Mean cost of the elite.
    pub elite_cost: f64,
    /// Cost of the rule in the same scenes.
    pub rule_cost: f64,
    /// The guess, see [`super::NAMES`].
    pub values: [f64; DIMENSIONS],
}

/// The state of a search.
#[derive(Clone, Debug)]
pub struct Search {
    config: SearchConfig,
    random: Random,
    mean: [f64; DIMENSIONS],
    spread: [f64; DIMENSIONS],
    number: usize,
}

/// The spread at the beginning, and what is added at it, falling to nothing in the last generation.
const SPREAD: f64 = 0.2;
const NOISE: f64 = 0.05;

impl Search {
    /// A search that begins at the herd control that ships.
    pub fn new(config: SearchConfig) -> Self {
        let mean = Action::of(&Rule { herd: HerdTuning::LEARNED, ..Rule::default() }).0;
        let spread = config.learned.map(|learned| if learned { SPREAD } else { 0.0 });
        Search { config, random: Random::new(config.seed), mean, spread, number: 0 }
    }

    /// The guess.
    pub fn guess(&self) -> Action {
        Action(self.mean)
    }

    /// One generation; `None` when there are no more.
    pub fn advance(&mut self) -> Option<Generation> {
        if self.number >= self.config.generations {
            return None;
        }
        let scenes = self.scenes();
        let mut actions: Vec<Action> = (0..self.config.draws).map(|_| self.draw()).collect();
        actions.push(Action::of(&Rule::default()));
        let costs = costs(&actions, &scenes, self.config.threads);
        let rule_cost = costs.last().copied().unwrap_or_default();
        let mut order: Vec<usize> = (0..self.config.draws).collect();
        order.sort_by(|a, b| costs[*a].total_cmp(&costs[*b]));
        order.truncate(self.config.elite.max(1));
        let elite: Vec<&Action> = order.iter().map(|at| &actions[*at]).collect();
        let count = elite.len() as f64;
        let left = 1.0 - self.number as f64 / self.config.generations as f64;
        for dimension in (0..DIMENSIONS).filter(|dimension| self.config.learned[*dimension]) {
            let of = |action: &&Action| action.0[dimension];
            let mean = elite.iter().map(of).sum::<f64>() / count;
            let variance = elite.iter().map(|action| (of(action) - mean).powi(2)).sum::<f64>() / count;
            self.mean[dimension] = mean;
            self.spread[dimension] = variance.sqrt() + NOISE * left;
        }
        self.number += 1;
        let elite_cost = order.iter().map(|at| costs[*at]).sum::<f64>() / count;
        Some(Generation { number: self.number, elite_cost, rule_cost, values: self.guess().values() })
    }

    fn scenes(&self) -> Vec<Scene> {
        let first = self.config.seed * 1_000_000 + (self.number * self.config.scenes) as u64;
        let seeds = first..first + self.config.scenes as u64;
        let scene =
            |seed| Event::ALL.map(move |event| Scene::new(event, self.config.agents, Contender::Rule, seed));
        seeds.flat_map(scene).collect()
    }

    fn draw(&mut self) -> Action {
        let mut action = self.guess();
        for dimension in 0..DIMENSIONS {
            let normal = (0..12).map(|_| self.random.unit()).sum::<f64>() - 6.0;
            action.0[dimension] = (self.mean[dimension] + self.spread[dimension] * normal).clamp(0.0, 1.0);
        }
        action
    }
}

/// The mean cost of each action over all scenes.
fn costs(actions: &[Action], scenes: &[Scene], threads: usize) -> Vec<f64> {
    let next = AtomicUsize::new(0);
    let total = actions.len() * scenes.len();
    let work = || {
        let mut done: Vec<(usize, f64)> = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            if at >= total {
                return done;
            }
            let seen = Environment::episode(&scenes[at % scenes.len()], &actions[at / scenes.len()]);
            done.push((at, seen.map_or(f64::INFINITY, |seen| cost(&seen))));
        }
    };
    let mut all: Vec<(usize, f64)> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.clamp(1, 64)).map(|_| scope.spawn(work)).collect();
        workers.into_iter().filter_map(|worker| worker.join().ok()).flatten().collect()
    });
    all.sort_by_key(|(at, _)| *at);
    let mut costs = vec![0.0; actions.len()];
    for (at, cost) in all {
        costs[at / scenes.len()] += cost / scenes.len() as f64;
    }
    costs
}
