//! Directions: what makes a path better or worse, one at a time.

use std::time::Duration;

use crate::world::{Link, World, app, at, instance_info, link, node, route, via};
use aire_brain::{Event, HerdTuning, Refusal, Rule, Sample};
use aire_types::{AppProfile, Class, Ineligible, Override, Path, SecurityLevel, Source, Time};

const INTERACTIVE: Class = Class::Interactive;

fn settled(seed: u64, direct: Link, relays: &[(&str, Link)]) -> World {
    let mut world = World::star(seed, direct, relays);
    world.want();
    world.seconds(20);
    world
}

#[test]
fn the_shorter_of_two_relays_beats_a_long_direct_path() {
    for seed in 0..32 {
        let mut world = settled(seed, link(240.0), &[("r1", link(60.0)), ("r2", link(100.0))]);
        assert_eq!(world.path(INTERACTIVE), via("r1"), "seed {seed}");
        let reason = world.reason();
        assert!(reason.starts_with("via r1: 6") && reason.contains("ms direct; cost −"), "{reason}");
    }
}

#[test]
fn equal_paths_stay_direct() {
    for seed in 0..32 {
        let mut world = settled(seed, link(40.0), &[("r1", link(40.0)), ("r2", link(39.0))]);
        assert_eq!(world.path(INTERACTIVE), Path::DIRECT, "seed {seed}");
        assert_eq!(world.moves.len(), 1, "seed {seed}: {:?}", world.moves);
    }
}

#[test]
fn the_lowest_latency_with_heavy_loss_is_not_chosen() {
    for seed in 0..64 {
        let lossy = Link { loss: 0.3, ..link(20.0) };
        let mut world = settled(seed, link(80.0), &[("r1", lossy), ("r2", link(60.0))]);
        world.seconds(40);
        assert_ne!(world.path(INTERACTIVE), via("r1"), "seed {seed}: {}", world.reason());
    }
}

#[test]
fn loss_in_payload_drives_traffic_to_a_clean_relay_that_is_longer() {
    for seed in 0..32 {
        let mut world = settled(seed, link(40.0), &[("r1", link(44.0))]);
        assert_eq!(world.path(INTERACTIVE), Path::DIRECT);
        for _ in 0..30 {
            world.brain.handle_sample(
                world.now,
                &route(Path::DIRECT),
                Sample::Packets { sent: 100, lost: 3 },
                Source::Payload,
            );
            world.seconds(1);
        }
        assert_eq!(world.path(INTERACTIVE), via("r1"), "seed {seed}: {}", world.reason());
        assert!(
            world.reason().contains("loss 0.") && world.reason().contains(" % against "),
            "{}",
            world.reason()
        );
    }
}

#[test]
fn a_path_in_use_that_degrades_is_left() {
    for seed in 0..32 {
        let mut world = settled(seed, link(240.0), &[("r1", link(60.0)), ("r2", link(100.0))]);
        world.links.insert(via("r1"), link(600.0));
        world.seconds(60);
        assert_eq!(world.path(INTERACTIVE), via("r2"), "seed {seed}: {}", world.reason());
    }
}

#[test]
fn a_path_that_is_left_is_replaced_at_once_and_returns_after_its_dwell() {
    let mut world = settled(3, link(240.0), &[("r1", link(60.0)), ("r2", link(100.0))]);
    world.brain.handle_left(world.now, &route(via("r1")), Duration::from_secs(30));
    assert_eq!(world.path(INTERACTIVE), via("r2"));
    world.seconds(29);
    assert_eq!(world.path(INTERACTIVE), via("r2"));
    world.seconds(60);
    assert_eq!(world.path(INTERACTIVE), via("r1"));
}

#[test]
fn a_dead_relay_is_left_at_once_and_used_again_when_it_answers() {
    let mut world = settled(4, link(240.0), &[("r1", link(60.0))]);
    let lost = world.links.remove(&via("r1")).unwrap();
    world.brain.handle_dead(world.now, &route(via("r1")));
    assert_eq!(world.path(INTERACTIVE), Path::DIRECT);
    assert!(world.reason().contains("via r1 does not answer"), "{}", world.reason());
    world.seconds(120);
    assert_eq!(world.path(INTERACTIVE), Path::DIRECT);
    world.links.insert(via("r1"), lost);
    world.seconds(120);
    assert_eq!(world.path(INTERACTIVE), via("r1"));
    assert!(world.events.contains(&Event::Answering { route: route(via("r1")) }));
}

#[test]
fn silence_is_found_by_probes_alone() {
    let mut world = settled(5, link(240.0), &[("r1", link(60.0))]);
    world.links.remove(&via("r1"));
    world.seconds(40);
    assert_eq!(world.path(INTERACTIVE), Path::DIRECT);
    assert!(world.events.contains(&Event::Silent { route: route(via("r1")) }));
}

#[test]
fn when_every_path_misses_answers_nothing_moves() {
    let mut world = settled(6, link(240.0), &[("r1", link(60.0)), ("r2", link(100.0)), ("r3", link(120.0))]);
    let moves = world.moves.len();
    let links = std::mem::take(&mut world.links);
    world.seconds(12);
    world.links = links;
    world.seconds(60);
    assert_eq!(world.path(INTERACTIVE), via("r1"));
    assert!(world.moves.len() <= moves + 2, "{:?}", world.moves);
}

#[test]
fn a_refused_relay_is_not_used_and_the_reason_is_told() {
    let mut world = settled(7, link(240.0), &[("r1", link(60.0)), ("r2", link(100.0))]);
    world.brain.handle_refused(world.now, &route(via("r1")), Refusal::Other("no policy".into()));
    assert_eq!(world.path(INTERACTIVE), via("r2"));
    let decision = world.brain.steer(world.now, &at("d"), INTERACTIVE);
    let refused = decision.ranking.iter().find(|ranked| ranked.route.path == via("r1")).unwrap();
    assert_eq!(refused.ineligible, Some(Ineligible::Refused("no policy".into())));
    world.brain.handle_refused(world.now, &route(via("r2")), Refusal::Capacity);
    assert_eq!(world.path(INTERACTIVE), Path::DIRECT);
    world.brain.handle_leased(world.now, &route(via("r1")), Time::NEVER);
    world.seconds(30);
    assert_eq!(world.path(INTERACTIVE), via("r1"));
}

fn ordered(overrides: Override) -> World {
    let mut world = World::star(8, link(50.0), &[("r1", link(30.0)), ("r2", link(48.0))]);
    world.brain.set_override(world.now, &app(), overrides);
    world.want();
    world.seconds(20);
    world
}

#[test]
fn overrides_are_obeyed() {
    assert_eq!(ordered(Override::default()).path(INTERACTIVE), via("r1"));
    let pinned = ordered(Override { pin: Some(via("r2")), ..Override::default() }).path(INTERACTIVE);
    assert_eq!(pinned, via("r2"));
    let avoiding = ordered(Override { avoid: vec![node("r1")], ..Override::default() }).path(INTERACTIVE);
    assert_eq!(avoiding, Path::DIRECT);
    let direct = ordered(Override { direct_only: true, ..Override::default() }).path(INTERACTIVE);
    assert_eq!(direct, Path::DIRECT);
    let prefer = Override { prefer: vec![node("r2")], avoid: vec![node("r1")], ..Override::default() };
    assert_eq!(ordered(prefer).path(INTERACTIVE), via("r2"));
}

#[test]
fn a_pin_that_cannot_be_used_stays_and_says_so() {
    let mut world = ordered(Override { pin: Some(via("r2")), ..Override::default() });
    world.brain.handle_dead(world.now, &route(via("r2")));
    let decision = world.brain.steer(world.now, &at("d"), INTERACTIVE);
    assert_eq!((decision.choice(), &*decision.by), (None, "override"));
    assert!(decision.reason.contains("pinned to via r2") && decision.reason.contains("does not answer"));
    world.seconds(1);
    assert!(world.events.iter().any(|event| matches!(event, Event::PinUnusable { .. })));
    let unknown = ordered(Override { pin: Some(via("r9")), ..Override::default() }).reason();
    assert!(unknown.contains("r9 is not a relay"), "{unknown}");
}

#[test]
fn an_override_can_be_changed_at_any_time() {
    let mut world = ordered(Override { pin: Some(via("r2")), ..Override::default() });
    world.brain.set_override(world.now, &app(), Override::default());
    world.seconds(60);
    assert_eq!(world.path(INTERACTIVE), via("r1"));
}

#[test]
fn risk_is_a_cost_and_above_the_ceiling_a_wall() {
    let risky = |risk: f64, level| {
        let mut world = World::star(9, link(90.0), &[("r1", link(30.0)), ("r2", link(60.0))]);
        world.relays[0].risk = risk;
        world.publish();
        world.brain.set_own_profile(world.now, AppProfile { security: level, ..AppProfile::default() });
        world.want();
        world.seconds(20);
        world
    };
    assert_eq!(risky(0.0, SecurityLevel::High).path(INTERACTIVE), via("r1"));
    assert_eq!(risky(0.3, SecurityLevel::Low).path(INTERACTIVE), via("r1"));
    assert_eq!(risky(0.3, SecurityLevel::Normal).path(INTERACTIVE), via("r2"));
    let mut high = risky(0.3, SecurityLevel::High);
    assert_eq!(high.path(INTERACTIVE), via("r2"));
    let decision = high.brain.steer(high.now, &at("d"), INTERACTIVE);
    assert!(decision.ranking.iter().any(|ranked| ranked.ineligible == Some(Ineligible::TooRisky)));
    let mut turned = risky(0.0, SecurityLevel::Normal);
    turned.relays[0].risk = 0.7;
    turned.publish();
    assert_eq!(turned.path(INTERACTIVE), via("r2"));
    turned.relays[1].risk = f64::NAN;
    turned.publish();
    assert_eq!(turned.path(INTERACTIVE), Path::DIRECT);
}

#[test]
fn who_is_alone_takes_what_is_better_within_seconds_also_with_learned_herd_control() {
    let mut seconds = Vec::new();
    for seed in 0..64 {
        let mut world = World::star(seed, link(240.0), &[("r1", link(260.0))]);
        let policy = Rule { herd: HerdTuning::LEARNED, ..Rule::default() };
        world.brain.set_policy(world.now, Box::new(policy));
        world.relays[0].rtt_ms = Some(130.0);
        world.publish();
        world.want();
        world.seconds(60);
        assert_eq!(world.path(INTERACTIVE), Path::DIRECT, "seed {seed}");
        world.links.insert(via("r1"), link(60.0));
        world.relays[0].rtt_ms = Some(30.0);
        world.publish();
        let taken_after = (1..600).find(|_| {
            let payload = Sample::Rtt(Duration::from_millis(241));
            world.brain.handle_sample(world.now, &route(Path::DIRECT), payload, Source::Payload);
            world.seconds(1);
            world.path(INTERACTIVE) == via("r1")
        });
        seconds.push(taken_after.unwrap_or(600));
    }
    seconds.sort_unstable();
    assert!(seconds[32] <= 12 && seconds[58] <= 40, "{seconds:?}");
}

#[test]
fn bulk_goes_where_the_bandwidth_is() {
    let mut world = settled(10, link(40.0), &[("r1", link(60.0))]);
    world.path(Class::Bulk);
    for _ in 0..10 {
        for (path, bytes) in [(Path::DIRECT, 2_500_000), (via("r1"), 25_000_000)] {
            let sample = Sample::Transfer { bytes, elapsed: Duration::from_secs(1) };
            world.brain.handle_sample(world.now, &route(path), sample, Source::Payload);
        }
        world.seconds(2);
    }
    world.seconds(20);
    assert_eq!(world.path(Class::Bulk), via("r1"));
    assert_eq!(world.path(INTERACTIVE), Path::DIRECT);
}

#[test]
fn a_loaded_relay_gives_way_to_one_that_is_a_little_longer() {
    let mut world = World::star(11, link(90.0), &[("r1", link(40.0)), ("r2", link(46.0))]);
    world.relays[0].load = 0.95;
    world.publish();
    world.want();
    world.seconds(30);
    assert_eq!(world.path(INTERACTIVE), via("r2"));
}

#[test]
fn draining_and_vanished_relays_are_left() {
    let mut world = settled(12, link(240.0), &[("r1", link(60.0)), ("r2", link(100.0))]);
    world.relays[0].draining = true;
    world.publish();
    assert_eq!(world.path(INTERACTIVE), via("r2"));
    world.relays.clear();
    world.publish();
    assert_eq!(world.path(INTERACTIVE), Path::DIRECT);
}

#[test]
fn the_standby_shares_no_relay_and_no_zone_where_it_can() {
    let mut world =
        World::star(13, link(240.0), &[("r1", link(60.0)), ("r2", link(65.0)), ("r3", link(70.0))]);
    for (relay, zone) in world.relays.iter_mut().zip(["a", "a", "b"]) {
        relay.zone = zone.into();
    }
    world.publish();
    world.want();
    world.seconds(30);
    let paths = world.brain.rank_paths(world.now, &at("d"), INTERACTIVE);
    assert_eq!(paths.paths[0], via("r1"));
    assert_eq!(paths.standby, Some(via("r3")));
    assert_eq!(paths.paths.len(), 4);
    let mut alone = settled(14, link(40.0), &[]);
    assert_eq!(alone.brain.rank_paths(alone.now, &at("d"), INTERACTIVE).standby, None);
}

#[test]
fn a_new_destination_is_direct_until_something_is_proven() {
    let mut world = World::star(15, link(240.0), &[("r1", link(60.0))]);
    let decision = world.brain.place(world.now, &app(), INTERACTIVE);
    assert_eq!(decision.choice().map(|route| &route.path), Some(&Path::DIRECT));
    assert!(decision.reason.contains("not measured yet"), "{}", decision.reason);
}

#[test]
fn where_direct_does_not_answer_a_relay_is_used_soon() {
    for seed in 0..32 {
        let mut world = World::star(seed, link(100.0), &[("r1", link(60.0))]);
        world.links.remove(&Path::DIRECT);
        world.want();
        world.run(Duration::from_millis(1000));
        assert_eq!(world.path(INTERACTIVE), via("r1"), "seed {seed}");
    }
}

#[test]
fn pairs_are_tried_only_where_nothing_shorter_reaches() {
    let mut world = World::star(16, link(100.0), &[("r1", link(60.0)), ("r2", link(60.0))]);
    let pair = Path::new(vec![node("r1"), node("r2")]).unwrap();
    world.links.insert(pair.clone(), link(130.0));
    world.want();
    world.seconds(60);
    let all = world.brain.steer(world.now, &at("d"), INTERACTIVE).ranking.len();
    assert_eq!(all, 3, "no pairs while something shorter answers");
    world.links = [(pair.clone(), link(130.0))].into();
    world.seconds(120);
    assert_eq!(world.path(INTERACTIVE), pair);
    world.links.insert(via("r2"), link(60.0));
    world.seconds(300);
    assert_eq!(world.path(INTERACTIVE), via("r2"));
}

#[test]
fn of_two_instances_the_nearer_serves_and_draining_ones_get_nothing_new() {
    let mut world = World::new(17);
    world.instances = vec![instance_info("d"), instance_info("e")];
    world.links.insert(Path::DIRECT, link(20.0));
    world.extra_ms.insert(node("d"), 60.0);
    world.publish();
    world.want();
    let near = |world: &mut World| {
        world.seconds(20);
        let decision = world.brain.place(world.now, &app(), INTERACTIVE);
        decision.choice().expect("an instance").instance.node.clone()
    };
    assert_eq!(near(&mut world), node("e"));
    world.instances[1].draining = true;
    world.publish();
    assert_eq!(near(&mut world), node("d"));
    let gone = world.brain.place(world.now, &"nothing".parse().unwrap(), INTERACTIVE);
    assert!(gone.choice().is_none() && gone.reason.contains("no instance of nothing"));
}

#[test]
fn the_warm_standby_takes_over_and_a_better_path_follows_later() {
    let mut world = settled(18, link(240.0), &[("r1", link(60.0)), ("r2", link(80.0)), ("r3", link(120.0))]);
    let standby = world.brain.rank_paths(world.now, &at("d"), INTERACTIVE).standby;
    assert_eq!(standby, Some(via("r2")));
    world.links.insert(via("r3"), link(74.0));
    world.seconds(120);
    let standby = world.brain.rank_paths(world.now, &at("d"), INTERACTIVE).standby;
    assert_eq!(standby, Some(via("r2")), "a standby is not changed for a few milliseconds");
    world.brain.handle_left(world.now, &route(via("r1")), Duration::from_secs(300));
    assert_eq!(world.path(INTERACTIVE), via("r2"));
}

#[test]
fn what_the_leave_loop_took_is_kept_for_a_while() {
    let mut world = settled(19, link(240.0), &[("r1", link(60.0)), ("r2", link(80.0)), ("r3", link(120.0))]);
    world.brain.handle_left(world.now, &route(via("r1")), Duration::from_secs(300));
    world.brain.handle_current(world.now, &route(via("r3")), INTERACTIVE);
    assert_eq!(world.path(INTERACTIVE), via("r3"));
    world.seconds(60);
    assert_eq!(world.path(INTERACTIVE), via("r2"));
}

#[test]
fn a_policy_that_breaks_the_contract_is_replaced_by_the_rule_for_that_decision() {
    struct Broken;
    impl aire_brain::Policy for Broken {
        fn name(&self) -> &str {
            "broken"
        }
        fn rank(&self, snapshot: &aire_types::Snapshot) -> Vec<aire_types::Ranked> {
            let ranked = |candidate: &aire_types::Candidate| aire_types::Ranked {
                route: candidate.route.clone(),
                cost: f64::NAN,
                gain: None,
                ineligible: None,
            };
            snapshot.candidates.iter().map(ranked).collect()
        }
        fn reason(&self, _: &aire_types::Snapshot, _: &[aire_types::Ranked]) -> String {
            "because".into()
        }
    }
    let mut world = settled(20, link(240.0), &[("r1", link(60.0))]);
    world.brain.set_policy(world.now, Box::new(Broken));
    let decision = world.brain.steer(world.now, &at("d"), INTERACTIVE);
    assert_eq!((&*decision.by, decision.choice()), ("rule", Some(&route(via("r1")))));
}
