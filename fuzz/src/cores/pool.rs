//! The carrier pool and its leave loop.

use std::time::Duration;

use aire_circuit::{CarrierId, Leave, LeaveConfig, Pool, PoolConfig, Progress, TcpFacts, Wants};
use aire_types::Time;
use aire_wire::{CircuitClose, CircuitId, RefusalCode};

use super::choices::{Choices, rest};

/// Effects that one input may have.
const MOST_OUTPUTS: usize = 400;

fn progress(choices: &mut Choices<'_>, now: Time) -> Progress {
    Progress {
        rtt: choices.chance().then(|| choices.duration()),
        outstanding_since: choices.chance().then(|| choices.moment(now)),
        loaded: choices.chance(),
    }
}

fn facts(choices: &mut Choices<'_>) -> TcpFacts {
    TcpFacts { sent: choices.number(), retransmitted: choices.number() }
}

/// Some that are there, and some that are not.
fn carriers(choices: &mut Choices<'_>) -> Vec<CarrierId> {
    (0..choices.below(8)).map(|_| CarrierId(choices.below(16) as u64)).collect()
}

fn poke(pool: &mut Pool, choices: &mut Choices<'_>, now: Time) {
    let path = choices.path();
    let circuit = CircuitId([choices.byte() % 4; 16]);
    let carrier = CarrierId(choices.below(16) as u64);
    match choices.below(16) {
        0 => pool.handle_granted(now, &path, circuit),
        1 => {
            let codes =
                [RefusalCode::Policy, RefusalCode::Capacity, RefusalCode::NoRoute, RefusalCode::Draining];
            pool.handle_refused(now, &path, choices.of(&codes));
        }
        2 => {
            let codes = [CircuitClose::HopGone, CircuitClose::Policy, CircuitClose::Unwanted];
            pool.handle_circuit_closed(now, circuit, choices.of(&codes), choices.duration());
        }
        3 => pool.handle_lapsed(now, circuit),
        4 => {
            let ranking = (0..choices.below(6)).map(|_| choices.path()).collect();
            let silent = (0..choices.below(4)).map(|_| choices.path()).collect();
            pool.handle_ranking(now, ranking, silent);
        }
        5 => {
            let (streams, busy) = (choices.below(300), choices.below(300));
            pool.handle_wants(now, Wants { streams, busy, warm: choices.chance() });
        }
        6 | 7 => {
            let hint = choices.chance().then(|| choices.duration());
            pool.handle_up(now, carrier, hint);
            if choices.chance() {
                pool.handle_lifetime(now, carrier, choices.moment(now));
            }
        }
        8 => pool.handle_failed(now, carrier),
        9 => pool.handle_down(now, carrier),
        10 => pool.handle_outstanding(now, carrier, choices.moment(now)),
        11 => pool.handle_progress(now, carrier, progress(choices, now)),
        12 => pool.handle_tcp_info(now, carrier, facts(choices)),
        13 if choices.byte() == 0 => pool.drain(now),
        14 => {
            let lost = carriers(choices);
            pool.handle_network_changed(now, &lost);
        }
        _ => pool.handle_probe(now, &path, choices.chance().then(|| choices.duration())),
    }
}

pub(crate) fn run(input: &[u8]) {
    let mut choices = Choices::new(input);
    let mut pool = Pool::new(PoolConfig::new(choices.class(), choices.byte().into()));
    let mut now = Time::from_millis(1);
    while !choices.is_empty() {
        now += choices.step();
        poke(&mut pool, &mut choices, now);
        if choices.chance() {
            pool.handle_timeout(now);
        }
        pool.check_invariants();
        let outputs = std::iter::from_fn(|| pool.poll_output()).count();
        assert!(outputs < MOST_OUTPUTS, "{outputs} effects of one input");
    }
    rest(&mut now, Duration::from_secs(60), 20_000, |now| {
        pool.handle_timeout(now);
        pool.check_invariants();
        while pool.poll_output().is_some() {}
        pool.poll_timeout()
    });
    leave(input);
}

/// The loop by itself, as at a destination.
fn leave(input: &[u8]) {
    let mut choices = Choices::new(input);
    let mut leave = Leave::new(LeaveConfig::destination(1));
    let mut now = Time::from_millis(1);
    while !choices.is_empty() {
        now += choices.step();
        let carrier = CarrierId(choices.below(8) as u64);
        match choices.below(7) {
            0 | 1 => {
                let (path, hint) = (choices.path(), choices.chance().then(|| choices.duration()));
                leave.handle_up(now, carrier, path, hint);
            }
            2 => leave.handle_down(carrier),
            3 => leave.handle_outstanding(carrier, choices.moment(now)),
            4 => leave.handle_progress(now, carrier, progress(&mut choices, now)),
            5 => leave.handle_tcp_info(now, carrier, facts(&mut choices)),
            _ => leave.handle_timeout(now),
        }
        let outputs = std::iter::from_fn(|| leave.poll_output()).count();
        assert!(outputs < MOST_OUTPUTS, "{outputs} effects of one input");
    }
    rest(&mut now, Duration::from_secs(60), 20_000, |now| {
        leave.handle_timeout(now);
        while leave.poll_output().is_some() {}
        leave.poll_timeout()
    });
}
