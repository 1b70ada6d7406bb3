//! Figures from many decisions: quantiles, and intervals by bootstrap over nodes and blocks of time.

mod bootstrap;
mod histogram;

pub use bootstrap::{Cells, Interval, Place, Resample};
pub use histogram::Histogram;
