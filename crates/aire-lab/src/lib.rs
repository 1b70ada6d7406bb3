//! A packet-level network lab for real agents, and the emulated underlay of the demo.
