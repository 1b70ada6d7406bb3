//! `trace.toml`: what a folder of recordings holds.

use std::path::Path;

use serde::Deserialize;
use toml::Spanned;
use toml::de::DeTable;

use super::error::{Error, read_text};
use super::{Quantity, Unit};

/// The name of the file that describes a folder.
pub(super) const FILE: &str = "trace.toml";

/// Keys that hold words for people: no kind reads them.
const WORDS: [&str; 5] = ["source", "license", "description", "url", "notes"];

/// What a folder of recordings holds, by its `kind`.
#[derive(Clone, Debug, PartialEq)]
pub enum Description {
    /// One matrix a file.
    Frames(FramesDescription),
    /// One row a pair, and time.
    Pairs(PairsDescription),
    /// What agents recorded.
    Records(RecordsDescription),
    /// One pair a file, one row a time.
    Series(SeriesDescription),
    /// One link a file, `seconds value` a line.
    Capacity(CapacityDescription),
}

/// `kind = "frames"`: one matrix of numbers a file, row = from, column = to.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FramesDescription {
    #[serde(rename = "kind")]
    _kind: String,
    /// Pattern of the files' names; `{n}` is the frame's number.
    pub files: String,
    /// What the numbers are.
    pub quantity: Spanned<Word>,
    /// In which unit.
    pub unit: Spanned<Unit>,
    /// From one frame to the next, seconds.
    pub step_s: Spanned<f64>,
    /// Numbers that mean *missing*, in the file's unit; the diagonal needs none.
    #[serde(default)]
    pub missing: Vec<f64>,
    /// The two ways between two nodes are one measurement.
    #[serde(default)]
    pub symmetric: bool,
    /// Frames from the last input of a decision to the scored one.
    #[serde(default = "one")]
    pub score_gap: usize,
}

/// `kind = "pairs"`: one row a pair, and time where `time` names a column.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PairsDescription {
    #[serde(rename = "kind")]
    _kind: String,
    /// The file; its first line has the columns' names.
    pub file: String,
    /// Between columns.
    #[serde(default = "comma")]
    pub separator: Spanned<String>,
    /// Columns that together name the node that a row is from.
    pub from: Columns,
    /// Columns that together name the node that a row is to.
    pub to: Columns,
    /// Column of the time: seconds, or a date; without it all rows are one frame.
    pub time: Option<String>,
    /// Length of a frame, seconds. Without it each different time is a frame.
    pub step_s: Option<Spanned<f64>>,
    /// What the numbers are.
    pub quantity: Spanned<Word>,
    /// Column of the numbers.
    pub value: String,
    /// Their unit.
    pub unit: Spanned<Unit>,
    /// Numbers that mean *missing*, in the file's unit.
    #[serde(default)]
    pub missing: Vec<f64>,
    /// The two ways between two nodes are one measurement.
    #[serde(default)]
    pub symmetric: bool,
    /// Frames from the last input of a decision to the scored one.
    #[serde(default = "one")]
    pub score_gap: usize,
}

/// `kind = "records"`: the history that agents keep, of one or of many.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordsDescription {
    #[serde(rename = "kind")]
    _kind: String,
    /// Pattern of the segments' names.
    #[serde(default = "segments")]
    pub files: String,
    /// Which of the recorded values.
    #[serde(default = "rtt")]
    pub quantity: Spanned<Word>,
    /// Length of a frame, seconds.
    #[serde(default = "half_a_minute")]
    pub step_s: Spanned<f64>,
    /// So long a value stands until it is measured anew, seconds; what is scored lies as far behind.
    #[serde(default)]
    pub hold_s: f64,
    /// Values that mean *missing*, milliseconds or Mbit/s.
    #[serde(default)]
    pub missing: Vec<f64>,
    /// Frames from the last input of a decision to the scored one.
    #[serde(default = "one")]
    pub score_gap: usize,
}

/// `kind = "series"`: one pair a file, one row a time.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeriesDescription {
    #[serde(rename = "kind")]
    _kind: String,
    /// Pattern of the files' names.
    pub files: String,
    /// Between columns.
    #[serde(default = "comma")]
    pub separator: Spanned<String>,
    /// Column of the time: seconds, or a date.
    pub time: String,
    /// What the numbers are.
    pub quantity: Spanned<Word>,
    /// Column of the numbers.
    pub value: String,
    /// Their unit.
    pub unit: Spanned<Unit>,
    /// Numbers that mean *missing*, in the file's unit.
    #[serde(default)]
    pub missing: Vec<f64>,
    /// Column that is 1 where a person saw a change.
    pub label: Option<String>,
    /// From one row to the next, seconds.
    pub step_s: Option<Spanned<f64>>,
}

/// `kind = "capacity"`: one link a file, seconds and value in each line.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CapacityDescription {
    #[serde(rename = "kind")]
    _kind: String,
    /// Pattern of the files' names.
    pub files: String,
    /// What the numbers are.
    pub quantity: Spanned<Word>,
    /// Their unit.
    pub unit: Spanned<Unit>,
    /// Numbers that mean *missing*, in the file's unit.
    #[serde(default)]
    pub missing: Vec<f64>,
}

/// A quantity as descriptions name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Word {
    /// Round trip.
    Rtt,
    /// What a transfer gets.
    Throughput,
    /// What a link can carry.
    Capacity,
}

/// One column's name or several.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged, expecting = "a column's name or a list of names")]
pub enum Columns {
    /// One.
    One(String),
    /// Several, joined by `/`.
    Several(Vec<String>),
}

impl Columns {
    /// Their names.
    pub fn names(&self) -> &[String] {
        match self {
            Columns::One(name) => std::slice::from_ref(name),
            Columns::Several(names) => names,
        }
    }
}

fn one() -> usize {
    1
}

fn comma() -> Spanned<String> {
    Spanned::new(0..0, ",".to_owned())
}

fn segments() -> String {
    "**/*.trace".to_owned()
}

fn rtt() -> Spanned<Word> {
    Spanned::new(0..0, Word::Rtt)
}

fn half_a_minute() -> Spanned<f64> {
    Spanned::new(0..0, 30.0)
}

/// The words that `kind` may be.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Frames,
    Pairs,
    Records,
    Series,
    Capacity,
}

#[derive(Deserialize)]
struct Head {
    kind: Kind,
}

impl Description {
    /// Reads `dir/trace.toml`.
    ///
    /// # Errors
    /// Where the file cannot be read, has a key that its kind does not know, lacks one, or has a value that makes no
    /// sense; with the line.
    pub fn read(dir: &Path) -> Result<Self, Error> {
        let file = dir.join(FILE);
        let text = read_text(&file)?;
        Self::parse(&text).map_err(|(line, message)| Error { file, line, message })
    }

    fn parse(text: &str) -> Result<Self, (Option<usize>, String)> {
        let head: Head = read(text)?;
        let described = match head.kind {
            Kind::Frames => Description::Frames(read(text)?),
            Kind::Pairs => Description::Pairs(read(text)?),
            Kind::Records => Description::Records(read(text)?),
            Kind::Series => Description::Series(read(text)?),
            Kind::Capacity => Description::Capacity(read(text)?),
        };
        described.check(text)?;
        Ok(described)
    }

    /// Are there single pairs or links, so that nothing is to choose?
    pub fn is_single_links(&self) -> bool {
        matches!(self, Description::Series(_) | Description::Capacity(_))
    }

    /// What `kind` says.
    pub fn kind(&self) -> &'static str {
        match self {
            Description::Frames(_) => "frames",
            Description::Pairs(_) => "pairs",
            Description::Records(_) => "records",
            Description::Series(_) => "series",
            Description::Capacity(_) => "capacity",
        }
    }

    /// Values that are of the right type and make no sense.
    fn check(&self, text: &str) -> Result<(), (Option<usize>, String)> {
        let (word, unit, step, separator) = match self {
            Description::Frames(d) => (&d.quantity, Some(&d.unit), Some(&d.step_s), None),
            Description::Pairs(d) => (&d.quantity, Some(&d.unit), d.step_s.as_ref(), Some(&d.separator)),
            Description::Records(d) => (&d.quantity, None, Some(&d.step_s), None),
            Description::Series(d) => (&d.quantity, Some(&d.unit), d.step_s.as_ref(), Some(&d.separator)),
            Description::Capacity(d) => (&d.quantity, Some(&d.unit), None, None),
        };
        let in_line = |at: usize, message: String| Err((Some(line_of(text, at)), message));
        let fits = |unit: &Spanned<Unit>| unit.get_ref().is_time() == (*word.get_ref() == Word::Rtt);
        if let Some(unit) = unit.filter(|unit| !fits(unit)) {
            let right = if *word.get_ref() == Word::Rtt { "us, ms or s" } else { "bit/s to Gbit/s" };
            return in_line(unit.span().start, format!("this unit does not fit the quantity: use {right}"));
        }
        let paired = !self.is_single_links();
        if paired && *word.get_ref() == Word::Capacity {
            return in_line(word.span().start, "between pairs there is `rtt` or `throughput`".to_owned());
        }
        if let Some(step) = step.filter(|step| !(step.get_ref().is_finite() && *step.get_ref() > 0.0)) {
            return in_line(step.span().start, "`step_s` must be more than 0 seconds".to_owned());
        }
        if let Some(separator) = separator.filter(|separator| separator.get_ref().chars().count() != 1) {
            return in_line(separator.span().start, "`separator` must be one character".to_owned());
        }
        Ok(())
    }
}

impl Word {
    /// The quantity between pairs.
    pub(super) fn quantity(self) -> Quantity {
        match self {
            Word::Rtt => Quantity::Rtt,
            Word::Throughput | Word::Capacity => Quantity::Throughput,
        }
    }
}

fn read<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, (Option<usize>, String)> {
    let fault = |error: toml::de::Error| {
        let line = error.span().map(|span| line_of(text, span.start));
        let message = error.message().trim().replace('\n', ", ");
        let plain = message
            .replace("expected f64", "expected a number")
            .replace("expected usize", "expected a count");
        (line, plain)
    };
    let mut table = DeTable::parse(text).map_err(fault)?;
    for word in WORDS {
        table.get_mut().remove(word);
    }
    T::deserialize(toml::Deserializer::from(table)).map_err(fault)
}

fn line_of(text: &str, at: usize) -> usize {
    1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAMES: &str =
        "kind = \"frames\"\nfiles = \"F_{n}\"\nquantity = \"rtt\"\nunit = \"ms\"\nstep_s = 5\n";

    fn fault(text: &str) -> (Option<usize>, String) {
        Description::parse(text).unwrap_err()
    }

    #[test]
    fn a_description_has_defaults() {
        let Description::Frames(frames) = Description::parse(FRAMES).unwrap() else { panic!("frames") };
        assert_eq!((frames.score_gap, frames.symmetric, frames.missing.len()), (1, false, 0));
        let one =
            "kind='pairs'\nfile='f'\nfrom='a'\nto=['b','c']\nquantity='throughput'\nvalue='v'\nunit='bit/s'";
        let Description::Pairs(pairs) = Description::parse(one).unwrap() else { panic!("pairs") };
        assert_eq!((pairs.from.names().len(), pairs.to.names().len()), (1, 2));
        assert_eq!(pairs.separator.get_ref(), ",");
    }

    #[test]
    fn words_for_people_are_no_fault_and_every_kind_has_missing_values() {
        let words = "source = 'a paper'\nlicense = 'CC0'\ndescription = 'x'\nurl = 'y'\nnotes = ['a', 'b']\n";
        for rest in [
            "kind='frames'\nfiles='*'\nquantity='rtt'\nunit='ms'\nstep_s=1",
            "kind='pairs'\nfile='f'\nfrom='a'\nto='b'\nquantity='rtt'\nvalue='v'\nunit='ms'",
            "kind='series'\nfiles='*'\ntime='t'\nquantity='rtt'\nvalue='v'\nunit='ms'",
            "kind='capacity'\nfiles='*'\nquantity='capacity'\nunit='Mbit/s'",
            "kind='records'",
        ] {
            Description::parse(&format!("{words}missing=[0.0]\n{rest}")).unwrap();
        }
        let (line, message) = fault(&format!("{words}{FRAMES}comment = 'x'"));
        assert!(line == Some(11) && message.contains("comment"), "{line:?} {message}");
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let (line, message) = fault(&format!("{FRAMES}steps = 5"));
        assert!(line == Some(6) && message.contains("steps"), "{line:?} {message}");
        let (line, message) = fault(&FRAMES.replace("step_s = 5", "step_s = \"5\""));
        assert!(line == Some(5) && message.contains("expected a number"), "{line:?} {message}");
        let (line, message) = fault(&FRAMES.replace("step_s = 5", "step_s = 0"));
        assert!(line == Some(5) && message.contains("more than 0"), "{line:?} {message}");
        let (line, message) = fault(&FRAMES.replace("\"ms\"", "\"bit/s\""));
        assert!(line == Some(4) && message.contains("us, ms or s"), "{line:?} {message}");
        let (line, message) = fault(&FRAMES.replace("\"frames\"", "\"films\""));
        assert!(line == Some(1) && message.contains("frames") && message.contains("capacity"), "{message}");
        let (_, message) = fault(&FRAMES.replace("files = \"F_{n}\"", ""));
        assert!(message.contains("files"), "{message}");
        let (line, message) = fault("kind = frames");
        assert!(line == Some(1) && !message.is_empty());
    }
}
