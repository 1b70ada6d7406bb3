//! Places on the map and the ways between them, for demonstrations.
//!
//! The delays are rounded one-way delays of the order that is measured between cloud regions of these places. As on the
//! real Internet some direct ways are a detour (transit follows contracts, not geography), so a relay can be nearer
//! than the destination itself; and some long ways lose packets.

use crate::LinkShape;

/// The places of the map.
pub const PLACES: [&str; 7] =
    ["frankfurt", "virginia", "oregon", "saopaulo", "singapore", "sydney", "mumbai"];

/// One way between two places, the same in both directions.
struct Way {
    ends: (&'static str, &'static str),
    one_way_ms: f64,
    loss: f64,
    mbps: f64,
}

const fn way(a: &'static str, b: &'static str, one_way_ms: f64, loss: f64, mbps: f64) -> Way {
    Way { ends: (a, b), one_way_ms, loss, mbps }
}

/// Ways that violate the triangle inequality are marked with the relay that is better.
const WAYS: [Way; 21] = [
    way("frankfurt", "virginia", 44.0, 0.0, 300.0),
    way("frankfurt", "oregon", 79.0, 0.0, 200.0),
    way("frankfurt", "saopaulo", 121.0, 0.002, 60.0), // virginia
    way("frankfurt", "singapore", 118.0, 0.002, 80.0), // mumbai
    way("frankfurt", "sydney", 161.0, 0.005, 30.0),   // singapore, mumbai
    way("frankfurt", "mumbai", 58.0, 0.0, 150.0),
    way("virginia", "oregon", 31.0, 0.0, 300.0),
    way("virginia", "saopaulo", 57.0, 0.0, 150.0),
    way("virginia", "singapore", 121.0, 0.002, 80.0), // oregon
    way("virginia", "sydney", 102.0, 0.0, 120.0),
    way("virginia", "mumbai", 116.0, 0.002, 80.0), // frankfurt
    way("oregon", "saopaulo", 88.0, 0.0, 100.0),
    way("oregon", "singapore", 82.0, 0.0, 150.0),
    way("oregon", "sydney", 70.0, 0.0, 150.0),
    way("oregon", "mumbai", 134.0, 0.004, 50.0),      // singapore
    way("saopaulo", "singapore", 184.0, 0.004, 40.0), // oregon
    way("saopaulo", "sydney", 178.0, 0.004, 40.0),    // oregon
    way("saopaulo", "mumbai", 176.0, 0.004, 40.0),    // frankfurt
    way("singapore", "sydney", 46.0, 0.0, 200.0),
    way("singapore", "mumbai", 30.0, 0.0, 200.0),
    way("sydney", "mumbai", 97.0, 0.002, 80.0), // singapore
];

/// How the direct way between two places behaves, in either direction; `None` for an unknown place or the same one twice.
pub fn shape(from: &str, to: &str) -> Option<LinkShape> {
    let way = WAYS.iter().find(|way| way.ends == (from, to) || way.ends == (to, from))?;
    let jitter_ms = way.one_way_ms * 0.01;
    Some(LinkShape::delay(way.one_way_ms).jitter(jitter_ms).loss(way.loss).mbps(way.mbps))
}

/// The relay that shortens the way between two places the most, and the one-way delay over it in milliseconds;
/// `None` where the direct way is the best.
pub fn best_relay(from: &str, to: &str) -> Option<(&'static str, f64)> {
    let direct = shape(from, to)?.one_way_ms;
    let over =
        |relay: &'static str| Some((relay, shape(from, relay)?.one_way_ms + shape(relay, to)?.one_way_ms));
    PLACES
        .into_iter()
        .filter_map(over)
        .min_by(|a, b| a.1.total_cmp(&b.1))
        .filter(|(_, one_way_ms)| *one_way_ms < direct)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_has_one_sound_way() {
        for (i, a) in PLACES.iter().enumerate() {
            for b in &PLACES[i + 1..] {
                let shape = shape(a, b).unwrap_or_else(|| panic!("{a} – {b}"));
                assert_eq!(shape.check(), Ok(()));
                assert_eq!(super::shape(b, a), Some(shape));
            }
            assert_eq!(shape(a, a), None);
        }
        assert_eq!(WAYS.len(), PLACES.len() * (PLACES.len() - 1) / 2);
    }

    #[test]
    fn some_direct_ways_are_a_detour_and_most_are_not() {
        let relayed = WAYS.iter().filter(|way| best_relay(way.ends.0, way.ends.1).is_some()).count();
        assert!((5..=12).contains(&relayed), "{relayed}");
        assert_eq!(best_relay("frankfurt", "singapore"), Some(("mumbai", 88.0)));
        assert_eq!(best_relay("frankfurt", "virginia"), None);
    }
}
