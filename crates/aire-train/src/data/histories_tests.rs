use std::fs;
use std::time::Duration;

use aire_trace::{Delays, Limits, Observation, Origin, Packets, Record, Store, Transfer};
use aire_types::{NodeName, Path as Route};

use super::*;

const SPAN_S: u64 = 30;

fn node(name: &str) -> NodeName {
    NodeName::new(name).unwrap()
}

/// What was measured in the span that ends at `end_s`; 0 ms: nobody answered.
fn observation(from: &str, to: &str, relay: &str, end_s: u64, ms: u32) -> Record {
    let us = ms * 1000;
    let delays = Delays { count: 2, mean_us: us, min_us: us, median_us: us, p90_us: us, max_us: us };
    Record::Observation(Observation {
        at_ms: 1_000_000_000 + end_s * 1000,
        span_ms: SPAN_S as u32 * 1000,
        from: node(from),
        to: node(to),
        path: if relay.is_empty() { Route::DIRECT } else { Route::via(node(relay)) },
        origin: Origin::Probe,
        delays: (ms > 0).then_some(delays),
        missed: u32::from(ms == 0),
        missed_us: 0,
        packets: Packets::default(),
        transfer: Transfer::default(),
        load: None,
    })
}

fn keep(dir: &Path, who: &str, records: &[Record]) {
    let limits = Limits { bytes: 1 << 24, age: Duration::from_secs(1 << 30) };
    let span = Duration::from_secs(SPAN_S);
    Store::new(dir.join(who).join("history"), node(who), span, limits).append(1, records).unwrap();
}

/// What `a` records in so many spans: the link to the relay in each, both paths to `b` in every fourth.
fn spans(count: u64) -> Vec<Record> {
    let span = |at: u64| {
        let end = at * SPAN_S;
        let mut records = vec![observation("a", "r", "", end, 10)];
        if at.is_multiple_of(4) {
            records.push(observation("a", "b", "", end, 100 + at as u32));
            records.push(observation("a", "b", "r", end, 40));
        }
        records
    };
    (0..count).flat_map(span).collect()
}

fn told(dir: &Path) -> String {
    histories(&[dir.to_owned()]).unwrap_err().to_string()
}

#[test]
fn a_value_stands_until_it_is_measured_anew_and_only_fresh_ones_judge() {
    let dir = tempfile::tempdir().unwrap();
    keep(dir.path(), "a", &spans(40));
    let Histories { seen, measured } = histories(&[dir.path().join("a")]).unwrap();
    assert_eq!(
        (seen.nodes.as_slice(), seen.step_s, seen.frames.len()),
        (&["a", "r", "b"].map(String::from)[..], 30.0, 40)
    );
    let (a, r, b) = (0, 1, 2);
    let direct = |set: &Frames, at: usize| set.frames[at].get(a, b);
    assert_eq!((direct(&seen, 4), direct(&seen, 7), direct(&seen, 8)), (104.0, 104.0, 108.0));
    assert!(direct(&measured, 4) == 104.0 && direct(&measured, 7).is_nan());
    assert_eq!(seen.frames[6].get(a, r) + seen.frames[6].get(r, b), 40.0);
}

#[test]
fn the_histories_of_several_agents_are_one_set_wherever_they_lie() {
    let dir = tempfile::tempdir().unwrap();
    keep(dir.path(), "a", &spans(40));
    let others: Vec<Record> = (0..40).map(|at| observation("r", "b", "", at * SPAN_S, 25)).collect();
    keep(&dir.path().join("copied/from"), "r", &others);
    let both = histories(&[dir.path().to_owned()]).unwrap();
    // measured by the relay itself, which counts more than what a's paths leave for it
    assert_eq!(both.measured.frames[4].get(1, 2), 25.0);
    let twice = [dir.path().join("a"), dir.path().join("copied"), dir.path().join("a/history")];
    // what is missing equals nothing, not even itself
    assert_eq!(format!("{:?}", histories(&twice).unwrap()), format!("{both:?}"));
}

#[test]
fn what_is_silent_stands_no_longer_and_time_without_records_does_not_exist() {
    let dir = tempfile::tempdir().unwrap();
    let mut records = spans(30);
    records.push(observation("a", "b", "", 29 * SPAN_S, 0));
    records.extend(spans(10).into_iter().map(|record| {
        let Record::Observation(mut it) = record else { panic!() };
        it.at_ms += 100_000_000;
        Record::Observation(it)
    }));
    keep(dir.path(), "a", &records);
    let Histories { seen, .. } = histories(&[dir.path().to_owned()]).unwrap();
    assert_eq!(seen.frames.len(), 40);
    assert!(seen.frames[28].get(0, 2) == 128.0 && seen.frames[29].get(0, 2).is_nan());
    assert_eq!(seen.frames[30].get(0, 2), 100.0);
}

#[test]
fn what_is_missing_is_said_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let folder = |name: &str, records: &[Record]| {
        let folder = dir.path().join(name);
        keep(&folder, "a", records);
        folder
    };
    fs::create_dir(dir.path().join("empty")).unwrap();
    assert!(told(&dir.path().join("empty")).contains("STATE/history"));
    assert!(told(&dir.path().join("nowhere")).contains("cannot be read"));
    let few = folder("few", &[observation("a", "b", "", 0, 5)]);
    assert!(told(&few).contains("a and b") && told(&few).contains("relay"), "{}", told(&few));
    let short = folder("short", &spans(8));
    assert!(
        told(&short).contains("8 spans of 30 s") && told(&short).contains("for 6 min more"),
        "{}",
        told(&short)
    );
    let direct = |at: u64| ["b", "c"].map(|to| observation("a", to, "", at * SPAN_S, 50));
    let no_choice = folder("direct", &(0..40).flat_map(direct).collect::<Vec<_>>());
    assert!(told(&no_choice).contains("over a relay"), "{}", told(&no_choice));
}

#[test]
fn ways_that_are_not_known_yet_do_not_look_like_loss() {
    let dir = tempfile::tempdir().unwrap();
    let mut records: Vec<Record> = (0..10).map(|at| observation("a", "r", "", at * SPAN_S, 10)).collect();
    records.extend(spans(50).into_iter().filter(|record| record.at_ms() >= 1_000_000_000 + 10_000 * SPAN_S));
    keep(dir.path(), "a", &records);
    let Histories { seen, .. } = histories(&[dir.path().to_owned()]).unwrap();
    assert!(seen.frames[0].get(0, 2).is_finite(), "begins when ways are known");
}
