//! Circuits: negotiation, leases, preamble windows, the carrier pool and the leave loop.
