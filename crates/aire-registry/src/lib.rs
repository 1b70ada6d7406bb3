//! Membership and signed profile records: merge, expiry, precedence.
