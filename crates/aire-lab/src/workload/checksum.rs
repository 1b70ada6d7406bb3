//! A fast 64-bit hash that notices any byte lost, repeated, changed or out of place. Not cryptographic.

const FACTOR: u64 = 0x9fb2_1c65_1e98_df25;

/// Four lanes of multiply and rotate, each fed every fourth word, so that hashing does not slow a fast sender.
#[derive(Clone, Debug)]
pub(super) struct Checksum {
    lanes: [u64; 4],
    bytes: u64,
}

impl Checksum {
    pub(super) fn new() -> Self {
        Checksum { lanes: [1, 2, 3, 4].map(|i: u64| i.wrapping_mul(FACTOR)), bytes: 0 }
    }

    /// Adds one block. The same bytes in other blocks give another sum.
    pub(super) fn add(&mut self, block: &[u8]) {
        let mut chunks = block.chunks_exact(32);
        for chunk in &mut chunks {
            for (lane, word) in self.lanes.iter_mut().zip(chunk.as_chunks::<8>().0) {
                *lane = (*lane ^ u64::from_le_bytes(*word)).wrapping_mul(FACTOR).rotate_left(29);
            }
        }
        for &byte in chunks.remainder() {
            self.lanes[0] = (self.lanes[0] ^ u64::from(byte)).wrapping_mul(FACTOR).rotate_left(29);
        }
        self.bytes += block.len() as u64;
    }

    pub(super) fn finish(&self) -> u64 {
        let mixed =
            self.lanes.iter().fold(self.bytes, |sum, lane| (sum ^ lane).wrapping_mul(FACTOR).rotate_left(31));
        mixed ^ (mixed >> 32)
    }
}

/// The sum of one block.
pub(super) fn of(block: &[u8]) -> u64 {
    let mut sum = Checksum::new();
    sum.add(block);
    sum.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_change_shows() {
        let block: Vec<u8> = (0..200u8).collect();
        let right = of(&block);
        for i in 0..block.len() {
            let mut other = block.clone();
            other[i] ^= 1;
            assert_ne!(of(&other), right, "bit in byte {i}");
        }
        assert_ne!(of(&block[1..]), right);
        let mut swapped = block.clone();
        swapped.swap(3, 40);
        assert_ne!(of(&swapped), right);
    }
}
