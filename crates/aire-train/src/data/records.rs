//! `kind = "records"`: what agents recorded, of one or of many.
//!
//! Round trips on direct paths fill the matrix. What an agent measured over one relay is the sum of its legs, so where
//! nobody recorded the second leg, the sum less the first leg stands there: then the matrix gives back what was measured.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use aire_trace::{MAX_SEGMENT, Observation, Origin, Record, Segment};
use aire_types::NodeName;

use super::description::{FILE, RecordsDescription};
use super::error::Error;
use super::{Frames, Matrix, Quantity, pattern, step};

/// More frames than this are a mistake in the description, not a recording.
const MOST_FRAMES: usize = 1_000_000;
/// The most numbers that all frames of a set may hold.
const MOST_VALUES: usize = 1 << 30;
/// Of longer stretches in which nobody recorded anything so many frames are left, or as many as values stand and a decision
/// looks ahead.
const LONGEST_QUIET: usize = 10;
/// A leg that came out of a difference is no shorter, milliseconds.
const SHORTEST_MS: f64 = 0.01;

/// One value of one path.
pub(super) struct Entry {
    /// Middle of the span, milliseconds.
    pub(super) at_ms: u64,
    from: usize,
    to: usize,
    relay: Option<usize>,
    /// Measured on the link to a neighbour: gives way to what was measured end to end.
    link: bool,
    value: f64,
    weight: f64,
}

/// Nobody answered on a direct path.
pub(super) struct Silence {
    /// Middle of the span, milliseconds.
    pub(super) at_ms: u64,
    pub(super) from: usize,
    pub(super) to: usize,
}

/// All that segments hold, nodes by number.
#[derive(Default)]
pub(super) struct Entries {
    pub(super) numbers: BTreeMap<NodeName, usize>,
    pub(super) list: Vec<Entry>,
    losses: Vec<Entry>,
    pub(super) silences: Vec<Silence>,
    /// Lengths of the spans, milliseconds.
    pub(super) spans_ms: Vec<u32>,
}

pub(super) fn read(dir: &Path, name: &str, described: &RecordsDescription) -> Result<Frames, Error> {
    let quantity = described.quantity.get_ref().quantity();
    let step_s = *described.step_s.get_ref();
    let mut entries = Entries::default();
    for file in pattern::files(dir, &described.files)? {
        read_segment(&file, quantity, &mut entries)?;
    }
    let Entries { numbers, mut list, .. } = entries;
    list.retain(|entry| !described.missing.contains(&entry.value));
    let line = Line::new(&list, described);
    let count = line.count();
    if count == 0 {
        let message = format!("the recorded history has no {} yet", word(quantity));
        return Err(Error::in_file(dir, message));
    }
    let values = numbers.len().saturating_mul(numbers.len()).saturating_mul(count);
    if count > MOST_FRAMES || values > MOST_VALUES {
        let message =
            format!("has {count} frames of {} nodes: set a longer `step_s` in {FILE}", numbers.len());
        return Err(Error::in_file(dir, message));
    }
    list.sort_by_key(|entry| entry.at_ms);
    let mut frames = Vec::with_capacity(count);
    let mut rest = list.as_slice();
    for at in 0..count {
        let (now, later) = rest
            .split_at(rest.partition_point(|entry| line.place(entry.at_ms).is_none_or(|place| place <= at)));
        frames.push(frame(numbers.len(), quantity, now));
        rest = later;
    }
    let held = held(described).min(count);
    hold(&mut frames, held);
    let nodes = names(numbers);
    let (symmetric, score_gap) = (false, described.score_gap.max(1) + held);
    Ok(Frames { name: name.to_owned(), quantity, nodes, step_s, symmetric, score_gap, frames })
}

/// So many frames a value stands.
fn held(described: &RecordsDescription) -> usize {
    (described.hold_s / *described.step_s.get_ref()).round() as usize
}

/// Where each frame of a history stands. Of long stretches in which nobody recorded anything only so much is left that no
/// value stands across them and no decision is scored behind them: one record with a wrong date makes no million frames.
struct Line {
    first_ms: u64,
    step_s: f64,
    /// By the number of a frame that holds something.
    places: BTreeMap<usize, usize>,
}

impl Line {
    fn new(list: &[Entry], described: &RecordsDescription) -> Self {
        let first_ms = list.iter().map(|entry| entry.at_ms).min().unwrap_or(0);
        let mut line = Line { first_ms, step_s: *described.step_s.get_ref(), places: BTreeMap::new() };
        let numbers: BTreeSet<usize> = list.iter().filter_map(|entry| line.number(entry.at_ms)).collect();
        let longest =
            LONGEST_QUIET.max(held(described).saturating_add(described.score_gap)).saturating_add(1);
        let mut last: Option<(usize, usize)> = None;
        for number in numbers {
            let place = last.map_or(0, |(before, at)| at.saturating_add((number - before).min(longest)));
            line.places.insert(number, place);
            last = Some((number, place));
        }
        line
    }

    fn number(&self, at_ms: u64) -> Option<usize> {
        at_ms.checked_sub(self.first_ms).map(|since| step::place(since as f64 / 1000.0, self.step_s))
    }

    /// The place of the frame in which this moment lies; `None` where that frame holds nothing.
    fn place(&self, at_ms: u64) -> Option<usize> {
        self.number(at_ms).and_then(|number| self.places.get(&number).copied())
    }

    fn count(&self) -> usize {
        self.places.last_key_value().map_or(0, |(_, last)| last.saturating_add(1))
    }
}

/// Losses on direct paths, in the frames of the round trips.
pub(super) fn read_losses(dir: &Path, described: &RecordsDescription) -> Result<Vec<Matrix>, Error> {
    let mut entries = Entries::default();
    for file in pattern::files(dir, &described.files)? {
        read_segment(&file, Quantity::Rtt, &mut entries)?;
    }
    entries.list.retain(|entry| !described.missing.contains(&entry.value));
    let line = Line::new(&entries.list, described);
    let mut means: Vec<Means> = Vec::new();
    means.resize_with(line.count().min(MOST_FRAMES), Means::default);
    for entry in &entries.losses {
        if let Some(means) = line.place(entry.at_ms).and_then(|place| means.get_mut(place)) {
            means.add((entry.from, entry.to), entry.value, entry.weight);
        }
    }
    let fill = |means: &Means| {
        let mut matrix = Matrix::missing(entries.numbers.len());
        means.fill(&mut matrix);
        matrix
    };
    Ok(means.iter().map(fill).collect())
}

/// Of the nodes, in the order of their numbers.
pub(super) fn names(numbers: BTreeMap<NodeName, usize>) -> Vec<String> {
    let mut nodes = vec![String::new(); numbers.len()];
    numbers.into_iter().for_each(|(name, number)| nodes[number] = name.to_string());
    nodes
}

fn word(quantity: Quantity) -> &'static str {
    match quantity {
        Quantity::Rtt => "round trips",
        Quantity::Throughput => "transfers",
    }
}

/// What is sound of one file; a torn end is what a crash leaves, and no fault.
pub(super) fn read_segment(file: &Path, quantity: Quantity, entries: &mut Entries) -> Result<(), Error> {
    let unreadable = |error: std::io::Error| Error::in_file(file, format!("cannot be read: {error}"));
    if std::fs::metadata(file).map_err(unreadable)?.len() > MAX_SEGMENT {
        return Err(Error::in_file(file, "is larger than any segment of a history: remove it"));
    }
    let bytes = std::fs::read(file).map_err(unreadable)?;
    let segment = Segment::read(&bytes).map_err(|error| Error::in_file(file, error.to_string()))?;
    for record in &segment.records {
        if let Record::Observation(observation) = record {
            entries.add(observation, quantity);
        }
    }
    Ok(())
}

impl Entries {
    fn number(&mut self, name: &NodeName) -> usize {
        if let Some(known) = self.numbers.get(name) {
            return *known;
        }
        let next = self.numbers.len();
        self.numbers.insert(name.clone(), next);
        next
    }

    /// What was lost beside what was answered. A path on which nothing answered has no round trip, and so no place here.
    fn add_loss(&mut self, observation: &Observation) {
        let answered = observation.delays.map_or(0, |delays| delays.count);
        let packets = observation.packets;
        let sent = f64::from(answered) + f64::from(observation.missed) + packets.sent as f64;
        if !observation.path.is_direct() || sent <= 0.0 {
            return;
        }
        let value = ((f64::from(observation.missed) + packets.lost as f64) / sent).min(1.0);
        let (from, to) = (self.number(&observation.from), self.number(&observation.to));
        let at_ms = observation.at_ms.saturating_sub(u64::from(observation.span_ms) / 2);
        self.losses.push(Entry { at_ms, from, to, relay: None, link: false, value, weight: sent });
    }

    fn add(&mut self, observation: &Observation, quantity: Quantity) {
        let relays = observation.path.relays();
        if observation.origin == Origin::Claimed || relays.len() > 1 || observation.from == observation.to {
            return;
        }
        let measured = match quantity {
            Quantity::Rtt => {
                observation.delays.map(|it| (f64::from(it.mean_us) / 1000.0, f64::from(it.count)))
            }
            // Of two legs the tighter one sets the pace, so what one relay gave says nothing of a single leg.
            Quantity::Throughput if relays.is_empty() => {
                observation.transfer.mbps().map(|mbps| (mbps, observation.transfer.bytes as f64))
            }
            Quantity::Throughput => None,
        };
        let at_ms = observation.at_ms.saturating_sub(u64::from(observation.span_ms) / 2);
        let Some((value, weight)) = measured else {
            if observation.missed > 0 && relays.is_empty() {
                let (from, to) = (self.number(&observation.from), self.number(&observation.to));
                self.silences.push(Silence { at_ms, from, to });
            }
            return;
        };
        self.add_loss(observation);
        let (from, to) = (self.number(&observation.from), self.number(&observation.to));
        let relay = relays.first().map(|relay| self.number(relay));
        self.spans_ms.push(observation.span_ms);
        let link = observation.origin == Origin::Link;
        self.list.push(Entry { at_ms, from, to, relay, link, value, weight });
    }
}

/// Weighted means of what was measured within one frame.
#[derive(Default)]
struct Means(BTreeMap<(usize, usize), (f64, f64)>);

impl Means {
    fn add(&mut self, way: (usize, usize), value: f64, weight: f64) {
        let (sum, weights) = self.0.entry(way).or_default();
        *sum += value * weight;
        *weights += weight;
    }

    /// Writes the means where nothing stands yet.
    fn fill(&self, matrix: &mut Matrix) {
        for ((from, to), (sum, weights)) in &self.0 {
            if from != to && matrix.get(*from, *to).is_nan() && *weights > 0.0 {
                matrix.set(*from, *to, (sum / weights) as f32);
            }
        }
    }
}

pub(super) fn frame(size: usize, quantity: Quantity, entries: &[Entry]) -> Matrix {
    let mut matrix = Matrix::missing(size);
    for links in [false, true] {
        let mut means = Means::default();
        for entry in entries.iter().filter(|entry| entry.relay.is_none() && entry.link == links) {
            means.add((entry.from, entry.to), entry.value, entry.weight);
        }
        means.fill(&mut matrix);
    }
    if quantity == Quantity::Rtt {
        let mut legs = Means::default();
        for entry in entries {
            let Some(relay) = entry.relay else { continue };
            let first = f64::from(matrix.get(entry.from, relay));
            if first.is_finite() {
                legs.add((relay, entry.to), (entry.value - first).max(SHORTEST_MS), entry.weight);
            }
        }
        legs.fill(&mut matrix);
    }
    matrix
}

/// Lets values stand for so many frames until they are measured anew.
fn hold(frames: &mut [Matrix], most: usize) {
    let size = frames.first().map_or(0, Matrix::size);
    for way in (0..size * size).filter(|way| most > 0 && way / size != way % size) {
        let (from, to) = (way / size, way % size);
        let (mut held, mut age) = (f32::NAN, 0);
        for frame in frames.iter_mut() {
            let value = frame.get(from, to);
            if value.is_finite() {
                (held, age) = (value, 0);
            } else if age < most {
                age += 1;
                frame.set(from, to, held);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use aire_trace::{Delays, Limits, Packets, Store, Transfer};
    use aire_types::Path as Route;

    use super::super::{Recording, Source};
    use super::*;

    fn node(name: &str) -> NodeName {
        NodeName::new(name).unwrap()
    }

    fn observation(from: &str, to: &str, relay: &str, at_s: u64, ms: u32) -> Record {
        let path = if relay.is_empty() { Route::DIRECT } else { Route::via(node(relay)) };
        let us = ms * 1000;
        let delays = Delays { count: 2, mean_us: us, min_us: us, median_us: us, p90_us: us, max_us: us };
        Record::Observation(Observation {
            at_ms: 1_000_000 + at_s * 1000,
            span_ms: 0,
            from: node(from),
            to: node(to),
            path,
            origin: Origin::Probe,
            delays: Some(delays),
            missed: 0,
            missed_us: 0,
            packets: Packets::default(),
            transfer: Transfer::default(),
            load: None,
        })
    }

    fn keep(dir: &Path, who: &str, records: &[Record]) {
        let limits = Limits { bytes: 1 << 20, age: Duration::from_secs(1 << 30) };
        let span = Duration::from_secs(30);
        Store::new(dir.join(who).join("history"), node(who), span, limits).append(1, records).unwrap();
    }

    fn read_frames(dir: &Path) -> Frames {
        match Source::open(dir).unwrap().read().unwrap() {
            Recording::Frames(frames) => frames,
            Recording::Series(_) => panic!("records are frames"),
        }
    }

    #[test]
    fn the_folders_of_many_agents_are_one_set() {
        let dir = tempfile::tempdir().unwrap();
        keep(dir.path(), "a", &[observation("a", "b", "", 0, 40), observation("a", "r", "", 1, 10)]);
        keep(dir.path(), "r", &[observation("r", "b", "", 2, 20), observation("r", "b", "", 3, 40)]);
        let described = std::fs::read_to_string(dir.path().join("a/history/trace.toml")).unwrap();
        std::fs::write(dir.path().join("trace.toml"), described).unwrap();
        let frames = read_frames(dir.path());
        assert_eq!(frames.frames.len(), 1);
        let at = |name: &str| frames.nodes.iter().position(|node| node == name).unwrap();
        let value = |from, to| frames.frames[0].get(at(from), at(to));
        assert_eq!((value("a", "b"), value("a", "r"), value("r", "b")), (40.0, 10.0, 30.0));
        assert!(value("b", "a").is_nan());
    }

    #[test]
    fn what_was_lost_stands_in_the_same_frames() {
        let dir = tempfile::tempdir().unwrap();
        let mut lossy = observation("a", "b", "", 45, 40);
        if let Record::Observation(observation) = &mut lossy {
            observation.missed = 2;
        }
        keep(dir.path(), "a", &[observation("a", "b", "", 0, 40), lossy]);
        let source = Source::open(&dir.path().join("a/history")).unwrap();
        let losses = source.read_losses().unwrap();
        let values: Vec<f32> = losses.iter().map(|frame| frame.get(0, 1)).collect();
        assert_eq!(values, [0.0, 0.5]);
        assert!(losses[0].get(1, 0).is_nan());
    }

    #[test]
    fn one_agents_own_history_gives_back_what_it_measured_over_relays() {
        let dir = tempfile::tempdir().unwrap();
        let records = [
            observation("a", "b", "", 0, 100),
            observation("a", "r", "", 0, 10),
            observation("a", "b", "r", 1, 70),
            observation("a", "b", "", 95, 110),
        ];
        keep(dir.path(), "a", &records);
        let frames = read_frames(&dir.path().join("a/history"));
        let at = |name: &str| frames.nodes.iter().position(|node| node == name).unwrap();
        let first = &frames.frames[0];
        assert_eq!(first.get(at("a"), at("r")) + first.get(at("r"), at("b")), 70.0);
        assert_eq!(frames.frames.len(), 4);
        assert!(frames.frames[1].get(at("a"), at("b")).is_nan());
        assert_eq!(frames.frames[3].get(at("a"), at("b")), 110.0);
    }

    #[test]
    fn what_is_held_is_not_scored_by_itself() {
        let dir = tempfile::tempdir().unwrap();
        keep(dir.path(), "a", &[observation("a", "b", "", 0, 5), observation("a", "b", "", 150, 9)]);
        let folder = dir.path().join("a/history");
        std::fs::write(folder.join("trace.toml"), "kind = \"records\"\nstep_s = 30\nhold_s = 60").unwrap();
        let frames = read_frames(&folder);
        let (a, b) = (0, 1);
        let values: Vec<f32> = frames.frames.iter().map(|frame| frame.get(a, b)).collect();
        assert_eq!((values[..3].to_vec(), values[5], frames.score_gap), (vec![5.0; 3], 9.0, 3));
        assert!(values[3].is_nan() && values[4].is_nan());
    }

    #[test]
    fn what_is_held_lengthens_the_gap_that_was_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        keep(
            dir.path(),
            "a",
            &[
                observation("a", "b", "", 0, 5),
                observation("a", "b", "", 150, 9),
                observation("a", "b", "", 300, 7),
            ],
        );
        let folder = dir.path().join("a/history");
        let described = "kind = \"records\"\nstep_s = 30\nhold_s = 60\nscore_gap = 4\nmissing = [9.0]";
        std::fs::write(folder.join("trace.toml"), described).unwrap();
        let frames = read_frames(&folder);
        assert_eq!((frames.score_gap, frames.frames.len()), (4 + 2, 11));
        assert!(frames.frames[5].get(0, 1).is_nan(), "9 ms is no value here");
    }

    #[test]
    fn one_record_of_another_time_is_no_million_frames() {
        let dir = tempfile::tempdir().unwrap();
        let year_s = 365 * 86_400;
        let records: Vec<Record> = [0, 50 * year_s, 50 * year_s + 30, 50 * year_s + 90]
            .map(|at_s| observation("a", "b", "", at_s, 5))
            .into();
        keep(dir.path(), "a", &records);
        let folder = dir.path().join("a/history");
        let frames = read_frames(&folder);
        let known = |frame: &Matrix| frame.get(0, 1).is_finite();
        let places: Vec<usize> =
            frames.frames.iter().enumerate().filter(|(_, frame)| known(frame)).map(|(at, _)| at).collect();
        assert_eq!(places, [0, 11, 12, 14], "short stretches stay as they are");
        assert_eq!(Source::open(&folder).unwrap().read_losses().unwrap().len(), frames.frames.len());
    }

    #[test]
    fn what_is_no_history_is_named() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("x.trace"), "something else").unwrap();
        std::fs::write(dir.path().join("trace.toml"), "kind = \"records\"").unwrap();
        let error = Source::open(dir.path()).unwrap().read().unwrap_err();
        assert!(error.file.ends_with("x.trace") && error.message.contains("AIREHIST"), "{error}");
    }
}
