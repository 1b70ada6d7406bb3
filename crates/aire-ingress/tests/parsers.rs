//! What holds for the parsers whatever the bytes are.

use std::fmt::Debug;

use aire_ingress::parse::connect::parse_head;
use aire_ingress::parse::socks::{parse_greeting, parse_request};
use aire_ingress::parse::{Malformed, Progress, parse_protocol};
use aire_types::Random;

const WELL_FORMED: [&[u8]; 6] = [
    &[5, 2, 0, 2],
    &[5, 1, 0, 3, 9, b'e', b'c', b'h', b'o', b'.', b'm', b'e', b's', b'h', 0, 80],
    &[5, 1, 0, 1, 127, 0, 0, 1, 0, 80],
    &[5, 3, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 80],
    b"CONNECT echo.mesh:443 HTTP/1.1\r\nHost: echo.mesh\r\nAire-Class: bulk\r\n\r\n",
    b"GET http://echo.mesh/ HTTP/1.1\r\nHost: echo.mesh\r\n\r\n",
];

/// A prefix never says something else than the whole, and what follows a message changes nothing of it.
fn check<T: Debug + PartialEq>(parse: fn(&[u8]) -> Result<Progress<T>, Malformed>, bytes: &[u8]) {
    let whole = parse(bytes);
    if let Ok(Progress::Done { consumed, .. }) = &whole
        && *consumed > 0
    {
        assert!(*consumed <= bytes.len());
        assert_eq!(parse(&bytes[..*consumed]), whole, "{bytes:x?}");
    }
    for end in 0..bytes.len() {
        match parse(&bytes[..end]) {
            Ok(Progress::Incomplete) => {}
            Ok(done) => assert_eq!(Ok(done), whole, "prefix {end} of {bytes:x?}"),
            Err(_) => assert!(whole.is_err(), "prefix {end} of {bytes:x?} is wrong, but the whole is not"),
        }
    }
}

fn check_all(bytes: &[u8]) {
    check(parse_protocol, bytes);
    check(parse_greeting, bytes);
    check(parse_request, bytes);
    check(parse_head, bytes);
}

#[test]
fn no_bytes_break_a_parser() {
    for seed in 0..4096 {
        let mut random = Random::new(seed);
        let mut bytes = match random.below(8) {
            0 => (0..random.below(64)).map(|_| random.next_u64() as u8).collect(),
            n => WELL_FORMED[n % WELL_FORMED.len()].to_vec(),
        };
        for _ in 0..random.below(4) {
            let at = random.below(bytes.len() + 1);
            match random.below(4) {
                0 => bytes.truncate(at),
                1 => bytes.insert(at, random.next_u64() as u8),
                2 => bytes.extend(WELL_FORMED[random.below(WELL_FORMED.len())]),
                _ => {
                    if let Some(byte) = bytes.get_mut(at) {
                        *byte = random.next_u64() as u8;
                    }
                }
            }
        }
        check_all(&bytes);
    }
}
