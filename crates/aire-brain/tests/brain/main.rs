//! The brain as its callers see it, in virtual time.

mod model;
mod probing;
mod profiles;
mod rule;
mod scouts;
mod simulation;
mod world;
