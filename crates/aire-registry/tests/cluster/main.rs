//! Registries in clusters on a virtual clock.

mod faults;
mod notices;
mod sim;
mod traffic;
