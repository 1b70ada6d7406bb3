use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use aire_types::Time;
use aire_wire::{
    CircuitId, DATAGRAM_HEAD, DatagramHead, MAX_PAYLOAD, Reader, StreamId, Towards, put_varint, varint_len,
};

use crate::{CarrierId, Side};

/// Bytes that a seal adds.
pub const TAG: usize = 16;
/// A key seals no more than this, so that no counter comes near its end.
pub const COUNTER_LIMIT: u64 = 1 << 60;
/// A key is given up after so many datagrams that it did not seal (RFC 9001 §6.6, for ChaCha20-Poly1305).
const FORGERY_LIMIT: u64 = 1 << 36;
/// Keys of carriers that have gone, for what is still on its way.
const RETIRED: usize = 4;
/// While datagrams flow, the carrier of their path is asked for a sign of life so often.
const PING_INTERVAL: Duration = Duration::from_millis(50);

/// An authenticated cipher with one key for one direction.
pub trait Cipher {
    /// Encrypts `body` in place and returns the tag. A counter is never used twice.
    fn seal(&self, counter: u64, head: &[u8], body: &mut [u8]) -> [u8; TAG];

    /// Decrypts `sealed`, tag included, in place; `None` when it was not sealed so with this key.
    fn open<'a>(&self, counter: u64, head: &[u8], sealed: &'a mut [u8]) -> Option<&'a mut [u8]>;
}

/// What both ends of a carrier exported from its session.
#[derive(Clone, Debug)]
pub struct Key<C> {
    /// Its public name.
    pub id: u32,
    /// For what this end sends.
    pub seal: C,
    /// For what the other end sends.
    pub open: C,
}

/// The way that a datagram is to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    /// Along this circuit.
    pub circuit: CircuitId,
    /// The longest datagram that its links carry.
    pub limit: usize,
}

/// Why a datagram was not sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsent {
    /// It fits into no datagram of this way; it may go through its stream.
    TooLong,
    /// There is no carrier, or the peer has not taken any yet.
    NoKey,
}

/// Why an arrived datagram is dropped. Anybody on the way can cause it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejected {
    /// Sealed with a key that is not, or no longer, held.
    UnknownKey,
    /// It came before, or too late to tell.
    Replayed,
    /// Not sealed with this key.
    Forged,
    /// The peer sealed something else than a datagram.
    Malformed,
}

#[derive(Debug)]
struct Held<C> {
    /// `None`: the carrier has gone.
    carrier: Option<CarrierId>,
    key: Key<C>,
    /// The peer has it as well.
    confirmed: bool,
    sealed: u64,
    window: super::ReplayWindow,
    forged: u64,
}

/// Seals and opens the datagrams of one association.
#[derive(Debug)]
pub struct Datagrams<C> {
    side: Side,
    /// In the order in which they came.
    keys: VecDeque<Held<C>>,
    pinged: BTreeMap<CarrierId, Time>,
}

impl<C: Cipher> Datagrams<C> {
    /// Without keys.
    pub const fn new(side: Side) -> Self {
        Datagrams { side, keys: VecDeque::new(), pinged: BTreeMap::new() }
    }

    /// A carrier is up. A source uses its key when the destination has taken it, which
    /// [`handle_joined`](Self::handle_joined) says; until then a datagram might arrive before the key is known there.
    pub fn handle_carrier_up(&mut self, carrier: CarrierId, key: Key<C>) {
        // Of two keys with one name the newer counts; 1 in 2³².
        self.keys.retain(|held| held.key.id != key.id);
        let confirmed = self.side == Side::Destination;
        let (window, carrier) = (super::ReplayWindow::default(), Some(carrier));
        self.keys.push_back(Held { carrier, key, confirmed, sealed: 0, window, forged: 0 });
        self.pinged.retain(|pinged, _| self.keys.iter().any(|held| held.carrier == Some(*pinged)));
    }

    /// Source: the destination has taken the carrier.
    pub fn handle_joined(&mut self, carrier: CarrierId) {
        for held in self.keys.iter_mut().filter(|held| held.carrier == Some(carrier)) {
            held.confirmed = true;
        }
    }

    /// A carrier has gone. What was sealed with its key may still arrive.
    pub fn handle_carrier_down(&mut self, carrier: CarrierId) {
        self.pinged.remove(&carrier);
        for held in self.keys.iter_mut().filter(|held| held.carrier == Some(carrier)) {
            held.carrier = None;
        }
        let retired = self.keys.iter().filter(|held| held.carrier.is_none()).count();
        let mut surplus = retired.saturating_sub(RETIRED);
        self.keys.retain(|held| {
            let goes = held.carrier.is_none() && surplus > 0;
            surplus -= usize::from(goes);
            !goes
        });
    }

    /// The whole datagram for the link, sealed with the newest key that both ends have.
    ///
    /// # Errors
    /// It is too long for the way, or there is no key.
    pub fn seal(&mut self, way: Way, stream: StreamId, payload: &[u8]) -> Result<Vec<u8>, Unsent> {
        let usable =
            |held: &&mut Held<C>| held.confirmed && held.carrier.is_some() && held.sealed < COUNTER_LIMIT;
        let held = self.keys.iter_mut().rev().find(usable).ok_or(Unsent::NoKey)?;
        let length = DATAGRAM_HEAD + varint_len(stream.0) + payload.len() + TAG;
        if length > way.limit {
            return Err(Unsent::TooLong);
        }
        let towards = match self.side {
            Side::Source => Towards::Destination,
            Side::Destination => Towards::Source,
        };
        let head = DatagramHead { towards, circuit: way.circuit, key: held.key.id, counter: held.sealed };
        held.sealed += 1;
        let encoded = head.encode();
        let mut datagram = Vec::with_capacity(length);
        datagram.extend_from_slice(&encoded);
        put_varint(&mut datagram, stream.0);
        datagram.extend_from_slice(payload);
        let tag = held.key.seal.seal(head.counter, &encoded, &mut datagram[DATAGRAM_HEAD..]);
        datagram.extend_from_slice(&tag);
        Ok(datagram)
    }

    /// Opens a datagram from a link in place: whose it is, and what the application sent.
    ///
    /// # Errors
    /// It is not from the other end, or came before.
    pub fn open<'a>(
        &mut self,
        head: &DatagramHead,
        datagram: &'a mut [u8],
    ) -> Result<(StreamId, &'a [u8]), Rejected> {
        let ours = match self.side {
            Side::Source => Towards::Source,
            Side::Destination => Towards::Destination,
        };
        let held = self.keys.iter_mut().find(|held| held.key.id == head.key && head.towards == ours);
        let held = held.filter(|held| held.forged < FORGERY_LIMIT).ok_or(Rejected::UnknownKey)?;
        if !held.window.is_fresh(head.counter) || head.counter >= COUNTER_LIMIT {
            return Err(Rejected::Replayed);
        }
        let sealed = datagram.get_mut(DATAGRAM_HEAD..).ok_or(Rejected::Malformed)?;
        let Some(body) = held.key.open.open(head.counter, &head.encode(), sealed) else {
            held.forged += 1;
            return Err(Rejected::Forged);
        };
        held.window.take(head.counter);
        let mut reader = Reader::new(body);
        let stream = reader.varint("stream").ok().filter(|stream| *stream > 0).ok_or(Rejected::Malformed)?;
        let begin = body.len() - reader.remaining();
        let payload = &body[begin..];
        if payload.len() > MAX_PAYLOAD { Err(Rejected::Malformed) } else { Ok((StreamId(stream), payload)) }
    }

    /// A datagram goes along the path of this carrier: is the carrier to be pinged, so that its leave loop sees whether
    /// the path lives?
    pub fn wants_ping(&mut self, now: Time, carrier: CarrierId) -> bool {
        let due = self.pinged.get(&carrier).is_none_or(|at| now.since(*at) >= PING_INTERVAL);
        if due && self.keys.iter().any(|held| held.carrier == Some(carrier)) {
            self.pinged.insert(carrier, now);
        }
        due
    }

    /// Panics where the state contradicts itself. For tests.
    ///
    /// # Panics
    /// A bug here.
    pub fn check_invariants(&self) {
        let retired = self.keys.iter().filter(|held| held.carrier.is_none()).count();
        assert!(retired <= RETIRED, "keys of carriers that have gone pile up");
        for (at, held) in self.keys.iter().enumerate() {
            assert!(self.keys.iter().skip(at + 1).all(|other| other.key.id != held.key.id), "a name twice");
            assert!(held.confirmed || held.sealed == 0, "a key that the peer may not have was used");
        }
        let carriers: Vec<_> = self.keys.iter().filter_map(|held| held.carrier).collect();
        assert!(
            self.pinged.keys().all(|pinged| carriers.contains(pinged)),
            "a carrier that has gone is pinged"
        );
    }
}
