//! Carriers whose certificates run out.

use std::time::Duration;

use aire_circuit::{LeftBecause, PoolEvent, PoolOutput, Wants};
use aire_types::{Path, Time};

use crate::fake::node;
use crate::world::World;

fn world(seed: u64) -> World {
    World::new(seed, &[(Path::via(node("r1")), 60), (Path::DIRECT, 100)])
}

#[test]
fn streams_move_to_fresh_carriers_for_as_long_as_certificates_are_renewed() {
    for seed in 0..20 {
        let mut world = world(seed);
        world.expires = Box::new(|now| now + Duration::from_secs(8));
        world.start();
        world.run_for(Duration::from_secs(300));
        assert_eq!(world.moves().len(), 1, "found once and never left: {:?}", world.moves());
        assert!(world.count(|output| matches!(output, PoolOutput::MoveShare { .. })) >= 60);
        let waits = world.count(|output| matches!(output, PoolOutput::NoPath { .. }));
        assert_eq!(waits, 1, "only before the first carrier");
        // Main, standby, and those that linger: nothing piles up.
        assert!(world.channels.len() <= 6, "{}", world.channels.len());
        assert_eq!(world.circuits.len(), 2);
    }
}

#[test]
fn without_renewal_carriers_end_with_the_certificate_and_not_much_is_dialled_in_vain() {
    for seed in 0..20 {
        let mut world = world(seed);
        let end = Time::from_millis(60_000);
        world.expires = Box::new(move |_| end);
        world.start();
        world.run_for(Duration::from_millis(59_800));
        assert!(world.pool.current().is_some());
        let dialled = world.count(|output| matches!(output, PoolOutput::Dial { .. }));
        assert!(dialled <= 12, "{dialled} carriers on two paths");
        // Nobody answers any more, as handshakes fail.
        world.kill(&Path::via(node("r1")));
        world.kill(&Path::DIRECT);
        world.run_for(Duration::from_millis(700));
        assert_eq!(world.pool.current(), None);
        let expired = |event: &PoolEvent| {
            matches!(event, PoolEvent::Left { because: LeftBecause::Expired, to: None, .. })
        };
        assert!(world.moves().iter().any(|(_, event)| expired(event)), "{:?}", world.moves());
        let waits = world.count(|output| matches!(output, PoolOutput::NoPath { .. }));
        assert_eq!(waits, 2, "before the first carrier and after the last");
        world.expires = Box::new(|_| Time::NEVER);
        world.revive(&Path::DIRECT);
        world.run_for(Duration::from_secs(60));
        assert_eq!(world.pool.current(), Some(&Path::DIRECT));
    }
}

#[test]
fn busy_streams_keep_their_carriers_count() {
    let mut world = world(7);
    world.expires = Box::new(|now| now + Duration::from_secs(20));
    world.start();
    world.pool.handle_wants(world.now, Wants { streams: 8, busy: 8, warm: false });
    world.run_for(Duration::from_secs(120));
    let lasting = world.channels.values().filter(|(path, _)| *path != Path::DIRECT).count();
    assert!((4..=8).contains(&lasting), "{lasting}");
}
