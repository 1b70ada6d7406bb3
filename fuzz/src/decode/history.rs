//! The recorded history, as files and as payloads behind right checksums.

use aire_trace::{Choice, Delays, Observation, Origin, Packets, Record, Segment, Transfer, VERSION, frame};
use aire_types::{AppName, Class, NodeName, Path};

/// Where the header ends.
const HEADER: usize = 9;

pub(crate) fn run(input: &[u8]) {
    as_file(input);
    // The checksum would hide the fields from the fuzzer: payloads of its making, each with its length before it.
    let mut file = b"AIREHIST".to_vec();
    file.push(VERSION);
    let mut rest = input;
    while let Some((length, after)) = rest.split_first() {
        let (payload, after) = after.split_at(usize::from(*length).min(after.len()));
        if !payload.is_empty() {
            file.extend(frame(payload));
        }
        rest = after;
    }
    let segment = Segment::read(&file).expect("the header is right");
    assert!(!segment.torn && segment.sound == file.len(), "frames with right checksums are sound");
    as_file(&file);
}

fn as_file(file: &[u8]) {
    let Ok(segment) = Segment::read(file) else { return };
    assert!(segment.sound <= file.len() && segment.torn == (segment.sound < file.len().max(HEADER)));
    // What is sound reads the same without what is torn.
    if segment.sound >= HEADER {
        let sound = Segment::read(&file[..segment.sound]).expect("it was read before");
        assert!(!sound.torn && sound.node == segment.node && sound.skipped == segment.skipped);
        assert_eq!(format!("{:?}", sound.records), format!("{:?}", segment.records));
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let dir = tempfile::tempdir().expect("a folder");
    let node = |name: &str| NodeName::new(name).expect("a name");
    let observation = Observation {
        at_ms: 1_700_000_000_000,
        span_ms: 30_000,
        from: node("a"),
        to: node("b"),
        path: Path::via(node("r")),
        origin: Origin::Payload,
        delays: Some(Delays { count: 2, mean_us: 9, min_us: 8, median_us: 8, p90_us: 10, max_us: 10 }),
        missed: 1,
        missed_us: 3_000_000,
        packets: Packets { sent: 900, lost: 3 },
        transfer: Transfer { bytes: 1 << 20, elapsed_us: 70_000 },
        load: Some(0.5),
    };
    let choice = Choice {
        at_ms: 1_700_000_000_001,
        app: AppName::new("echo").expect("a name"),
        to: node("b"),
        class: Class::Critical,
        path: Path::DIRECT,
        by: "rule".to_owned(),
        propensity: 1.0,
        cost: 4.0,
        direct_cost: 4.0,
        candidates: 3,
        snapshot_hash: 7,
    };
    let limits = aire_trace::Limits { bytes: 1 << 20, age: std::time::Duration::from_secs(3600) };
    let mut store =
        aire_trace::Store::new(dir.path().to_owned(), node("a"), std::time::Duration::from_secs(10), limits);
    store.append(1, &[Record::Observation(observation), Record::Choice(choice)]).expect("room for a record");
    let written = std::fs::read_dir(dir.path()).expect("the folder").filter_map(|entry| {
        let path = entry.ok()?.path();
        (path.extension()? == "trace").then(|| std::fs::read(path).ok())?
    });
    let mut seeds: Vec<Vec<u8>> = written.collect();
    // The same, as payloads with lengths before them.
    let bare = seeds.first().map(|file| {
        let (mut bare, mut rest) = (Vec::new(), &file[HEADER..]);
        while rest.len() > 6 {
            let length = usize::from(u16::from_le_bytes([rest[0], rest[1]]));
            bare.push(length as u8);
            bare.extend(&rest[6..6 + length]);
            rest = &rest[6 + length..];
        }
        bare
    });
    seeds.extend(bare);
    seeds
}
