//! What the agents of one mesh recorded, as training takes it: many folders, few nodes, ways that are measured seldom.
//!
//! A replay takes a missing value for a lost probe. In a history most missing values are ways that nobody looked at in that
//! span, so there a value stands until it is measured anew; what is judged afterwards are fresh measurements alone.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::error::Error;
use super::records::{Entries, Entry, Silence, frame, names, read_segment};
use super::{Frames, Matrix, Quantity, pattern};

/// A value that is not measured anew stands for so long, or for [`HELD_FRAMES`], whichever is longer; milliseconds.
const HELD_MS: u64 = 600_000;
const HELD_FRAMES: u64 = 20;
/// Fewer frames than this teach nothing: a third of them judges.
const LEAST_FRAMES: usize = 20;
/// From, to and a relay.
const LEAST_NODES: usize = 3;
/// The numbers that all frames may hold; of longer histories the newest part is taken.
const MOST_VALUES: usize = 1 << 24;
/// Of the ways that are ever measured so many are known when the first frame begins, unless that takes half of the time.
const KNOWN: f64 = 0.9;
/// Where agents do not say how long their spans are, milliseconds.
const SPAN_MS: u32 = 30_000;

/// The recorded history of the agents of one mesh.
#[derive(Clone, Debug, PartialEq)]
pub struct Histories {
    /// What a prober would have seen: a value stands until it is measured anew, an answer stays out, or it is too old.
    pub seen: Frames,
    /// What was measured within each frame, and nothing else.
    pub measured: Frames,
}

/// All history in and below these folders, as one set: `STATE/history` of one agent, its `STATE`, or a folder with those of
/// several agents.
///
/// # Errors
/// A folder cannot be read or holds no history, or there is too little to learn from; says what is missing.
pub fn histories(dirs: &[PathBuf]) -> Result<Histories, Error> {
    let mut entries = Entries::default();
    for file in segments(dirs)? {
        read_segment(&file, Quantity::Rtt, &mut entries)?;
    }
    let place = dirs.first().map_or(Path::new(""), PathBuf::as_path);
    assemble(entries).map_err(|message| Error::in_file(place, message))
}

fn segments(dirs: &[PathBuf]) -> Result<BTreeSet<PathBuf>, Error> {
    let mut all = BTreeSet::new();
    for dir in dirs {
        let found = pattern::matching(dir, "**/*.trace")?;
        if found.is_empty() {
            let message = "holds no history (files that end in .trace): name the folder STATE/history of an agent, or one \
                above those of several";
            return Err(Error::in_file(dir, message));
        }
        // the same folder may be named twice, and once through a link
        all.extend(found.into_iter().map(|file| file.canonicalize().unwrap_or(file)));
    }
    Ok(all)
}

fn assemble(entries: Entries) -> Result<Histories, String> {
    let Entries { numbers, list, silences, mut spans_ms, .. } = entries;
    spans_ms.sort_unstable();
    let step_ms = spans_ms.get(spans_ms.len() / 2).copied().filter(|span| *span > 0).unwrap_or(SPAN_MS);
    let step_ms = u64::from(step_ms);
    let nodes = names(numbers);
    if nodes.len() < LEAST_NODES {
        let known = if nodes.is_empty() { "no node".to_owned() } else { nodes.join(" and ") };
        return Err(format!(
            "the history knows {known}, and a choice needs a node that reaches an app, the app's node and a relay"
        ));
    }
    let mut grid = Grid::new(step_ms, list, silences);
    grid.keep_newest(MOST_VALUES / (nodes.len() * nodes.len()).max(1));
    let measured = grid.measured(nodes.len());
    let seen = grid.seen(&measured);
    let begin = beginning(&seen);
    let frames = measured.len() - begin;
    if frames < LEAST_FRAMES {
        let step_s = step_ms as f64 / 1000.0;
        let missing = ((LEAST_FRAMES - frames) as f64 * step_s / 60.0).ceil().max(1.0);
        return Err(format!(
            "the history holds {frames} spans of {step_s} s in which most of its ways are known, and {LEAST_FRAMES} are needed: \
             record for {missing:.0} min more (shorter spans: [history] span_s)"
        ));
    }
    if !has_choice(&measured[begin..]) {
        return Err("nothing in the history was measured both directly and over a relay: let agents run that reach an app \
            (--to, or usual destinations in the app's profile) while a relay runs, and give their histories"
            .to_owned());
    }
    let set = |mut frames: Vec<Matrix>, nodes: Vec<String>| Frames {
        name: format!("history of {} nodes", nodes.len()),
        quantity: Quantity::Rtt,
        nodes,
        step_s: step_ms as f64 / 1000.0,
        symmetric: false,
        score_gap: 1,
        frames: frames.split_off(begin),
    };
    Ok(Histories { seen: set(seen, nodes.clone()), measured: set(measured, nodes) })
}

/// Entries by the frame that they lie in. Frames in which nobody recorded anything do not exist.
struct Grid {
    step_ms: u64,
    frames: BTreeMap<u64, (Vec<Entry>, Vec<Silence>)>,
}

impl Grid {
    fn new(step_ms: u64, list: Vec<Entry>, silences: Vec<Silence>) -> Self {
        let mut frames: BTreeMap<u64, (Vec<Entry>, Vec<Silence>)> = BTreeMap::new();
        for entry in list {
            frames.entry(entry.at_ms / step_ms).or_default().0.push(entry);
        }
        for silence in silences {
            frames.entry(silence.at_ms / step_ms).or_default().1.push(silence);
        }
        Grid { step_ms, frames }
    }

    fn keep_newest(&mut self, most: usize) {
        while self.frames.len() > most.max(LEAST_FRAMES) {
            self.frames.pop_first();
        }
    }

    fn measured(&self, nodes: usize) -> Vec<Matrix> {
        self.frames.values().map(|(entries, _)| frame(nodes, Quantity::Rtt, entries)).collect()
    }

    /// The same with values that stand until they are measured anew.
    fn seen(&self, measured: &[Matrix]) -> Vec<Matrix> {
        let size = measured.first().map_or(0, Matrix::size);
        let held = (HELD_MS / self.step_ms).max(HELD_FRAMES);
        let mut last: Vec<(f32, u64)> = vec![(f32::NAN, 0); size * size];
        let mut all = Vec::with_capacity(measured.len());
        for ((number, (_, silences)), fresh) in self.frames.iter().zip(measured) {
            for silence in silences {
                last[silence.from * size + silence.to] = (f32::NAN, *number);
            }
            let mut seen = Matrix::missing(size);
            for way in (0..size * size).filter(|way| way / size != way % size) {
                let (from, to) = (way / size, way % size);
                let value = fresh.get(from, to);
                if value.is_finite() {
                    last[way] = (value, *number);
                }
                let (value, since) = last[way];
                if value.is_finite() && number - since <= held {
                    seen.set(from, to, value);
                }
            }
            all.push(seen);
        }
        all
    }
}

fn known(frame: &Matrix) -> usize {
    let size = frame.size();
    let ways = (0..size * size).filter(|way| way / size != way % size);
    ways.filter(|way| frame.get(way / size, way % size).is_finite()).count()
}

/// The first frame in which most ways are known, if that comes within the first half.
fn beginning(seen: &[Matrix]) -> usize {
    let most = seen.iter().map(known).max().unwrap_or(0) as f64;
    let first = seen.iter().position(|frame| known(frame) as f64 >= KNOWN * most).unwrap_or(0);
    first.min(seen.len() / 2)
}

/// Is there a way whose direct path and whose path over some relay were measured in one frame?
fn has_choice(measured: &[Matrix]) -> bool {
    measured.iter().any(|frame| {
        let size = frame.size();
        let ways = (0..size * size).map(|way| (way / size, way % size));
        ways.filter(|&(from, to)| from != to && frame.get(from, to).is_finite()).any(|(from, to)| {
            (0..size)
                .filter(|relay| *relay != from && *relay != to)
                .any(|relay| frame.get(from, relay).is_finite() && frame.get(relay, to).is_finite())
        })
    })
}

#[cfg(test)]
#[path = "histories_tests.rs"]
mod tests;
