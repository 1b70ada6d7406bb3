//! Datagrams between two ends over a network that drops, reorders, repeats, replays and forges.
#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

use std::collections::BTreeSet;
use std::time::Duration;

use aire_stream::datagram::{Cipher, Datagrams, Key, Rejected, TAG, Unsent, Way};
use aire_stream::{CarrierId, Side};
use aire_types::{Random, Time};
use aire_wire::{CircuitId, DATAGRAM_HEAD, DatagramHead, StreamId, Towards};

/// Not secret, but whoever has another key or changes a bit is found out.
#[derive(Clone, Copy, Debug)]
struct Toy(u64);

impl Toy {
    fn tag(self, counter: u64, head: &[u8], body: &[u8]) -> [u8; TAG] {
        let mut hash = self.0 ^ counter.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for byte in head.iter().chain(body) {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        let mut tag = [0; TAG];
        tag[..8].copy_from_slice(&hash.to_be_bytes());
        tag
    }
}

impl Cipher for Toy {
    fn seal(&self, counter: u64, head: &[u8], body: &mut [u8]) -> [u8; TAG] {
        self.tag(counter, head, body)
    }

    fn open<'a>(&self, counter: u64, head: &[u8], sealed: &'a mut [u8]) -> Option<&'a mut [u8]> {
        let (body, tag) = sealed.split_at_mut_checked(sealed.len().checked_sub(TAG)?)?;
        (self.tag(counter, head, body) == *tag).then_some(body)
    }
}

const WAY: Way = Way { circuit: CircuitId([1; 16]), limit: 1150 };
const STREAM: StreamId = StreamId(70);

/// One carrier's key, as its two ends hold it.
fn key(id: u32) -> (Key<Toy>, Key<Toy>) {
    let (there, back) = (Toy(u64::from(id) << 8), Toy(u64::from(id) << 8 | 1));
    (Key { id, seal: there, open: back }, Key { id, seal: back, open: there })
}

fn ends() -> (Datagrams<Toy>, Datagrams<Toy>) {
    (Datagrams::new(Side::Source), Datagrams::new(Side::Destination))
}

fn open(end: &mut Datagrams<Toy>, datagram: &[u8]) -> Result<(StreamId, Vec<u8>), Rejected> {
    let head = DatagramHead::decode(datagram).map_err(|_| Rejected::Malformed)?;
    let mut copy = datagram.to_vec();
    let opened = end.open(&head, &mut copy).map(|(stream, payload)| (stream, payload.to_vec()));
    end.check_invariants();
    opened
}

#[test]
fn a_key_is_used_when_the_peer_has_it_and_opens_for_a_while_after_its_carrier() {
    let (mut source, mut destination) = ends();
    assert_eq!(source.seal(WAY, STREAM, b"x"), Err(Unsent::NoKey));
    let (ours, theirs) = key(1);
    source.handle_carrier_up(CarrierId(1), ours);
    assert_eq!(source.seal(WAY, STREAM, b"x"), Err(Unsent::NoKey), "the destination may not have it yet");
    destination.handle_carrier_up(CarrierId(9), theirs);
    source.handle_joined(CarrierId(1));
    let first = source.seal(WAY, STREAM, b"there").unwrap();
    assert_eq!(open(&mut destination, &first), Ok((STREAM, b"there".to_vec())));
    let back = destination.seal(WAY, STREAM, b"back").unwrap();
    assert_eq!(
        open(&mut destination, &back),
        Err(Rejected::UnknownKey),
        "one's own words are not for oneself"
    );
    assert_eq!(open(&mut source, &back), Ok((STREAM, b"back".to_vec())));

    let late = source.seal(WAY, STREAM, b"late").unwrap();
    destination.handle_carrier_down(CarrierId(9));
    assert_eq!(open(&mut destination, &late).unwrap().1, b"late");
    assert_eq!(destination.seal(WAY, STREAM, b"x"), Err(Unsent::NoKey));
    for id in 2..7 {
        destination.handle_carrier_up(CarrierId(id.into()), key(id).1);
        destination.handle_carrier_down(CarrierId(id.into()));
    }
    let later = source.seal(WAY, STREAM, b"later").unwrap();
    assert_eq!(open(&mut destination, &later), Err(Rejected::UnknownKey));
}

#[test]
fn the_newest_key_that_both_have_seals() {
    let (mut source, _) = ends();
    let sealed_with = |source: &mut Datagrams<Toy>| {
        DatagramHead::decode(&source.seal(WAY, STREAM, b"").unwrap()).unwrap().key
    };
    source.handle_carrier_up(CarrierId(1), key(1).0);
    source.handle_joined(CarrierId(1));
    source.handle_carrier_up(CarrierId(2), key(2).0);
    assert_eq!(sealed_with(&mut source), 1);
    source.handle_joined(CarrierId(2));
    assert_eq!(sealed_with(&mut source), 2);
    source.handle_carrier_down(CarrierId(2));
    assert_eq!(sealed_with(&mut source), 1);
}

#[test]
fn what_does_not_fit_is_not_sealed() {
    let (mut source, _) = ends();
    source.handle_carrier_up(CarrierId(1), key(1).0);
    source.handle_joined(CarrierId(1));
    let most = WAY.limit - DATAGRAM_HEAD - 2 - TAG;
    assert_eq!(source.seal(WAY, STREAM, &vec![0; most]).unwrap().len(), WAY.limit);
    assert_eq!(source.seal(WAY, STREAM, &vec![0; most + 1]), Err(Unsent::TooLong));
}

#[test]
fn a_carrier_is_pinged_at_probing_pace() {
    let (mut source, _) = ends();
    source.handle_carrier_up(CarrierId(1), key(1).0);
    let mut pings = 0;
    for millisecond in 0..1000 {
        let now = Time::ZERO + Duration::from_millis(millisecond);
        pings += u32::from(source.wants_ping(now, CarrierId(1)));
    }
    assert_eq!(pings, 20);
    source.handle_carrier_down(CarrierId(1));
    source.check_invariants();
}

/// Two sessions may export the same name, 1 in 2³².
#[test]
fn a_carrier_whose_key_was_replaced_is_not_pinged_any_more() {
    let (mut source, _) = ends();
    source.handle_carrier_up(CarrierId(1), key(7).0);
    assert!(source.wants_ping(Time::ZERO, CarrierId(1)));
    source.handle_carrier_up(CarrierId(2), key(7).0);
    source.check_invariants();
    source.handle_carrier_down(CarrierId(1));
    source.check_invariants();
}

/// What the network may do with what it holds.
fn harm(random: &mut Random, datagram: &[u8]) -> Vec<u8> {
    let mut harmed = datagram.to_vec();
    match random.below(4) {
        0 => harmed.truncate(random.below(datagram.len())),
        1 => harmed.push(7),
        _ => {
            let at = random.below(harmed.len());
            harmed[at] ^= 1 << random.below(8);
        }
    }
    harmed
}

#[test]
fn everything_arrives_once_or_not_at_all() {
    for seed in 1..=64 {
        let mut random = Random::new(seed);
        let (mut source, mut destination) = ends();
        let (mut network, mut arrived, mut nonces) =
            (Vec::<Vec<u8>>::new(), BTreeSet::new(), BTreeSet::new());
        let (mut carriers, mut sent) = (0u32, 0u32);
        for step in 0..3000 {
            if step % 400 == 0 {
                carriers += 1;
                let (ours, theirs) = key(carriers);
                source.handle_carrier_up(CarrierId(carriers.into()), ours);
                destination.handle_carrier_up(CarrierId(carriers.into()), theirs);
                source.handle_joined(CarrierId(carriers.into()));
                let old = CarrierId(u64::from(carriers).saturating_sub(2));
                source.handle_carrier_down(old);
                destination.handle_carrier_down(old);
            }
            sent += 1;
            let datagram = source.seal(WAY, STREAM, &sent.to_be_bytes()).unwrap();
            let head = DatagramHead::decode(&datagram).unwrap();
            assert!(nonces.insert((head.key, head.counter)), "seed {seed}: a nonce twice");
            assert_eq!(head.towards, Towards::Destination);
            network.push(datagram);
            while network.len() > 40 || (!network.is_empty() && random.below(3) == 0) {
                let at = random.below(network.len());
                match random.below(10) {
                    0 => drop(network.swap_remove(at)),
                    1 => {
                        // It came early, and comes again when it is taken out.
                        if let Ok((_, payload)) = open(&mut destination, &network[at]) {
                            assert!(arrived.insert(payload), "seed {seed}: twice");
                        }
                    }
                    2 => {
                        let harmed = harm(&mut random, &network[at]);
                        assert!(open(&mut destination, &harmed).is_err(), "seed {seed}: forged");
                    }
                    _ => {
                        let datagram = network.swap_remove(at);
                        if let Ok((stream, payload)) = open(&mut destination, &datagram) {
                            assert!(stream == STREAM && payload.len() == 4, "seed {seed}");
                            assert!(arrived.insert(payload), "seed {seed}: twice");
                        }
                        assert_eq!(open(&mut destination, &datagram), Err(Rejected::Replayed), "seed {seed}");
                    }
                }
            }
        }
        assert!(arrived.len() > 2000, "seed {seed}: {} of {sent} arrived", arrived.len());
    }
}
