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
}
