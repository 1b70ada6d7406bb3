//! Tests, checks, lab runs and benchmarks of this repository.
fn main() {}
