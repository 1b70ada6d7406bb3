//! Two ends and perfect carriers: what a stream does when nothing goes wrong, frame by frame.
#![allow(clippy::unwrap_used)]

use aire_stream::{Association, Budget, CarrierId, Config, Output, Read, Side};
use aire_types::{AppName, Class, Protocol, Time};
use aire_wire::{Frame, ResetCode, StreamId};
use bytes::Bytes;

const A: CarrierId = CarrierId(1);
const B: CarrierId = CarrierId(2);

struct Pair {
    now: Time,
    ends: [Association; 2],
    outputs: [Vec<Output>; 2],
    /// Carriers whose frames vanish.
    silent: Vec<CarrierId>,
    frames: Vec<(usize, CarrierId, Frame)>,
}

impl Pair {
    fn new(carriers: &[CarrierId]) -> Self {
        Self::with(Config::new(Side::Source), Config::new(Side::Destination), 64 << 20, carriers)
    }

    fn with(source: Config, destination: Config, budget: usize, carriers: &[CarrierId]) -> Self {
        let ends = [source, destination].map(|config| Association::new(config, Budget::new(budget)));
        let mut pair = Pair {
            now: Time::from_millis(1),
            ends,
            outputs: [vec![], vec![]],
            silent: vec![],
            frames: vec![],
        };
        for carrier in carriers {
            pair.ends[0].handle_carrier_up(pair.now, *carrier, 66, 9);
            pair.ends[1].handle_carrier_up(pair.now, *carrier, 9, 66);
        }
        pair
    }

    /// Delivers until nothing moves, then lets the acknowledgement timers fire, until these are quiet, too.
    fn settle(&mut self) {
        loop {
            while self.exchange() {}
            let Some(next) = self.ends.iter().filter_map(Association::poll_timeout).min() else {
                return;
            };
            self.now = self.now.max(next);
            self.ends.iter_mut().for_each(|end| end.handle_timeout(self.now));
        }
    }

    fn exchange(&mut self) -> bool {
        let mut moved = false;
        for end in 0..2 {
            while let Some(output) = self.ends[end].poll_output() {
                if let Output::Ready(carrier) = output {
                    let mut frames = Vec::new();
                    while self.ends[end].poll_transmit(self.now, carrier, 256 * 1024, &mut frames) > 0 {}
                    for frame in frames {
                        self.frames.push((end, carrier, frame.clone()));
                        if !self.silent.contains(&carrier) {
                            let length = frame.encoded_len();
                            self.ends[1 - end].handle_frame(self.now, carrier, frame, length).unwrap();
                            self.ends[1 - end].check_invariants();
                        }
                    }
                    moved = true;
                } else {
                    self.outputs[end].push(output);
                }
                self.ends[end].check_invariants();
            }
        }
        moved
    }

    /// A frame that the other end did not send now.
    fn deliver(&mut self, end: usize, carrier: CarrierId, frame: Frame) {
        let length = frame.encoded_len();
        self.ends[end].handle_frame(self.now, carrier, frame, length).unwrap();
        self.ends[end].check_invariants();
    }

    fn sent_after_the_timer(&mut self, end: usize, carrier: CarrierId) -> Vec<Frame> {
        if let Some(at) = self.ends[end].poll_timeout() {
            self.now = self.now.max(at);
            self.ends[end].handle_timeout(self.now);
        }
        let mut frames = Vec::new();
        while self.ends[end].poll_transmit(self.now, carrier, usize::MAX, &mut frames) > 0 {}
        frames
    }

    fn open(&mut self) -> StreamId {
        let app = AppName::new("echo").unwrap();
        self.ends[0].open(self.now, Class::Interactive, Protocol::Tcp, app).unwrap()
    }

    fn write(&mut self, end: usize, stream: StreamId, bytes: &'static [u8]) {
        self.ends[end].write(self.now, stream, Bytes::from_static(bytes)).unwrap();
    }

    fn read(&mut self, end: usize, stream: StreamId) -> Vec<u8> {
        let mut all = Vec::new();
        while let Read::Data(bytes) = self.ends[end].read(self.now, stream, usize::MAX) {
            self.ends[end].consumed(self.now, stream, bytes.len());
            all.extend_from_slice(&bytes);
        }
        all
    }

    fn finish(&mut self, stream: StreamId) {
        for end in 0..2 {
            self.ends[end].finish(self.now, stream);
        }
        self.settle();
        for end in 0..2 {
            assert_eq!(self.ends[end].read(self.now, stream, 1), Read::End);
        }
        self.settle();
        for end in 0..2 {
            let ended = |output: &Output| matches!(output, Output::Ended { reset: None, .. });
            assert!(self.outputs[end].iter().any(ended), "{end}: {:?}", self.outputs[end]);
            assert_eq!(self.ends[end].stream_count(), 0);
        }
    }
}

#[test]
fn a_request_and_its_response_take_few_frames() {
    let mut pair = Pair::new(&[A]);
    pair.settle();
    pair.frames.clear();
    let stream = pair.open();
    pair.write(0, stream, b"question");
    pair.exchange();
    assert!(pair.outputs[1].iter().any(|output| matches!(output, Output::Incoming { .. })));
    pair.ends[1].accept(pair.now, stream);
    assert_eq!(pair.read(1, stream), b"question");
    pair.write(1, stream, b"answer");
    pair.settle();
    assert_eq!(pair.read(0, stream), b"answer");
    assert!(pair.outputs[0].contains(&Output::Opened(stream)));
    let kinds: Vec<_> =
        pair.frames.iter().map(|(end, _, frame)| (*end, std::mem::discriminant(frame))).collect();
    assert!(kinds.len() <= 9, "{:?}", pair.frames);
    pair.finish(stream);
}

#[test]
fn a_hedge_saves_what_a_silent_carrier_swallows() {
    let mut pair = Pair::new(&[A, B]);
    let stream = pair.open();
    pair.write(0, stream, b"one ");
    pair.settle();
    pair.ends[1].accept(pair.now, stream);
    pair.settle();
    pair.silent = vec![A];
    pair.write(0, stream, b"two ");
    pair.settle();
    assert_eq!(pair.read(1, stream), b"one ");
    pair.ends[0].hedge(pair.now, A, B);
    pair.settle();
    pair.write(0, stream, b"three");
    pair.settle();
    assert_eq!(pair.read(1, stream), b"two three");
    pair.ends[0].abandon(pair.now, A);
    pair.settle();
    pair.write(1, stream, b"back");
    pair.settle();
    assert_eq!(pair.read(0, stream), b"back");
    pair.finish(stream);
    assert!(pair.outputs[0].contains(&Output::Moved { stream, from: Some(A), to: B }));
}

#[test]
fn a_reset_reaches_the_other_end_as_a_reset() {
    for end in 0..2 {
        let mut pair = Pair::new(&[A]);
        let stream = pair.open();
        pair.write(0, stream, b"data");
        pair.settle();
        pair.ends[end].reset(pair.now, stream, ResetCode::TargetRefused);
        assert_eq!(pair.ends[end].read(pair.now, stream, 1), Read::Reset(ResetCode::TargetRefused));
        pair.settle();
        let reset = Output::Reset { stream, code: ResetCode::TargetRefused };
        assert!(pair.outputs[1 - end].contains(&reset));
        assert!(!pair.outputs[end].contains(&reset));
        for end in 0..2 {
            assert_eq!(
                (pair.ends[end].stream_count(), pair.ends[end].read(pair.now, stream, 1)),
                (0, Read::Unknown)
            );
        }
    }
}

#[test]
fn an_open_that_comes_late_opens_nothing_twice() {
    let mut pair = Pair::new(&[A, B]);
    let stream = pair.open();
    pair.settle();
    pair.ends[1].accept(pair.now, stream);
    pair.finish(stream);
    let before = pair.outputs[1].len();
    pair.frames.clear();
    let open = Frame::Open {
        stream,
        class: Class::Bulk,
        protocol: Protocol::Udp,
        app: AppName::new("echo").unwrap(),
    };
    let data = Frame::Data { stream, offset: 0, bytes: Bytes::from_static(b"late") };
    for frame in [open, data, Frame::Fin { stream, offset: 4 }] {
        pair.deliver(1, B, frame);
    }
    assert_eq!((pair.ends[1].stream_count(), pair.outputs[1].len()), (0, before));
    let answers = pair.sent_after_the_timer(1, B);
    let answer = Frame::StreamAck { stream, offset: 4, fin: true, reset: false };
    assert!(answers.contains(&answer), "{answers:?}");
}

#[test]
fn data_that_overtakes_its_open_is_kept_and_not_yet_acknowledged() {
    let mut pair = Pair::new(&[A, B]);
    pair.settle();
    let stream = StreamId(1);
    pair.deliver(1, B, Frame::Data { stream, offset: 0, bytes: Bytes::from_static(b"early") });
    let sent = pair.sent_after_the_timer(1, B);
    assert!(matches!(sent[..], [Frame::CarrierAck { .. }]), "{sent:?}");
    pair.deliver(
        1,
        A,
        Frame::Open {
            stream,
            class: Class::Bulk,
            protocol: Protocol::Udp,
            app: AppName::new("echo").unwrap(),
        },
    );
    let sent = pair.sent_after_the_timer(1, A);
    assert!(sent.contains(&Frame::StreamAck { stream, offset: 5, fin: false, reset: false }), "{sent:?}");
    assert_eq!(pair.read(1, stream), b"early");
}

#[test]
fn credit_on_a_carrier_that_owes_nothing_asks_for_a_sign_of_life() {
    let mut pair = Pair::new(&[A]);
    let stream = pair.open();
    pair.settle();
    pair.ends[1].accept(pair.now, stream);
    pair.settle();
    pair.ends[0].write(pair.now, stream, Bytes::from(vec![0; 40_000])).unwrap();
    pair.settle();
    pair.frames.clear();
    assert!(pair.ends[1].carrier(A).unwrap().outstanding_since.is_none());
    assert_eq!(pair.read(1, stream).len(), 40_000);
    pair.silent = vec![A];
    pair.exchange();
    assert!(
        matches!(pair.frames[..], [.., (1, A, Frame::Credit { .. }), (1, A, Frame::Ping)]),
        "{:?}",
        pair.frames
    );
    assert!(pair.ends[1].carrier(A).unwrap().outstanding_since.is_some());
}

#[test]
fn only_the_newest_switch_counts() {
    let mut pair = Pair::new(&[A, B]);
    let streams = [pair.open(), pair.open()];
    pair.settle();
    let on = |pair: &Pair, stream| pair.ends[1].stream(stream).unwrap().carrier.unwrap();
    pair.deliver(1, B, Frame::Switch { epoch: 5, stream: None });
    pair.deliver(1, A, Frame::Switch { epoch: 4, stream: None });
    pair.deliver(1, A, Frame::Switch { epoch: 5, stream: Some(streams[0]) });
    assert_eq!((on(&pair, streams[0]), on(&pair, streams[1])), (B, B));
    pair.deliver(1, A, Frame::Switch { epoch: 6, stream: Some(streams[0]) });
    assert_eq!((on(&pair, streams[0]), on(&pair, streams[1])), (A, B));
}

#[test]
fn streams_beyond_the_limit_are_refused() {
    let destination = Config { max_streams: 2, ..Config::new(Side::Destination) };
    let mut pair = Pair::with(Config::new(Side::Source), destination, 0, &[A]);
    let streams = [pair.open(), pair.open(), pair.open()];
    pair.settle();
    assert_eq!(pair.ends[1].stream_count(), 2);
    let refused = Output::Reset { stream: streams[2], code: ResetCode::Limit };
    assert!(pair.outputs[0].contains(&refused));
}

#[test]
fn an_idle_association_says_nothing() {
    let mut pair = Pair::new(&[A, B]);
    let stream = pair.open();
    pair.settle();
    pair.ends[1].accept(pair.now, stream);
    pair.settle();
    pair.frames.clear();
    pair.now = Time::from_millis(3_600_000);
    pair.settle();
    assert_eq!(pair.frames, []);
    assert!(pair.ends.iter().all(|end| end.poll_timeout().is_none()));
}
