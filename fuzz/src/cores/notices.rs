//! How the authority's notices spread, among peers that repeat old ones, forge, and say anything of what they hold.

use std::time::Duration;

use aire_registry::{NoticeOutput, Notices};
use aire_types::{MeshName, Time};
use aire_wire::{MAX_MESSAGE, Message, Notice, NoticeKind, NoticeVersions};

use super::choices::{Choices, rest};

fn notice(choices: &mut Choices<'_>) -> Notice {
    let mesh = if choices.byte() < 240 { "m" } else { "other" };
    Notice {
        kind: choices.of(&NoticeKind::ALL),
        version: choices.number().max(1),
        mesh: MeshName::new(mesh).expect("invariant: a name"),
        issued: choices.number(),
        body: vec![choices.byte(); if choices.chance() { 10 } else { choices.below(62 * 1024) }],
        signature: vec![1; 20],
    }
}

fn poke(notices: &mut Notices, choices: &mut Choices<'_>, now: Time) {
    let peer = choices.node();
    match choices.below(8) {
        0 => notices.handle_link_up(now, peer),
        1 => notices.handle_link_down(&peer),
        2 => {
            let holds = NoticeVersions { policy: choices.number(), revocations: choices.number() };
            notices.handle_held(now, &peer, holds);
        }
        3 => notices.handle_forgery(Some(&peer), NoticeKind::Policy, choices.number(), "forged".to_owned()),
        4 => {
            let _ = notices.wants(now, Some(&peer), &notice(choices));
        }
        _ => {
            let from = choices.chance().then_some(&peer);
            notices.handle_notice(now, from, notice(choices));
        }
    }
}

/// Takes all effects; what is in force only gets newer.
fn follow(notices: &mut Notices, in_force: &mut NoticeVersions) {
    let mut outputs = 0;
    while let Some(output) = notices.poll_output() {
        outputs += 1;
        assert!(outputs < 100, "{outputs} effects of one input");
        match output {
            NoticeOutput::Send { message, .. } => {
                assert!(matches!(message, Message::Notice(_) | Message::Held(_)));
                assert!(message.encode().len() <= MAX_MESSAGE);
            }
            NoticeOutput::Adopted(notice) => {
                assert!(notice.version > in_force.of(notice.kind), "the past was brought back");
                assert_eq!(notice.mesh.as_str(), "m", "another mesh's word counts");
                in_force.set(notice.kind, notice.version);
            }
            NoticeOutput::Refused { .. } => {}
        }
    }
    assert_eq!(notices.versions(), *in_force);
    notices.check_invariants();
}

pub(crate) fn run(input: &[u8]) {
    let mut choices = Choices::new(input);
    let mut now = Time::from_millis(1);
    let mesh = MeshName::new("m").expect("invariant: a name");
    let mut notices = Notices::new(mesh, choices.byte().into());
    if choices.chance() {
        notices.restore(notice(&mut choices));
    }
    let mut in_force = notices.versions();
    while !choices.is_empty() {
        now += choices.step();
        poke(&mut notices, &mut choices, now);
        if choices.chance() {
            notices.handle_timeout(now);
        }
        follow(&mut notices, &mut in_force);
    }
    rest(&mut now, Duration::from_secs(300), 1_000, |now| {
        notices.handle_timeout(now);
        follow(&mut notices, &mut in_force);
        notices.poll_timeout()
    });
}
