//! What an application says to the proxy: SOCKS5 and HTTP CONNECT, byte by byte.

use std::fmt::Debug;

use aire_ingress::parse::connect::{Head, parse_head};
use aire_ingress::parse::socks::{Host, parse_greeting, parse_request};
use aire_ingress::parse::{Malformed, Progress, parse_protocol};
use aire_ingress::parse_destination;

type Parse<T> = fn(&[u8]) -> Result<Progress<T>, Malformed>;

/// Parses `input` as it grows; a message that is whole stays what it is whatever follows.
pub(super) fn grow<T: Debug + PartialEq>(parse: Parse<T>, input: &[u8]) -> Option<(T, usize)> {
    let all = parse(input);
    // Each length of the beginning, then steps, so that a long input does not cost its square.
    let lengths = (0..input.len().min(64)).chain((64..input.len()).step_by(61));
    for length in lengths {
        match parse(&input[..length]) {
            Ok(Progress::Incomplete) => {}
            Ok(done) => {
                assert_eq!(all.as_ref(), Ok(&done), "after {length} bytes");
                break;
            }
            Err(_) => {
                assert!(all.is_err(), "refused after {length} bytes, taken as a whole");
                break;
            }
        }
    }
    match all {
        Ok(Progress::Done { value, consumed }) => {
            assert!(consumed <= input.len());
            Some((value, consumed))
        }
        _ => None,
    }
}

pub(crate) fn run(input: &[u8]) {
    grow(parse_protocol, input);
    if let Some((_, consumed)) = grow(parse_greeting, input)
        && let Some((request, _)) = grow(parse_request, &input[consumed..])
        && let Host::Name(name) = request.host
    {
        let _ = parse_destination(&name);
    }
    if let Some((Head::Connect { host, .. }, _)) = grow(parse_head, input) {
        let _ = parse_destination(&host);
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    vec![
        b"\x05\x01\x00\x05\x01\x00\x03\x09echo.mesh\x00\x50".to_vec(),
        b"\x05\x02\x02\x00\x05\x01\x00\x01\x7f\x00\x00\x01\x00\x50".to_vec(),
        [&b"\x05\x01\x00\x05\x03\x00\x04"[..], &[0; 18]].concat(),
        b"CONNECT echo.mesh:80 HTTP/1.1\r\nHost: echo.mesh:80\r\nAire-Class: bulk\r\n\r\nhello".to_vec(),
        b"CONNECT [::1]:1 HTTP/1.0\r\n\r\n".to_vec(),
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
    ]
}
