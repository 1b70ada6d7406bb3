//! What the pool does about a world that changes.

use std::time::Duration;

use aire_circuit::{CarrierId, LeftBecause, Pool, PoolConfig, PoolEvent, PoolOutput, Wants};
use aire_types::{Class, Path, Time};
use aire_wire::{CircuitClose, CircuitId, RefusalCode};

use crate::fake::node;
use crate::world::World;

fn via(name: &str) -> Path {
    Path::via(node(name))
}

fn three(seed: u64) -> World {
    let mut world = World::new(seed, &[(via("r1"), 60), (via("r2"), 100), (Path::DIRECT, 240)]);
    world.start();
    world.run_for(Duration::from_secs(20));
    world
}

#[test]
fn the_best_path_is_used_and_a_disjoint_standby_is_open() {
    let both = Path::new(vec![node("r1"), node("r2")]).unwrap();
    let mut world = World::new(1, &[(via("r1"), 60), (both, 80), (via("r2"), 100), (Path::DIRECT, 240)]);
    world.start();
    world.run_for(Duration::from_secs(20));
    assert_eq!(world.pool.current(), Some(&via("r1")));
    assert_eq!(world.pool.standbys(), [&via("r2")]);
    assert_eq!(world.circuits.len(), 2);
}

#[test]
fn a_better_standby_replaces_one_that_was_open_first() {
    let mut world = World::new(1, &[(via("r1"), 60), (Path::DIRECT, 240), (via("r2"), 100)]);
    world.order = vec![via("r1"), Path::DIRECT];
    world.start();
    world.run_for(Duration::from_secs(5));
    assert_eq!(world.pool.standbys(), [&Path::DIRECT]);
    world.order = vec![via("r1"), via("r2"), Path::DIRECT];
    world.rank();
    world.run_for(Duration::from_secs(5));
    assert_eq!(world.pool.standbys(), [&via("r2")]);
    assert_eq!(world.pool.current(), Some(&via("r1")));
}

#[test]
fn a_silent_death_moves_everything_within_four_round_trips() {
    let mut stalls: Vec<Duration> = (0..40)
        .map(|seed| {
            let mut world = three(seed);
            world.run_for(Duration::from_millis(seed * 7));
            let at = world.now;
            world.kill(&via("r1"));
            world.run_for(Duration::from_secs(30));
            assert_eq!(world.pool.current(), Some(&via("r2")));
            assert_eq!(world.pool.standbys(), [&Path::DIRECT]);
            let moved =
                world.log.iter().find(|(t, output)| *t > at && matches!(output, PoolOutput::MoveAll { .. }));
            moved.expect("moved").0.since(at)
        })
        .collect();
    stalls.sort();
    let (median, worst) = (stalls[20], stalls[39]);
    println!("moved after {median:?} at the median, {worst:?} at worst");
    assert!(median <= Duration::from_millis(4 * 100 + 100), "{median:?}");
    assert!(worst <= Duration::from_secs(1), "{worst:?}");
}

#[test]
fn a_degraded_path_is_left_within_a_second() {
    type Change = fn(&mut crate::channel::Weather);
    let changes: [(&str, Change, u64); 3] = [
        ("delay tenfold", |weather| weather.rtt_us *= 10, 1000),
        ("20 % loss", |weather| weather.loss = 0.2, 1000),
        ("5 % loss", |weather| weather.loss = 0.05, 1500),
    ];
    for (name, change, limit_ms) in changes {
        let mut delays: Vec<Duration> = (0..40)
            .map(|seed| {
                let mut world = three(seed);
                let at = world.now;
                world.change(&via("r1"), change);
                world.run_for(Duration::from_secs(8));
                let left = world.moves().into_iter().find(|(t, event)| {
                    *t > at && matches!(event, PoolEvent::Left { to: Some(to), .. } if *to == via("r2"))
                });
                left.map_or(Duration::from_secs(8), |(left, _)| left.since(at))
            })
            .collect();
        delays.sort();
        println!("{name}: left after {:?} at the median, {:?} at worst", delays[20], delays[39]);
        assert!(delays[20] <= Duration::from_millis(limit_ms), "{name}: {:?}", delays[20]);
    }
}

#[test]
fn a_flapping_path_is_left_less_and_less_often() {
    let mut world = three(3);
    // The ranking wants it back as soon as it answers.
    for _ in 0..120 {
        world.kill(&via("r1"));
        world.run_for(Duration::from_secs(5));
        world.revive(&via("r1"));
        for _ in 0..25 {
            world.run_for(Duration::from_secs(1));
            world.rank();
        }
    }
    let left = world
        .moves()
        .iter()
        .filter(|(_, event)| {
            matches!(event, PoolEvent::Left { path, because, .. }
                if *path == via("r1") && *because != LeftBecause::Better)
        })
        .count();
    println!("left {left} times in an hour of flapping twice a minute");
    assert!((4..=20).contains(&left), "{left}");
}

#[test]
fn a_better_path_is_taken_a_tenth_at_a_time() {
    let mut world = three(4);
    world.order.insert(0, via("r3"));
    let weather = crate::channel::Weather::calm(20);
    world.places.insert(via("r3"), crate::world::Place { weather, dead: false, refuses: None });
    let at = world.now;
    world.rank();
    world.run_for(Duration::from_secs(30));
    assert_eq!(world.pool.current(), Some(&via("r3")));
    let shares: Vec<(Time, f64)> = world
        .log
        .iter()
        .filter(|(t, _)| *t > at)
        .filter_map(|(t, output)| match output {
            PoolOutput::MoveShare { share, from, .. } if from.0 == 1 => Some((*t, *share)),
            _ => None,
        })
        .collect();
    assert_eq!(shares.len(), 10);
    let mut left = 1.0;
    for (_, share) in &shares {
        assert!(left * share < 0.1001, "more than a tenth at a time");
        left *= 1.0 - share;
    }
    assert!(left < 1e-9);
    assert!(shares.windows(2).all(|pair| pair[1].0 >= pair[0].0 + Duration::from_millis(10)));
    assert_eq!(world.pool.standbys(), [&via("r1")]);
}

#[test]
fn the_first_better_path_is_not_kept_for_long() {
    let mut world = World::new(8, &[(Path::DIRECT, 240), (via("r2"), 100), (via("r1"), 60)]);
    world.order = vec![Path::DIRECT];
    world.start();
    world.run_for(Duration::from_secs(1));
    for better in ["r2", "r1"] {
        world.order.insert(0, via(better));
        world.rank();
        world.run_for(Duration::from_millis(500));
    }
    assert_eq!(world.pool.current(), Some(&via("r2")), "for a moment it is kept");
    world.run_for(Duration::from_secs(2));
    assert_eq!(world.pool.current(), Some(&via("r1")));
}

#[test]
fn a_ranking_that_changes_its_mind_all_the_time_moves_seldom() {
    let mut world = three(5);
    let at = world.now;
    for i in 0..1200 {
        world.order = if i % 2 == 0 { vec![via("r2"), via("r1")] } else { vec![via("r1"), via("r2")] };
        world.rank();
        world.run_for(Duration::from_millis(500));
    }
    let moves = world.moves().iter().filter(|(t, _)| *t > at).count();
    assert!(moves <= 61, "{moves} moves in 10 minutes");
}

#[test]
fn refusals_and_dead_paths_are_not_hammered() {
    let mut world = World::new(6, &[(via("r1"), 60), (via("r2"), 100), (Path::DIRECT, 240)]);
    world.places.get_mut(&via("r1")).unwrap().refuses = Some(RefusalCode::Policy);
    world.kill(&Path::DIRECT);
    world.start();
    world.run_for(Duration::from_secs(600));
    assert_eq!(world.pool.current(), Some(&via("r2")));
    let asked =
        |path: Path| world.count(|output| matches!(output, PoolOutput::Negotiate { path: p } if *p == path));
    println!("r1 was asked {} times, direct {}", asked(via("r1")), asked(Path::DIRECT));
    assert!(asked(via("r1")) <= 22 && asked(Path::DIRECT) <= 25);
    assert!(asked(via("r1")) >= 3, "it is tried again");
}

#[test]
fn no_path_is_told_and_found_again() {
    let mut world = World::new(7, &[(Path::DIRECT, 60)]);
    world.start();
    world.run_for(Duration::from_secs(10));
    world.kill(&Path::DIRECT);
    world.run_for(Duration::from_secs(60));
    assert_eq!(world.pool.current(), None);
    let told = |world: &World| world.count(|output| matches!(output, PoolOutput::NoPath { .. }));
    // Once before the first carrier was open, once now.
    assert_eq!(told(&world), 2);
    world.revive(&Path::DIRECT);
    world.run_for(Duration::from_secs(70));
    assert_eq!(world.pool.current(), Some(&Path::DIRECT));
    assert_eq!(told(&world), 2);
}

#[test]
fn when_best_and_standby_die_at_once_all_others_are_tried_at_once() {
    let mut stalls: Vec<Duration> = (0..40)
        .map(|seed| {
            let paths = [(via("r1"), 60), (via("r2"), 80), (via("r3"), 100), (Path::DIRECT, 120)];
            let mut world = World::new(seed, &paths);
            world.start();
            world.run_for(Duration::from_millis(20_000 + seed * 7));
            let at = world.now;
            ["r1", "r2", "r3"].into_iter().for_each(|relay| world.kill(&via(relay)));
            world.run_for(Duration::from_secs(10));
            assert_eq!(world.pool.current(), Some(&Path::DIRECT), "seed {seed}");
            let helped = world.log.iter().find(|(t, output)| {
                *t > at
                    && matches!(output, PoolOutput::Hedge { onto, .. } if world.channels.contains_key(onto))
            });
            helped.expect("helped").0.since(at)
        })
        .collect();
    stalls.sort();
    println!("helped after {:?} at the median, {:?} at worst", stalls[20], stalls[39]);
    // a negotiation and a dial of three round trips on top of finding out
    assert!(stalls[20] <= Duration::from_millis(4 * 120 + 100), "{:?}", stalls[20]);
    assert!(stalls[39] <= Duration::from_secs(1), "{:?}", stalls[39]);
}

#[test]
fn after_an_outage_of_everything_a_path_is_found_as_soon_as_a_hop_answers() {
    for seed in 0..40 {
        let mut world = three(seed);
        let paths = [via("r1"), via("r2"), Path::DIRECT];
        paths.iter().for_each(|path| world.kill(path));
        world.run_for(Duration::from_millis(30_000 + seed * 31));
        assert_eq!(world.pool.current(), None, "seed {seed}");
        let at = world.now;
        paths.iter().for_each(|path| world.revive(path));
        world.run_for(Duration::from_secs(10));
        let found =
            world.moves().into_iter().find(|(t, event)| *t > at && matches!(event, PoolEvent::Found { .. }));
        let found = found.expect("found").0.since(at);
        assert!(found <= Duration::from_secs(2), "seed {seed}: {found:?}");
        let dials = world.count(|output| matches!(output, PoolOutput::Dial { .. }));
        assert!(dials <= 150, "seed {seed}: {dials} dials in half a minute");
    }
}

#[test]
fn after_an_outage_circuits_that_stand_are_tried_though_other_paths_rank_higher() {
    for seed in 0..20 {
        let known = [via("r1"), via("r2"), Path::DIRECT];
        let unknown = ["r4", "r5", "r6", "r7"].map(via);
        let places: Vec<_> = known.iter().chain(&unknown).map(|path| (path.clone(), 60)).collect();
        let mut world = World::new(seed, &places);
        world.order = known.to_vec();
        world.start();
        world.run_for(Duration::from_secs(20));
        known.iter().chain(&unknown).for_each(|path| world.kill(path));
        world.run_for(Duration::from_secs(3));
        // what never answered is as good as unmeasured, what was measured is known to be silent
        (world.order, world.silent) = (unknown.to_vec(), known.to_vec());
        world.rank();
        world.run_for(Duration::from_millis(10_000 + seed * 31));
        let at = world.now;
        world.revive(&via("r2"));
        world.run_for(Duration::from_secs(5));
        let found =
            world.moves().into_iter().find(|(t, event)| *t > at && matches!(event, PoolEvent::Found { .. }));
        let found = found.expect("found").0.since(at);
        assert!(found <= Duration::from_millis(1_600), "seed {seed}: {found:?}");
    }
}

/// A circuit that the pool keeps while dials hang must not be forgotten by who gave it.
#[test]
fn dials_that_hang_say_nothing_against_their_circuit() {
    let (path, at) = (via("r1"), Time::from_millis);
    let mut pool = Pool::new(PoolConfig::new(Class::Interactive, 1));
    let dial = |pool: &mut Pool, now: Time| -> Option<CarrierId> {
        pool.handle_timeout(now);
        let mut outputs = std::iter::from_fn(|| pool.poll_output());
        outputs.find_map(|it| if let PoolOutput::Dial { carrier, .. } = it { Some(carrier) } else { None })
    };
    pool.handle_wants(at(0), Wants { streams: 1, busy: 1, warm: false });
    pool.handle_ranking(at(0), vec![path.clone()], Vec::new());
    pool.handle_granted(at(0), &path, CircuitId([1; 16]));
    let first = dial(&mut pool, at(0)).unwrap();
    assert!(!pool.spares(at(4000), first), "there was no path yet that could come back");
    pool.handle_up(at(4000), first, None);
    pool.handle_down(at(5000), first);
    let hanging = (5000..9000).step_by(100).find_map(|ms| Some((ms, dial(&mut pool, at(ms))?)));
    let (since, hanging) = hanging.unwrap();
    assert!(!pool.spares(at(since + 500), hanging), "a hop that answers at once has something to say");
    assert!(pool.spares(at(since + 1100), hanging));
    pool.handle_failed(at(since + 1100), hanging);
    assert!(!pool.spares(at(since + 1100), hanging), "it is over");
}

/// They cannot come up any more: to give them up makes no room for one that can.
#[test]
fn dials_along_a_circuit_that_was_closed_are_not_taken_for_those_of_its_successor() {
    let (path, at) = (via("r1"), Time::from_millis);
    let mut pool = Pool::new(PoolConfig::new(Class::Interactive, 1));
    pool.handle_wants(at(0), Wants { streams: 9, busy: 9, warm: false });
    pool.handle_ranking(at(0), vec![path.clone()], Vec::new());
    let mut circuit = CircuitId([1; 16]);
    pool.handle_granted(at(0), &path, circuit);
    pool.handle_up(at(0), CarrierId(1), None);
    pool.handle_timeout(at(5));
    pool.handle_circuit_closed(at(10), circuit, CircuitClose::HopGone, Duration::from_secs(60));
    let mut dials = Vec::new();
    for now in (0..30_000).step_by(10).map(at) {
        pool.handle_timeout(now);
        pool.check_invariants();
        while let Some(output) = pool.poll_output() {
            match output {
                PoolOutput::Negotiate { .. } => {
                    circuit.0[0] += 1;
                    pool.handle_granted(now, &path, circuit);
                }
                PoolOutput::Dial { carrier, .. } => dials.push(carrier),
                PoolOutput::Close { carrier, .. } => dials.retain(|dial| *dial != carrier),
                _ => {}
            }
        }
        pool.check_invariants();
    }
    dials.retain(|dial| *dial != CarrierId(1));
    assert_eq!(dials.len(), 4, "{dials:?}");
}

#[test]
fn streams_wait_since_the_last_sign_of_life() {
    let mut world = three(11);
    let at = world.now;
    [via("r1"), via("r2"), Path::DIRECT].iter().for_each(|path| world.kill(path));
    world.run_for(Duration::from_secs(10));
    let since = world.log.iter().rev().find_map(|(_, output)| match output {
        PoolOutput::NoPath { since } => Some(*since),
        _ => None,
    });
    let since = since.expect("no path");
    assert!(since <= at + Duration::from_millis(500), "{since:?} instead of {at:?}");
}

#[test]
fn carriers_that_another_address_cost_are_opened_again_at_once_and_no_path_is_blamed() {
    let mut world = three(12);
    let at = world.now;
    let all: Vec<_> = world.channels.keys().copied().collect();
    world.pool.handle_network_changed(at, &all);
    world.run_for(Duration::from_millis(300));
    assert_eq!(world.pool.current(), Some(&via("r1")));
    assert_eq!(world.pool.dwelling(&via("r1")), None);
    world.run_for(Duration::from_secs(5));
    assert_eq!(world.pool.standbys(), [&via("r2")]);
    assert_eq!(world.count(|output| matches!(output, PoolOutput::Negotiate { .. })), 3);
}

#[test]
fn a_circuit_that_a_hop_closes_is_left_at_once() {
    let mut world = three(8);
    let circuit = *world.circuits.iter().next().unwrap();
    let (at, grace) = (world.now, Duration::from_secs(10));
    world.pool.handle_circuit_closed(at, circuit, CircuitClose::Draining, grace);
    world.circuits.insert(circuit);
    world.run_for(Duration::from_secs(20));
    assert_eq!(world.pool.current(), Some(&via("r2")));
    let because = LeftBecause::CircuitClosed(CircuitClose::Draining);
    assert!(world.moves().iter().any(|(t, event)| *t <= at + Duration::from_millis(20)
        && matches!(event, PoolEvent::Left { because: b, .. } if *b == because)));
}

#[test]
fn busy_streams_get_carriers_and_idle_destinations_none() {
    let mut world = three(9);
    world.pool.handle_wants(world.now, Wants { streams: 9, busy: 7, warm: false });
    world.run_for(Duration::from_secs(5));
    let on_r1 = world.channels.values().filter(|(path, _)| *path == via("r1")).count();
    assert_eq!(on_r1, 4);
    world.pool.handle_wants(world.now, Wants { streams: 1, busy: 0, warm: false });
    world.run_for(Duration::from_secs(40));
    assert_eq!(world.channels.len(), 2);
    world.talking = false;
    world.pool.handle_wants(world.now, Wants::default());
    world.run_for(Duration::from_secs(290));
    assert_eq!(world.channels.len(), 2);
    world.run_for(Duration::from_secs(20));
    assert!(world.channels.is_empty() && world.circuits.is_empty());
    assert_eq!(world.pool.poll_timeout().filter(|at| *at <= world.now), None);
    world.pool.handle_wants(world.now, Wants { streams: 1, busy: 0, warm: false });
    world.talking = true;
    world.run_for(Duration::from_secs(5));
    assert_eq!(world.pool.current(), Some(&via("r1")));
}

#[test]
fn a_dead_standby_is_replaced_without_touching_the_streams() {
    let mut world = three(10);
    let at = world.now;
    world.kill(&via("r2"));
    world.run_for(Duration::from_secs(20));
    assert_eq!(world.pool.current(), Some(&via("r1")));
    assert_eq!(world.pool.standbys(), [&Path::DIRECT]);
    assert_eq!(world.moves().iter().filter(|(t, _)| *t > at).count(), 0);
}

#[test]
fn random_worlds_never_break_the_pool() {
    for seed in 0..256 {
        println!("seed {seed}");
        let mut world =
            World::new(seed, &[(via("r1"), 40), (via("r2"), 70), (via("r3"), 90), (Path::DIRECT, 150)]);
        world.spacing = Duration::from_millis(50);
        world.start();
        let mut random = crate::fake::Random(seed);
        for _ in 0..15 {
            let path = world.order[random.below(world.order.len() as u64) as usize].clone();
            match random.below(8) {
                0 | 1 => world.kill(&path),
                2 | 3 => world.revive(&path),
                4 => world.change(&path, |weather| weather.loss = 0.1 - weather.loss.min(0.1)),
                5 => world.order.rotate_left(1),
                6 => {
                    let wants = Wants {
                        streams: random.below(3) as usize,
                        busy: random.below(6) as usize,
                        warm: false,
                    };
                    world.pool.handle_wants(world.now, wants);
                }
                _ => world.rank(),
            }
            world.run_for(Duration::from_millis(random.below(4000)));
        }
        // In the end all is well, and a path is found.
        for path in world.order.clone() {
            world.revive(&path);
        }
        world.pool.handle_wants(world.now, Wants { streams: 1, busy: 0, warm: false });
        world.rank();
        world.run_for(Duration::from_secs(80));
        assert!(world.pool.current().is_some(), "seed {seed}");
    }
}
