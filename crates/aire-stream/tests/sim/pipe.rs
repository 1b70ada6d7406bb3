use std::time::Duration;

use aire_types::Time;

/// One direction of a TCP connection: ordered and reliable, until it is cut.
#[derive(Clone)]
pub(crate) struct Pipe {
    /// Bytes a second.
    pub(crate) rate: u64,
    pub(crate) latency: Duration,
    /// Bytes that wait here beyond those on the way make it unwritable.
    pub(crate) buffer: Duration,
    free_at: Time,
    last_arrival: Time,
    cut: bool,
    /// What it took since it was cut.
    swallowed: usize,
}

/// What a socket takes though nothing arrives any more.
const SWALLOW: usize = 128 * 1024;

impl Pipe {
    pub(crate) fn new(rate: u64, latency: Duration) -> Self {
        Pipe {
            rate,
            latency,
            buffer: Duration::from_millis(20),
            free_at: Time::ZERO,
            last_arrival: Time::ZERO,
            cut: false,
            swallowed: 0,
        }
    }

    /// From now on everything vanishes, and nobody is told.
    pub(crate) fn cut(&mut self) {
        self.cut = true;
    }

    pub(crate) fn is_cut(&self) -> bool {
        self.cut
    }

    /// When it takes more bytes; `None` for never.
    pub(crate) fn writable_at(&self, now: Time) -> Option<Time> {
        if self.cut {
            return (self.swallowed < SWALLOW).then_some(now);
        }
        Some((self.free_at - self.buffer).max(now))
    }

    /// Takes bytes; when they arrive, or `None` if they never do.
    pub(crate) fn send(&mut self, now: Time, bytes: usize) -> Option<Time> {
        if self.cut {
            self.swallowed += bytes;
            return None;
        }
        let serialised = Duration::from_micros(bytes as u64 * 1_000_000 / self.rate);
        self.free_at = self.free_at.max(now) + serialised;
        self.last_arrival = self.last_arrival.max(self.free_at + self.latency);
        Some(self.last_arrival)
    }
}
