//! The seal of datagrams.

use aire_stream::Side;
use aire_stream::datagram::{Cipher, Key, TAG};
use aire_wire::AssociationId;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};

use crate::crypto::hkdf_sha256;

/// ChaCha20-Poly1305 with one key. AES-GCM would need another key after some million datagrams (RFC 9001 §6.6).
pub(crate) struct Seal(LessSafeKey);

impl Seal {
    fn new(key: &[u8; 32]) -> Self {
        let key = UnboundKey::new(&CHACHA20_POLY1305, key).expect("a key of ChaCha20 has 32 bytes");
        Seal(LessSafeKey::new(key))
    }
}

fn nonce(counter: u64) -> Nonce {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&counter.to_be_bytes());
    Nonce::assume_unique_for_key(nonce)
}

impl Cipher for Seal {
    fn seal(&self, counter: u64, head: &[u8], body: &mut [u8]) -> [u8; TAG] {
        let tag = self.0.seal_in_place_separate_tag(nonce(counter), Aad::from(head), body);
        let mut out = [0; TAG];
        out.copy_from_slice(tag.expect("a datagram is far shorter than the cipher's limit").as_ref());
        out
    }

    fn open<'a>(&self, counter: u64, head: &[u8], sealed: &'a mut [u8]) -> Option<&'a mut [u8]> {
        self.0.open_in_place(nonce(counter), Aad::from(head), sealed).ok()
    }
}

/// The keys of one carrier, from what both its ends exported.
pub(crate) fn datagram_key(side: Side, association: AssociationId, secret: &[u8; 32]) -> Key<Seal> {
    let derive = |info: &[u8]| hkdf_sha256(&association.0, secret, info);
    let to_destination = Seal::new(&derive(b"aire datagram to destination"));
    let to_source = Seal::new(&derive(b"aire datagram to source"));
    let [a, b, c, d, ..] = derive(b"aire datagram name");
    let id = u32::from_be_bytes([a, b, c, d]);
    match side {
        Side::Source => Key { id, seal: to_destination, open: to_source },
        Side::Destination => Key { id, seal: to_source, open: to_destination },
    }
}

#[cfg(test)]
mod tests {
    use aire_stream::CarrierId;
    use aire_stream::datagram::{Datagrams, Rejected, Way};
    use aire_wire::{CircuitId, DatagramHead, StreamId};

    use super::*;

    #[test]
    fn what_one_end_seals_the_other_opens_once_and_nobody_changes() {
        let (association, secret) = (AssociationId([1; 16]), [2; 32]);
        let mut source = Datagrams::new(Side::Source);
        let mut destination = Datagrams::new(Side::Destination);
        source.handle_carrier_up(CarrierId(1), datagram_key(Side::Source, association, &secret));
        source.handle_joined(CarrierId(1));
        destination.handle_carrier_up(CarrierId(1), datagram_key(Side::Destination, association, &secret));
        let way = Way { circuit: CircuitId([3; 16]), limit: 1150 };
        let sent = source.seal(way, StreamId(5), b"hello").unwrap();
        assert!(!sent.windows(5).any(|window| window == b"hello"));
        let head = DatagramHead::decode(&sent).unwrap();
        for at in 1..sent.len() {
            let mut changed = sent.clone();
            changed[at] ^= 1;
            let head = DatagramHead::decode(&changed).unwrap();
            assert!(destination.open(&head, &mut changed).is_err(), "byte {at}");
        }
        let opened =
            destination.open(&head, &mut sent.clone()).map(|(stream, bytes)| (stream, bytes.to_vec()));
        assert_eq!(opened, Ok((StreamId(5), b"hello".to_vec())));
        assert_eq!(destination.open(&head, &mut sent.clone()), Err(Rejected::Replayed));
    }
}
