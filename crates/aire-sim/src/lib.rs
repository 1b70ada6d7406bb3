//! Networks that exist in numbers alone: synthetic meshes, and simulation in virtual time.

pub mod synthetic;
