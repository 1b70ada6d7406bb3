//! Synthetic meshes with the structure of measured ones.

pub mod structure;
