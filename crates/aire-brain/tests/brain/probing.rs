//! What exploration costs, and how soon it is done.

use std::time::Duration;

use aire_brain::{InstanceInfo, Output, RelayInfo, Sample};
use aire_types::{AppProfile, Class, Instance, Path, Source, Time};

use crate::world::{World, app, at, link, node, route, via};

/// A mesh of `relays` relays that all answer after a time of their own.
fn mesh(seed: u64, relays: usize) -> World {
    let mut world = World::new(seed);
    world.links.insert(Path::DIRECT, link(150.0));
    for i in 0..relays {
        let name = format!("r{i}");
        let mut relay = RelayInfo::new(node(&name));
        relay.zone = format!("z{}", i % 23);
        let ms = 60.0 + 200.0 * world.unit();
        relay.rtt_ms = (i % 3 == 0).then_some(ms / 2.0);
        world.links.insert(via(&name), link(ms));
        world.relays.push(relay);
    }
    world.publish();
    world
}

#[test]
fn the_cost_is_flat_from_ten_to_ten_thousand_relays() {
    for relays in [10, 100, 1000, 10_000] {
        let mut world = mesh(relays as u64, relays);
        world.want();
        world.seconds(600);
        // 4 kbit/s at 220 bytes a round, and the burst of the start
        let most = 600 * 4000 / 8 / 220 + 96;
        assert!(world.probes <= most as u64, "{relays} relays: {} probes", world.probes);
        assert!(world.probes >= 100, "{relays} relays: {} probes", world.probes);
    }
}

#[test]
fn the_budget_holds_for_many_destinations_too() {
    let mut world = mesh(1, 50);
    for i in 0..100 {
        let name: aire_types::AppName = format!("a{i}").parse().unwrap();
        let instance = Instance { app: name.clone(), node: node(&format!("d{i}")) };
        let rtt_ms = None;
        world.instances.push(InstanceInfo {
            instance,
            zone: String::new(),
            load: 0.0,
            draining: false,
            rtt_ms,
        });
        world.brain.handle_interest(world.now, &name, Time::NEVER);
    }
    world.publish();
    world.seconds(600);
    assert!(world.probes <= 600 * 4000 / 8 / 220 + 97, "{} probes", world.probes);
    assert!(world.probes >= 600 * 4000 / 8 / 220 - 10, "the budget is used: {}", world.probes);
}

#[test]
fn a_new_destination_is_decided_within_two_seconds() {
    let mut slowest = Duration::ZERO;
    for seed in 0..256 {
        let mut world =
            World::star(seed, link(240.0), &[("r1", link(60.0)), ("r2", link(100.0)), ("r3", link(300.0))]);
        let start = world.now;
        world.brain.place(world.now, &app(), Class::Interactive);
        world.seconds(3);
        assert_eq!(world.path(Class::Interactive), via("r1"), "seed {seed}");
        let (last, _) = world.moves.last().unwrap();
        slowest = slowest.max(last.since(start));
    }
    assert!(slowest <= Duration::from_millis(1600), "{slowest:?}");
}

#[test]
fn a_relay_that_is_heard_of_after_the_destination_is_looked_at_at_once() {
    for seed in 0..32 {
        let mut world = World::star(seed, link(240.0), &[]);
        world.links.insert(via("r1"), link(60.0));
        world.want();
        world.seconds(1);
        assert_eq!(world.path(Class::Interactive), Path::DIRECT, "seed {seed}");
        world.relays.push(RelayInfo::new(node("r1")));
        world.publish();
        world.seconds(3);
        assert_eq!(world.path(Class::Interactive), via("r1"), "seed {seed}");
    }
}

#[test]
fn nobody_asks_nobody_probes() {
    let mut world = mesh(2, 20);
    world.seconds(60);
    assert_eq!(world.probes, 0);
    world.brain.handle_interest(world.now, &app(), world.now + Duration::from_secs(30));
    world.seconds(60);
    let asked = world.probes;
    assert!(asked > 0);
    world.seconds(60);
    assert_eq!(world.probes, asked, "interest has lapsed");
    assert!(world.brain.poll_timeout().is_none());
}

#[test]
fn who_follows_decisions_does_not_renew_interest() {
    let mut world = mesh(2, 20);
    world.brain.handle_interest(world.now, &app(), world.now + Duration::from_secs(30));
    let mut followed = 0;
    for _ in 0..60 {
        world.seconds(1);
        for instance in std::mem::take(&mut world.reranked) {
            followed += 1;
            world.brain.rank_paths(world.now, &instance, Class::Interactive);
            world.brain.decision(world.now, &instance, Class::Interactive);
        }
    }
    assert!(followed > 0);
    let asked = world.probes;
    world.seconds(60);
    assert_eq!(world.probes, asked, "interest has lapsed");
}

#[test]
fn a_relay_whose_probe_is_under_way_while_it_is_dropped_does_not_come_back() {
    let mut world = World::star(9, link(150.0), &[("r1", link(60.0))]);
    world.want();
    world.brain.handle_timeout(world.now);
    let mut flights = Vec::new();
    while let Some(output) = world.brain.poll_output() {
        if let Output::Probe { id, route } = output {
            flights.push((id, route));
        }
    }
    let over: Vec<_> = flights.into_iter().filter(|(_, route)| !route.path.is_direct()).collect();
    assert!(!over.is_empty());
    world.relays.clear();
    world.publish();
    world.instances[0].draining = true;
    let order = aire_types::Override { direct_only: true, ..Default::default() };
    world.brain.set_override(world.now, &app(), order);
    world.seconds(2);
    for (id, route) in over {
        world.brain.handle_echo(world.now, id, Duration::from_millis(60));
        world.brain.handle_refused(world.now, &route, aire_brain::Refusal::Capacity);
        world.brain.handle_leased(world.now, &route, Time::NEVER);
    }
    let decision = world.brain.decision(world.now, &at("d"), Class::Interactive);
    assert!(decision.ranking.iter().all(|ranked| ranked.route.path.is_direct()), "{:?}", decision.ranking);
}

#[test]
fn usual_destinations_are_known_before_they_are_asked_for() {
    let mut world = World::star(3, link(240.0), &[("r1", link(60.0))]);
    let profile = AppProfile { destinations: [(app(), 10.0)].into(), ..AppProfile::default() };
    world.brain.set_own_profile(world.now, profile);
    world.seconds(5);
    let decision = world.brain.place(world.now, &app(), Class::Interactive);
    assert_eq!(decision.choice().map(|route| &route.path), Some(&via("r1")));
}

#[test]
fn payload_saves_probes() {
    let count = |passive: bool| {
        let mut world = World::star(4, link(60.0), &[]);
        world.want();
        for _ in 0..600 {
            if passive {
                let sample = Sample::Rtt(Duration::from_millis(61));
                world.brain.handle_sample(world.now, &route(Path::DIRECT), sample, Source::Payload);
            }
            world.seconds(1);
        }
        world.probes
    };
    assert!(count(true) * 2 < count(false));
}

#[test]
fn a_probe_that_could_not_leave_costs_nothing_and_blames_nobody() {
    let mut world = World::star(5, link(60.0), &[]);
    world.brain.handle_interest(world.now, &app(), Time::NEVER);
    for _ in 0..60 {
        world.brain.handle_timeout(world.now);
        while let Some(output) = world.brain.poll_output() {
            if let Output::Probe { id, .. } = output {
                world.brain.handle_unsent(world.now, id);
            }
        }
        world.now += Duration::from_secs(1);
        world.brain.check_invariants();
    }
    let decision = world.brain.steer(world.now, &at("d"), Class::Interactive);
    assert!(decision.choice().is_some(), "{}", decision.reason);
}

#[test]
fn a_large_portfolio_is_renewed_but_keeps_what_is_good() {
    let mut world = mesh(6, 200);
    world.links.insert(via("r77"), link(20.0));
    world.want();
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..120 {
        world.seconds(30);
        let decision = world.brain.steer(world.now, &at("d"), Class::Interactive);
        assert!(decision.ranking.len() <= 9, "{}", decision.ranking.len());
        seen.extend(decision.ranking.iter().map(|ranked| ranked.route.path.clone()));
    }
    assert!(seen.len() > 50, "only {} relays were looked at in an hour", seen.len());
    let best = world.path(Class::Interactive);
    assert!(world.links[&best].rtt_ms < 80.0, "{best}: {}", world.links[&best].rtt_ms);
}

#[test]
fn a_path_whose_link_became_faster_is_looked_at_at_once() {
    let mut seconds = Vec::new();
    for seed in 0..64 {
        let mut world = World::star(seed, link(240.0), &[("r1", link(60.0)), ("r2", link(100.0))]);
        world.instances[0].rtt_ms = Some(240.0);
        world.publish();
        world.want();
        world.path(Class::Interactive);
        world.seconds(60);
        assert_eq!(world.path(Class::Interactive), via("r1"), "seed {seed}");
        world.links.insert(Path::DIRECT, link(16.0));
        // a smoothed round trip falls by an eighth with each sign of life
        world.instances[0].rtt_ms = Some(212.0);
        world.publish();
        let taken_after = (0..40).find(|_| {
            world.seconds(1);
            world.path(Class::Interactive) == Path::DIRECT
        });
        seconds.push(taken_after.unwrap_or_else(|| panic!("seed {seed}: not taken")) + 1);
    }
    // Some wait for their turn, so that not all agents move at once.
    seconds.sort_unstable();
    assert!(seconds[32] <= 5 && seconds[58] <= 20, "{seconds:?}");
}

#[test]
fn a_link_that_wavers_costs_few_probes() {
    let probes = |wavers: bool| {
        let mut world = World::star(7, link(60.0), &[("r1", link(100.0))]);
        world.want();
        for i in 0..600 {
            world.instances[0].rtt_ms = Some(if wavers && i % 2 == 0 { 65.0 } else { 60.0 });
            world.publish();
            world.seconds(1);
        }
        world.probes
    };
    assert!(probes(true) <= probes(false) + 10, "{} instead of {}", probes(true), probes(false));
}

#[test]
fn a_path_that_became_better_is_taken_after_its_next_probe() {
    for seed in 0..32 {
        let mut world = World::star(seed, link(240.0), &[("r1", link(60.0)), ("r2", link(100.0))]);
        world.want();
        world.path(Class::Interactive);
        world.seconds(60);
        assert_eq!(world.path(Class::Interactive), via("r1"), "seed {seed}");
        world.links.insert(Path::DIRECT, link(16.0));
        world.seconds(40);
        assert_eq!(world.path(Class::Interactive), Path::DIRECT, "seed {seed}");
    }
}
