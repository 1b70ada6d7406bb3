//! Bytes to messages and back: preambles, stream frames, control messages, probes.
