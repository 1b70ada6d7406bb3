//! Worlds made for one question each.

use std::time::Duration;

use aire_stream::{CarrierId, Config, Side};
use aire_types::{Class, Time};
use aire_wire::{ResetCode, StreamId};

use crate::application::Fate;
use crate::judge;
use crate::pipe::Pipe;
use crate::plan::Plan;
use crate::world::{Settings, World};

const A: CarrierId = CarrierId(1);
const FIRST: StreamId = StreamId(1);

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn world(carriers: Vec<Pipe>, plans: Vec<Plan>) -> World {
    let settings = Settings {
        source: Config::new(Side::Source),
        destination: Config::new(Side::Destination),
        budgets: [256 << 20; 2],
        carriers,
        faults_until: Time::ZERO,
        faults: false,
        keep: 0,
    };
    World::new(7, settings, plans)
}

/// Both ends write at once and read at once.
fn plan(size: [u64; 2], chunk: u64, think: Duration) -> Plan {
    Plan {
        open_at: Duration::ZERO,
        class: Class::Interactive,
        size,
        chunk: [chunk; 2],
        think: [think; 2],
        read_from: [Duration::ZERO; 2],
        read_max: [usize::MAX; 2],
        swallow: [Duration::ZERO; 2],
        reset: None,
        refuse: false,
    }
}

#[test]
fn one_stream_fills_the_path_and_not_the_buffers_on_it() {
    for (rate, latency, size) in
        [(1_250_000u64, 50, 32_000_000u64), (12_500_000, 25, 40_000_000), (100_000_000, 5, 100_000_000)]
    {
        // Relays would take ten seconds of data.
        let mut pipe = Pipe::new(rate, millis(latency));
        pipe.buffer = Duration::from_secs(10);
        let mut world = world(vec![pipe], vec![plan([size, 0], 256 * 1024, Duration::ZERO)]);
        let ideal = Duration::from_micros(size * 1_000_000 / rate);
        let settled = world.now + ideal / 2;
        let mut most = 0;
        world.run(ideal * 4, |world| {
            if world.now > settled
                && let Some(carrier) = world.ends[0].association.carrier(A)
            {
                most = most.max(carrier.in_flight);
            }
            world.all_over()
        });
        judge(&world);
        let took = world.now.since(Time::ZERO);
        assert!(took < ideal * 5 / 4 + millis(latency * 20), "{rate} B/s: {took:?} instead of {ideal:?}");
        let product = rate * latency * 2 / 1000;
        assert!(most < 2 * product + 1024 * 1024, "{rate} B/s: {most} in flight, the product is {product}");
    }
}

#[test]
fn a_small_stream_beside_a_big_one_waits_for_little() {
    let pipe = Pipe::new(12_500_000, millis(10));
    let mut big = plan([40_000_000, 0], 256 * 1024, Duration::ZERO);
    big.class = Class::Bulk;
    let mut small = plan([10_000, 0], 100, millis(20));
    small.open_at = millis(500);
    let mut world = world(vec![pipe], vec![big, small]);
    world.run(Duration::from_secs(20), World::all_over);
    judge(&world);
    let stall = world.ends[1].applications.all[&StreamId(2)].longest_stall;
    assert!(stall < millis(60), "{stall:?}");
}

#[test]
fn a_silent_death_stalls_for_a_few_round_trips() {
    for (at, latency) in [(1000, 20), (1003, 5), (1007, 60), (1011, 100), (1013, 40)] {
        for down in [false, true] {
            let carriers =
                vec![Pipe::new(12_500_000, millis(latency)), Pipe::new(12_500_000, millis(latency + 10))];
            let size = if down { [0, 30_000] } else { [30_000, 0] };
            let mut world = world(carriers, vec![plan(size, 100, millis(10))]);
            world.run(Duration::from_secs(20), |world| world.now > Time::from_millis(at));
            let on = world.ends[0].association.stream(FIRST).and_then(|stream| stream.carrier).unwrap();
            world.pipe(on).iter_mut().for_each(Pipe::cut);
            world.run(Duration::from_secs(60), World::all_over);
            judge(&world);
            let reader = &world.ends[usize::from(!down)].applications.all[&FIRST];
            assert_eq!(reader.fate, Fate::Ended);
            let allowed = millis((latency + 10) * 2 * 4 + 100);
            assert!(reader.longest_stall <= allowed, "{latency} ms, down {down}: {:?}", reader.longest_stall);
        }
    }
}

#[test]
fn many_streams_move_at_once() {
    let carriers = vec![Pipe::new(125_000_000, millis(20)), Pipe::new(125_000_000, millis(30))];
    let plans = (0..10_000).map(|at| {
        let mut plan = plan([1500, 1500], 100, millis(100));
        plan.open_at = millis(at % 100);
        plan
    });
    let mut world = world(carriers, plans.collect());
    world.unchecked = true;
    world.run(Duration::from_secs(20), |world| world.now > Time::from_millis(1000));
    let on = world.ends[0].association.preferred().unwrap();
    world.pipe(on).iter_mut().for_each(Pipe::cut);
    world.run(Duration::from_secs(60), World::all_over);
    judge(&world);
    for end in &world.ends {
        let stalls = end.applications.all.values().map(|one| one.longest_stall);
        assert!(stalls.max() < Some(millis(2000)));
    }
}

#[test]
fn a_reader_that_stops_stops_the_writer() {
    let mut slow = plan([5_000_000, 0], 256 * 1024, Duration::ZERO);
    slow.read_from[1] = Duration::from_secs(5);
    let mut world = world(vec![Pipe::new(12_500_000, millis(5))], vec![slow]);
    world.run(Duration::from_secs(9), |world| world.now > Time::from_millis(4900));
    let unread = world.ends[1].association.stream(FIRST).unwrap().unread;
    assert_eq!(unread, 64 * 1024, "no more than the initial credit");
    assert!(world.ends[0].applications.all[&FIRST].written <= 64 * 1024 + 512 * 1024);
    world.run(Duration::from_secs(60), World::all_over);
    judge(&world);
}

#[test]
fn a_peer_that_restarted_means_a_reset() {
    let endless = || plan([u64::MAX, u64::MAX], 1000, millis(10));
    let mut world = world(vec![Pipe::new(12_500_000, millis(5))], vec![endless(), endless()]);
    world.run(Duration::from_secs(9), |world| world.now > Time::from_millis(500));
    world.close(0, A, false);
    world.ends[0].association.abort(ResetCode::PeerRestarted);
    world.settle(0);
    assert_eq!(world.ends[0].association.stream_count(), 0);
    for application in world.ends[0].applications.all.values() {
        assert_eq!(application.fate, Fate::Reset(ResetCode::PeerRestarted));
    }
    assert_eq!(world.budgets[0].used(), 0);
}
