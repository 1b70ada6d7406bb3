//! Messages of fixed length: each has one form, so what is read is written again byte for byte.

use aire_types::Class;
use aire_wire::{
    CircuitId, DATAGRAM_HEAD, DatagramHead, PREAMBLE_LEN, Preamble, PreambleKind, Probe, ProbeKind,
};

pub(crate) fn preamble(input: &[u8]) {
    let Some(bytes) = input.first_chunk::<PREAMBLE_LEN>() else { return };
    if let Ok(preamble) = Preamble::decode(bytes) {
        assert_eq!(preamble.encode(), *bytes);
    }
}

pub(crate) fn datagram(input: &[u8]) {
    if let Ok(probe) = Probe::decode(input) {
        assert_eq!(probe.encode(), *input);
    }
    if let Ok(head) = DatagramHead::decode(input) {
        assert!(DatagramHead::begins(input));
        assert_eq!(head.encode(), input[..DATAGRAM_HEAD]);
    }
}

pub(crate) fn preamble_seeds() -> Vec<Vec<u8>> {
    let kinds = [PreambleKind::Carrier, PreambleKind::Link, PreambleKind::Enrolment, PreambleKind::DialBack];
    let preamble =
        |kind| Preamble { kind, class: Class::Bulk, circuit: CircuitId([7; 16]), counter: 42, mac: [9; 16] };
    kinds.map(|kind| preamble(kind).encode().to_vec()).into()
}

pub(crate) fn datagram_seeds() -> Vec<Vec<u8>> {
    let probe = |kind| Probe {
        kind,
        circuit: CircuitId([3; 16]),
        sequence: 5,
        sent_us: 1 << 40,
        held_us: 17,
        mac: [1; 16],
    };
    let datagram = [&[3][..], &[1; 40]].concat();
    vec![probe(ProbeKind::Probe).encode().to_vec(), probe(ProbeKind::Echo).encode().to_vec(), datagram]
}
