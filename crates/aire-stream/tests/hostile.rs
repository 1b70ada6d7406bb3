//! A peer that sends anything: frames are refused or obeyed, and nothing panics or contradicts itself.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use aire_stream::{Association, Budget, CarrierId, Config, Output, Read, Side};
use aire_types::{AppName, Class, Protocol, Time};
use aire_wire::{Frame, ResetCode, StreamId};
use bytes::Bytes;

struct Random(u64);

impl Random {
    fn below(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }

    fn offset(&mut self) -> u64 {
        match self.below(10) {
            0 => u64::MAX >> 2,
            1 => self.below(1 << 20),
            2..6 => 0,
            _ => self.below(300),
        }
    }

    fn carrier(&mut self) -> CarrierId {
        CarrierId(self.below(4))
    }
}

fn frame(random: &mut Random, side: Side) -> Frame {
    let stream = StreamId(1 + random.below(6));
    let offset = random.offset();
    let code = ResetCode::from_byte(random.below(11) as u8).unwrap();
    loop {
        let from_source = side == Side::Destination;
        return match random.below(14) {
            0..5 => {
                let most = if random.below(10) == 0 { 70_000 } else { 200 };
                let length = random.below(most);
                Frame::Data { stream, offset, bytes: Bytes::from(vec![0; length as usize]) }
            }
            5 => Frame::Fin { stream, offset },
            6 if random.below(4) == 0 => Frame::Reset { stream, code },
            7 => {
                let (fin, reset) = (random.below(4) == 0, random.below(20) == 0);
                Frame::StreamAck { stream, offset, fin, reset }
            }
            8 => Frame::Credit { stream, offset },
            9 => Frame::CarrierAck { bytes: random.below(300), delay_us: offset },
            10 if from_source => {
                let app = AppName::new("app").unwrap();
                Frame::Open { stream, class: Class::Bulk, protocol: Protocol::Udp, app }
            }
            10 => Frame::Opened { stream },
            11 if from_source => {
                let stream = Some(stream).filter(|_| random.below(2) == 0);
                Frame::Switch { epoch: random.below(50), stream }
            }
            12 => Frame::Ping,
            13 if random.below(100) == 0 => Frame::Opened { stream },
            _ => continue,
        };
    }
}

fn act(random: &mut Random, now: Time, association: &mut Association) {
    let stream = StreamId(1 + random.below(6));
    let (one, other) = (random.carrier(), random.carrier());
    match random.below(16) {
        0 => association.handle_carrier_up(now, one, 66, 9),
        1 => association.handle_carrier_down(now, one),
        2 => association.abandon(now, one),
        3 => association.hedge(now, one, other),
        4 => association.prefer(now, one),
        5 => association.move_stream(now, stream, one),
        6 => association.reset(now, stream, ResetCode::Application),
        7 => association.finish(now, stream),
        8 => association.accept(now, stream),
        9 => drop(association.open(now, Class::Interactive, Protocol::Tcp, AppName::new("app").unwrap())),
        10 => association.handle_timeout(now),
        11 => association.ping(now, one),
        12 | 13 => {
            let room = association.writable(stream).min(random.below(100_000) as usize);
            let _ = association.write(now, stream, Bytes::from(vec![0; room]));
        }
        _ => {
            if let Read::Data(bytes) = association.read(now, stream, 1 + random.below(5000) as usize) {
                association.consumed(now, stream, bytes.len());
            }
        }
    }
}

#[test]
fn nothing_that_a_peer_sends_breaks_an_association() {
    let (mut refused, mut obeyed) = (0, 0);
    for seed in 0..600 {
        let side = if seed % 2 == 0 { Side::Source } else { Side::Destination };
        let mut random = Random(seed);
        let config = Config { max_streams: 4, ..Config::new(side) };
        let budget = Budget::new([0, 1 << 18, 1 << 24][seed as usize % 3]);
        let mut association = Association::new(config, budget.clone());
        let mut now = Time::from_millis(1);
        let mut frames = Vec::new();
        for _ in 0..400 {
            now += Duration::from_micros(random.below(3000));
            if random.below(3) == 0 {
                act(&mut random, now, &mut association);
            } else {
                let frame = frame(&mut random, side);
                let length = frame.encoded_len();
                match association.handle_frame(now, random.carrier(), frame, length) {
                    Ok(()) => obeyed += 1,
                    Err(_) => refused += 1,
                }
            }
            association.check_invariants();
            while let Some(output) = association.poll_output() {
                if let Output::Ready(carrier) = output
                    && random.below(4) > 0
                {
                    while association.poll_transmit(now, carrier, 10_000, &mut frames) > 0 {}
                    frames.clear();
                }
                association.check_invariants();
            }
            // What was left unsent is asked for again, as the driver would once the socket takes more.
            while association.poll_transmit(now, random.carrier(), 10_000, &mut frames) > 0 {}
            association.check_invariants();
        }
        association.abort(ResetCode::Protocol);
        association.check_invariants();
        drop(association);
        assert_eq!(budget.used(), 0);
    }
    assert!(refused > 1000 && obeyed > 10_000, "{refused} refused, {obeyed} obeyed");
}

#[test]
fn an_association_can_be_shared_between_threads() {
    fn check<T: Send + 'static>() {}
    check::<Association>();
}

#[test]
fn an_acknowledgement_that_a_breach_made_due_is_not_forgotten() {
    let mut association = Association::new(Config::new(Side::Destination), Budget::new(0));
    let (now, carrier) = (Time::from_millis(1), CarrierId(0));
    association.handle_carrier_up(now, carrier, 9, 66);
    while association.poll_output().is_some() {}
    while association.poll_transmit(now, carrier, 10_000, &mut Vec::new()) > 0 {}
    let bytes = Bytes::from(vec![0; 128 * 1024]);
    for _ in 0..3 {
        let frame = Frame::Data { stream: StreamId(1), offset: 1 << 40, bytes: bytes.clone() };
        let length = frame.encoded_len();
        assert!(association.handle_frame(now, carrier, frame, length).is_err());
        association.check_invariants();
    }
}
