//! What an application and a peer say to a flow: SOCKS5 datagrams, and datagrams that come through a stream.

use aire_ingress::parse::socks::{Host, parse_datagram};
use aire_ingress::parse_destination;
use aire_stream::datagram::{RecordError, RecordReader, encode_record};
use aire_wire::MAX_PAYLOAD;

use super::handshake::grow;
use super::split;

/// The datagrams in a stream that comes in pieces, and why there are no more.
fn read(stream: &[u8], piece: usize) -> (Vec<Vec<u8>>, Option<RecordError>) {
    let (mut reader, mut datagrams) = (RecordReader::default(), Vec::new());
    for chunk in stream.chunks(piece.max(1)) {
        reader.push(chunk);
        loop {
            match reader.next_datagram() {
                Ok(Some(datagram)) => datagrams.push(datagram.to_vec()),
                Ok(None) => break,
                Err(error) => return (datagrams, Some(error)),
            }
        }
    }
    (datagrams, None)
}

pub(crate) fn run(input: &[u8]) {
    if let Some((head, _)) = grow(parse_datagram, input)
        && let Host::Name(name) = head.host
    {
        let _ = parse_destination(&name);
    }
    let (piece, stream) = split(input);
    let whole = read(stream, usize::MAX);
    assert_eq!(whole, read(stream, piece), "the datagrams depend on how the stream is cut");
    assert!(whole.0.iter().all(|datagram| datagram.len() <= MAX_PAYLOAD));
    let again: Vec<u8> = whole.0.iter().flat_map(|datagram| encode_record(datagram)).collect();
    assert_eq!(read(&again, usize::MAX), (whole.0, None), "what is written is read");
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let records = [&b""[..], b"question", &[7; 700]].map(encode_record).concat();
    vec![
        b"\x00\x00\x00\x03\x09echo.mesh\x00\x35question".to_vec(),
        b"\x00\x00\x01\x01\x7f\x00\x00\x01\x00\x35".to_vec(),
        [&b"\x00\x00\x00\x04"[..], &[0; 18]].concat(),
        [&[3][..], &records].concat(),
        vec![9, 0x80, 1, 0, 0],
    ]
}
