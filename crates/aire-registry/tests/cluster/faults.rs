//! Random trouble, and single faults.

use std::time::Duration;

use aire_registry::{Config, Rank, Unsigned};
use aire_types::Incarnation;
use aire_wire::Message;

use crate::sim::{self, Sim, body, identity, sign};

/// Records that live 30 s, so that runs are short.
fn quick(config: &mut Config) {
    config.renewal_min = Duration::from_secs(10);
    config.renewal_max = Duration::from_secs(10);
    config.sync_interval = Duration::from_secs(5);
    config.announce_delay = Duration::from_millis(300);
}

/// One random thing that happens to a cluster.
fn trouble(sim: &mut Sim) {
    let hosts = sim.hosts.len();
    let host = sim.dice.below(hosts);
    let pairs: Vec<_> = sim.wires.keys().copied().collect();
    let pair = pairs[sim.dice.below(pairs.len())];
    match sim.dice.below(10) {
        0 | 1 => sim.link(pair, false),
        2 | 3 => sim.link(pair, true),
        4 => {
            let loss = sim.dice.below(60) as f64 / 100.0;
            if let Some(wire) = sim.wires.get_mut(&pair) {
                wire.loss = loss;
            }
        }
        5 if sim.hosts[host].registry.is_some() => sim.kill(host),
        5 | 6 if sim.hosts[host].registry.is_none() => sim.start(host),
        6 => {
            let zone = format!("zone of {} {}", sim.name(host), sim.dice.next());
            sim.on(host, |registry, now| registry.set_own(now, body(&zone)));
        }
        7 => forge(sim, pair),
        8 => replay(sim, pair),
        _ => {
            // A partition: the first half loses the second.
            let cut = sim.dice.below(hosts);
            for pair in pairs.into_iter().filter(|(a, b)| (*a < cut) != (*b < cut)) {
                sim.link(pair, false);
            }
        }
    }
}

/// `pair.0` tells `pair.1` something about a third node that this one never said.
fn forge(sim: &mut Sim, pair: (usize, usize)) {
    let victim = sim.dice.below(sim.hosts.len());
    let (claimed, liar) = (sim.hosts[victim].identity.clone(), sim.hosts[pair.0].identity.clone());
    if claimed == liar {
        return;
    }
    let rank = Rank { incarnation: Incarnation(u64::MAX / 2), sequence: 1 };
    let record = sign(&claimed, &liar, &Unsigned { rank, ttl_s: 3600, body: body("forged") });
    let to = sim.name(pair.1);
    sim.send(pair.0, &to, &Message::Gossip(vec![record]));
}

fn replay(sim: &mut Sim, pair: (usize, usize)) {
    let records = sim.overheard.iter().take(64).cloned().collect();
    let to = sim.name(pair.1);
    sim.send(pair.0, &to, &Message::Gossip(records));
}

fn sweep(seed: u64) {
    let mut dice = sim::Dice::new(seed);
    let hosts = 3 + dice.below(6);
    let mut sim = Sim::new(seed, hosts, quick);
    sim.lay_wires(2 + dice.below(3));
    for host in 0..hosts {
        sim.start(host);
        let pause = sim.dice.next() % 3;
        sim.run_for(pause);
    }
    for _ in 0..40 {
        trouble(&mut sim);
        let pause = Duration::from_millis(sim.dice.next() % 4000);
        sim.run_until(sim.now + pause);
    }
    if sim.alive().is_empty() {
        sim.start(0);
    }
    // A dead host may hold the ring together.
    let dead: Vec<usize> = (0..hosts).filter(|host| sim.hosts[*host].registry.is_none()).collect();
    for host in dead.iter().skip(1) {
        sim.start(*host);
    }
    sim.heal();
    sim.run_for(110);
    let ranks = sim.ranks();
    sim.run_for(10);
    assert_eq!(sim.differences(&ranks), Vec::<String>::new());
}

#[test]
fn any_trouble_ends_in_agreement_once_it_ends() {
    for seed in 0..256 {
        let outcome = std::panic::catch_unwind(|| sweep(seed));
        assert!(outcome.is_ok(), "seed {seed}");
    }
}

#[test]
fn two_hundred_nodes_agree_lose_a_tenth_and_agree_again() {
    let mut sim = Sim::new(7, 200, |config| {
        quick(config);
        config.fanout = 4;
    });
    sim.check_every = 97;
    sim.lay_wires(6);
    for host in 0..200 {
        sim.start(host);
        if host % 20 == 0 {
            sim.run_for(1);
        }
    }
    sim.run_for(15);
    let ranks = sim.ranks();
    assert_eq!(ranks.len(), 200);
    sim.run_for(8);
    assert_eq!(sim.differences(&ranks), Vec::<String>::new());

    for host in (5..200).step_by(10) {
        sim.kill(host);
    }
    sim.run_for(50);
    let ranks = sim.ranks();
    sim.run_for(8);
    assert_eq!(ranks.len(), 180);
    assert_eq!(sim.differences(&ranks), Vec::<String>::new());

    let before: u64 = sim.ranks().len() as u64;
    sim.on(0, |registry, now| registry.set_own(now, body("zone of node-0, moved")));
    sim.run_for(3);
    let moved = sim
        .alive()
        .iter()
        .filter_map(|host| sim.hosts[*host].registry.as_ref())
        .filter(|r| r.member(&identity("node-0").node).is_some_and(|m| m.body.node.zone.contains("moved")))
        .count() as u64;
    assert_eq!(moved, before - 1, "a change is everywhere in 3 s");
}

#[test]
fn a_dead_node_is_suspected_before_it_is_removed_and_stays_dead() {
    let mut sim = Sim::new(1, 4, quick);
    sim.lay_wires(3);
    (0..4).for_each(|host| sim.start(host));
    sim.run_for(5);
    sim.kill(3);
    let dead = sim.name(3);
    sim.run_for(22);
    for host in 0..3 {
        assert!(sim.hosts[host].suspected.contains(&dead) && !sim.hosts[host].removed.contains(&dead));
    }
    sim.run_for(15);
    assert!(sim.hosts[..3].iter().all(|host| host.removed == [dead.clone()]));
    for _ in 0..20 {
        replay(&mut sim, (0, 1));
        sim.run_for(3);
        let registry = sim.hosts[1].registry.as_ref().expect("alive");
        assert!(registry.member(&dead).is_none());
    }
}

#[test]
fn a_forged_record_is_told_of_and_changes_nothing() {
    let mut sim = Sim::new(2, 3, quick);
    sim.lay_wires(2);
    (0..3).for_each(|host| sim.start(host));
    sim.run_for(5);
    let victim = sim.hosts[2].identity.clone();
    let rank = Rank { incarnation: Incarnation(u64::MAX / 2), sequence: 1 };
    let unsigned = Unsigned { rank, ttl_s: 3600, body: body("forged") };
    let record = sign(&victim, &sim.hosts[0].identity.clone(), &unsigned);
    let to = sim.name(1);
    sim.send(0, &to, &Message::Gossip(vec![record]));
    sim.run_for(1);
    assert_eq!(sim.hosts[1].rejected, [(Some(sim.name(0)), Some(victim.node.clone()))]);
    let registry = sim.hosts[1].registry.as_ref().expect("alive");
    assert!(registry.member(&victim.node).is_some_and(|m| m.body.node.zone.contains("node-2")));
}

#[test]
fn a_clock_that_went_back_is_told_and_outrun() {
    let mut sim = Sim::new(3, 3, quick);
    sim.lay_wires(2);
    (0..3).for_each(|host| sim.start_as(host, 1_000_000));
    sim.run_for(5);
    sim.kill(2);
    sim.start_as(2, 10);
    sim.run_for(8);
    assert!(!sim.hosts[2].outrun.is_empty());
    let ranks = sim.ranks();
    assert!(ranks[&sim.name(2)].incarnation > Incarnation(1_000_000));
    sim.run_for(3);
    assert_eq!(sim.differences(&ranks), Vec::<String>::new());
}

#[test]
fn a_run_that_forgot_its_sequence_counts_on() {
    let mut sim = Sim::new(4, 3, quick);
    sim.lay_wires(2);
    (0..3).for_each(|host| sim.start_as(host, 77));
    sim.run_for(60);
    let before = sim.ranks()[&sim.name(1)];
    assert!(before.sequence > 3);
    sim.kill(1);
    sim.start_as(1, 77);
    sim.run_for(10);
    let ranks = sim.ranks();
    assert!(ranks[&sim.name(1)] > before);
    sim.run_for(3);
    assert_eq!(sim.differences(&ranks), Vec::<String>::new());
}
