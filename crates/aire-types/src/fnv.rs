//! FNV-1a, 64 bits: stable between builds and machines, unlike the standard library's hasher. Not for whoever may choose what is hashed.

/// The hash of nothing.
pub const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
/// What each byte is multiplied in by.
pub const PRIME: u64 = 0x0100_0000_01b3;

/// The hash of `bytes`.
pub const fn hash(bytes: &[u8]) -> u64 {
    extend(OFFSET, bytes)
}

/// The hash of what `hash` is of, and of `bytes` behind it.
pub const fn extend(mut hash: u64, bytes: &[u8]) -> u64 {
    let mut at = 0;
    while at < bytes.len() {
        hash = (hash ^ bytes[at] as u64).wrapping_mul(PRIME);
        at += 1;
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_texts() {
        // test vectors of draft-eastlake-fnv
        assert_eq!(hash(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(hash(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(hash(b"foobar"), 0x8594_4171_f739_67e8);
        assert_eq!(extend(hash(b"foo"), b"bar"), hash(b"foobar"));
    }
}
