//! Long runs over many seeds: no flapping, never worse than direct, no broken invariant.

use std::time::Duration;

use aire_brain::{Brain, Config, Refusal, RelayInfo, Sample};
use aire_types::{Class, Override, Path, SecurityLevel, Source, Time};

use crate::world::{Link, World, app, at, instance_info, link, node, noisy, route, via};

const SEEDS: u64 = 256;
const RELAYS: [&str; 5] = ["r1", "r2", "r3", "r4", "r5"];

#[test]
fn noise_alone_moves_nothing_for_long() {
    let (mut moves, mut worst) = (0, 0);
    for seed in 0..SEEDS {
        let relays: Vec<_> = RELAYS.iter().map(|name| (*name, noisy(100.0))).collect();
        let mut world = World::star(seed, noisy(100.0), &relays);
        world.want();
        world.seconds(1800);
        moves += world.moves.len();
        worst = worst.max(world.moves.len());
    }
    let per_hour = moves as f64 * 2.0 / SEEDS as f64;
    assert!(
        per_hour <= 6.0 && worst <= 15,
        "{per_hour} moves an hour on average, {worst} in half an hour at worst"
    );
}

/// The average of what the choice really costs over what direct costs, after the first minute.
fn ratio(seed: u64, direct: f64, relays: &[f64]) -> f64 {
    let links: Vec<_> = RELAYS.iter().zip(relays).map(|(name, ms)| (*name, noisy(*ms))).collect();
    let mut world = World::star(seed, noisy(direct), &links);
    world.want();
    world.seconds(30);
    let (mut chosen, mut straight) = (0.0, 0.0);
    for _ in 0..180 {
        world.seconds(5);
        let path = world.path(Class::Interactive);
        chosen += world.links[&path].rtt_ms;
        straight += world.links[&Path::DIRECT].rtt_ms;
    }
    chosen / straight
}

#[test]
fn the_choice_is_not_worse_than_direct_and_finds_what_is_better() {
    let (mut worse, mut better) = (Vec::new(), Vec::new());
    for seed in 0..SEEDS {
        worse.push(ratio(seed, 100.0, &[101.0, 105.0, 110.0, 120.0, 130.0]));
        better.push(ratio(seed, 200.0, &[90.0, 180.0, 220.0, 300.0, 400.0]));
    }
    let mean = |list: &[f64]| list.iter().sum::<f64>() / list.len() as f64;
    let most = |list: &[f64]| list.iter().copied().fold(0.0, f64::max);
    assert!(mean(&worse) <= 1.005 && most(&worse) <= 1.1, "{} {}", mean(&worse), most(&worse));
    assert!(mean(&better) <= 0.62 && most(&better) <= 1.02, "{} {}", mean(&better), most(&better));
}

#[test]
fn the_same_inputs_give_the_same_answers() {
    let run = || {
        let relays: Vec<_> = RELAYS.iter().map(|name| (*name, noisy(80.0))).collect();
        let mut world = World::star(42, noisy(90.0), &relays);
        world.want();
        world.seconds(600);
        let explanation = world.brain.explain(world.now, &app(), Class::Interactive);
        (
            world.probes,
            world.moves.clone(),
            explanation.decision.snapshot_hash,
            explanation.decision.reason.clone(),
        )
    };
    assert_eq!(run(), run());
}

#[test]
fn many_agents_do_not_all_take_the_same_of_equal_relays() {
    let mut counts = std::collections::BTreeMap::new();
    for seed in 0..SEEDS {
        let relays: Vec<_> = RELAYS.iter().map(|name| (*name, link(50.0))).collect();
        let mut world = World::star(seed, link(240.0), &relays);
        world.want();
        world.seconds(5);
        *counts.entry(world.path(Class::Interactive)).or_insert(0u64) += 1;
    }
    let most = counts.values().max().copied().unwrap_or_default();
    assert!(counts.len() == RELAYS.len() && most < SEEDS / 2, "{counts:?}");
}

#[test]
fn agents_that_hear_the_same_news_move_at_different_moments() {
    let mut seconds = std::collections::BTreeMap::new();
    for seed in 0..SEEDS {
        let mut world = World::star(seed, link(240.0), &[("r1", link(260.0))]);
        world.want();
        world.seconds(60);
        world.links.insert(via("r1"), link(50.0));
        let start = world.now;
        world.seconds(90);
        let (at, to) = world.moves.last().cloned().unwrap();
        assert_eq!(to.path, via("r1"), "seed {seed}");
        *seconds.entry(at.since(start).as_secs()).or_insert(0u64) += 1;
    }
    assert!(seconds.values().all(|count| *count < SEEDS / 2) && seconds.len() >= 6, "{seconds:?}");
}

/// Anything in any order: no panic, no broken invariant, no use of what is masked.
#[test]
fn any_input_in_any_order_keeps_the_invariants() {
    for seed in 0..SEEDS {
        let mut world = World::new(seed);
        world.brain = Brain::new(Config { probe_burst: 8, ..Config::new(node("s"), seed) });
        for path in [Path::DIRECT, via("r1"), via("r2"), via("r3")] {
            let ms = 20.0 + 200.0 * world.unit();
            world.links.insert(path, Link { loss: 0.1, ..noisy(ms) });
        }
        for _ in 0..300 {
            step(&mut world);
            world.brain.check_invariants();
        }
    }
}

fn any_path(world: &mut World) -> Path {
    let names = ["r1", "r2", "r3", "r4"];
    let mut pick = || names[(world.unit() * 4.0) as usize % 4];
    match pick() {
        "r4" => Path::DIRECT,
        "r3" => Path::new(vec![node(pick()), node("r9")]).expect("a path"),
        one => via(one),
    }
}

fn any_time(world: &mut World) -> Duration {
    match (world.unit() * 10.0) as u32 {
        0 => Duration::MAX,
        1 => Duration::ZERO,
        _ => Duration::from_millis((world.unit() * 2000.0) as u64),
    }
}

fn any_number(world: &mut World) -> f64 {
    [f64::NAN, f64::INFINITY, -1.0, 0.5, 0.0, 1e300][(world.unit() * 6.0) as usize % 6]
}

fn step(world: &mut World) {
    let (path, time, now) = (any_path(world), any_time(world), world.now);
    let on = route(path.clone());
    let class = Class::ALL[(world.unit() * 3.0) as usize % 3];
    match (world.unit() * 16.0) as u32 {
        0 => {
            let mut relay = RelayInfo::new(node("r1"));
            relay.load = any_number(world);
            relay.risk = any_number(world);
            relay.rtt_ms = Some(any_number(world));
            relay.legs.insert(node("d"), any_number(world));
            world.relays = vec![relay, RelayInfo::new(node("r2")), RelayInfo::new(node("r3"))];
            world.publish();
        }
        1 => {
            let gone = world.unit() < 0.3;
            world.instances = if gone { Vec::new() } else { vec![instance_info("d"), instance_info("e")] };
            world.publish();
        }
        2 => world.brain.handle_dead(now, &on),
        3 => world.brain.handle_left(now, &on, time),
        4 => world.brain.handle_refused(now, &on, Refusal::Other("no".into())),
        5 => world.brain.handle_refused(now, &on, Refusal::Capacity),
        6 => world.brain.handle_leased(now, &on, now + time),
        7 => world.brain.handle_sample(now, &on, Sample::Rtt(time), Source::Payload),
        8 => world.brain.handle_sample(now, &on, Sample::Waiting(time), Source::Claimed),
        9 => {
            let sample = Sample::Transfer { bytes: u64::MAX, elapsed: time };
            world.brain.handle_sample(now, &on, sample, Source::Probe);
            let sample = Sample::Packets { sent: 3, lost: u32::MAX };
            world.brain.handle_sample(now, &on, sample, Source::Payload);
        }
        10 => {
            let pin = (world.unit() < 0.3).then_some(path);
            let avoid = if world.unit() < 0.3 { vec![node("r1")] } else { Vec::new() };
            let direct_only = world.unit() < 0.1;
            let overrides = Override { pin, avoid, prefer: vec![node("r2")], direct_only };
            world.brain.set_override(now, &app(), overrides);
        }
        11 => world.brain.handle_current(now, &on, class),
        12 => {
            let security = [SecurityLevel::Low, SecurityLevel::High][(world.unit() * 2.0) as usize % 2];
            let profile = aire_types::AppProfile { security, ..Default::default() };
            world.brain.set_profile(now, &app(), profile);
        }
        13 => {
            let decision = world.brain.place(now, &app(), class);
            let explanation = world.brain.explain(now, &app(), class);
            assert_eq!(decision, explanation.decision);
            assert_eq!(explanation.terms.len(), decision.ranking.len());
        }
        14 => {
            let paths = world.brain.rank_paths(now, &at("d"), class);
            let standby = paths.standby.is_none_or(|standby| paths.paths.contains(&standby));
            assert!(standby, "the standby is usable");
        }
        _ => {
            let pause = Duration::from_millis((world.unit() * 5000.0) as u64);
            world.run(pause);
        }
    }
    assert!(world.now < Time::NEVER);
}
