//! Reset and step, as a reinforcement learner wants it.

use std::time::Duration;

use super::Action;
use crate::herd::{EVENT_AT, OBSERVED, Observation, Observer, Scene};
use crate::policy::Contender;
use crate::simulation::Simulation;

/// How long one action is in force before the next may be chosen.
const STEP: Duration = Duration::from_secs(15);

/// What a run costs: relative changes of tail, mean and goodput, and what still swings at its end. Lower is better.
pub fn cost(seen: &Observation) -> f64 {
    seen.p99_ms.max(1.0).ln()
        + 0.5 * seen.mean_ms.max(1.0).ln()
        + 4.0 * (1.0 - seen.goodput)
        + 0.2 * seen.amplitude
        + 0.02 * seen.moves_per_minute
}

/// What a step led to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stage {
    /// What was seen in the step.
    pub seen: Observation,
    /// The negative cost of the step.
    pub reward: f64,
    /// The episode is over.
    pub done: bool,
}

/// A mesh of agents that all follow the learner's parameters. The same scene and actions give the same stages.
pub struct Environment {
    simulation: Simulation,
    agents: usize,
    action: Option<Action>,
    whole: Observer,
}

impl Environment {
    /// An episode at its start; the scene's contender has no say. `None` where the scene cannot be built.
    pub fn reset(scene: &Scene) -> Option<Self> {
        let scene = Scene { contender: Contender::Rule, ..scene.clone() };
        let whole = Observer::new(scene.agents);
        Some(Environment { simulation: scene.build()?, agents: scene.agents, action: None, whole })
    }

    /// All agents follow `action` for fifteen seconds; the first step has the minute before the event in front.
    pub fn step(&mut self, action: &Action) -> Stage {
        if self.action.as_ref() != Some(action) {
            let now = self.simulation.now();
            for agent in self.simulation.agents_mut() {
                agent.brain().set_policy(now, Box::new(action.rule()));
            }
        }
        if self.action.is_none() {
            self.simulation.run(EVENT_AT, false);
            self.simulation.take_meter();
        }
        self.action = Some(*action);
        let mut part = Observer::new(self.agents);
        for _ in 0..STEP.as_secs() {
            part.second(&mut self.simulation, Duration::from_secs(1));
        }
        self.whole.append(&part);
        let seen = part.finish();
        let over = self.simulation.now().as_micros() as u128 >= (EVENT_AT + OBSERVED).as_micros();
        Stage { seen, reward: -cost(&seen), done: over }
    }

    /// What was seen since the event.
    pub fn seen(&self) -> Observation {
        self.whole.finish()
    }

    /// An episode with one action from beginning to end.
    pub fn episode(scene: &Scene, action: &Action) -> Option<Observation> {
        let mut environment = Environment::reset(scene)?;
        while !environment.step(action).done {}
        Some(environment.seen())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::herd::{self, Event};
    use aire_brain::Rule;

    #[test]
    fn an_episode_is_the_run_of_its_policy_and_repeats() {
        let scene = Scene::new(Event::TrunkShrinks, 20, Contender::Rule, 9);
        let action = Action::of(&Rule::default());
        let episode = Environment::episode(&scene, &action);
        assert_eq!(episode, Environment::episode(&scene, &action));
        let run =
            herd::run(&Scene { contender: Contender::Tuned(Box::new(action.rule())), ..scene }).unwrap();
        let episode = episode.unwrap();
        assert!((episode.p99_ms / run.p99_ms - 1.0).abs() < 0.5, "{episode:?} {run:?}");
    }
}
