//! Registries in clusters on a virtual clock.

mod faults;
mod sim;
mod traffic;
