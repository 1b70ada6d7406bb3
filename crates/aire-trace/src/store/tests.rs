use std::os::unix::fs::PermissionsExt;

use aire_types::{AppName, Class, Path as Route};

use super::*;
use crate::record::{Choice, Delays, Observation, Origin, Packets, Transfer};

const HOUR_MS: u64 = 3_600_000;

fn node(name: &str) -> NodeName {
    NodeName::new(name).unwrap()
}

fn observation(at_ms: u64) -> Record {
    let us = 1000 + (at_ms % 977) as u32;
    let delays = Delays { count: 3, mean_us: us, min_us: 1, median_us: us, p90_us: us, max_us: u32::MAX };
    Record::Observation(Observation {
        at_ms,
        span_ms: 30_000,
        from: node("a"),
        to: node("b"),
        path: Route::new(vec![node("r1"), node("r2")]).unwrap(),
        origin: Origin::Probe,
        delays: Some(delays),
        missed: 1,
        missed_us: 3_000_000,
        packets: Packets { sent: 1 << 40, lost: 7 },
        transfer: Transfer { bytes: 1_000_000, elapsed_us: 80_000 },
        load: Some(0.25),
    })
}

fn choice(at_ms: u64) -> Record {
    Record::Choice(Choice {
        at_ms,
        app: AppName::new("echo").unwrap(),
        to: node("b"),
        class: Class::Bulk,
        path: Route::DIRECT,
        by: "rule".to_owned(),
        propensity: 0.5,
        cost: 12.5,
        direct_cost: f32::INFINITY,
        candidates: 9,
        snapshot_hash: u64::MAX - 1,
    })
}

fn store(dir: &Path, bytes: u64) -> Store {
    let span = Duration::from_secs(30);
    Store::new(dir.to_owned(), node("a"), span, Limits { bytes, age: Duration::from_secs(30 * 86_400) })
}

fn read_all(dir: &Path) -> Vec<Record> {
    let segments = store(dir, 0).segments();
    let read = |path: &PathBuf| Segment::read(&fs::read(path).unwrap()).unwrap().records;
    segments.iter().flat_map(|(_, path, _)| read(path)).collect()
}

fn only_segment(dir: &Path) -> PathBuf {
    let segments = store(dir, 0).segments();
    assert_eq!(segments.len(), 1);
    segments[0].1.clone()
}

#[test]
fn what_was_appended_is_read_in_order_across_restarts() {
    let dir = tempfile::tempdir().unwrap();
    let records: Vec<Record> =
        (0..10).map(|at| if at % 3 == 0 { choice(at) } else { observation(at) }).collect();
    store(dir.path(), 1 << 20).append(5, &records[..6]).unwrap();
    store(dir.path(), 1 << 20).append(9, &records[6..]).unwrap();
    assert_eq!(read_all(dir.path()), records);
    let path = only_segment(dir.path());
    assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(fs::read_to_string(dir.path().join("trace.toml")).unwrap().contains("kind = \"records\""));
}

#[test]
fn a_torn_end_costs_itself_alone_at_every_length() {
    let dir = tempfile::tempdir().unwrap();
    store(dir.path(), 1 << 20).append(1, &[observation(1), choice(2), observation(3)]).unwrap();
    let path = only_segment(dir.path());
    let whole = fs::read(&path).unwrap();
    for length in 0..whole.len() {
        fs::write(&path, &whole[..length]).unwrap();
        let before = Segment::read(&whole[..length]).unwrap();
        assert_eq!(before.torn, before.sound < length || length < crate::segment::HEADER);
        store(dir.path(), 1 << 20).append(7, &[observation(7)]).unwrap();
        let after = read_all(dir.path());
        assert_eq!(after[..after.len() - 1], before.records, "cut at {length}");
        assert_eq!(after.last(), Some(&observation(7)));
        store(dir.path(), 0).segments().iter().for_each(|(_, path, _)| fs::remove_file(path).unwrap());
        fs::write(&path, &whole).unwrap();
    }
}

#[test]
fn a_flipped_bit_is_never_read_as_a_record() {
    let dir = tempfile::tempdir().unwrap();
    let records = [observation(1), choice(2), observation(3)];
    store(dir.path(), 1 << 20).append(1, &records).unwrap();
    let whole = fs::read(only_segment(dir.path())).unwrap();
    for bit in 0..whole.len() * 8 {
        let mut damaged = whole.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        if let Ok(segment) = Segment::read(&damaged) {
            assert!(segment.torn && records.starts_with(&segment.records), "bit {bit}");
        }
    }
}

#[test]
fn size_and_age_are_bounded_and_the_newest_stay() {
    let dir = tempfile::tempdir().unwrap();
    let limit = 1 << 20;
    let mut kept = store(dir.path(), limit);
    let batch = |at: u64| -> Vec<Record> { (0..200).map(|_| observation(at)).collect() };
    for at in 0..200 {
        kept.append(at, &batch(at)).unwrap();
        let total: u64 = kept.segments().iter().map(|(.., length)| length).sum();
        assert!(total <= limit, "{total}");
    }
    let times: Vec<u64> = read_all(dir.path()).iter().map(Record::at_ms).collect();
    assert!(times.is_sorted() && times.first() > Some(&0) && times.last() == Some(&199));
    // A month later the rest is too old.
    let late = 31 * 24 * HOUR_MS;
    kept.append(late, &[choice(late)]).unwrap();
    kept.append(2 * late, &[choice(2 * late)]).unwrap();
    kept.append(3 * late, &[choice(3 * late)]).unwrap();
    assert_eq!(read_all(dir.path()), [choice(2 * late), choice(3 * late)]);
}

#[test]
fn another_nodes_or_versions_segment_is_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    store(dir.path(), 1 << 20).append(1, &[choice(1)]).unwrap();
    let path = only_segment(dir.path());
    let mut newer = fs::read(&path).unwrap();
    newer[8] = 9;
    fs::write(&path, &newer).unwrap();
    store(dir.path(), 1 << 20).append(2, &[choice(2)]).unwrap();
    assert_eq!(fs::read(&path).unwrap(), newer);
    assert_eq!(Segment::read(&newer).unwrap_err(), crate::FormatError::Version(9));
    assert_eq!(store(dir.path(), 0).segments().len(), 2);
}

#[test]
fn a_full_disk_is_an_error_and_what_was_written_stays_whole() {
    let dir = tempfile::tempdir().unwrap();
    let mut kept = store(dir.path(), 1 << 20);
    kept.append(1, &[choice(1)]).unwrap();
    if let Some(open) = kept.open.as_mut() {
        open.file = OpenOptions::new().write(true).open("/dev/full").unwrap();
    }
    let error = kept.append(2, &[observation(2)]).unwrap_err();
    assert_eq!(error.source.kind(), io::ErrorKind::StorageFull);
    assert!(error.to_string().contains("make room"), "{error}");
    kept.append(3, &[observation(3)]).unwrap();
    assert_eq!(read_all(dir.path()), [choice(1), observation(3)]);
}

#[test]
fn a_folder_that_went_away_is_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let history = dir.path().join("history");
    let mut kept = store(&history, 1 << 20);
    kept.append(1, &[choice(1)]).unwrap();
    fs::remove_dir_all(&history).unwrap();
    kept.append(2, &[choice(2)]).unwrap();
    assert_eq!(read_all(&history), [choice(2)]);
}

#[test]
fn age_is_bounded_also_after_the_clock_stood_a_year_ahead() {
    const DAY_MS: u64 = 24 * HOUR_MS;
    let dir = tempfile::tempdir().unwrap();
    let mut kept = store(dir.path(), 1 << 30);
    for day in [400, 10, 20, 30, 40, 60] {
        kept.append(day * DAY_MS, &[observation(day * DAY_MS)]).unwrap();
        let (_, newest, _) = kept.segments().pop().unwrap();
        let written = UNIX_EPOCH + Duration::from_millis(day * DAY_MS);
        File::options().write(true).open(newest).unwrap().set_modified(written).unwrap();
    }
    assert_eq!(read_all(dir.path()), [30, 40, 60].map(|day| observation(day * DAY_MS)));
}

#[test]
fn the_description_says_what_is_written_whatever_stood_there() {
    let dir = tempfile::tempdir().unwrap();
    let described = || fs::read_to_string(dir.path().join("trace.toml")).unwrap();
    store(dir.path(), 1 << 20).append(1, &[choice(1)]).unwrap();
    let whole = described();
    fs::write(dir.path().join("trace.toml"), "").unwrap();
    store(dir.path(), 1 << 20).append(2, &[choice(2)]).unwrap();
    assert_eq!(described(), whole, "a full disk had left nothing");
    let limits = Limits { bytes: 1 << 20, age: Duration::from_secs(86_400) };
    let span = Duration::from_secs(5);
    Store::new(dir.path().to_owned(), node("a"), span, limits).append(3, &[choice(3)]).unwrap();
    assert!(described().ends_with("step_s = 5.0\n") && whole.ends_with("step_s = 30.0\n"));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "one segment and the description");
}
