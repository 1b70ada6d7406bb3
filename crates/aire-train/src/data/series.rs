//! `kind = "series"` and `kind = "capacity"`: one pair or link a file.

use std::path::Path;

use super::columns::Header;
use super::description::{CapacityDescription, SeriesDescription, Word};
use super::error::{Error, read_text};
use super::{moment, pattern};

/// One value over time, of one pair of nodes or one link.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// The file, below the set's folder.
    pub name: String,
    /// What the values are: milliseconds for round trips, else Mbit/s.
    pub quantity: Word,
    /// In the order of the file.
    pub points: Vec<Point>,
}

/// One value of a series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// When, seconds.
    pub time: f64,
    /// Milliseconds or Mbit/s; NaN = missing.
    pub value: f32,
    /// A person saw a change here.
    pub marked: bool,
}

pub(super) fn read(dir: &Path, described: &SeriesDescription) -> Result<Vec<Series>, Error> {
    let files = pattern::files(dir, &described.files)?;
    files.iter().map(|file| read_series(dir, file, described)).collect()
}

fn read_series(dir: &Path, file: &Path, described: &SeriesDescription) -> Result<Series, Error> {
    let text = read_text(file)?;
    let separator = described.separator.get_ref().chars().next().unwrap_or(',');
    let header = Header::read(file, &text, separator)?;
    let (time, value) = (header.column(&described.time)?, header.column(&described.value)?);
    let label = described.label.as_ref().map(|name| header.column(name)).transpose()?;
    let mut points = Vec::new();
    for row in header.rows(&text) {
        let written = row.text(time)?;
        points.push(Point {
            time: moment::parse(written)
                .ok_or_else(|| Error::in_line(file, row.line, moment::fault(written)))?,
            value: described.unit.get_ref().read(row.number(value, &described.value)?, &described.missing),
            marked: match label {
                Some(column) => row.text(column)?.parse::<f64>().is_ok_and(|mark| mark != 0.0),
                None => false,
            },
        });
    }
    Ok(Series { name: name(dir, file), quantity: *described.quantity.get_ref(), points })
}

pub(super) fn read_capacity(dir: &Path, described: &CapacityDescription) -> Result<Vec<Series>, Error> {
    let files = pattern::files(dir, &described.files)?;
    files.iter().map(|file| read_link(dir, file, described)).collect()
}

fn read_link(dir: &Path, file: &Path, described: &CapacityDescription) -> Result<Series, Error> {
    let text = read_text(file)?;
    let mut points = Vec::new();
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let mut numbers = line.split_whitespace().map(str::parse::<f64>);
        let (Some(Ok(time)), Some(Ok(value)), None) = (numbers.next(), numbers.next(), numbers.next()) else {
            let message = format!("`{}` is not `seconds value`, two numbers", line.trim());
            return Err(Error::in_line(file, index + 1, message));
        };
        points.push(Point {
            time,
            value: described.unit.get_ref().read(value, &described.missing),
            marked: false,
        });
    }
    Ok(Series { name: name(dir, file), quantity: *described.quantity.get_ref(), points })
}

fn name(dir: &Path, file: &Path) -> String {
    file.strip_prefix(dir).unwrap_or(file).display().to_string()
}
