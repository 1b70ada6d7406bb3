//! `kind = "frames"`: one matrix a file.

use std::path::Path;

use super::columns::number;
use super::description::FramesDescription;
use super::error::{Error, read_text};
use super::{Frames, Matrix, Unit, pattern};

pub(super) fn read(dir: &Path, name: &str, described: &FramesDescription) -> Result<Frames, Error> {
    let mut frames: Vec<Matrix> = Vec::new();
    for file in pattern::files(dir, &described.files)? {
        let frame = read_frame(&file, *described.unit.get_ref(), &described.missing)?;
        if let Some(first) = frames.first().filter(|first| first.size() != frame.size()) {
            let message = format!(
                "has {} nodes and the frames before it {}: all frames of a set have the same nodes",
                frame.size(),
                first.size()
            );
            return Err(Error::in_file(&file, message));
        }
        frames.push(frame);
    }
    let size = frames.first().map_or(0, Matrix::size);
    Ok(Frames {
        name: name.to_owned(),
        quantity: described.quantity.get_ref().quantity(),
        nodes: (0..size).map(|node| node.to_string()).collect(),
        step_s: *described.step_s.get_ref(),
        symmetric: described.symmetric,
        score_gap: described.score_gap.max(1),
        frames,
    })
}

fn read_frame(file: &Path, unit: Unit, missing: &[f64]) -> Result<Matrix, Error> {
    let text = read_text(file)?;
    let lines = || text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let rows = lines().count();
    let mut values = Vec::with_capacity(rows * rows);
    let mut size = 0;
    for (index, line) in lines() {
        let before = values.len();
        for word in words(line, rows) {
            let value = number(word).ok_or_else(|| {
                Error::in_line(file, index + 1, format!("`{word}` is no number: a row has one for each node"))
            })?;
            values.push(unit.read(value, missing));
        }
        let width = values.len() - before;
        if before == 0 {
            size = width;
        } else if width != size {
            let message =
                format!("has {width} numbers and the first row {size}: a row has one for each node");
            return Err(Error::in_line(file, index + 1, message));
        }
    }
    let message = || format!("has {rows} rows of {size} numbers: a frame has as many rows as columns");
    if size < 2 {
        return Err(Error::in_file(file, message()));
    }
    Matrix::from_rows(size, values).ok_or_else(|| Error::in_file(file, message()))
}

/// The cells of one line of so many rows. Between commas or semicolons a cell may be empty; behind the last one there is none
/// where the line is whole without it.
fn words(line: &str, rows: usize) -> Vec<&str> {
    if !line.contains([',', ';']) {
        return line.split_whitespace().collect();
    }
    let mut words: Vec<&str> = line.split([',', ';']).map(str::trim).collect();
    if words.len() == rows + 1 && words.last() == Some(&"") {
        words.pop();
    }
    words
}
