use crate::codec::{self, MAX_NAME, kind};
use crate::names::{MOST, Names};
use crate::record::Record;

/// The version of the format that is written.
pub const VERSION: u8 = 1;
/// The longest payload of a frame, bytes.
pub const MAX_PAYLOAD: usize = 4096;
/// The longest segment that is read, bytes.
pub const MAX_SEGMENT: u64 = 64 << 20;

/// What every segment begins with.
const MAGIC: [u8; 8] = *b"AIREHIST";
pub(crate) const HEADER: usize = MAGIC.len() + 1;
/// Length and checksum before a payload.
const BEFORE: usize = 6;

/// Why a file is no segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// It begins with something else.
    #[error("this is no history of an agent: it does not begin with AIREHIST")]
    Foreign,
    /// Another version wrote it.
    #[error("the history has version {0}, and this program reads version {VERSION}: use a newer one")]
    Version(u8),
}

/// A segment that was read.
#[derive(Clone, Debug, Default)]
pub struct Segment {
    /// Who recorded it; empty where not even that was written.
    pub node: String,
    /// What was recorded, in the order of the file.
    pub records: Vec<Record>,
    /// Records of kinds that a later version added, or with impossible values.
    pub skipped: usize,
    /// So many bytes of the file are sound; behind them it is torn.
    pub sound: usize,
    /// The file ends within a record, or holds damage.
    pub torn: bool,
    pub(crate) names: Names,
}

pub(crate) fn header() -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.push(VERSION);
    bytes
}

/// A frame: length (u16, little-endian), CRC-32 of the payload (u32, little-endian), payload. The payload's first byte is
/// its kind; it is cut at [`MAX_PAYLOAD`].
pub fn frame(payload: &[u8]) -> Vec<u8> {
    let payload = &payload[..payload.len().min(MAX_PAYLOAD)];
    let mut bytes = Vec::with_capacity(BEFORE + payload.len());
    bytes.extend((payload.len() as u16).to_le_bytes());
    bytes.extend(crc32fast::hash(payload).to_le_bytes());
    bytes.extend(payload);
    bytes
}

/// The frame that gives `name` the next number.
pub(crate) fn name_frame(name: &str) -> Vec<u8> {
    let mut payload = vec![kind::NAME];
    payload.extend(name.as_bytes());
    frame(&payload)
}

/// The payload of the first frame, and what follows it; `None` where it is torn or damaged.
fn next_frame(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = rest.split_first_chunk()?;
    let (sum, rest) = rest.split_first_chunk()?;
    let length = usize::from(u16::from_le_bytes(*length));
    let (payload, rest) = rest.split_at_checked(length)?;
    let sound = (1..=MAX_PAYLOAD).contains(&length) && crc32fast::hash(payload) == u32::from_le_bytes(*sum);
    sound.then_some((payload, rest))
}

impl Segment {
    /// Reads a whole file.
    ///
    /// # Errors
    /// Where it is no segment. Damage behind the header is no error: see [`Segment::torn`].
    pub fn read(bytes: &[u8]) -> Result<Self, FormatError> {
        let mut segment = Segment::default();
        if bytes.len() < HEADER && header().starts_with(bytes) {
            segment.torn = true;
            return Ok(segment);
        }
        let rest = bytes.strip_prefix(&MAGIC).ok_or(FormatError::Foreign)?;
        let (version, mut rest) = rest.split_first().ok_or(FormatError::Foreign)?;
        if *version != VERSION {
            return Err(FormatError::Version(*version));
        }
        segment.sound = HEADER;
        while let Some((payload, after)) = next_frame(rest) {
            segment.take(payload);
            segment.sound += rest.len() - after.len();
            rest = after;
        }
        segment.torn = !rest.is_empty();
        segment.node = segment.names.get(0).unwrap_or_default().to_owned();
        Ok(segment)
    }

    fn take(&mut self, payload: &[u8]) {
        let Some((kind, fields)) = payload.split_first() else { return };
        if *kind == kind::NAME {
            // One that is no name has its number, too.
            let fits = fields.len() <= MAX_NAME && self.names.len() < MOST;
            return self.names.push(fits.then(|| std::str::from_utf8(fields).ok()).flatten().unwrap_or(""));
        }
        match codec::decode(*kind, fields, &self.names) {
            Some(record) => self.records.push(record),
            None => self.skipped += 1,
        }
    }
}
