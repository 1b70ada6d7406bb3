use std::fmt;

/// Which policy texts a verdict came from: a hash of names and texts, for comparing and showing.
///
/// Not a proof of origin; bundles are signed elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(u128);

impl Version {
    /// The hash of `parts` in order (FNV-1a, 128 bits). Lengths are hashed too, so no two splits are the same.
    pub(crate) fn of<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
        let mut hash = OFFSET;
        for part in parts {
            absorb(&mut hash, &(part.len() as u64).to_be_bytes());
            absorb(&mut hash, part);
        }
        Version(hash)
    }

    pub(crate) fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }
}

fn absorb(hash: &mut u128, bytes: &[u8]) {
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    for byte in bytes {
        *hash = (*hash ^ u128::from(*byte)).wrapping_mul(PRIME);
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fnv_1a_of_a_known_text() {
        // Test vector of draft-eastlake-fnv: FNV-1a, 128 bits, of "a".
        let mut hash = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
        absorb(&mut hash, b"a");
        assert_eq!(hash, 0xd228_cb69_6f1a_8caf_7891_2b70_4e4a_8964);
    }

    #[test]
    fn where_the_parts_divide_counts() {
        assert_ne!(Version::of([b"ab".as_slice(), b"c"]), Version::of([b"a".as_slice(), b"bc"]));
        assert_ne!(Version::of([b"".as_slice()]), Version::of([]));
    }
}
