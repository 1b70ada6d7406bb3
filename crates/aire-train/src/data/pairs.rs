//! `kind = "pairs"`: one row a pair, and time.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::columns::{Header, Row};
use super::description::{Columns, FILE, PairsDescription};
use super::error::{Error, read_text};
use super::{Frames, Matrix, moment, step};

/// More frames than this are a mistake in the description, not a recording.
const MOST_FRAMES: usize = 100_000;
/// The most numbers that all frames of a set may hold.
const MOST_VALUES: usize = 1 << 30;

struct Entry {
    from: String,
    to: String,
    time: f64,
    value: f32,
}

pub(super) fn read(dir: &Path, name: &str, described: &PairsDescription) -> Result<Frames, Error> {
    let file = dir.join(&described.file);
    let text = read_text(&file)?;
    let entries = entries(&file, &text, described)?;
    let nodes: BTreeSet<&str> = entries.iter().flat_map(|entry| [&*entry.from, &*entry.to]).collect();
    if nodes.len() < 2 {
        return Err(Error::in_file(&file, "has no row between two different nodes"));
    }
    let numbers: BTreeMap<&str, usize> = nodes.iter().enumerate().map(|(n, node)| (*node, n)).collect();
    let step = described.step_s.as_ref().map(|step| *step.get_ref());
    let (places, step_s) = places(&entries, step);
    let count = places.iter().max().map_or(0, |last| last.saturating_add(1));
    if count > MOST_FRAMES || count.saturating_mul(nodes.len() * nodes.len()) > MOST_VALUES {
        let message = format!(
            "has {count} different times for {} nodes: set `step_s` in {FILE} to the length of a frame",
            nodes.len()
        );
        return Err(Error::in_file(&file, message));
    }
    if step.is_none() && is_torn(entries.len(), nodes.len(), count) {
        let message = format!(
            "has {} rows at {count} different times and {} nodes, so that a frame would hold next to nothing: set `step_s` in \
             {FILE} to the seconds in which all pairs were measured once",
            entries.len(),
            nodes.len()
        );
        return Err(Error::in_file(&file, message));
    }
    let mut sums = vec![BTreeMap::<(usize, usize), (f64, u32)>::new(); count];
    for (entry, place) in entries.iter().zip(&places).filter(|(entry, _)| entry.value.is_finite()) {
        let (from, to) = (numbers[&*entry.from], numbers[&*entry.to]);
        let ways = [(from, to), (to, from)];
        for way in ways.into_iter().take(1 + usize::from(described.symmetric)) {
            let (sum, count) = sums[*place].entry(way).or_default();
            *sum += f64::from(entry.value);
            *count += 1;
        }
    }
    Ok(Frames {
        name: name.to_owned(),
        quantity: described.quantity.get_ref().quantity(),
        nodes: nodes.iter().map(|&node| node.to_owned()).collect(),
        step_s,
        symmetric: described.symmetric,
        score_gap: described.score_gap.max(1),
        frames: sums.iter().map(|sums| frame(nodes.len(), sums)).collect(),
    })
}

/// Are rows that belong together frames of their own, because each has its own time? A frame with less than one row for each
/// node holds no second way to anywhere. Two nodes have one pair, and nothing to belong together.
fn is_torn(rows: usize, nodes: usize, frames: usize) -> bool {
    frames > 1 && nodes > 2 && rows < frames.saturating_mul(nodes)
}

/// What was measured more than once within a frame is averaged.
fn frame(size: usize, sums: &BTreeMap<(usize, usize), (f64, u32)>) -> Matrix {
    let mut matrix = Matrix::missing(size);
    for ((from, to), (sum, count)) in sums.iter().filter(|((from, to), _)| from != to) {
        matrix.set(*from, *to, (sum / f64::from(*count)) as f32);
    }
    matrix
}

fn entries(file: &Path, text: &str, described: &PairsDescription) -> Result<Vec<Entry>, Error> {
    let separator = described.separator.get_ref().chars().next().unwrap_or(',');
    let header = Header::read(file, text, separator)?;
    let place = |columns: &Columns| {
        columns.names().iter().map(|name| header.column(name)).collect::<Result<Vec<_>, _>>()
    };
    let (from, to) = (place(&described.from)?, place(&described.to)?);
    let value = header.column(&described.value)?;
    let time = described.time.as_ref().map(|name| header.column(name)).transpose()?;
    let node = |row: &Row<'_>, columns: &[usize]| {
        let parts = columns.iter().map(|column| row.text(*column)).collect::<Result<Vec<_>, _>>()?;
        Ok::<_, Error>(parts.join("/"))
    };
    let mut entries = Vec::new();
    for row in header.rows(text) {
        let number = row.number(value, &described.value)?;
        let time = time.map_or(Ok(0.0), |column| {
            let text = row.text(column)?;
            moment::parse(text).ok_or_else(|| Error::in_line(row.file, row.line, moment::fault(text)))
        })?;
        let value = described.unit.get_ref().read(number, &described.missing);
        entries.push(Entry { from: node(&row, &from)?, to: node(&row, &to)?, time, value });
    }
    Ok(entries)
}

/// The frame of each entry, and the length of a frame: as given, else the median distance of the different times.
fn places(entries: &[Entry], step: Option<f64>) -> (Vec<usize>, f64) {
    let mut times: Vec<f64> = entries.iter().map(|entry| entry.time).collect();
    times.sort_by(f64::total_cmp);
    times.dedup();
    let first = times.first().copied().unwrap_or(0.0);
    if let Some(step) = step {
        let place = |entry: &Entry| step::place(entry.time - first, step);
        return (entries.iter().map(place).collect(), step);
    }
    let mut steps: Vec<f64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    steps.sort_by(f64::total_cmp);
    let step = steps.get(steps.len() / 2).copied().unwrap_or(1.0);
    let place = |entry: &Entry| times.partition_point(|time| *time < entry.time);
    (entries.iter().map(place).collect(), step)
}
