//! Recorded measurements, and how a folder of them is read.
//!
//! A folder says in its `trace.toml` what it holds ([`Description`]); every error has the file, the line and what to do. A new
//! kind of recording is one more variant of [`Description`] and one more arm in [`Source::read`].

mod columns;
mod description;
mod error;
mod frames;
mod histories;
mod import;
mod matrix;
mod moment;
mod pairs;
mod pattern;
mod records;
mod series;
mod step;
mod unit;

pub use description::{
    CapacityDescription, Columns, Description, FramesDescription, PairsDescription, RecordsDescription,
    SeriesDescription, Word,
};
pub use error::Error;
pub use histories::{Histories, histories};
pub use import::{Recording, Source, folders, name, sources};
pub use matrix::Matrix;
pub use series::{Point, Series};
pub use unit::Unit;

/// What was measured between the nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantity {
    /// Round trip, milliseconds; less is better, and a path has the sum of its legs.
    Rtt,
    /// Throughput, Mbit/s; more is better, and a path has the least of its legs.
    Throughput,
}

impl Quantity {
    /// The value of a path over one relay, from those of its legs; NaN where a leg is missing.
    pub fn join(self, first: f32, second: f32) -> f32 {
        match self {
            Quantity::Rtt => first + second,
            // `f32::min` would drop a missing leg
            Quantity::Throughput if first.is_nan() || second.is_nan() => f32::NAN,
            Quantity::Throughput => first.min(second),
        }
    }

    /// Is `a` better than `b`? False where one is missing.
    pub fn better(self, a: f32, b: f32) -> bool {
        match self {
            Quantity::Rtt => a < b,
            Quantity::Throughput => a > b,
        }
    }

    /// The unit of the values.
    pub fn unit(self) -> &'static str {
        match self {
            Quantity::Rtt => "ms",
            Quantity::Throughput => "Mbit/s",
        }
    }
}

/// One quantity between all pairs of nodes, measured again and again.
#[derive(Clone, Debug, PartialEq)]
pub struct Frames {
    /// Of the set, for reports.
    pub name: String,
    /// What the values are.
    pub quantity: Quantity,
    /// The nodes, in the order of rows and columns.
    pub nodes: Vec<String>,
    /// From one frame to the next, seconds.
    pub step_s: f64,
    /// The two ways between two nodes are one measurement: to know one is to know the other.
    pub symmetric: bool,
    /// How many frames a scored frame lies after the last one that a decision may rest on, at least.
    pub score_gap: usize,
    /// In order of time.
    pub frames: Vec<Matrix>,
}
