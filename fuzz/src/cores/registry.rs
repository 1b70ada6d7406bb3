//! Membership, with members that say anything about themselves and repeat anything of others.

use std::time::Duration;

use aire_registry::{Config, Output, Rank, Registry, VerifiedRecord};
use aire_types::{Identity, Incarnation, Role, Time};
use aire_wire::{DigestEntry, MAX_MESSAGE, Message, Record, RecordBody};

use super::choices::{Choices, NODES, node, rest};

const MOST_NODES: usize = 4;

fn identity(choices: &mut Choices<'_>, name: &str) -> Identity {
    let role = if choices.byte() < 200 { Role::Relay } else { Role::App(choices.app()) };
    let mesh = if choices.byte() < 250 { "m" } else { "other" };
    Identity { mesh: mesh.parse().expect("invariant: a name"), role, node: node(name) }
}

/// A record that its owner signed, whatever it says.
fn record(choices: &mut Choices<'_>) -> VerifiedRecord {
    let name = choices.of(&NODES);
    let signer = identity(choices, name);
    let mut body = RecordBody { draining: choices.chance(), ..RecordBody::default() };
    body.node.cpu_load = choices.float();
    body.node.relays = choices.chance();
    let record = Record {
        certificates: vec![1; 20],
        incarnation: Incarnation(choices.number()),
        sequence: choices.number(),
        ttl_s: choices.number(),
        body: vec![b' '; choices.below(4000)],
        signature: vec![2; 20],
    };
    VerifiedRecord { signer, record, body }
}

fn message(choices: &mut Choices<'_>) -> Message {
    match choices.below(4) {
        0 => Message::Summary((0..1_usize << choices.below(9)).map(|_| choices.byte().into()).collect()),
        1 => Message::Summary((0..choices.below(20)).map(|_| choices.number()).collect()),
        2 => {
            let entry = |choices: &mut Choices<'_>| DigestEntry {
                node: choices.node(),
                incarnation: Incarnation(choices.number()),
                sequence: choices.number(),
            };
            let buckets = choices.bytes(256);
            let entries = (0..choices.below(12)).map(|_| entry(choices)).collect();
            Message::Digest { buckets, entries }
        }
        _ => Message::Want((0..choices.below(12)).map(|_| choices.node()).collect()),
    }
}

fn poke(registry: &mut Registry, choices: &mut Choices<'_>, now: Time) {
    let peer = choices.node();
    match choices.below(12) {
        0 => registry.handle_link_up(now, peer),
        1 => registry.handle_link_down(now, &peer),
        2..=5 => {
            let record = record(choices);
            registry.handle_record(now, choices.chance().then_some(&peer), record);
        }
        6 => registry.handle_cached(now, record(choices)),
        7 => registry.handle_forgery(Some(peer), None, "forged".to_owned()),
        8 => {
            let mut body = RecordBody::default();
            body.node.cpu_load = choices.float();
            body.draining = choices.chance();
            registry.set_own(now, body);
        }
        9 if choices.chance() => registry.handle_certificate_renewed(now),
        9 => registry.set_incarnation(now, Incarnation(choices.number())),
        _ => registry.handle_message(now, &peer, &message(choices)),
    }
}

/// Does what the registry wants, as an agent would.
fn follow(registry: &mut Registry, now: Time) {
    let mut outputs = 0;
    while let Some(output) = registry.poll_output() {
        outputs += 1;
        assert!(outputs < 2000, "{outputs} effects of one input");
        match output {
            Output::Send { message, .. } => {
                let length = message.encode().len();
                assert!(length <= MAX_MESSAGE, "a message of {length} bytes");
                assert_eq!(length, aire_registry::encoded_len(&message));
            }
            Output::Sign(unsigned) => {
                let Rank { incarnation, sequence } = unsigned.rank;
                let record = Record {
                    certificates: vec![1; 20],
                    incarnation,
                    sequence,
                    ttl_s: unsigned.ttl_s,
                    body: Vec::new(),
                    signature: vec![2; 20],
                };
                let signer = registry.identity().clone();
                registry.handle_signed(now, VerifiedRecord { signer, record, body: unsigned.body });
            }
            _ => {}
        }
    }
    registry.check_invariants();
    assert!(registry.members().count() <= MOST_NODES, "more members than allowed");
}

pub(crate) fn run(input: &[u8]) {
    let mut choices = Choices::new(input);
    let me: Identity = "spiffe://m/relay/a".parse().expect("invariant: an identity");
    let config = Config { max_nodes: MOST_NODES, ..Config::new(me, Incarnation(7), choices.byte().into()) };
    let mut now = Time::from_millis(1);
    let mut registry = Registry::new(now, config);
    while !choices.is_empty() {
        now += choices.step();
        let own = registry.own_rank();
        poke(&mut registry, &mut choices, now);
        if choices.chance() {
            registry.handle_timeout(now);
        }
        follow(&mut registry, now);
        assert!(registry.own_rank() >= own, "our rank fell");
    }
    rest(&mut now, Duration::from_secs(300), 20_000, |now| {
        registry.handle_timeout(now);
        follow(&mut registry, now);
        registry.poll_timeout()
    });
}
