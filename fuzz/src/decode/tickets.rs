//! Connections that are dialled back: whoever comes, each ticket opens one, for whoever holds it.

use aire_net::fuzzing::{Awaited, Window};
use aire_wire::{PREAMBLE_LEN, Preamble};
use arbitrary::Unstructured;

/// A ticket that is out, and the connection that waits for it.
struct Held {
    preamble: [u8; PREAMBLE_LEN],
    arrival: Option<Awaited>,
    used: bool,
}

pub(crate) fn run(input: &[u8]) {
    let mut choices = Unstructured::new(input);
    let window = Window::default();
    let mut held: Vec<Held> = Vec::new();
    while !choices.is_empty() {
        let what: u8 = choices.arbitrary().unwrap_or_default();
        let at = usize::from(choices.arbitrary::<u8>().unwrap_or_default()) % held.len().max(1);
        match (what % 5, held.get_mut(at)) {
            (0, _) | (_, None) => {
                let Some((ticket, arrival)) = window.issue() else { continue };
                let preamble = ticket.preamble().encode();
                held.push(Held { preamble, arrival: Some(arrival), used: false });
            }
            (1, Some(known)) => {
                let redeemed = redeem(&window, &known.preamble);
                assert_eq!(redeemed, !known.used, "each ticket is good once");
                known.used = true;
                assert!(known.arrival.as_mut().is_none_or(Awaited::is_over), "nobody else may come");
            }
            (2, Some(known)) => {
                // Seen on its way and changed.
                let place = usize::from(choices.arbitrary::<u8>().unwrap_or_default()) % PREAMBLE_LEN;
                let change = choices.arbitrary::<u8>().unwrap_or_default().max(1);
                let mut forged = known.preamble;
                forged[place] ^= change;
                assert!(!redeem(&window, &forged), "byte {place} may be changed by {change}");
            }
            (3, Some(known)) => known.arrival = None,
            _ => {
                let bytes = choices.bytes(PREAMBLE_LEN.min(choices.len())).unwrap_or_default();
                if let Ok(bytes) = bytes.try_into() {
                    assert!(!redeem(&window, bytes), "nobody was given this ticket");
                }
            }
        }
    }
}

fn redeem(window: &Window, bytes: &[u8; PREAMBLE_LEN]) -> bool {
    Preamble::decode(bytes).is_ok_and(|preamble| window.redeem(&preamble))
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    vec![vec![0, 0, 1, 0, 1, 0], vec![0, 0, 2, 0, 40, 1, 1, 0], vec![0, 0, 3, 0, 1, 0]]
}
