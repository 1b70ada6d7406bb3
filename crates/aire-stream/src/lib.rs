//! Associations and streams: application bytes that survive the death of a path.
