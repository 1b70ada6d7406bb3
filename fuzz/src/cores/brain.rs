//! Path choice, with members that claim anything, under the rule, a model or the scouts' forecasts.

use std::time::Duration;

use aire_brain::{Brain, Config, InstanceInfo, Output, Refusal, RelayInfo, Sample};
use aire_types::{AppProfile, Instance, NodeName, Override, Path, RouteId, SecurityLevel, Source, Time};

use super::choices::{Choices, NODES, node, rest};
use super::policies;

/// Nodes that a large mesh has beside the others: more than scouts have numbers for.
const CROWD: usize = 250;
/// Steps in a large mesh, where each may take long.
const STEPS_IN_CROWD: usize = 60;
/// Legs that one record tells of.
const LEGS: usize = 64;
/// Nodes that scouts have numbers for.
const WATCHED: usize = 192;

fn instance(choices: &mut Choices<'_>) -> Instance {
    Instance { app: choices.app(), node: choices.node() }
}

fn route(choices: &mut Choices<'_>) -> RouteId {
    RouteId { instance: instance(choices), path: path(choices) }
}

/// Neither the agent nor a sane user names the node itself.
fn path(choices: &mut Choices<'_>) -> Path {
    Some(choices.path()).filter(|path| !path.relays().contains(&node(NODES[0]))).unwrap_or_default()
}

fn sample(choices: &mut Choices<'_>) -> Sample {
    match choices.below(5) {
        0 => Sample::Rtt(choices.duration()),
        1 => Sample::Lost,
        2 => Sample::Waiting(choices.duration()),
        3 => Sample::Packets { sent: choices.number() as u32, lost: choices.number() as u32 },
        _ => Sample::Transfer { bytes: choices.number(), elapsed: choices.duration() },
    }
}

fn profile(choices: &mut Choices<'_>) -> AppProfile {
    let mut profile = AppProfile { class: choices.class(), ..AppProfile::default() };
    profile.security = choices.of(&[SecurityLevel::default(), SecurityLevel::High]);
    profile.needs.latency_ms = choices.float();
    profile.needs.bandwidth_mbps = choices.float();
    if choices.chance() {
        profile.destinations.insert(choices.app(), choices.float());
    }
    profile
}

fn relay(choices: &mut Choices<'_>) -> RelayInfo {
    let mut relay = RelayInfo::new(choices.node());
    relay.load = choices.float();
    relay.risk = choices.float();
    relay.rtt_ms = choices.chance().then(|| choices.float());
    relay.legs = (0..choices.below(3)).map(|_| (choices.node(), choices.float())).collect();
    let flags = choices.byte();
    (relay.draining, relay.allowed, relay.full) = (flags & 1 == 1, flags & 2 == 0, flags & 4 == 4);
    relay
}

/// One of a large mesh.
fn one_of(choices: &mut Choices<'_>, crowd: usize) -> NodeName {
    let at = choices.below(crowd + NODES.len());
    NODES.get(at).map_or_else(|| node(&format!("n{at}")), |name| node(name))
}

/// What somebody says of his legs, or what was said of ours.
fn legs(choices: &mut Choices<'_>, crowd: usize) -> Vec<(NodeName, f64)> {
    let count = choices.below(2 * LEGS).min(choices.left());
    (0..count).map(|_| (one_of(choices, crowd), choices.float())).collect()
}

fn topology(brain: &mut Brain, choices: &mut Choices<'_>, now: Time, crowd: usize) {
    let instances = (0..choices.below(8)).map(|_| InstanceInfo {
        instance: instance(choices),
        zone: String::new(),
        rtt_ms: choices.chance().then(|| choices.float()),
        load: choices.float(),
        draining: choices.chance(),
    });
    let instances = instances.collect();
    let mut relays: Vec<RelayInfo> = (0..choices.below(10)).map(|_| relay(choices)).collect();
    let (from, rtt_ms) = (choices.below(crowd), choices.chance().then(|| choices.float()));
    let others = (from..crowd).map(|at| node(&format!("n{at}")));
    relays.extend(others.map(|other| RelayInfo { rtt_ms, ..RelayInfo::new(other) }));
    brain.handle_topology(now, instances, relays);
}

/// What scouts are told, and who decides.
fn advise(brain: &mut Brain, choices: &mut Choices<'_>, now: Time, crowd: usize) {
    match choices.below(4) {
        0 => {
            let (from, legs) = (one_of(choices, crowd), legs(choices, crowd));
            brain.handle_claims(&from, legs.iter().map(|(node, ms)| (node, *ms)));
        }
        1 => brain.handle_leg(&one_of(choices, crowd), choices.duration()),
        2 => {
            // a part of what was to be told, or what was told of nobody we know
            let mut legs = legs(choices, crowd);
            legs.extend(brain.legs().iter().take(choices.below(LEGS)).cloned());
            brain.handle_published(legs.iter().map(|(node, ms)| (node, *ms)));
        }
        _ => brain.set_policy(now, policies::any(choices)),
    }
}

fn poke(brain: &mut Brain, choices: &mut Choices<'_>, now: Time, probes: &[u64], crowd: usize) {
    let (app, class) = (choices.app(), choices.class());
    let probe = probes.get(choices.below(probes.len())).copied().unwrap_or(choices.byte().into());
    match choices.below(25) {
        0 => topology(brain, choices, now, crowd),
        1 => brain.handle_interest(now, &app, choices.moment(now)),
        2 => brain.set_own_profile(now, profile(choices)),
        3 => brain.set_profile(now, &app, profile(choices)),
        4 => {
            let pin = choices.chance().then(|| path(choices));
            let order =
                Override { pin, avoid: vec![choices.node()], prefer: vec![], direct_only: choices.chance() };
            brain.set_override(now, &app, order);
        }
        5..=8 => {
            let source = choices.of(&[Source::Payload, Source::Probe, Source::Claimed]);
            brain.handle_sample(now, &route(choices), sample(choices), source);
        }
        9 => brain.handle_sent(now, probe),
        10 => brain.handle_echo(now, probe, choices.duration()),
        11 => brain.handle_unsent(now, probe),
        12 => {
            let why = match choices.below(3) {
                0 => Refusal::Capacity,
                1 => Refusal::Unlinked("no link".to_owned()),
                _ => Refusal::Other("no".to_owned()),
            };
            brain.handle_refused(now, &route(choices), why);
        }
        13 => brain.handle_leased(now, &route(choices), choices.moment(now)),
        14 => brain.handle_dead(now, &route(choices)),
        15 => brain.handle_left(now, &route(choices), choices.duration()),
        16 => brain.handle_current(now, &route(choices), class),
        17 => drop(brain.steer(now, &instance(choices), class)),
        18 => {
            drop(brain.explain(now, &app, class));
            brain.explanations().for_each(|(instance, _, explanation)| {
                assert_eq!(explanation.terms.len(), explanation.decision.ranking.len(), "{instance}");
            });
        }
        19 => drop(brain.rank_paths(now, &instance(choices), class)),
        20..=23 => advise(brain, choices, now, crowd),
        _ => {
            let decision = brain.place(now, &app, class);
            for ranked in &decision.ranking {
                assert!(ranked.ineligible.is_some() || !ranked.cost.is_nan(), "a cost that is no number");
                let own = ranked.route.path.relays().iter().any(|relay| relay.as_str() == NODES[0]);
                assert!(!own, "a node is its own relay");
            }
        }
    }
}

/// What the agent publishes and shows is bounded and sound, whatever others said.
fn check(brain: &mut Brain) {
    brain.check_invariants();
    let legs = brain.legs();
    assert!(legs.len() <= LEGS, "{} legs in one record", legs.len());
    assert!(legs.iter().all(|(_, ms)| ms.is_finite()), "a leg that is no number: {legs:?}");
    let watched = brain.watched();
    assert!(watched.len() <= WATCHED, "{} nodes are watched", watched.len());
    assert!(watched.iter().all(|node| brain.watches(node) && node.as_str() != NODES[0]));
    if let Some(figures) = brain.model() {
        assert!(figures.margin.is_finite(), "a margin that is no number");
    }
}

pub(crate) fn run(input: &[u8]) {
    let mut choices = Choices::new(input);
    let mut config = Config::new(node(NODES[0]), choices.byte().into());
    config.scouts = choices.chance();
    let crowd = choices.of(&[0, 0, 0, CROWD]);
    let mut brain = Brain::new(config);
    let mut now = Time::from_millis(1);
    let mut probes = Vec::new();
    let mut steps = if crowd > 0 { STEPS_IN_CROWD } else { usize::MAX };
    while !choices.is_empty() && steps > 0 {
        steps -= 1;
        now += choices.step();
        poke(&mut brain, &mut choices, now, &probes, crowd);
        if choices.chance() {
            brain.handle_timeout(now);
        }
        check(&mut brain);
        let mut outputs = 0;
        while let Some(output) = brain.poll_output() {
            outputs += 1;
            if let Output::Probe { id, .. } = output {
                probes.push(id);
            }
        }
        assert!(outputs < 400, "{outputs} effects of one input");
        probes.truncate(50);
    }
    rest(&mut now, Duration::from_secs(30), 20_000, |now| {
        brain.handle_timeout(now);
        check(&mut brain);
        while brain.poll_output().is_some() {}
        brain.poll_timeout()
    });
}
