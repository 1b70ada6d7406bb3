//! Long contents that need no original: both ends know the seed.

use std::io::{self, Read, Write};

use aire_types::Random;

const BLOCK: usize = 128 * 1024;

/// What a server hands out.
pub(super) const OFFERED: u64 = 11;
/// What a client hands in.
pub(super) const HANDED_IN: u64 = 12;

/// Bytes made from a seed, one block after the other.
struct Blocks {
    random: Random,
    left: u64,
    block: Vec<u8>,
}

impl Blocks {
    fn new(seed: u64, length: u64) -> Self {
        Blocks { random: Random::new(seed), left: length, block: vec![0; BLOCK] }
    }

    /// The next block; empty at the end.
    fn next(&mut self) -> &[u8] {
        let length = self.left.min(BLOCK as u64) as usize;
        for word in self.block[..length.next_multiple_of(8)].as_chunks_mut::<8>().0 {
            *word = self.random.next_u64().to_le_bytes();
        }
        self.left -= length as u64;
        &self.block[..length]
    }
}

/// Writes the contents of a seed.
pub(super) fn write(seed: u64, length: u64, mut to: impl Write) -> io::Result<()> {
    let mut blocks = Blocks::new(seed, length);
    loop {
        let block = blocks.next();
        if block.is_empty() {
            return to.flush();
        }
        to.write_all(block)?;
    }
}

/// How contents compare with those of a seed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Comparison {
    /// Bytes that came.
    pub(super) bytes: u64,
    /// They are the contents, from the first byte to the last.
    pub(super) intact: bool,
}

/// Reads to the end and compares every byte.
pub(super) fn compare(seed: u64, length: u64, mut from: impl Read) -> io::Result<Comparison> {
    let mut blocks = Blocks::new(seed, length);
    let mut comparison = Comparison { bytes: 0, intact: true };
    let mut got = vec![0; BLOCK];
    loop {
        let wanted = blocks.next();
        let filled = fill(&mut from, &mut got[..wanted.len()])?;
        comparison.bytes += filled as u64;
        comparison.intact &= got[..filled] == *wanted;
        if wanted.is_empty() {
            let more = io::copy(&mut from, &mut io::sink())?;
            comparison.bytes += more;
            comparison.intact &= more == 0;
            return Ok(comparison);
        }
        if filled < wanted.len() {
            return Ok(Comparison { intact: false, ..comparison });
        }
    }
}

/// Reads until the buffer is full or the stream ends.
fn fill(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match from.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(bytes) => filled += bytes,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_difference_shows() {
        const LENGTH: u64 = 3 * BLOCK as u64 + 13;
        let mut bytes = Vec::new();
        write(5, LENGTH, &mut bytes).unwrap();
        let whole = |bytes: &[u8]| compare(5, LENGTH, bytes).unwrap();
        assert_eq!(whole(&bytes), Comparison { bytes: LENGTH, intact: true });
        assert!(!compare(6, LENGTH, &bytes[..]).unwrap().intact);
        assert!(!whole(&bytes[..bytes.len() - 1]).intact);
        bytes[BLOCK + 7] ^= 1;
        assert!(!whole(&bytes).intact);
        bytes[BLOCK + 7] ^= 1;
        bytes.push(0);
        assert_eq!(whole(&bytes), Comparison { bytes: LENGTH + 1, intact: false });
    }
}
