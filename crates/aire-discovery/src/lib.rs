//! Finding other agents: multicast DNS, seeds and the peer cache.
