//! The authority's notices reach everybody, and nobody else's do.

use std::time::Duration;

use aire_wire::{Message, Notice, NoticeKind, NoticeVersions};

use crate::sim::{Sim, mesh, sign_notice};

fn notice(kind: NoticeKind, version: u64, length: usize) -> Notice {
    let body = vec![b'a' + (version % 26) as u8; length];
    let mut notice = Notice { kind, version, mesh: mesh(), issued: 7, body, signature: Vec::new() };
    notice.signature = sign_notice(&notice);
    notice
}

fn running(seed: u64, hosts: usize, degree: usize) -> Sim {
    let mut sim = Sim::new(seed, hosts, |_| {});
    sim.check_every = 7;
    sim.lay_wires(degree);
    (0..hosts).for_each(|host| sim.start(host));
    sim.run_for(2);
    sim
}

fn without(sim: &Sim, versions: NoticeVersions) -> Vec<usize> {
    sim.alive().into_iter().filter(|host| sim.hosts[*host].notices.versions() != versions).collect()
}

#[test]
fn two_hundred_nodes_know_within_a_second_also_when_the_authority_dies_after_telling_one() {
    for seed in 0..2 {
        let mut sim = running(seed, 200, 8);
        let pairs: Vec<_> = sim.wires.keys().copied().filter(|(a, b)| *a == 0 || *b == 0).collect();
        pairs[1..].iter().for_each(|pair| sim.link(*pair, false));
        sim.receive_notice(0, None, notice(NoticeKind::Revocations, 1, 300));
        // Longer than any wire: what was sent has arrived.
        sim.run_until(sim.now + Duration::from_millis(200));
        sim.kill(0);
        sim.run_for(1);
        let all = NoticeVersions { policy: 0, revocations: 1 };
        assert_eq!(without(&sim, all), Vec::<usize>::new(), "seed {seed}");
    }
}

#[test]
fn loss_delays_and_does_not_prevent() {
    for seed in 0..8 {
        let mut sim = running(seed, 60, 6);
        sim.wires.values_mut().for_each(|wire| wire.loss = 0.4);
        for version in 1..=3 {
            sim.receive_notice(0, None, notice(NoticeKind::Policy, version, 30_000));
            sim.receive_notice(0, None, notice(NoticeKind::Revocations, version, 100));
            sim.run_for(1);
        }
        sim.run_for(90);
        let all = NoticeVersions { policy: 3, revocations: 3 };
        assert_eq!(without(&sim, all), Vec::<usize>::new(), "seed {seed}");
    }
}

#[test]
fn a_long_notice_is_carried_about_as_often_as_there_are_nodes() {
    let mut sim = running(3, 100, 20);
    sim.receive_notice(0, None, notice(NoticeKind::Policy, 1, 60_000));
    sim.run_for(5);
    assert!(without(&sim, NoticeVersions { policy: 1, revocations: 0 }).is_empty());
    let copies: u64 = sim.hosts.iter().map(|host| host.copies).sum();
    assert!(copies < 700, "{copies} copies for 100 nodes");
    let before: u64 = sim.hosts.iter().map(|host| host.copies).sum();
    sim.run_for(300);
    let after: u64 = sim.hosts.iter().map(|host| host.copies).sum();
    assert_eq!(before, after, "a mesh that knows is silent");
}

#[test]
fn who_was_away_learns_at_its_first_link_and_a_restart_forgets_nothing() {
    let mut sim = running(5, 12, 4);
    sim.kill(7);
    sim.receive_notice(0, None, notice(NoticeKind::Revocations, 4, 100));
    sim.run_for(2);
    let all = NoticeVersions { policy: 0, revocations: 4 };
    sim.start(7);
    sim.run_for(1);
    assert!(without(&sim, all).is_empty());
    for host in 0..12 {
        sim.kill(host);
    }
    sim.start(3);
    assert_eq!(sim.hosts[3].notices.versions(), all);
    // It alone is enough for all others that lost their disks.
    for host in 0..12 {
        if host != 3 {
            sim.hosts[host].kept.clear();
            sim.start(host);
        }
    }
    sim.run_for(2);
    assert!(without(&sim, all).is_empty());
}

#[test]
fn old_forged_foreign_and_contradicting_notices_are_refused_and_told() {
    let mut sim = running(9, 8, 4);
    sim.receive_notice(0, None, notice(NoticeKind::Policy, 5, 100));
    sim.run_for(2);
    let held = sim.hosts[1].notices.held(NoticeKind::Policy).cloned();
    let mut forged = notice(NoticeKind::Policy, 6, 100);
    forged.body.push(b'!');
    let mut foreign = notice(NoticeKind::Policy, 7, 100);
    foreign.mesh = "other".parse().unwrap();
    foreign.signature = sign_notice(&foreign);
    let mut other = notice(NoticeKind::Policy, 5, 90);
    other.signature = sign_notice(&other);
    let tries = [
        (notice(NoticeKind::Policy, 4, 100), "old"),
        (forged, "forged"),
        (foreign, "mesh other"),
        (other, "copied or restored"),
    ];
    let liar = sim.wires.keys().find_map(|(a, b)| if *b == 1 { Some(*a) } else { (*a == 1).then_some(*b) });
    let liar = liar.expect("host 1 has a wire");
    for (notice, why) in tries {
        let to = sim.name(1);
        sim.send(liar, &to, &Message::Notice(notice));
        sim.run_for(1);
        let (from, told) = sim.hosts[1].refused.pop().expect("it was told");
        assert!(told.contains(why), "{told}");
        assert_eq!(from, Some(sim.name(liar)));
        assert_eq!(sim.hosts[1].notices.held(NoticeKind::Policy), held.as_ref());
    }
    assert!(sim.hosts[2].refused.is_empty(), "and nothing of it went on");
}
