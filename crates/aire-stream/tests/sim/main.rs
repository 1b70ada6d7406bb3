//! Two associations in virtual time over carriers that are slow, silent, cut, closed by one side, hedged and replaced.
#![allow(clippy::unwrap_used)]

mod application;
mod leave;
mod pipe;
mod plan;
mod random;
mod scenarios;
mod world;

use std::time::Duration;

use aire_stream::{Config, Side};
use aire_types::Time;
use aire_wire::ResetCode;

use application::Fate;
use plan::Plan;
use random::Random;
use world::{Settings, World};

/// Seeds that once failed.
const REGRESSIONS: &[u64] = &[178, 1073];
const SEEDS: u64 = 256;

/// Says which seed it was when the test panics.
struct Naming(u64);

impl Drop for Naming {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("failing seed: {} (run with AIRE_SEED={})", self.0, self.0);
        }
    }
}

fn random_world(seed: u64) -> World {
    let mut random = Random::new(seed);
    let config = |side, random: &mut Random| Config {
        max_frame: random.pick(&[1024, 16 * 1024, 64 * 1024, 128 * 1024]),
        stream_max: random.pick(&[64 * 1024, 300 * 1024, 8 * 1024 * 1024]),
        send_ahead: random.pick(&[64 * 1024, 512 * 1024]),
        ..Config::new(side)
    };
    let budgets = [0, 1].map(|_| random.pick(&[0, 200_000, 2_000_000, 64 << 20]));
    let until = random.range(1000..4000);
    let streams = random.pick(&[1, 3, 8, 20]);
    let plans = (0..streams).map(|_| Plan::random(&mut random, until)).collect();
    let settings = Settings {
        source: config(Side::Source, &mut random),
        destination: config(Side::Destination, &mut random),
        budgets,
        carriers: Vec::new(),
        faults_until: Time::from_millis(until),
        faults: !seed.is_multiple_of(8),
        keep: random.range(1..4) as usize,
    };
    World::new(seed, settings, plans)
}

/// Nothing was lost in silence: whatever did not arrive was reset at both ends, and only where somebody reset it.
fn judge(world: &World) {
    for (id, source) in &world.ends[0].applications.all {
        let destination = world.ends[1].applications.all.get(id);
        let someone_reset = source.plan.reset.is_some() || source.plan.refuse;
        match destination.map(|destination| destination.fate) {
            Some(Fate::Ended) if source.fate == Fate::Ended => {}
            // An end that has taken all and given all may be gone before the other resets.
            Some(_) => assert!(someone_reset, "{id}: {source:?}"),
            // Reset before the destination heard of it.
            None => assert!(matches!(source.fate, Fate::Reset(_)) && someone_reset, "{id}: {source:?}"),
        }
        if source.plan.refuse && source.plan.reset.is_none() {
            assert_eq!(source.fate, Fate::Reset(ResetCode::NotAllowed));
        }
        assert_ne!(source.fate, Fate::Running);
    }
    assert!(world.budgets.iter().all(|budget| budget.used() == 0), "all loans are repaid");
}

fn run(seed: u64) {
    let naming = Naming(seed);
    let mut world = random_world(seed);
    world.run(Duration::from_secs(200), World::all_over);
    judge(&world);
    drop(naming);
}

#[test]
fn every_byte_once_and_in_order_or_a_reset() {
    if let Ok(seed) = std::env::var("AIRE_SEED") {
        return run(seed.parse().unwrap());
    }
    let seeds = std::env::var("AIRE_SEEDS").map_or(SEEDS, |seeds| seeds.parse().unwrap());
    REGRESSIONS.iter().copied().chain(0..seeds).for_each(run);
}
