//! What apps and nodes say of themselves changes the path, each in the direction it should.

use std::time::Duration;

use aire_brain::{Refusal, RelayInfo, Sample};
use aire_types::{AppProfile, Class, Needs, NodeProfile, Path, Posture, SecurityLevel, Source};

use crate::world::{World, app, at, instance_info, link, node, route, via};

fn settled(profile: AppProfile, direct_ms: f64, relays: &[(&str, f64)]) -> World {
    let links: Vec<_> = relays.iter().map(|(name, ms)| (*name, link(*ms))).collect();
    let mut world = World::star(5, link(direct_ms), &links);
    world.brain.set_own_profile(world.now, profile);
    world.want();
    world.seconds(30);
    world
}

fn of_relay(world: &mut World, name: &str, change: impl Fn(&mut RelayInfo)) {
    world.relays.iter_mut().filter(|relay| relay.node == node(name)).for_each(change);
    world.publish();
    world.seconds(60);
}

/// Measures what one connection gets.
fn transfer(world: &mut World, path: Path, mbps: f64) {
    let bytes = (mbps * 125_000.0) as u64;
    for _ in 0..8 {
        let sample = Sample::Transfer { bytes, elapsed: Duration::from_secs(1) };
        world.brain.handle_sample(world.now, &route(path.clone()), sample, Source::Payload);
        world.seconds(1);
    }
}

#[test]
fn of_a_scarce_relay_high_priority_gets_more() {
    for (priority, expected) in [(0, Path::DIRECT), (4, via("r1")), (7, via("r1"))] {
        let profile = AppProfile { priority: priority.try_into().unwrap(), ..AppProfile::default() };
        let mut world = settled(profile, 100.0, &[("r1", 60.0)]);
        of_relay(&mut world, "r1", |relay| relay.load = 0.75);
        world.seconds(60);
        assert_eq!(world.path(Class::Interactive), expected, "priority {priority}: {}", world.reason());
    }
    for (priority, expected) in [(4, Path::DIRECT), (7, via("r1"))] {
        let profile = AppProfile { priority: priority.try_into().unwrap(), ..AppProfile::default() };
        let mut world = settled(profile, 74.0, &[("r1", 60.0)]);
        of_relay(&mut world, "r1", |relay| relay.load = 0.9);
        world.seconds(60);
        assert_eq!(world.path(Class::Interactive), expected, "priority {priority}: {}", world.reason());
    }
}

#[test]
fn bulk_takes_the_wide_path_and_interactive_the_short_one() {
    let mut world = settled(AppProfile::default(), 40.0, &[("r1", 90.0)]);
    world.path(Class::Bulk);
    transfer(&mut world, Path::DIRECT, 4.0);
    transfer(&mut world, via("r1"), 400.0);
    world.seconds(60);
    assert_eq!(world.path(Class::Interactive), Path::DIRECT);
    assert_eq!(world.path(Class::Bulk), via("r1"));
}

#[test]
fn an_app_that_needs_bandwidth_leaves_a_short_path_that_has_less() {
    for (bandwidth_mbps, expected) in [(0.0, Path::DIRECT), (50.0, via("r1"))] {
        let needs = Needs { bandwidth_mbps, ..Needs::default() };
        let mut world = settled(AppProfile { needs, ..AppProfile::default() }, 40.0, &[("r1", 90.0)]);
        transfer(&mut world, Path::DIRECT, 10.0);
        transfer(&mut world, via("r1"), 400.0);
        world.seconds(60);
        assert_eq!(world.path(Class::Interactive), expected, "{bandwidth_mbps}: {}", world.reason());
    }
}

#[test]
fn an_app_that_needs_low_latency_pays_load_for_it() {
    for (latency_ms, expected) in [(0.0, Path::DIRECT), (60.0, via("r1"))] {
        let needs = Needs { latency_ms, ..Needs::default() };
        let mut world = settled(AppProfile { needs, ..AppProfile::default() }, 74.0, &[("r1", 60.0)]);
        of_relay(&mut world, "r1", |relay| relay.load = 0.9);
        assert_eq!(world.path(Class::Interactive), expected, "{latency_ms}: {}", world.reason());
    }
}

#[test]
fn what_the_called_app_needs_counts_as_much() {
    let mut world = settled(AppProfile::default(), 40.0, &[("r1", 90.0)]);
    let needs = Needs { bandwidth_mbps: 50.0, ..Needs::default() };
    world.brain.set_profile(world.now, &app(), AppProfile { needs, ..AppProfile::default() });
    transfer(&mut world, Path::DIRECT, 10.0);
    transfer(&mut world, via("r1"), 400.0);
    world.seconds(60);
    assert_eq!(world.path(Class::Interactive), via("r1"), "{}", world.reason());
}

#[test]
fn a_higher_security_level_avoids_a_riskier_relay_and_its_ceiling_forbids_it() {
    for (security, risk, expected) in [
        (SecurityLevel::Low, 0.2, via("r1")),
        (SecurityLevel::Normal, 0.2, via("r2")),
        (SecurityLevel::Low, 0.7, via("r2")),
        (SecurityLevel::High, 0.3, Path::DIRECT),
    ] {
        let profile = AppProfile { security, ..AppProfile::default() };
        let mut world = settled(profile, 240.0, &[("r1", 60.0), ("r2", 80.0)]);
        let both = security == SecurityLevel::High;
        of_relay(&mut world, "r1", |relay| relay.risk = risk);
        of_relay(&mut world, "r2", |relay| relay.risk = if both { risk } else { 0.0 });
        assert_eq!(world.path(Class::Interactive), expected, "{security:?} {risk}: {}", world.reason());
    }
}

#[test]
fn a_node_without_a_packet_filter_loses_the_traffic_of_apps_that_mind() {
    let bare = NodeProfile {
        posture: Posture { firewall: Some(false), ..Posture::default() },
        ..Default::default()
    };
    for (security, expected) in [(SecurityLevel::Normal, via("r1")), (SecurityLevel::High, via("r2"))] {
        let profile = AppProfile { security, ..AppProfile::default() };
        let mut world = settled(profile, 240.0, &[("r1", 60.0), ("r2", 66.0)]);
        of_relay(&mut world, "r1", |relay| relay.risk = bare.risk());
        assert_eq!(world.path(Class::Interactive), expected, "{security:?}: {}", world.reason());
    }
}

#[test]
fn a_relay_whose_resources_are_used_up_loses_traffic_to_a_free_one() {
    let free = NodeProfile { cpus: 4.0, memory_mib: 4000, memory_free_mib: 3000, ..NodeProfile::default() };
    let exhausted = [
        NodeProfile { cpu_load: 0.95, ..free.clone() },
        NodeProfile { bandwidth_used_mbps: 95.0, bandwidth_limit_mbps: 100.0, ..free.clone() },
        NodeProfile { memory_free_mib: 10, ..free.clone() },
    ];
    for profile in &exhausted {
        let mut world = settled(AppProfile::default(), 240.0, &[("r1", 60.0), ("r2", 66.0)]);
        of_relay(&mut world, "r1", |relay| relay.load = free.load());
        assert_eq!(world.path(Class::Interactive), via("r1"), "{}", world.reason());
        of_relay(&mut world, "r1", |relay| relay.load = profile.load());
        assert_eq!(world.path(Class::Interactive), via("r2"), "{profile:?}: {}", world.reason());
    }
}

#[test]
fn a_relay_that_grants_no_lease_is_left_and_taken_again_when_it_does() {
    let mut world = settled(AppProfile::default(), 240.0, &[("r1", 60.0), ("r2", 66.0)]);
    assert_eq!(world.path(Class::Interactive), via("r1"));
    world.brain.handle_refused(world.now, &route(via("r1")), Refusal::Capacity);
    assert_eq!(world.path(Class::Interactive), via("r2"), "{}", world.reason());
    let until = world.now + Duration::from_secs(600);
    world.brain.handle_leased(world.now, &route(via("r1")), until);
    world.seconds(120);
    assert_eq!(world.path(Class::Interactive), via("r1"), "{}", world.reason());
}

#[test]
fn usual_destinations_are_known_before_the_first_stream() {
    let usual = |volume: Option<f64>| {
        let destinations = volume.map(|mib| (app(), mib)).into_iter().collect();
        let mut world = World::star(5, link(240.0), &[("r1", link(60.0))]);
        let profile = AppProfile { destinations, ..AppProfile::default() };
        world.brain.set_own_profile(world.now, profile);
        world.seconds(30);
        // the first stream, at this moment
        let decision = world.brain.place(world.now, &app(), Class::Interactive);
        decision.choice().unwrap().path.clone()
    };
    assert_eq!((usual(None), usual(Some(100.0))), (Path::DIRECT, via("r1")));
}

#[test]
fn of_two_instances_the_one_on_a_free_node_is_taken() {
    let mut world = World::star(5, link(60.0), &[]);
    world.instances = vec![instance_info("d"), instance_info("e")];
    world.publish();
    world.want();
    world.seconds(30);
    for (busy, expected) in [("d", "e"), ("e", "d")] {
        for info in &mut world.instances {
            info.load = if info.instance == at(busy) { 0.9 } else { 0.0 };
        }
        world.publish();
        world.seconds(60);
        let decision = world.brain.place(world.now, &app(), Class::Interactive);
        assert_eq!(decision.choice().unwrap().instance, at(expected), "{}", decision.reason);
    }
}
