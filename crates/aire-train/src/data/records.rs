//! `kind = "records"`: what agents recorded, of one or of many.
//!
//! Round trips on direct paths fill the matrix. What an agent measured over one relay is the sum of its legs, so where
//! nobody recorded the second leg, the sum less the first leg stands there: then the matrix gives back what was measured.

use std::collections::BTreeMap;
use std::path::Path;

use aire_trace::{MAX_SEGMENT, Observation, Origin, Record, Segment};
use aire_types::NodeName;

use super::description::{FILE, RecordsDescription};
use super::error::Error;
use super::{Frames, Matrix, Quantity, pattern};

/// More frames than this are a mistake in the description, not a recording.
const MOST_FRAMES: usize = 1_000_000;
/// The most numbers that all frames of a set may hold.
const MOST_VALUES: usize = 1 << 30;
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
    let Some((first, count)) = grid(&list, step_s) else {
        let message = format!("the recorded history has no {} yet", word(quantity));
        return Err(Error::in_file(dir, message));
    };
    let place = |at_ms: u64| ((at_ms - first) as f64 / 1000.0 / step_s) as usize;
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
        let (now, later) = rest.split_at(rest.partition_point(|entry| place(entry.at_ms) <= at));
        frames.push(frame(numbers.len(), quantity, now));
        rest = later;
    }
    let held = hold(&mut frames, (described.hold_s / step_s).round().min(count as f64) as usize);
    let nodes = names(numbers);
    let (symmetric, score_gap) = (false, described.score_gap.max(1 + held));
    Ok(Frames { name: name.to_owned(), quantity, nodes, step_s, symmetric, score_gap, frames })
}

/// The first moment, and the number of frames from there on; `None` where there is nothing.
fn grid(list: &[Entry], step_s: f64) -> Option<(u64, usize)> {
    let (first, last) = (list.iter().map(|e| e.at_ms).min()?, list.iter().map(|e| e.at_ms).max()?);
    Some((first, ((last - first) as f64 / 1000.0 / step_s) as usize + 1))
}

/// Losses on direct paths, in the frames of the round trips.
pub(super) fn read_losses(dir: &Path, described: &RecordsDescription) -> Result<Vec<Matrix>, Error> {
    let step_s = *described.step_s.get_ref();
    let mut entries = Entries::default();
    for file in pattern::files(dir, &described.files)? {
        read_segment(&file, Quantity::Rtt, &mut entries)?;
    }
    let Some((first, count)) = grid(&entries.list, step_s) else { return Ok(Vec::new()) };
    let mut means: Vec<Means> = Vec::new();
    means.resize_with(count.min(MOST_FRAMES), Means::default);
    for entry in entries.losses.iter().filter(|entry| entry.at_ms >= first) {
        let place = ((entry.at_ms - first) as f64 / 1000.0 / step_s) as usize;
        if let Some(means) = means.get_mut(place) {
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

/// Lets values stand for so many frames until they are measured anew; gives the number of frames back.
fn hold(frames: &mut [Matrix], most: usize) -> usize {
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
    most
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
    fn what_is_no_history_is_named() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("x.trace"), "something else").unwrap();
        std::fs::write(dir.path().join("trace.toml"), "kind = \"records\"").unwrap();
        let error = Source::open(dir.path()).unwrap().read().unwrap_err();
        assert!(error.file.ends_with("x.trace") && error.message.contains("AIREHIST"), "{error}");
    }
}
