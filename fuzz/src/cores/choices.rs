//! An input as a sequence of choices.

use std::time::Duration;

use aire_types::{AppName, Class, NodeName, Path, Protocol, Time};
use arbitrary::Unstructured;

/// Nodes that occur.
pub(super) const NODES: [&str; 6] = ["a", "b", "d", "r1", "r2", "r3"];

/// What is left of the input. When nothing is, every choice is the first one.
pub(super) struct Choices<'a>(Unstructured<'a>);

impl<'a> Choices<'a> {
    pub(super) fn new(input: &'a [u8]) -> Self {
        Choices(Unstructured::new(input))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many bytes are left.
    pub(super) fn left(&self) -> usize {
        self.0.len()
    }

    /// A number below `end`, which is at most 65,536.
    pub(super) fn below(&mut self, end: usize) -> usize {
        self.0.int_in_range(0..=end.saturating_sub(1)).unwrap_or_default()
    }

    pub(super) fn byte(&mut self) -> u8 {
        self.0.arbitrary().unwrap_or_default()
    }

    pub(super) fn chance(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    pub(super) fn number(&mut self) -> u64 {
        match self.byte() % 6 {
            0 => u64::MAX >> (self.byte() % 64),
            1 => 1 << (self.byte() % 64),
            2 => self.0.arbitrary().unwrap_or_default(),
            3 => self.0.arbitrary::<u16>().unwrap_or_default().into(),
            _ => self.byte().into(),
        }
    }

    pub(super) fn float(&mut self) -> f64 {
        match self.byte() % 6 {
            0 => f64::NAN,
            1 => f64::INFINITY,
            2 => self.0.arbitrary().unwrap_or_default(),
            3 => -1.0,
            _ => f64::from(self.byte()) / 100.0,
        }
    }

    pub(super) fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    pub(super) fn bytes(&mut self, most: usize) -> Vec<u8> {
        let length = self.below(most + 1).min(self.0.len());
        self.0.bytes(length).map(<[u8]>::to_vec).unwrap_or_default()
    }

    pub(super) fn node(&mut self) -> NodeName {
        node(self.of(&NODES))
    }

    pub(super) fn app(&mut self) -> AppName {
        app(self.of(&["d", "b", "x"]))
    }

    pub(super) fn class(&mut self) -> Class {
        self.of(&[Class::Interactive, Class::Bulk, Class::Critical])
    }

    pub(super) fn protocol(&mut self) -> Protocol {
        self.of(&[Protocol::Tcp, Protocol::Udp])
    }

    pub(super) fn path(&mut self) -> Path {
        let relays = (0..self.below(3)).map(|_| self.node()).collect();
        Path::new(relays).unwrap_or_default()
    }

    pub(super) fn duration(&mut self) -> Duration {
        match self.byte() % 8 {
            0 => Duration::ZERO,
            1 => Duration::from_micros(1),
            2 => Duration::from_micros(self.number()),
            3 => Duration::from_secs(self.byte().into()),
            _ => Duration::from_millis(self.byte().into()),
        }
    }

    /// A moment around `now`.
    pub(super) fn moment(&mut self, now: Time) -> Time {
        match self.byte() % 8 {
            0 => Time::ZERO,
            1 => Time::NEVER,
            2 | 3 => now + self.duration(),
            _ => now - self.duration(),
        }
    }

    /// How much time passes before the next step.
    pub(super) fn step(&mut self) -> Duration {
        match self.byte() % 16 {
            0 => Duration::from_secs(self.byte().into()),
            1 => Duration::from_secs(60 * u64::from(self.byte())),
            2..8 => Duration::from_millis(self.byte().into()),
            _ => Duration::ZERO,
        }
    }
}

pub(super) fn node(name: &str) -> NodeName {
    NodeName::new(name).expect("invariant: a name")
}

pub(super) fn app(name: &str) -> AppName {
    AppName::new(name).expect("invariant: a name")
}

/// Follows a timer for a while: it must come to rest.
pub(super) fn rest(now: &mut Time, span: Duration, most: usize, mut step: impl FnMut(Time) -> Option<Time>) {
    let end = *now + span;
    for _ in 0..most {
        match step(*now) {
            Some(at) if at <= end => *now = at.max(*now),
            _ => return,
        }
    }
    panic!("timers do not come to rest: {most} steps in {span:?}");
}
