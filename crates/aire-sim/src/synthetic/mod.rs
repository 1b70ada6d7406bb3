//! Synthetic meshes with the structure of measured ones, from a seed.
//!
//! A [`Shape`] holds the constants of one kind of network; [`record`] makes the round trips (and loss) that its nodes
//! would have recorded, and [`throughput`] a grid of what one transfer gets between cloud regions. The constants of the
//! shapes were chosen so that [`structure`] says of them what it says of measured sets; where they part is told in
//! `docs/traces.md`.

mod draw;
mod geography;
mod grid;
mod measuring;
mod shape;
pub mod structure;
mod weather;

pub use grid::{Grid, throughput};
pub use measuring::{Recording, record};
pub use shape::{Access, Cluster, Measuring, Routing, Shape, Weather};

#[cfg(test)]
mod tests;
