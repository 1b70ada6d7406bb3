//! Many agents, one piece of news: do they chase each other?

pub mod compare;
mod observe;
mod scene;

pub use observe::{Observation, Observer};
pub use scene::{EVENT_AT, Event, OBSERVED, Scene};

use std::time::Duration;

/// Runs a scene to its end. `None` where it has no agents or no relays.
pub fn run(scene: &Scene) -> Option<Observation> {
    if scene.agents == 0 || scene.relays < 2 {
        return None;
    }
    let mut simulation = scene.build()?;
    simulation.run(EVENT_AT, false);
    simulation.take_meter();
    let mut observer = Observer::new(scene.agents);
    for _ in 0..OBSERVED.as_secs() {
        observer.second(&mut simulation, Duration::from_secs(1));
    }
    Some(observer.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Contender;

    #[test]
    fn the_same_seed_gives_the_same_run() {
        let run = || run(&Scene::new(Event::RelayImproves, 24, Contender::Rule, 3)).unwrap();
        assert_eq!(run(), run());
    }

    /// One figure for one policy.
    fn figure(event: Event, contender: &Contender, of: fn(&Observation) -> f64) -> f64 {
        let scene = |seed| Scene::new(event, 64, contender.clone(), seed);
        let seen = compare::run_all(std::iter::once(70).map(scene).collect(), 1);
        assert_eq!(seen.len(), 1);
        seen.iter().map(of).sum::<f64>() / seen.len() as f64
    }

    #[test]
    fn the_learned_herd_control_swings_and_queues_less_than_the_rule() {
        for event in [Event::RelayImproves, Event::TrunkShrinks] {
            let mean = |contender| figure(event, &contender, |seen| seen.mean_ms);
            let (rule, learned) = (mean(Contender::Rule), mean(Contender::Learned));
            assert!(learned < 0.97 * rule, "{event:?}: {learned} ms against {rule} ms");
            let moves = |contender| figure(event, &contender, |seen| seen.moves_per_minute);
            let (rule, learned) = (moves(Contender::Rule), moves(Contender::Learned));
            assert!(learned < rule, "{event:?}: {learned} moves a minute against {rule}");
        }
    }

    #[test]
    fn whoever_minds_nobody_moves_without_end() {
        let moves = |contender| figure(Event::TrunkShrinks, &contender, |seen| seen.moves_per_minute);
        let (greedy, rule) = (moves(Contender::Greedy), moves(Contender::Rule));
        assert!(greedy > 3.0 * rule, "{greedy} against {rule}");
    }
}
