use aire_types::{AppName, Class, NodeName, Path, Protocol};

use crate::{CircuitId, Offer};

/// Why bytes are not a message. Always the sender's fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The message ends too early.
    #[error("the message ends in the middle of {0}")]
    Truncated(&'static str),
    /// A length or count above the limit of the format.
    #[error("{what} is {got} long, at most {limit} is allowed")]
    TooLong {
        /// Which field.
        what: &'static str,
        /// What the message says.
        got: u64,
        /// What the format allows.
        limit: u64,
    },
    /// A value that the format does not know.
    #[error("{what} has the unknown value {got}")]
    Unknown {
        /// Which field.
        what: &'static str,
        /// What the message says.
        got: u64,
    },
    /// A text that is not a name, an identity or UTF-8.
    #[error("{what} is malformed: {why}")]
    Malformed {
        /// Which field.
        what: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// Bytes after the end.
    #[error("{0} bytes follow the end of the message")]
    Trailing(usize),
}

/// Takes fields off the front of a message.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads `bytes` from the front.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Reader { rest: bytes }
    }

    /// How many bytes are left.
    pub const fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// The next `n` bytes.
    pub fn take(&mut self, n: usize, what: &'static str) -> Result<&'a [u8], DecodeError> {
        let (head, rest) = self.rest.split_at_checked(n).ok_or(DecodeError::Truncated(what))?;
        self.rest = rest;
        Ok(head)
    }

    /// The next `N` bytes as an array.
    pub fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], DecodeError> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or(DecodeError::Truncated(what))?;
        self.rest = rest;
        Ok(*head)
    }

    /// One byte.
    pub fn u8(&mut self, what: &'static str) -> Result<u8, DecodeError> {
        Ok(self.array::<1>(what)?[0])
    }

    /// Two bytes, big-endian.
    pub fn u16(&mut self, what: &'static str) -> Result<u16, DecodeError> {
        Ok(u16::from_be_bytes(self.array(what)?))
    }

    /// Four bytes, big-endian.
    pub fn u32(&mut self, what: &'static str) -> Result<u32, DecodeError> {
        Ok(u32::from_be_bytes(self.array(what)?))
    }

    /// Eight bytes, big-endian.
    pub fn u64(&mut self, what: &'static str) -> Result<u64, DecodeError> {
        Ok(u64::from_be_bytes(self.array(what)?))
    }

    /// A variable-length integer (RFC 9000 §16).
    pub fn varint(&mut self, what: &'static str) -> Result<u64, DecodeError> {
        let first = *self.rest.first().ok_or(DecodeError::Truncated(what))?;
        let length = 1usize << (first >> 6);
        let bytes = self.take(length, what)?;
        Ok(bytes[1..].iter().fold(u64::from(first & 0x3f), |value, byte| value << 8 | u64::from(*byte)))
    }

    /// A count of at most `limit`.
    pub fn count(&mut self, limit: usize, what: &'static str) -> Result<usize, DecodeError> {
        let got = self.varint(what)?;
        usize::try_from(got).ok().filter(|count| *count <= limit).ok_or(DecodeError::TooLong {
            what,
            got,
            limit: limit as u64,
        })
    }

    /// Bytes with their length in front.
    pub fn bytes(&mut self, limit: usize, what: &'static str) -> Result<&'a [u8], DecodeError> {
        let length = self.count(limit, what)?;
        self.take(length, what)
    }

    /// A text with its length in front.
    pub fn text(&mut self, limit: usize, what: &'static str) -> Result<&'a str, DecodeError> {
        std::str::from_utf8(self.bytes(limit, what)?)
            .map_err(|error| DecodeError::Malformed { what, why: error.to_string() })
    }

    /// A node's name.
    pub fn node(&mut self, what: &'static str) -> Result<NodeName, DecodeError> {
        NodeName::new(self.text(63, what)?)
            .map_err(|error| DecodeError::Malformed { what, why: error.to_string() })
    }

    /// An app's name.
    pub fn app(&mut self, what: &'static str) -> Result<AppName, DecodeError> {
        AppName::new(self.text(63, what)?)
            .map_err(|error| DecodeError::Malformed { what, why: error.to_string() })
    }

    /// A circuit's id.
    pub fn circuit(&mut self) -> Result<CircuitId, DecodeError> {
        Ok(CircuitId(self.array("circuit")?))
    }

    /// A class.
    pub fn class(&mut self) -> Result<Class, DecodeError> {
        let byte = self.u8("class")?;
        class_from_byte(byte).ok_or(DecodeError::Unknown { what: "class", got: byte.into() })
    }

    /// What an application speaks.
    pub fn protocol(&mut self) -> Result<Protocol, DecodeError> {
        let byte = self.u8("kind")?;
        protocol_from_byte(byte).ok_or(DecodeError::Unknown { what: "kind", got: byte.into() })
    }

    /// The relays of a path.
    pub(crate) fn path(&mut self) -> Result<Path, DecodeError> {
        let count = self.count(aire_types::MAX_RELAYS, "relays")?;
        let relays = (0..count).map(|_| self.node("relay")).collect::<Result<Vec<_>, _>>()?;
        Path::new(relays).map_err(|error| DecodeError::Malformed { what: "relays", why: error.to_string() })
    }

    /// A list of offers.
    pub(crate) fn offers(&mut self) -> Result<Vec<Offer>, DecodeError> {
        let count = self.count(aire_types::MAX_RELAYS + 1, "offers")?;
        (0..count).map(|_| Offer::read(self)).collect()
    }

    /// Fails when bytes are left.
    pub fn end(&self) -> Result<(), DecodeError> {
        if self.rest.is_empty() { Ok(()) } else { Err(DecodeError::Trailing(self.rest.len())) }
    }
}

pub(crate) const fn class_to_byte(class: Class) -> u8 {
    match class {
        Class::Interactive => 0,
        Class::Bulk => 1,
        Class::Critical => 2,
    }
}

pub(crate) const fn class_from_byte(byte: u8) -> Option<Class> {
    match byte {
        0 => Some(Class::Interactive),
        1 => Some(Class::Bulk),
        2 => Some(Class::Critical),
        _ => None,
    }
}

pub(crate) const fn protocol_to_byte(protocol: Protocol) -> u8 {
    match protocol {
        Protocol::Tcp => 0,
        Protocol::Udp => 1,
    }
}

const fn protocol_from_byte(byte: u8) -> Option<Protocol> {
    match byte {
        0 => Some(Protocol::Tcp),
        1 => Some(Protocol::Udp),
        _ => None,
    }
}

/// How many bytes [`put_varint`] writes.
pub const fn varint_len(value: u64) -> usize {
    match value {
        0..=0x3f => 1,
        0x40..=0x3fff => 2,
        0x4000..=0x3fff_ffff => 4,
        _ => 8,
    }
}

/// Appends a variable-length integer. Values above 2⁶²−1 are written as that.
pub fn put_varint(out: &mut Vec<u8>, value: u64) {
    const MAX: u64 = (1 << 62) - 1;
    let value = value.min(MAX);
    match varint_len(value) {
        1 => out.push(value as u8),
        2 => out.extend_from_slice(&(value as u16 | 0x4000).to_be_bytes()),
        4 => out.extend_from_slice(&(value as u32 | 0x8000_0000).to_be_bytes()),
        _ => out.extend_from_slice(&(value | 0xc000_0000_0000_0000).to_be_bytes()),
    }
}

/// Appends bytes with their length in front.
pub fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Appends a text with its length in front, cut to `limit` bytes at a character boundary.
pub fn put_text(out: &mut Vec<u8>, text: &str, limit: usize) {
    let mut end = text.len().min(limit);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    put_bytes(out, &text.as_bytes()[..end]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_round_trip_at_their_edges() {
        for value in [0, 0x3f, 0x40, 0x3fff, 0x4000, 0x3fff_ffff, 0x4000_0000, (1 << 62) - 1] {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            assert_eq!(out.len(), varint_len(value));
            assert_eq!(Reader::new(&out).varint("v").unwrap(), value);
        }
    }

    #[test]
    fn a_length_beyond_the_input_allocates_nothing() {
        let mut out = Vec::new();
        put_varint(&mut out, 60_000);
        assert_eq!(Reader::new(&out).bytes(65_536, "b"), Err(DecodeError::Truncated("b")));
        assert!(matches!(Reader::new(&out).bytes(100, "b"), Err(DecodeError::TooLong { .. })));
    }

    #[test]
    fn text_is_cut_at_a_character() {
        let mut out = Vec::new();
        put_text(&mut out, "aä", 2);
        assert_eq!(out, [1, b'a']);
    }
}
