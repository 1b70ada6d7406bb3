//! Inputs that make no sense, in any order: nothing panics, and every invariant holds.

use std::time::Duration;

use aire_circuit::{CarrierId, Pool, PoolConfig, Progress, TcpFacts, Wants};
use aire_types::{Class, NodeName, Path, Time};
use aire_wire::{CircuitClose, CircuitId, Message, Preamble, PreambleKind, RefusalCode};

use crate::fake::{Random, node};
use crate::mesh::{Mesh, Parcel};

fn any_path(random: &mut Random) -> Path {
    match random.below(4) {
        0 => Path::DIRECT,
        n => Path::via(node(["r1", "r2", "r3"][n as usize - 1])),
    }
}

fn any_time(random: &mut Random, now: Time) -> Time {
    match random.below(10) {
        0 => Time::ZERO,
        1 => Time::NEVER,
        2 => now + Duration::from_secs(random.below(1000)),
        _ => now - Duration::from_millis(random.below(1000)),
    }
}

fn any_duration(random: &mut Random) -> Duration {
    match random.below(10) {
        0 => Duration::ZERO,
        1 => Duration::from_micros(1),
        2 => Duration::from_secs(random.below(100_000)),
        _ => Duration::from_millis(random.below(500)),
    }
}

fn poke(pool: &mut Pool, random: &mut Random, now: Time) {
    let path = any_path(random);
    let circuit = CircuitId([random.below(4) as u8; 16]);
    let carrier = CarrierId(random.below(12));
    match random.below(15) {
        0 => pool.handle_granted(now, &path, circuit),
        1 => pool.handle_refused(now, &path, RefusalCode::Capacity),
        2 => pool.handle_circuit_closed(now, circuit, CircuitClose::HopGone, any_duration(random)),
        3 => pool.handle_lapsed(now, circuit),
        4 => {
            let ranking = (0..random.below(5)).map(|_| any_path(random)).collect();
            let silent = (0..random.below(3)).map(|_| any_path(random)).collect();
            pool.handle_ranking(now, ranking, silent);
        }
        5 => {
            let (streams, busy) = (random.below(3) as usize, random.below(9) as usize);
            pool.handle_wants(now, Wants { streams, busy, warm: random.chance(0.1) });
        }
        6 | 7 => {
            let hint = random.chance(0.5).then(|| any_duration(random));
            pool.handle_up(now, carrier, hint);
            if random.chance(0.5) {
                let expires = any_time(random, now);
                pool.handle_lifetime(now, carrier, expires);
            }
        }
        8 => pool.handle_failed(now, carrier),
        9 => pool.handle_down(now, carrier),
        10 => {
            let since = any_time(random, now);
            pool.handle_outstanding(now, carrier, since);
        }
        11 => {
            let rtt = random.chance(0.8).then(|| any_duration(random));
            let outstanding_since = random.chance(0.5).then(|| any_time(random, now));
            pool.handle_progress(
                now,
                carrier,
                Progress { rtt, outstanding_since, loaded: random.chance(0.2) },
            );
        }
        12 => pool.handle_tcp_info(
            now,
            carrier,
            TcpFacts {
                sent: random.next() >> random.below(64),
                retransmitted: random.next() >> random.below(64),
            },
        ),
        13 => {
            let lost: Vec<CarrierId> = (0..random.below(6)).map(|_| CarrierId(random.below(12))).collect();
            pool.handle_network_changed(now, &lost);
        }
        _ => {
            let rtt = random.chance(0.5).then(|| any_duration(random));
            pool.handle_probe(now, &path, rtt);
        }
    }
}

#[test]
fn a_pool_takes_any_input_in_any_order() {
    for seed in 0..256 {
        println!("seed {seed}");
        let mut random = Random(seed);
        let mut pool = Pool::new(PoolConfig::new(Class::Bulk, seed));
        let mut now = Time::ZERO;
        for _ in 0..600 {
            now += any_duration(&mut random).min(Duration::from_secs(30));
            poke(&mut pool, &mut random, now);
            if random.chance(0.5) {
                pool.handle_timeout(now);
            }
            pool.check_invariants();
            let mut outputs = 0;
            while pool.poll_output().is_some() {
                outputs += 1;
            }
            assert!(outputs < 200, "{outputs} effects of one input");
        }
        // Timers come to rest: no more than a few for each moment.
        let end = now + Duration::from_secs(60);
        let mut steps = 0;
        while let Some(at) = pool.poll_timeout().filter(|at| *at <= end) {
            now = now.max(at);
            pool.handle_timeout(now);
            pool.check_invariants();
            steps += 1;
            assert!(steps < 20_000, "seed {seed}: timers do not move on");
        }
    }
}

/// Changes one byte of a message, cuts it, or lets it be.
fn damage(random: &mut Random, message: &Message) -> Option<Message> {
    let mut bytes = message.encode();
    match random.below(3) {
        0 => {
            let at = random.below(bytes.len() as u64) as usize;
            bytes[at] ^= 1 << random.below(8);
        }
        1 => bytes.truncate(random.below(bytes.len() as u64) as usize),
        _ => {}
    }
    Message::decode(&bytes).ok()
}

#[test]
fn circuits_take_any_message_from_anybody() {
    let names = ["a", "b", "d", "r1", "r2"];
    for seed in 0..256 {
        let mut mesh = Mesh::new(seed, &names);
        let mut random = Random(seed ^ 0xdead);
        let mut seen: Vec<Message> = Vec::new();
        for _ in 0..60 {
            match random.below(4) {
                0 => {
                    mesh.request("a", &["r1", "r2"][..random.below(3) as usize], "d");
                }
                1 => mesh.run_for(Duration::from_millis(random.below(40))),
                _ => {
                    let Some(message) = seen.get(random.below(seen.len().max(1) as u64) as usize) else {
                        continue;
                    };
                    let Some(message) = damage(&mut random, message) else { continue };
                    let pick = |random: &mut Random| node(names[random.below(5) as usize]);
                    let (from, to): (NodeName, NodeName) = (pick(&mut random), pick(&mut random));
                    let (now, unix) = (mesh.now, mesh.unix());
                    let gate = mesh.gates.get_mut(&to).unwrap();
                    mesh.nodes.get_mut(&to).unwrap().handle_message(now, unix, &from, message, gate);
                    mesh.flush();
                }
            }
            seen.extend(mesh.wire.values().filter_map(|(_, _, parcel)| match parcel {
                Parcel::Message(message) => Some(message.clone()),
                Parcel::Datagram(_) => None,
            }));
            seen.truncate(400);
            let preamble = Preamble {
                kind: PreambleKind::Carrier,
                class: Class::Bulk,
                circuit: CircuitId([random.below(256) as u8; 16]),
                counter: random.next(),
                mac: [0; 16],
            };
            let now = mesh.now;
            assert!(mesh.at("r1").check_preamble(now, &preamble).is_err());
            let bytes: Vec<u8> = (0..random.below(60)).map(|_| random.next() as u8).collect();
            mesh.at("r1").handle_datagram(now, &node("a"), &bytes);
        }
        mesh.run_for(Duration::from_secs(200));
        // Whatever was said, every lease ends with its source's interest.
        let own: Vec<CircuitId> = mesh
            .told
            .iter()
            .filter_map(|(_, output)| match output {
                aire_circuit::Output::Granted { circuit, .. } => Some(*circuit),
                _ => None,
            })
            .collect();
        for circuit in own {
            mesh.at("a").close(circuit, CircuitClose::Unwanted, "end");
        }
        mesh.run_for(Duration::from_secs(100));
        assert_eq!(mesh.held_anywhere(), 0, "seed {seed}");
    }
}
