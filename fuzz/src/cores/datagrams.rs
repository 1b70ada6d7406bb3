//! The datagrams of two ends over a network that loses, repeats, replays, alters and invents: each is taken once at
//! most, as it was sent, by the end that it was meant for.

use aire_stream::datagram::{Cipher, Datagrams, Key, TAG, Way};
use aire_stream::{CarrierId, Side};
use aire_types::Time;
use aire_wire::{CircuitId, DatagramHead, StreamId};

use super::choices::Choices;

/// Datagrams that the network remembers.
const MOST: usize = 64;
const SIDES: [Side; 2] = [Side::Source, Side::Destination];

/// Not secret, but whoever has another key or changes a bit is found out.
#[derive(Clone, Copy, Debug)]
struct Toy(u64);

impl Toy {
    fn tag(self, counter: u64, head: &[u8], body: &[u8]) -> [u8; TAG] {
        let mut hash = self.0 ^ counter.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for byte in head.iter().chain(body) {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        [hash.to_be_bytes(), (!hash).to_be_bytes()].concat().try_into().unwrap_or_default()
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

/// What an end sealed, and what became of it.
struct Sent {
    to: usize,
    stream: StreamId,
    payload: Vec<u8>,
    bytes: Vec<u8>,
    taken: bool,
}

struct World {
    ends: [Datagrams<Toy>; 2],
    carriers: u64,
    sent: Vec<Sent>,
}

impl World {
    fn carrier_up(&mut self, choices: &mut Choices<'_>) {
        self.carriers += 1;
        let name = if choices.byte() < 240 { self.carriers as u32 } else { choices.byte().into() };
        let (there, back) = (Toy(self.carriers << 8), Toy(self.carriers << 8 | 1));
        let carrier = CarrierId(self.carriers);
        self.ends[0].handle_carrier_up(carrier, Key { id: name, seal: there, open: back });
        if choices.byte() < 240 {
            self.ends[1].handle_carrier_up(carrier, Key { id: name, seal: back, open: there });
        }
    }

    fn seal(&mut self, choices: &mut Choices<'_>) {
        let from = choices.below(2);
        let way = Way { circuit: CircuitId([choices.byte(); 16]), limit: choices.below(1500) };
        let (stream, payload) = (StreamId(choices.number().clamp(1, 1 << 60)), choices.bytes(40));
        let Ok(bytes) = self.ends[from].seal(way, stream, &payload) else { return };
        assert!(bytes.len() <= way.limit, "longer than the way carries");
        assert!(self.sent.iter().all(|sent| sent.bytes != bytes), "a counter was used twice");
        if self.sent.len() < MOST {
            self.sent.push(Sent { to: 1 - from, stream, payload, bytes, taken: false });
        }
    }

    fn deliver(&mut self, choices: &mut Choices<'_>) {
        let at = choices.below(self.sent.len());
        let Some(sent) = self.sent.get_mut(at) else { return };
        let mut bytes = sent.bytes.clone();
        let to = if choices.byte() < 230 { sent.to } else { 1 - sent.to };
        if choices.byte() < 100 {
            let place = choices.below(bytes.len());
            bytes[place] ^= choices.byte();
        }
        bytes.truncate(bytes.len() - if choices.byte() < 230 { 0 } else { choices.below(bytes.len()) });
        let Ok(head) = DatagramHead::decode(&bytes) else { return };
        let genuine = bytes == sent.bytes && to == sent.to;
        let Ok((stream, payload)) = self.ends[to].open(&head, &mut bytes) else { return };
        assert!(genuine, "an altered datagram was taken");
        assert!(!std::mem::replace(&mut sent.taken, true), "a datagram was taken twice");
        assert_eq!((stream, payload), (sent.stream, &sent.payload[..]));
    }

    fn invent(&mut self, choices: &mut Choices<'_>) {
        let to = choices.below(2);
        let mut bytes = choices.bytes(80);
        if let Ok(head) = DatagramHead::decode(&bytes) {
            let opened = self.ends[to].open(&head, &mut bytes).is_ok();
            assert!(!opened, "an invented datagram was taken");
        }
    }
}

pub(crate) fn run(input: &[u8]) {
    let mut choices = Choices::new(input);
    let mut now = Time::from_millis(1);
    let mut world = World { ends: SIDES.map(Datagrams::new), carriers: 0, sent: Vec::new() };
    while !choices.is_empty() {
        now += choices.step();
        let carrier = CarrierId(choices.below(1 + world.carriers as usize) as u64);
        match choices.below(10) {
            0 => world.carrier_up(&mut choices),
            1 => world.ends[0].handle_joined(carrier),
            2 => world.ends[choices.below(2)].handle_carrier_down(carrier),
            3 => drop(world.ends[choices.below(2)].wants_ping(now, carrier)),
            4..=6 => world.seal(&mut choices),
            7..=8 => world.deliver(&mut choices),
            _ => world.invent(&mut choices),
        }
        world.ends.iter().for_each(Datagrams::check_invariants);
    }
}
