//! How fast the leave loop finds out, and how seldom it is wrong.

use std::time::Duration;

use aire_circuit::{CarrierId, Leave, LeaveConfig, LeaveOutput, Progress, Symptom, TcpFacts};
use aire_types::{Path, Time};

use crate::channel::{Channel, Weather};
use crate::fake::node;

const MAIN: CarrierId = CarrierId(1);
const STANDBY: CarrierId = CarrierId(2);

/// One message every 10 ms on the main carrier, pings on the standby.
struct Bench {
    now: Time,
    leave: Leave,
    main: Channel,
    standby: Channel,
    next_message: Time,
    tcp_info: bool,
    found: Vec<(Time, LeaveOutput)>,
}

impl Bench {
    fn new(main: Weather, standby: Weather, seed: u64) -> Self {
        let mut leave = Leave::new(LeaveConfig::source(seed));
        leave.handle_up(Time::ZERO, MAIN, Path::via(node("r1")), None);
        leave.handle_up(Time::ZERO, STANDBY, Path::via(node("r2")), None);
        Bench {
            now: Time::ZERO,
            leave,
            main: Channel::new(main, seed),
            standby: Channel::new(standby, seed ^ 0xabcd),
            next_message: Time::from_millis(1),
            tcp_info: false,
            found: Vec::new(),
        }
    }

    fn run_until(&mut self, end: Time) {
        loop {
            let events = [
                Some(self.next_message),
                self.main.next_event(),
                self.standby.next_event(),
                self.leave.poll_timeout(),
            ];
            let Some(at) = events.into_iter().flatten().min().filter(|at| *at <= end) else { break };
            self.now = self.now.max(at);
            self.step();
        }
        self.now = end;
    }

    fn step(&mut self) {
        let now = self.now;
        if now >= self.next_message {
            self.next_message = now + Duration::from_millis(10);
            if self.main.send(now) {
                self.leave.handle_outstanding(MAIN, now);
            }
            if self.tcp_info && (now.as_micros() / 10_000).is_multiple_of(10) {
                let (sent, retransmitted) = (self.main.transmitted, self.main.retransmitted);
                let facts = TcpFacts { sent, retransmitted };
                self.leave.handle_tcp_info(now, MAIN, facts);
            }
        }
        for progress in self.main.advance(now) {
            self.leave.handle_progress(now, MAIN, progress);
        }
        for progress in self.standby.advance(now) {
            self.leave.handle_progress(now, STANDBY, progress);
        }
        self.leave.handle_timeout(now);
        self.leave.check_invariants();
        while let Some(output) = self.leave.poll_output() {
            if output == (LeaveOutput::Ping { carrier: STANDBY }) && self.standby.send(now) {
                self.leave.handle_outstanding(STANDBY, now);
            }
            let died = matches!(output, LeaveOutput::Dead { carrier: MAIN, .. });
            self.found.push((now, output));
            if died && !self.main.dead {
                // The pool dials it again.
                self.leave.handle_up(now, MAIN, Path::via(node("r1")), None);
            }
        }
    }

    fn first(&self, from: Time, wanted: impl Fn(&LeaveOutput) -> bool) -> Option<Duration> {
        self.found.iter().find(|(at, output)| *at >= from && wanted(output)).map(|(at, _)| at.since(from))
    }
}

fn leaves(output: &LeaveOutput) -> bool {
    matches!(output, LeaveOutput::Dead { carrier: MAIN, .. })
        || matches!(output, LeaveOutput::Degraded { path, .. } if *path == Path::via(node("r1")))
}

/// Everyday weather: some jitter, a few spikes, one packet in 2000 lost.
fn everyday(rtt_ms: u64) -> Weather {
    Weather { rtt_us: rtt_ms * 1000, jitter: 0.04, spikes: 0.005, tail: 1.8, loss: 0.0005 }
}

fn delays(rtt_ms: u64, tcp_info: bool, change: impl Fn(&mut Bench)) -> Vec<Duration> {
    let mut all: Vec<Duration> = (0..60_u64)
        .map(|seed| {
            let mut bench = Bench::new(everyday(rtt_ms), everyday(rtt_ms + 20), seed * 7 + rtt_ms);
            bench.tcp_info = tcp_info;
            bench.run_until(Time::from_millis(30_000 + seed * 13));
            bench.found.clear();
            let at = bench.now;
            change(&mut bench);
            bench.run_until(at + Duration::from_secs(20));
            bench.first(at, leaves).unwrap_or(Duration::from_secs(20))
        })
        .collect();
    all.sort();
    all
}

fn median(all: &[Duration]) -> Duration {
    all[all.len() / 2]
}

fn report(what: &str, rtt_ms: u64, all: &[Duration]) {
    let at = |share: f64| all[((all.len() - 1) as f64 * share) as usize].as_millis();
    println!(
        "{what:28} rtt {rtt_ms:3} ms: found after p10 {:5} p50 {:5} p90 {:5} worst {:5} ms",
        at(0.1),
        at(0.5),
        at(0.9),
        at(1.0)
    );
}

#[test]
fn silence_is_found_within_four_round_trips() {
    for rtt in [2, 10, 30, 60, 120, 200] {
        let (mut hedges, mut deaths) = (Vec::new(), Vec::new());
        for seed in 0..60 {
            let mut bench = Bench::new(everyday(rtt), everyday(rtt + rtt / 4), seed);
            bench.run_until(Time::from_millis(20_000 + 7 * seed));
            let at = bench.now;
            bench.found.clear();
            bench.main.kill(at);
            bench.run_until(at + Duration::from_secs(5));
            let hedge = |output: &LeaveOutput| matches!(output, LeaveOutput::Hedge { carrier: MAIN });
            let dead = |output: &LeaveOutput| matches!(output, LeaveOutput::Dead { carrier: MAIN, .. });
            hedges.push(bench.first(at, hedge).expect("help was called"));
            deaths.push(bench.first(at, dead).expect("found dead"));
        }
        hedges.sort();
        deaths.sort();
        report("silent death, help", rtt, &hedges);
        report("silent death, moved", rtt, &deaths);
        let slower = Duration::from_millis(rtt + rtt / 4);
        // Short paths wait out TCP's least retransmission timeout, with help called long before.
        let bound = (4 * slower + Duration::from_millis(100)).max(Duration::from_millis(300));
        assert!(median(&deaths) <= bound, "rtt {rtt}: {:?}", median(&deaths));
        assert!(deaths.iter().all(|death| *death <= Duration::from_secs(1)), "rtt {rtt}");
        assert!(median(&hedges) <= 2 * slower + Duration::from_millis(50));
    }
}

#[test]
fn a_tenfold_delay_is_found_within_a_second() {
    for rtt in [10, 30, 60, 100, 200] {
        let all = delays(rtt, false, |bench| bench.main.weather.rtt_us *= 10);
        report("delay tenfold", rtt, &all);
        assert!(all.iter().all(|found| *found < Duration::from_secs(1)), "rtt {rtt}");
    }
}

#[test]
fn a_fifth_lost_is_found_within_a_second() {
    for rtt in [10, 30, 60, 100, 200] {
        let all = delays(rtt, false, |bench| bench.main.weather.loss = 0.2);
        report("20 % loss", rtt, &all);
        assert!(median(&all) < Duration::from_millis(900), "rtt {rtt}: {:?}", median(&all));
        assert!(all[all.len() * 9 / 10] < Duration::from_millis(1050), "rtt {rtt}");
    }
}

#[test]
fn a_twentieth_lost_is_found_within_a_second_and_a_half() {
    for tcp_info in [false, true] {
        for rtt in [10, 30, 60, 100, 200] {
            let all = delays(rtt, tcp_info, |bench| bench.main.weather.loss = 0.05);
            report(if tcp_info { "5 % loss with TCP_INFO" } else { "5 % loss" }, rtt, &all);
            assert!(median(&all) < Duration::from_millis(1500), "rtt {rtt}: {:?}", median(&all));
        }
    }
}

/// False alarms, and calls for help, in an hour with a message each 10 ms.
fn hour(name: &str, weather: Weather, rtt_ms: u64, seed: u64) -> usize {
    let weather = Weather { rtt_us: rtt_ms * 1000, ..weather };
    let mut bench = Bench::new(weather, everyday(rtt_ms + 20), seed);
    bench.run_until(Time::from_millis(3_600_000));
    let count = |wanted: &dyn Fn(&LeaveOutput) -> bool| {
        bench.found.iter().filter(|(_, output)| wanted(output)).count()
    };
    let alarms = count(&leaves);
    let hedges = count(&|output| matches!(output, LeaveOutput::Hedge { carrier: MAIN }));
    println!("{name:14} rtt {rtt_ms:3} ms: {alarms:2} false alarms and {hedges:4} calls for help in an hour");
    alarms
}

#[test]
fn everyday_weather_is_let_pass() {
    let heavy = Weather { spikes: 0.02, tail: 1.2, ..everyday(0) };
    let rough = Weather { jitter: 0.2, ..everyday(0) };
    for rtt in [5, 30, 60, 200] {
        let alarms = hour("everyday", everyday(0), rtt, 100) + hour("everyday", everyday(0), rtt, 101);
        assert!(alarms <= 2, "rtt {rtt}: {alarms} in two hours");
        assert!(hour("rough", rough, rtt, 102) <= 1, "rtt {rtt}");
        let heavy = hour("heavy tail", heavy, rtt, 103);
        assert!(heavy <= 1 || rtt > 100, "rtt {rtt}");
    }
    // Where one packet in 500 is lost, TCP itself is silent for its timeout a few times an hour.
    let lossy = Weather { loss: 0.002, ..everyday(0) };
    assert!(hour("1 in 500 lost", lossy, 60, 104) <= 8);
}

#[test]
fn queues_that_own_bulk_fills_are_not_held_against_the_path() {
    let path = Path::via(node("r1"));
    for loaded in [true, false] {
        let mut leave = Leave::new(LeaveConfig::source(1));
        leave.handle_up(Time::ZERO, MAIN, path.clone(), None);
        let mut degraded = 0;
        for i in 0..4000_u64 {
            // From 10 s on the round trip grows to threefold within half a second, and stays there.
            let growth = (i.saturating_sub(2000) as f64 / 100.0).min(1.0);
            let rtt = Duration::from_millis(60).mul_f64(1.0 + 2.0 * growth);
            let now = Time::from_millis(500 + 5 * i);
            let outstanding_since = Some(now - rtt);
            let loaded = loaded && i > 1990;
            leave.handle_progress(now, MAIN, Progress { rtt: Some(rtt), outstanding_since, loaded });
            leave.handle_timeout(now);
            while let Some(output) = leave.poll_output() {
                degraded += usize::from(leaves(&output));
            }
        }
        assert_eq!(degraded == 0, loaded, "{degraded} alarms with loaded = {loaded}");
    }
}

#[test]
fn a_machine_that_slept_blames_no_path() {
    let mut bench = Bench::new(Weather::calm(60), Weather::calm(80), 5);
    bench.run_until(Time::from_millis(20_000));
    bench.found.clear();
    // Nothing is looked at for 700 ms; then the acknowledgements are read a moment after the timers fire.
    let wake = bench.now + Duration::from_millis(700);
    bench.leave.handle_timeout(wake);
    bench.now = wake;
    bench.step();
    bench.run_until(wake + Duration::from_secs(2));
    assert_eq!(bench.first(Time::ZERO, |output| matches!(output, LeaveOutput::Dead { .. })), None);
}

#[test]
fn an_outage_everywhere_kills_nothing_for_seconds() {
    let mut bench = Bench::new(Weather::calm(60), Weather::calm(80), 6);
    bench.run_until(Time::from_millis(20_000));
    let at = bench.now;
    bench.main.kill(at);
    bench.standby.kill(at);
    bench.run_until(at + Duration::from_secs(3));
    let dead = |output: &LeaveOutput| matches!(output, LeaveOutput::Dead { .. });
    assert_eq!(bench.first(at, dead), None);
    let now = bench.now;
    bench.main.revive(now);
    bench.standby.revive(now);
    bench.run_until(now + Duration::from_secs(3));
    assert!(bench.first(at, |output| *output == LeaveOutput::Recovered { carrier: MAIN }).is_some());
    assert_eq!(bench.first(at, dead), None);
}

#[test]
fn a_lone_carrier_is_given_up_after_seconds() {
    let mut bench = Bench::new(Weather::calm(60), Weather::calm(80), 7);
    bench.leave.handle_down(STANDBY);
    bench.run_until(Time::from_millis(20_000));
    let at = bench.now;
    bench.main.kill(at);
    bench.run_until(at + Duration::from_secs(8));
    let dead = bench.first(at, |output| matches!(output, LeaveOutput::Dead { .. })).expect("given up");
    assert!(dead > Duration::from_secs(4) && dead < Duration::from_secs(6), "{dead:?}");
    let silent = LeaveOutput::Degraded { path: Path::via(node("r1")), symptom: Symptom::Silent };
    assert!(
        bench.first(at, |output| *output == silent).is_some_and(|after| after < Duration::from_millis(400))
    );
}
