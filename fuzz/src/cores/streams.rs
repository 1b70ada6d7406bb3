//! Two honest ends over carriers that stall, die and come back: every byte arrives once and in order, or a reset does.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use aire_stream::{Association, Budget, CarrierId, Config, Output, Read, Side};
use aire_types::Time;
use aire_wire::{Frame, ResetCode, StreamId};
use bytes::Bytes;

use super::choices::{Choices, app};

/// JOIN and JOINED on the wire.
const JOIN: usize = 66;
const JOINED: usize = 9;
const MOST_STREAMS: usize = 5;

/// The byte of a stream at an offset, in the direction from this side.
fn byte(side: Side, stream: StreamId, offset: u64) -> u8 {
    (offset.wrapping_mul(31) ^ (offset >> 8) ^ (stream.0 * 7)) as u8 ^ u8::from(side == Side::Source)
}

struct End {
    side: Side,
    association: Association,
    ready: BTreeSet<CarrierId>,
    written: BTreeMap<StreamId, u64>,
    read: BTreeMap<StreamId, u64>,
    /// Saw a reset, or made one.
    reset: BTreeSet<StreamId>,
    /// Saw the end of the other direction.
    ended: BTreeSet<StreamId>,
    finished: BTreeSet<StreamId>,
}

impl End {
    fn new(side: Side, budget: &Budget) -> Self {
        let config = Config { max_streams: MOST_STREAMS, ..Config::new(side) };
        End {
            side,
            association: Association::new(config, budget.clone()),
            ready: BTreeSet::new(),
            written: BTreeMap::new(),
            read: BTreeMap::new(),
            reset: BTreeSet::new(),
            ended: BTreeSet::new(),
            finished: BTreeSet::new(),
        }
    }

    fn follow(&mut self, now: Time) {
        while let Some(output) = self.association.poll_output() {
            match output {
                Output::Ready(carrier) => drop(self.ready.insert(carrier)),
                Output::Incoming { stream, .. } => {
                    self.written.insert(stream, 0);
                    self.association.accept(now, stream);
                }
                Output::Reset { stream, .. } => drop(self.reset.insert(stream)),
                Output::Ended { stream, reset: Some(_), .. } => drop(self.reset.insert(stream)),
                _ => {}
            }
        }
        self.association.check_invariants();
    }

    fn write(&mut self, now: Time, stream: StreamId, most: usize) {
        let Some(written) = self.written.get_mut(&stream) else { return };
        let room = self.association.writable(stream).min(most);
        let bytes: Bytes = (*written..*written + room as u64).map(|at| byte(self.side, stream, at)).collect();
        if room > 0 && self.association.write(now, stream, bytes).is_ok() {
            *written += room as u64;
        }
    }

    fn read(&mut self, now: Time, stream: StreamId, most: usize) -> bool {
        let from = if self.side == Side::Source { Side::Destination } else { Side::Source };
        match self.association.read(now, stream, most) {
            Read::Data(bytes) => {
                let read = self.read.entry(stream).or_default();
                for (offset, got) in (*read..).zip(&bytes) {
                    assert_eq!(*got, byte(from, stream, offset), "byte {offset} of {stream}");
                }
                *read += bytes.len() as u64;
                self.association.consumed(now, stream, bytes.len());
                true
            }
            Read::End => {
                self.ended.insert(stream);
                false
            }
            _ => false,
        }
    }

    fn finish(&mut self, now: Time, stream: StreamId) {
        if self.written.contains_key(&stream) {
            self.association.finish(now, stream);
            self.finished.insert(stream);
        }
    }
}

struct World {
    now: Time,
    ends: [End; 2],
    /// What is under way on each carrier, from the source and to it.
    wires: BTreeMap<CarrierId, [VecDeque<(Frame, usize)>; 2]>,
    next_carrier: u64,
}

impl World {
    fn follow(&mut self) {
        let now = self.now;
        self.ends.iter_mut().for_each(|end| end.follow(now));
    }

    fn carrier_up(&mut self) -> CarrierId {
        let id = CarrierId(self.next_carrier);
        self.next_carrier += 1;
        self.wires.insert(id, Default::default());
        let [source, destination] = &mut self.ends;
        source.association.handle_carrier_up(self.now, id, JOIN, JOINED);
        destination.association.handle_carrier_up(self.now, id, JOINED, JOIN);
        id
    }

    fn carrier_down(&mut self, id: CarrierId) {
        if self.wires.remove(&id).is_some() {
            for end in &mut self.ends {
                end.association.handle_carrier_down(self.now, id);
                end.ready.remove(&id);
            }
        }
    }

    /// An end gives to the wire what it has for a carrier, about `budget` bytes.
    fn transmit(&mut self, end: usize, id: CarrierId, budget: usize) {
        let Some(wire) = self.wires.get_mut(&id) else { return };
        let mut frames = Vec::new();
        if self.ends[end].association.poll_transmit(self.now, id, budget, &mut frames) == 0 {
            self.ends[end].ready.remove(&id);
        }
        wire[end].extend(frames.into_iter().map(|frame| {
            let length = frame.encoded_len();
            (frame, length)
        }));
    }

    fn deliver(&mut self, from: usize, id: CarrierId, most: usize) {
        for _ in 0..most {
            let Some((frame, length)) = self.wires.get_mut(&id).and_then(|wire| wire[from].pop_front())
            else {
                return;
            };
            let taken = self.ends[1 - from].association.handle_frame(self.now, id, frame.clone(), length);
            assert_eq!(taken, Ok(()), "an honest peer broke the protocol with {frame:?}");
        }
    }

    fn act(&mut self, choices: &mut Choices<'_>) {
        let now = self.now;
        let carriers: Vec<CarrierId> = self.wires.keys().copied().collect();
        let pick = |choices: &mut Choices<'_>| {
            carriers.get(choices.below(carriers.len())).copied().unwrap_or(CarrierId(0))
        };
        let (one, other) = (pick(choices), pick(choices));
        let side = choices.below(2);
        let stream = StreamId(1 + choices.below(MOST_STREAMS) as u64);
        let end = &mut self.ends[side];
        match choices.below(22) {
            0 if carriers.len() < 4 => drop(self.carrier_up()),
            1 => self.carrier_down(one),
            2 | 3 => {
                let source = &mut self.ends[0];
                if let Ok(stream) =
                    source.association.open(now, choices.class(), choices.protocol(), app("d"))
                {
                    source.written.insert(stream, 0);
                }
            }
            4..=7 => end.write(now, stream, 1 + choices.below(65_536)),
            8..=10 => drop(end.read(now, stream, 1 + choices.below(65_536))),
            11 => end.finish(now, stream),
            12 if choices.byte() < 30 && end.written.contains_key(&stream) => {
                end.association.reset(now, stream, ResetCode::Application);
                end.reset.insert(stream);
            }
            13..=15 => self.transmit(side, one, 1 + choices.below(65_536)),
            16..=18 => self.deliver(side, one, 1 + choices.below(20)),
            19 => end.association.abandon(now, one),
            20 => end.association.hedge(now, one, other),
            _ => {
                let source = &mut self.ends[0].association;
                match choices.below(4) {
                    0 => source.prefer(now, one),
                    1 => source.move_stream(now, stream, one),
                    2 => source.ping(now, one),
                    _ => source.prefer_for_new(one),
                }
            }
        }
    }

    fn timeouts(&mut self) {
        for end in &mut self.ends {
            if end.association.poll_timeout().is_some_and(|at| at <= self.now) {
                end.association.handle_timeout(self.now);
            }
        }
    }

    /// On a carrier that works everything arrives at last.
    fn settle(&mut self) {
        for id in self.wires.keys().copied().collect::<Vec<_>>() {
            self.carrier_down(id);
        }
        let id = self.carrier_up();
        for _ in 0..3000 {
            self.now += Duration::from_millis(10);
            self.timeouts();
            self.follow();
            for end in 0..2 {
                while self.ends[end].ready.contains(&id) {
                    self.transmit(end, id, 1 << 20);
                }
                self.deliver(end, id, usize::MAX);
                self.follow();
                let streams: Vec<StreamId> =
                    self.ends[1 - end].association.streams().map(|s| s.stream).collect();
                for stream in streams {
                    while self.ends[1 - end].read(self.now, stream, 1 << 16) {}
                    self.ends[1 - end].finish(self.now, stream);
                }
                self.follow();
            }
            if self.ends.iter().all(|end| end.association.stream_count() == 0) {
                return self.check();
            }
        }
        panic!("streams do not end: {:?}", self.ends[0].association.streams().collect::<Vec<_>>());
    }

    fn check(&self) {
        let [source, destination] = &self.ends;
        for (from, to) in [(source, destination), (destination, source)] {
            for (stream, written) in &from.written {
                if source.reset.contains(stream) || destination.reset.contains(stream) {
                    continue;
                }
                let read = to.read.get(stream).copied().unwrap_or(0);
                assert_eq!(read, *written, "bytes of {stream} were lost in silence");
                assert!(to.ended.contains(stream), "{stream} ended without its end");
            }
        }
    }
}

pub(crate) fn run(input: &[u8]) {
    let mut choices = Choices::new(input);
    let budgets = [0, 1 << 17, 1 << 24].map(Budget::new);
    let (one, other) = (choices.below(3), choices.below(3));
    let ends = [End::new(Side::Source, &budgets[one]), End::new(Side::Destination, &budgets[other])];
    let mut world = World { now: Time::from_millis(1), ends, wires: BTreeMap::new(), next_carrier: 1 };
    world.carrier_up();
    world.follow();
    while !choices.is_empty() {
        world.now += choices.step();
        world.timeouts();
        world.act(&mut choices);
        world.follow();
    }
    world.settle();
}
