//! Base round trips: what the network takes when nothing waits in it.

use std::time::Duration;

use aire_types::{Random, Time};

/// Base round trips between nodes, and where the nodes stand.
pub trait Underlay: Send + Sync {
    /// How many nodes there are.
    fn nodes(&self) -> usize;

    /// Base round trip at `at`, milliseconds; not finite where there is no way.
    fn rtt_ms(&self, from: usize, to: usize, at: Time) -> f64;

    /// Share of packets that the bare way loses at `at`, 0 to 1.
    fn loss(&self, _from: usize, _to: usize, _at: Time) -> f64 {
        0.0
    }

    /// The zone of `node`. Nodes of two zones share the trunk between these.
    fn zone(&self, node: usize) -> usize;

    /// How many zones there are.
    fn zones(&self) -> usize;
}

/// Milliseconds of round trip across the whole plane, about what the Earth's far side takes.
const WIDTH_MS: f64 = 220.0;
const HEIGHT_MS: f64 = 110.0;
/// How far a zone's nodes stand from its centre, milliseconds.
const SPREAD_MS: f64 = 6.0;
/// The longest way from a node to the network, milliseconds.
const ACCESS_MS: f64 = 6.0;

/// Nodes in zones on a plane. The way between two zones is longer than the straight line by a factor of its own, which
/// is what makes relays worth their while (triangle violations).
#[derive(Clone, Debug)]
pub struct Geometry {
    places: Vec<Place>,
    detours: Vec<f64>,
    zones: usize,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    x: f64,
    y: f64,
    access: f64,
    zone: usize,
}

impl Geometry {
    /// `nodes` nodes in `zones` zones, by `seed`.
    pub fn new(nodes: usize, zones: usize, seed: u64) -> Self {
        let mut random = Random::new(seed ^ 0x6765_6f6d);
        let zones = zones.max(1);
        let centres: Vec<(f64, f64)> =
            (0..zones).map(|_| (random.unit() * WIDTH_MS, random.unit() * HEIGHT_MS)).collect();
        let places = (0..nodes)
            .map(|node| {
                let zone = node % zones;
                let (x, y) = centres[zone];
                Place {
                    x: x + SPREAD_MS * (random.unit() - 0.5),
                    y: y + SPREAD_MS * (random.unit() - 0.5),
                    access: 0.3 + ACCESS_MS * random.unit().powi(3),
                    zone,
                }
            })
            .collect();
        // most ways are a little longer than straight, some twice as long
        let mut detours: Vec<f64> = (0..zones * zones).map(|_| 1.05 + 1.2 * random.unit().powi(3)).collect();
        for a in 0..zones {
            for b in 0..a {
                detours[a * zones + b] = detours[b * zones + a];
            }
        }
        Geometry { places, detours, zones }
    }
}

impl Underlay for Geometry {
    fn nodes(&self) -> usize {
        self.places.len()
    }

    fn rtt_ms(&self, from: usize, to: usize, _at: Time) -> f64 {
        if from == to {
            return 0.0;
        }
        let (a, b) = (self.places[from], self.places[to]);
        let detour = self.detours[a.zone * self.zones + b.zone];
        (a.x - b.x).hypot(a.y - b.y) * detour + a.access + b.access
    }

    fn zone(&self, node: usize) -> usize {
        self.places[node].zone
    }

    fn zones(&self) -> usize {
        self.zones
    }
}

/// Matrices of round trips that follow each other, as a trace of frames has them. After the last comes the first.
#[derive(Clone, Debug)]
pub struct Matrix {
    nodes: usize,
    step: Duration,
    frames: Vec<Vec<f32>>,
    zone_of: Vec<usize>,
    zones: usize,
}

impl Matrix {
    /// Frames of `zone_of.len()`² round trips in milliseconds, row by row, one for each `step`. A number that is not
    /// finite means that there is no way. `None` where a frame has another size, or there is none.
    pub fn new(zone_of: Vec<usize>, step: Duration, frames: Vec<Vec<f32>>) -> Option<Self> {
        let nodes = zone_of.len();
        let sound = !frames.is_empty() && frames.iter().all(|frame| frame.len() == nodes * nodes);
        let zones = zone_of.iter().max().map_or(0, |most| most + 1);
        (sound && !step.is_zero()).then_some(Matrix { nodes, step, frames, zone_of, zones })
    }
}

impl Underlay for Matrix {
    fn nodes(&self) -> usize {
        self.nodes
    }

    fn rtt_ms(&self, from: usize, to: usize, at: Time) -> f64 {
        let frame = at.as_micros() / (self.step.as_micros() as u64).max(1);
        let frame = &self.frames[(frame % self.frames.len() as u64) as usize];
        f64::from(frame[from * self.nodes + to])
    }

    fn zone(&self, node: usize) -> usize {
        self.zone_of[node]
    }

    fn zones(&self) -> usize {
        self.zones
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plane_is_symmetric_and_has_shorter_ways_over_relays() {
        let plane = Geometry::new(60, 12, 3);
        let mut shorter = 0;
        for a in 0..60 {
            for b in 0..a {
                let direct = plane.rtt_ms(a, b, Time::ZERO);
                assert!((direct - plane.rtt_ms(b, a, Time::ZERO)).abs() < 1e-9);
                let best = (0..60)
                    .map(|r| plane.rtt_ms(a, r, Time::ZERO) + plane.rtt_ms(r, b, Time::ZERO))
                    .filter(|sum| *sum > 0.0)
                    .fold(f64::INFINITY, f64::min);
                shorter += usize::from(best < 0.9 * direct);
            }
        }
        assert!((100..1500).contains(&shorter), "{shorter} of 1770 pairs");
    }

    #[test]
    fn frames_follow_time_and_begin_again() {
        let frames = vec![vec![0.0, 1.0, 1.0, 0.0], vec![0.0, 2.0, 2.0, 0.0]];
        let matrix = Matrix::new(vec![0, 1], Duration::from_secs(1), frames).unwrap();
        let at = |ms| matrix.rtt_ms(0, 1, Time::from_millis(ms));
        assert_eq!([at(0), at(999), at(1000), at(2000)], [1.0, 1.0, 2.0, 1.0]);
        assert!(Matrix::new(vec![0, 1], Duration::from_secs(1), vec![vec![0.0; 3]]).is_none());
    }
}
