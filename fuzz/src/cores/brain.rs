//! Path choice, with members that claim anything.

use std::time::Duration;

use aire_brain::{Brain, Config, InstanceInfo, Output, Refusal, RelayInfo, Sample};
use aire_types::{AppProfile, Instance, Override, Path, RouteId, SecurityLevel, Source, Time};

use super::choices::{Choices, NODES, node, rest};

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

fn poke(brain: &mut Brain, choices: &mut Choices<'_>, now: Time, probes: &[u64]) {
    let (app, class) = (choices.app(), choices.class());
    let probe = probes.get(choices.below(probes.len())).copied().unwrap_or(choices.byte().into());
    match choices.below(20) {
        0 => {
            let instances = (0..choices.below(8)).map(|_| InstanceInfo {
                instance: instance(choices),
                zone: String::new(),
                rtt_ms: choices.chance().then(|| choices.float()),
                load: choices.float(),
                draining: choices.chance(),
            });
            let instances = instances.collect();
            let relays = (0..choices.below(10)).map(|_| relay(choices)).collect();
            brain.handle_topology(now, instances, relays);
        }
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
        18 => drop(brain.explain(now, &app, class)),
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

pub(crate) fn run(input: &[u8]) {
    let mut choices = Choices::new(input);
    let mut brain = Brain::new(Config::new(node(NODES[0]), choices.byte().into()));
    let mut now = Time::from_millis(1);
    let mut probes = Vec::new();
    while !choices.is_empty() {
        now += choices.step();
        poke(&mut brain, &mut choices, now, &probes);
        if choices.chance() {
            brain.handle_timeout(now);
        }
        brain.check_invariants();
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
        brain.check_invariants();
        while brain.poll_output().is_some() {}
        brain.poll_timeout()
    });
}
