//! One end of an association whose peer sends anything, on carriers that come and go.

use aire_stream::{Association, Budget, CarrierId, Config, Output, Read, Side};
use aire_types::Time;
use aire_wire::{AssociationId, CarrierClose, Frame, MAX_DATA, ResetCode, StreamId};
use bytes::Bytes;

use super::choices::Choices;

const STREAMS: usize = 6;
const MOST_STREAMS: usize = 4;

/// Bytes of any length without being made anew for every frame.
pub(super) fn zeros(length: usize) -> Bytes {
    static ZEROS: [u8; MAX_DATA] = [0; MAX_DATA];
    Bytes::from_static(&ZEROS).slice(..length)
}

fn carrier(choices: &mut Choices<'_>) -> CarrierId {
    CarrierId(choices.below(4) as u64)
}

fn stream(choices: &mut Choices<'_>) -> StreamId {
    // as on the wire: from 1 to 2^62 - 1
    let any = (choices.number() & (u64::MAX >> 2)).max(1);
    StreamId(if choices.byte() == 0 { any } else { 1 + choices.below(STREAMS) as u64 })
}

fn reset_code(choices: &mut Choices<'_>) -> ResetCode {
    ResetCode::from_byte(choices.byte() % 11).unwrap_or(ResetCode::Application)
}

fn frame(choices: &mut Choices<'_>) -> Frame {
    let (stream, offset) = (stream(choices), choices.number() & (u64::MAX >> 2));
    match choices.below(18) {
        0..=4 => {
            let most = if choices.byte() < 20 { MAX_DATA } else { 256 };
            let length = if most > 256 { choices.below(65_536) * 2 } else { choices.below(most) };
            Frame::Data { stream, offset, bytes: zeros(length) }
        }
        5 => Frame::Fin { stream, offset },
        6 => Frame::Reset { stream, code: reset_code(choices) },
        7 | 8 => Frame::StreamAck { stream, offset, fin: choices.chance(), reset: choices.chance() },
        9 => Frame::Credit { stream, offset },
        10 => Frame::CarrierAck { bytes: choices.number(), delay_us: offset },
        11 | 12 => {
            Frame::Open { stream, class: choices.class(), protocol: choices.protocol(), app: choices.app() }
        }
        13 => Frame::Opened { stream },
        14 => Frame::Switch { epoch: offset, stream: choices.chance().then_some(stream) },
        15 => Frame::Close { code: CarrierClose::Done, reason: String::new() },
        16 => {
            let ids = (AssociationId([1; 16]), aire_types::Incarnation(1));
            let (association, source) = ids;
            Frame::Join { association, source, destination: source, new: choices.chance(), proof: [3; 32] }
        }
        _ => Frame::Ping,
    }
}

pub(super) fn act(choices: &mut Choices<'_>, now: Time, association: &mut Association) {
    let stream = stream(choices);
    let (one, other) = (carrier(choices), carrier(choices));
    match choices.below(18) {
        0 | 1 => association.handle_carrier_up(now, one, 66, 9),
        2 => association.handle_carrier_down(now, one),
        3 => association.abandon(now, one),
        4 => association.hedge(now, one, other),
        5 => association.prefer(now, one),
        6 => association.move_stream(now, stream, one),
        7 => association.reset(now, stream, ResetCode::Application),
        8 => association.finish(now, stream),
        9 => association.accept(now, stream),
        10 | 11 => drop(association.open(now, choices.class(), choices.protocol(), choices.app())),
        12 => association.handle_timeout(now),
        13 => association.ping(now, one),
        14 => association.prefer_for_new(one),
        15 | 16 => {
            let room = association.writable(stream).min(choices.below(65_536));
            let _ = association.write(now, stream, zeros(room));
        }
        _ => {
            if let Read::Data(bytes) = association.read(now, stream, 1 + choices.below(5000)) {
                association.consumed(now, stream, bytes.len());
            }
        }
    }
}

pub(crate) fn run(input: &[u8]) {
    let mut choices = Choices::new(input);
    let side = choices.of(&[Side::Source, Side::Destination]);
    let config = Config { max_streams: MOST_STREAMS, ..Config::new(side) };
    let budget = Budget::new(choices.of(&[0, 1 << 18, 1 << 22]));
    let mut association = Association::new(config, budget.clone());
    let mut now = Time::from_millis(1);
    let mut frames = Vec::new();
    while !choices.is_empty() {
        now += choices.step();
        if choices.chance() {
            act(&mut choices, now, &mut association);
        } else {
            let frame = frame(&mut choices);
            let length = frame.encoded_len();
            if association.handle_frame(now, carrier(&mut choices), frame, length).is_err()
                && choices.chance()
            {
                association.abort(ResetCode::Protocol);
            }
        }
        association.check_invariants();
        assert!(budget.used() <= budget.limit(), "{} bytes borrowed of {}", budget.used(), budget.limit());
        assert!(association.stream_count() <= 2 * MOST_STREAMS + 1, "{} streams", association.stream_count());
        while let Some(output) = association.poll_output() {
            if let Output::Ready(carrier) = output {
                while association.poll_transmit(now, carrier, 10_000, &mut frames) > 0 {}
                frames.clear();
            }
        }
        association.check_invariants();
    }
    association.abort(ResetCode::Protocol);
    association.check_invariants();
    drop(association);
    assert_eq!(budget.used(), 0, "loans outlive their association");
}
