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

    fn seen(event: Event, contender: Contender) -> Observation {
        run(&Scene::new(event, 96, contender, 70)).unwrap()
    }

    #[test]
    fn the_learned_herd_control_swings_and_queues_less_than_the_rule() {
        for event in [Event::RelayImproves, Event::TrunkShrinks] {
            let (rule, learned) = (seen(event, Contender::Rule), seen(event, Contender::Learned));
            assert!(learned.mean_ms < rule.mean_ms, "{event:?}: {learned:?} against {rule:?}");
            assert!(learned.p99_ms < 0.95 * rule.p99_ms, "{event:?}: {learned:?} against {rule:?}");
            let moves = learned.moves_per_minute / rule.moves_per_minute;
            assert!(moves < 0.8, "{event:?}: {learned:?} against {rule:?}");
        }
    }

    #[test]
    fn whoever_minds_nobody_moves_without_end() {
        let moves = |contender| seen(Event::TrunkShrinks, contender).moves_per_minute;
        let (greedy, rule) = (moves(Contender::Greedy), moves(Contender::Rule));
        assert!(greedy > 3.0 * rule, "{greedy} against {rule}");
    }
}
